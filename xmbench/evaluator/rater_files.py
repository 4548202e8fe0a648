"""The files that raters sent: read together, checked against the key, every problem named before any number."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.errors import DocumentError, XmbenchError, nearest
from xmbench.formats.document import load_json
from xmbench.formats.rating_kit import HIGHEST, LOWEST, RatedSet, RaterFile, RatingKey
from xmbench.interfaces import SIDES
from xmbench.printable import shown

MOST_FILES = 10_000
_FEW = 5  # scores, below which all of them alike say nothing


@dataclass(frozen=True, slots=True)
class Rater:
    """One rater's file that counts."""

    file: str
    document: RaterFile

    @property
    def name(self) -> str:
        """As the rater typed it."""
        return self.document.rater

    @property
    def first(self) -> dict[str, int]:
        """Output -> score, where its set was shown for the first time."""
        return self._scores(again=False)

    @property
    def second(self) -> dict[str, int]:
        """Output -> score, where its set was shown again."""
        return self._scores(again=True)

    def _scores(self, *, again: bool) -> dict[str, int]:
        return {
            output: score
            for showing in self.document.showings
            if showing.again is again
            for output, score in zip(showing.outputs, showing.scores, strict=True)
            if score is not None
        }


@dataclass(frozen=True, slots=True)
class Raters:
    """The raters that count, those that were left out, and what an organiser should know."""

    kept: tuple[Rater, ...]
    excluded: tuple[str, ...]
    warnings: tuple[str, ...]


def read_raters(folder: Path, key: RatingKey, *, key_path: Path | None = None, exclude: Sequence[str] = ()) -> Raters:
    """Reads every JSON file of a directory.

    Of two copies of one session the later one counts. Unfinished files count as far as they go.

    Args:
        folder: with one file or more of each rater.
        key: of the page.
        key_path: where the key is, if it may be in the same directory.
        exclude: names of raters that are left out.

    Raises:
        DocumentError: no such directory or no file in it; files that are damaged, edited or of another page, scores
            beyond the scale, two people of one name; a name to exclude that nobody has. Every problem is listed.
    """
    read, problems = _read(_paths(folder, key_path), key)
    kept, warnings = _latest(read)
    problems += _same_name(kept)
    if problems:
        raise DocumentError(
            "the raters' files have problems",
            where=folder,
            problems=problems,
            todo="correct or move these files, and run the same command again; nothing was computed",
        )
    names = [rater.name for rater in kept]
    for name in exclude:
        if name not in names:
            raise DocumentError(f"no rater '{shown(name)}'", where="--exclude", todo=nearest(name, names))
    counted = tuple(rater for rater in kept if rater.name not in exclude and rater.first)
    warnings += [f"{shown(r.name)} ({shown(r.file)}): no score, not counted" for r in kept if not r.first]
    rated = next(sides.output for direction, sides in SIDES.items() if key.track.endswith(f"/{direction}"))
    for rater in counted:
        warnings += _remarks(rater, sounds=rated == "audio")
    if not counted:
        raise DocumentError("no rating here", where=folder, problems=warnings, expected="a file with scores")
    return Raters(counted, tuple(name for name in names if name in exclude), tuple(warnings))


def _read(paths: Sequence[Path], key: RatingKey) -> tuple[list[Rater], list[str]]:
    """The files that this page saved, and what is wrong with the others."""
    sets = {one.name: one for one in key.sets}
    read: list[Rater] = []
    problems: list[str] = []
    for path in paths:
        try:
            found = Rater(path.name, load_json(path, RaterFile))
        except XmbenchError as error:
            problems.append(f"{shown(path.name)}: {error.what}{''.join(f'; {text}' for text in error.problems[:3])}")
            continue
        problems += (own := [f"{shown(path.name)}: {text}" for text in _wrong(found.document, key, sets)])
        read += [] if own else [found]
    return read, problems


