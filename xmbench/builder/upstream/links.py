"""Linked recordings, fetched one by one with yt-dlp: paced, resumable, and stopped when a site refuses more.

Each fetch is a process of its own (`link_job`), because a site, yt-dlp or a program that it starts may hang: it is
killed with everything that it started when its time is over, or when this process ends. What a fetch leaves behind is
in a directory of that fetch, which is removed. The pace changes no recording, so it is not part of a recipe:
environment variables set it.
"""

from __future__ import annotations

import os
import shutil
import time
import urllib.parse
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from xmbench.builder.upstream import contents, link_cache, link_failures, link_programs, link_runs
from xmbench.builder.upstream.items import wait_for_turn
from xmbench.builder.upstream.link_cache import Failed, Place
from xmbench.builder.upstream.link_failures import Failure
from xmbench.errors import DocumentError, OutputError, UnfinishedError, VideoError
from xmbench.execution.progress import Progress, silent
from xmbench.formats.dataset import FetchedRecord
from xmbench.interfaces import Link, Rejected
from xmbench.media import sound_file, video
from xmbench.storage.files import byte_limit, make_folder
from xmbench.storage.locks import locked
from xmbench.storage.variables import number_of

PAUSE_VARIABLE = "XMBENCH_LINK_PAUSE_S"
WAIT_VARIABLE = "XMBENCH_LINK_WAIT_S"
TIMEOUT_VARIABLE = "XMBENCH_LINK_TIMEOUT_S"
COOKIES_VARIABLE = "XMBENCH_LINK_COOKIES"
LONGEST_S = 36_000.0
DEFAULT_PAUSE_S = 60.0  # what the authors of yt-dlp advise between two videos of YouTube
_DEFAULT_WAIT_S = 3600.0  # YouTube refuses a session for up to an hour
_DEFAULT_TIMEOUT_S = 900.0
_MOST_IN_A_ROW = 5  # failures that another try may cure: then it is the network, or all of the site
_LARGEST = 1 << 31
_FINAL_SOUND = {"no-sound"}


class Links:
    """The linked recordings of one source during one command.

    Attributes:
        fetched: the records of those that are here, by address.
    """

    def __init__(self, offline: bool, progress: Progress = silent) -> None:
        self._offline = offline
        self._progress = progress
        self._only: frozenset[str] | None = None
        self._outcomes: dict[str, Path | Rejected] = {}
        self.fetched: dict[str, FetchedRecord] = {}

    def keep_to(self, names: Collection[str]) -> None:
        """Uses only these recordings, as an earlier build of the same directory did: no other is requested."""
        self._only = frozenset(names)

    def fetch(self, links: Sequence[Link]) -> list[Path | Rejected]:
        """The sound of each link, or why there is none; raises as `Upstream.recordings`."""
        wanted = {link.name: link for link in links}
        due = [link for name, link in wanted.items() if name not in self._outcomes and not self._take_known(link)]
        if self._offline:
            for link in due:
                self._outcomes[link.name] = _offline(link)
        elif due:
            self._ask(due, wanted)
        return [self._outcomes[link.name] for link in links]

    def due(self, links: Sequence[Link]) -> list[Link]:
        """Those that `fetch` would request."""
        return [link for link in links if not self._take_known(link)]

    def _take_known(self, link: Link) -> bool:
        """Whether the outcome of a link is known without a request."""
        if self._only is not None and link.name not in self._only:
            detail = f"{link.name}: not among the recordings of this data set"
            self._outcomes[link.name] = Rejected("fetch", "not-fetched", detail, temporary=True)
            return True
        if record := link_cache.fetched(link):
            self.fetched[link.name] = record
            self._outcomes[link.name] = Place.of(link).sound
            return True
        failure = link_cache.failed(link)
        if failure and not failure.temporary and (self._offline or _asked_with() in ("", failure.asked_with)):
            self._outcomes[link.name] = _rejected(link, failure)
            return True
        return False

    def _ask(self, due: Sequence[Link], wanted: Collection[str]) -> None:
        """Requests what is due: first what was requested least often, so that no failure blocks the others."""
        link_programs.require(due)
        _cookies()
        _clear_jobs()
        in_a_row = 0
        for link in sorted(due, key=lambda link: failure.attempts if (failure := link_cache.failed(link)) else 0):
            host = urllib.parse.urlsplit(link.url).hostname or ""
            if refusal := _refusal(host):
                raise self._unfinished(wanted, *refusal)
            self._progress(f"recording {len(self._outcomes) + 1:,} of {len(wanted):,}: {link.name}")
            with locked(Place.of(link).lock, wait=True):
                failure = None if self._take_known(link) else self._fetch(link, host)
            if failure is None:
                in_a_row = 0
                continue
            self._progress(f"  not fetched, {failure.reason}: {failure.detail}")
            in_a_row = in_a_row + 1 if failure.temporary else 0
            if failure.stop:
                _refuse(host)
                raise self._unfinished(wanted, *(_refusal(host) or (host, 0.0)), failure)
            if in_a_row == _MOST_IN_A_ROW:
                raise self._unfinished(wanted, host, 0.0, failure)

    def _unfinished(
        self, wanted: Collection[str], host: str, wait_s: float, failure: Failure | None = None
    ) -> UnfinishedError:
        here = len(self.fetched)
        lost = sum(isinstance(found, Rejected) and not found.temporary for found in self._outcomes.values())
        why = f" ({failure.reason}: {failure.detail})" if failure else ""
        refuses = failure is None or failure.stop
        what = f"{host} refuses more requests" if refuses else f"{_MOST_IN_A_ROW} recordings in a row failed"
        when = f"after {_clock(wait_s)}" if wait_s else "when the site can be reached"
        return UnfinishedError(
            f"{here:,} of {len(wanted):,} recordings are here, {lost:,} are gone for good; {what}{why}",
            where=host,
            expected=f"no request to this site before {_clock(wait_s)}" if wait_s else None,
            todo=f"run the same command again {when}: what is here stays; or now with --offline, "
            "without the recordings that are missing, and `xmbench retry` later",
        )

    def _fetch(self, link: Link, host: str) -> Failure | None:
        """Requests one recording and keeps the outcome; None where it is here."""
        place = Place.of(link)
        wait_for_turn(host, number_of(PAUSE_VARIABLE, DEFAULT_PAUSE_S))
        make_folder(place.job.parent)
        shutil.rmtree(place.job, ignore_errors=True)
        make_folder(place.job)
        try:
            failure = self._fetched_into(place.job, link)
        finally:
            shutil.rmtree(place.job, ignore_errors=True)
        if failure is not None:
            if failure.disk_full:
                raise OutputError(
                    "no space left on the disk",
                    where=place.job.parent,
                    todo="free some space, or set XMBENCH_CACHE to another directory, and run the same command again",
                )
            before = link_cache.failed(link)
            attempts = 1 + (before.attempts if before else 0)
            kept = Failed(failure.reason, failure.detail, failure.temporary, attempts, _asked_with())
            link_cache.keep_failed(link, kept)
            self._outcomes[link.name] = _rejected(link, kept)
        return failure

    def _fetched_into(self, folder: Path, link: Link) -> Failure | None:
        """Runs a fetch in a directory of its own, decodes what came, and moves it into the cache."""
        pause_s = number_of(PAUSE_VARIABLE, DEFAULT_PAUSE_S)
        limits = link_runs.Limits(number_of(TIMEOUT_VARIABLE, _DEFAULT_TIMEOUT_S), byte_limit(_LARGEST), LONGEST_S)
        done = link_runs.run(link, folder, limits, pause_s, _cookies())
        if isinstance(done, link_failures.Said):
            return link_failures.judged(done)
        sound = folder / "sound.flac"
        longest_s = LONGEST_S if link.end_s is None else min(LONGEST_S, link.end_s - link.start_s)
        try:
            sound_file.to_flac(done.path, sound, longest_s)
        except VideoError as error:
            reason = error.reason if error.reason in _FINAL_SOUND else "damaged-sound"
            return Failure(reason, error.what, temporary=error.reason not in _FINAL_SOUND)
        came = contents.measure(done.path, False, _LARGEST)
        record = FetchedRecord(
            licence=link.licence,
            format=done.format,
            sha256=came.sha256,
            bytes=came.bytes,
            fetched_by=done.tool + (f", ffmpeg {link_programs.ffmpeg_version()}" if link.is_part else ""),
            decoded_by=video.ffmpeg_version(),
            date=datetime.now(UTC).date().isoformat(),
        )
        link_cache.keep_fetched(link, sound, record)
        self.fetched[link.name] = record
        self._outcomes[link.name] = Place.of(link).sound
        return None


