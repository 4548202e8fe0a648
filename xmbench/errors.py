"""Every error that a user can meet, in one tree.

::

    XmbenchError                exit code 2: the user can fix it; no traceback
    ├── UnknownNameError        no such recipe, baseline, metric, source (the nearest name is offered)
    ├── DocumentError           a TOML or JSON document that does not fit its schema
    ├── MediaError              bytes that are not an image or a sound
    │   └── VideoError          a video that cannot be read, with a countable reason
    ├── UpstreamError           a source file: missing, wrong, truncated, unreachable
    ├── DatasetError            a data set directory: missing, unfinished, damaged, of another digest
    ├── SubmissionError         a submission: missing, extra or duplicate ids, wrong track or digest
    ├── PrerequisiteError       a missing program or package
    ├── OutputError             a directory that cannot be written, a full disk
    ├── HubError                the Hugging Face Hub refuses, or cannot be reached
    ├── UnfinishedError         exit code 3: stopped at a time limit (--resume continues), or refused by a site for now
    └── CheckError              exit code 1: everything ran and a check failed

A message says what is wrong, where, what was expected and what to do next. All problems of one input are
listed at once (`problems`). A traceback always means a bug in xmbench.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MAX_LISTED = 20


class XmbenchError(Exception):
    """Base of the tree.

    Args:
        what: one sentence: what is wrong.
        where: the file, directory, field or item.
        expected: what would have been right.
        todo: the next step for the user.
        problems: every single problem, one line each, when there are several.
    """

    exit_code = 2
    heading = "error"

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: str | None = None,
        todo: str | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.expected = expected
        self.todo = todo
        self.problems = tuple(problems)
        super().__init__(self.render())

    def render(self) -> str:
        """The full message: several lines, no trailing newline."""
        lines = [self.what]
        if self.where:
            lines.append(f"  where:    {self.where}")
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        lines += [f"  - {problem}" for problem in self.problems[:MAX_LISTED]]
        if len(self.problems) > MAX_LISTED:
            lines.append(f"  ... and {len(self.problems) - MAX_LISTED} more of {len(self.problems)}")
        if self.todo:
            lines.append(f"  do:       {self.todo}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process pools: keep every field."""
        return _rebuild, (type(self), self.what, self.where, self.expected, self.todo, self.problems)


def _rebuild(
    cls: type[XmbenchError],
    what: str,
    where: str | None,
    expected: str | None,
    todo: str | None,
    problems: tuple[str, ...],
) -> XmbenchError:
    return cls(what, where=where, expected=expected, todo=todo, problems=problems)


class UnknownNameError(XmbenchError):
    """An unknown name."""


class DocumentError(XmbenchError):
    """A TOML or JSON document that does not fit its schema."""


class MediaError(XmbenchError):
    """Bytes that are not a readable image or sound."""


class VideoError(MediaError):
    """A video, or its sound, that cannot be read as asked.

    Attributes:
        reason: short and countable, kebab-case: "empty-file", "unreadable", "no-picture", "no-sound", "too-short",
            "too-large", "damaged", "cut-off".
    """

    def __init__(self, what: str, *, reason: str, where: object = None, expected: str | None = None) -> None:
        self.reason = reason
        super().__init__(what, where=where, expected=expected)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process pools: keep every field."""
        return _rebuild_video, (self.what, self.reason, self.where, self.expected)


def _rebuild_video(what: str, reason: str, where: str | None, expected: str | None) -> VideoError:
    return VideoError(what, reason=reason, where=where, expected=expected)


class UpstreamError(XmbenchError):
    """A file of an upstream corpus is missing, wrong, truncated or unreachable."""


class DatasetError(XmbenchError):
    """A data set directory is missing, unfinished, damaged or not the one that was named."""


class UnsuitableDatasetError(DatasetError):
    """A sound data set that lacks what a baseline needs: the baseline has no row on it."""


class SubmissionError(XmbenchError):
    """A submission that cannot be scored as it is."""


class PrerequisiteError(XmbenchError):
    """A program or package that the work needs is missing."""


class OutputError(XmbenchError):
    """A place that cannot be written to."""


class HubError(XmbenchError):
    """The Hugging Face Hub refuses, or cannot be reached."""


class UnfinishedError(XmbenchError):
    """Work stopped where it was told to, and can be resumed: nothing is wrong, and nothing is complete."""

    exit_code = 3
    heading = "unfinished"


class CheckError(XmbenchError):
    """The work was done and a check failed."""

    exit_code = 1


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint like `did you mean 'mnist-ad'?`, or the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "none is known"