def _paths(folder: Path, key_path: Path | None) -> list[Path]:
    expected = "a directory with the JSON file that each rater saved"
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json")
    except OSError as error:
        raise DocumentError(
            f"the directory of ratings cannot be read ({error.strerror})", where=folder, expected=expected
        ) from error
    if key_path is not None:
        paths = [path for path in paths if path.resolve() != key_path.resolve()]
    if not paths or len(paths) > MOST_FILES:
        what = f"{len(paths):,} JSON files" if paths else "no rater's file here"
        raise DocumentError(what, where=folder, expected=f"{expected}, at most {MOST_FILES:,} of them")
    return paths


def _wrong(found: RaterFile, key: RatingKey, sets: dict[str, RatedSet]) -> list[str]:
    """What shows that a file is not what the page of this key saves."""
    if found.page != key.page:
        return [f"saved from the page {found.page[:12]}, but the key is of the page {key.page[:12]}"]
    problems = []
    seen: set[tuple[str, bool]] = set()
    for showing in found.showings:
        own = sets.get(showing.set)
        where = f"{showing.set}{' shown again' if showing.again else ''}"
        if own is None or sorted(showing.outputs) != sorted(own.outputs) or (showing.again and not own.twice):
            problems.append(f"{where}: the page has no such set, or not with these outputs")
            continue
        if (showing.set, showing.again) in seen:
            problems.append(f"{where}: there twice")
        seen.add((showing.set, showing.again))
        if not len(showing.scores) == len(showing.plays) == len(showing.outputs):
            problems.append(f"{where}: {len(showing.scores)} scores of {len(showing.outputs)} outputs")
            continue
        problems += [
            f"{where}: the score {score} of {output} is not within {LOWEST}..{HIGHEST}"
            for output, score in zip(showing.outputs, showing.scores, strict=True)
            if score is not None and not LOWEST <= score <= HIGHEST
        ]
    wanted = {(one.name, again) for one in key.sets for again in ((False, True) if one.twice else (False,))}
    problems += (
        [f"{len(wanted - seen):,} of the page's {len(wanted):,} screens missing"]
        if not problems and wanted - seen
        else []
    )
    return problems


def _latest(read: Sequence[Rater]) -> tuple[list[Rater], list[str]]:
    """Of each session the file that was saved last, and a warning for each that another one replaces."""
    sessions: dict[str, list[Rater]] = defaultdict(list)
    for rater in read:
        sessions[rater.document.session].append(rater)
    kept, warnings = [], []
    for copies in sessions.values():
        *older, last = sorted(copies, key=lambda own: (own.document.saved, len(own.first) + len(own.second), own.file))
        kept.append(last)
        warnings += [
            f"{shown(last.name)}: {shown(one.file)} is an earlier copy of {shown(last.file)}, which counts"
            for one in older
        ]
    return sorted(kept, key=lambda rater: (rater.name, rater.file)), warnings


def _same_name(kept: Sequence[Rater]) -> list[str]:
    """Sessions of one name: nobody can tell whether they are of one person."""
    names: dict[str, list[Rater]] = defaultdict(list)
    for rater in kept:
        names[unicodedata.normalize("NFKC", rater.name).casefold()].append(rater)
    return [
        f"{', '.join(shown(one.file) for one in own)}: {len(own)} sessions of '{shown(own[0].name)}': give each person "
        "another name in the file's `rater`, or move all but one of one person"
        for own in names.values()
        if len(own) > 1
    ]


def _remarks(rater: Rater, *, sounds: bool) -> list[str]:
    """What is told of a file that counts."""
    given = [score for showing in rater.document.showings for score in showing.scores]
    scored = [score for score in given if score is not None]
    who, found = f"{shown(rater.name)} ({shown(rater.file)})", []
    if len(scored) < len(given):
        found.append(f"{who}: unfinished, {len(scored):,} of {len(given):,} scores; they count")
    if len(scored) >= _FEW and len(set(scored)) == 1:
        found.append(f"{who}: gave {scored[0]} to everything; counted, unless --exclude names this rater")
    silent = [
        score is not None and not plays
        for showing in rater.document.showings
        for score, plays in zip(showing.scores, showing.plays, strict=True)
    ]
    if sounds and any(silent):
        found.append(f"{who}: scored {sum(silent):,} sounds without playing them")
    return found