def _rejected(link: Link, failure: Failed) -> Rejected:
    tries = f" ({failure.attempts} tries)" if failure.attempts > 1 else ""
    return Rejected("fetch", failure.reason, f"{link.name}: {failure.detail}{tries}", temporary=failure.temporary)


def _offline(link: Link) -> Rejected:
    """Why a recording is not there without the network: the last failure, where there was one."""
    failure = link_cache.failed(link)
    if failure:
        return _rejected(link, failure)
    detail = f"{link.name}: not in the cache, and --offline forbids fetching it"
    return Rejected("fetch", "offline", detail, temporary=True)


def _asked_with() -> str:
    """What a site's answer depends on; "" without yt-dlp, when nothing can be asked."""
    version = link_programs.fetcher_version()
    return version and f"yt-dlp {version}, {'with' if os.environ.get(COOKIES_VARIABLE) else 'without'} cookies"


def _cookies() -> Path | None:
    """The file of cookies that the user gave.

    Raises:
        DocumentError: there is no such file.
    """
    text = os.environ.get(COOKIES_VARIABLE, "")
    if text and not Path(text).is_file():
        raise DocumentError("no such file", where=COOKIES_VARIABLE, expected="a cookies.txt of a browser")
    return Path(text) if text else None


# ------------------------------------------------------------------------------------------------- refusals
def _refuse(host: str) -> None:
    """Records that a site refuses requests from now on."""
    mark = _mark(host)
    make_folder(mark.parent)
    mark.touch()


def _refusal(host: str) -> tuple[str, float] | None:
    """A site that refused a request within the waiting time, and the seconds that are left of it."""
    try:
        left_s = _mark(host).stat().st_mtime + number_of(WAIT_VARIABLE, _DEFAULT_WAIT_S) - time.time()
    except FileNotFoundError:
        return None
    return (host, left_s) if left_s > 0 else None


def _mark(host: str) -> Path:
    return link_cache.links_folder() / "refusals" / "".join(c if c.isalnum() or c in ".-" else "_" for c in host)


def _clock(wait_s: float) -> str:
    """Time of day, in this machine's zone, and how far away it is."""
    return f"{datetime.fromtimestamp(time.time() + wait_s):%Y-%m-%d %H:%M} (in {wait_s / 60:.0f} minutes)"


def _clear_jobs() -> None:
    """Removes what killed fetches have left; those at work hold a lock."""
    folder = make_folder(link_cache.links_folder() / "jobs")
    for path in folder.iterdir():
        if path.is_dir():
            try:
                with locked(path.with_name(f"{path.name}.lock")):
                    shutil.rmtree(path, ignore_errors=True)
            except OutputError:
                continue
