"""One run of `link_job`: started in a process group of its own, bounded in time, and ended whole."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmbench.builder.upstream import link_job, link_programs
from xmbench.builder.upstream.link_failures import Said
from xmbench.interfaces import Link
from xmbench.storage.files import write_text

_REQUEST_PAUSE_S = 1.25  # between the requests that find one recording
_SOCKET_TIMEOUT_S = 30.0
_LAST_WORDS = 2_000
_WORDS_FILE = "said.txt"  # what ffmpeg prints, which requests a part of a recording itself


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one fetch: seconds until it is ended, bytes of the file, seconds of the recording."""

    timeout_s: float
    largest_bytes: int
    longest_s: float


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that came: its path, yt-dlp's name of the format with the extractor, and yt-dlp's version."""

    path: Path
    format: str
    tool: str


def run(link: Link, folder: Path, limits: Limits, pause_s: float, cookies: Path | None) -> Downloaded | Said:
    """Fetches a recording into an empty directory.

    Args:
        link: what to fetch.
        folder: of this fetch; the caller removes it.
        limits: of this fetch.
        pause_s: between recordings; within one, requests are at most 1.25 s apart.
        cookies: a cookies.txt; the fetch gets a copy, because yt-dlp writes to it.

    Returns:
        The file, or what was said instead.
    """
    job = {
        "url": link.url,
        "start_s": link.start_s,
        "end_s": link.end_s,
        "cookies": str(_copied(cookies, folder)) if cookies else "",
        "request_pause_s": min(pause_s, _REQUEST_PAUSE_S),
        "socket_timeout_s": min(_SOCKET_TIMEOUT_S, limits.timeout_s),
        "largest_bytes": limits.largest_bytes,
        "longest_s": limits.longest_s,
    }
    write_text(folder / "job.json", json.dumps(job))
    timely = _ended(folder, limits.timeout_s)
    done = _result(folder)
    words = (folder / _WORDS_FILE).read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
    if "file" in done:
        return Downloaded(folder / done["file"], f"{done['extractor']}: {done['format']}", done["tool"])
    if not timely:
        return Said(f"timed out after {limits.timeout_s:g} s")
    if not done:
        return Said(f"yt-dlp ended without a result: {words.strip()[-300:]}")
    said = f"{done.get('warnings', '')}; {words}"
    return Said(done["error"], said, done.get("kind", ""), done.get("status"), done.get("errno"))


def _copied(cookies: Path, folder: Path) -> Path:
    """A copy that only its owner can read: cookies are as good as a password."""
    copy = folder / "cookies.txt"
    copy.touch(0o600)
    return shutil.copyfile(cookies, copy)


def _ended(folder: Path, timeout_s: float) -> bool:
    """Runs the program of a directory; whether it ended by itself. Nothing of it is left at work."""
    command = [sys.executable, "-P", link_job.__file__, str(folder)]
    with (folder / _WORDS_FILE).open("wb") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=words, stderr=words, start_new_session=True, env=_environment(folder)
        )
    try:
        process.wait(timeout_s)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()


def _environment(folder: Path) -> dict[str, str]:
    """The user's, with an ffmpeg that yt-dlp finds: as a program of that name, which the one of a package has not."""
    programs = folder / "bin"
    programs.mkdir()
    if ffmpeg := link_programs.ffmpeg():
        (programs / "ffmpeg").symlink_to(ffmpeg)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}


def _result(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "done.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
