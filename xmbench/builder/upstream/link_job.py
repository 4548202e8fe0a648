"""One recording fetched by yt-dlp, as a program of its own: what yt-dlp, ffmpeg or a site does ends with the process.

Run by its path with one directory as argument. It reads `job.json` there, downloads into that directory, and writes
`done.json`: the file with its format, or the error. It ends, with the programs that it started, when the process that
started it does: its standard input is then closed. Nothing of xmbench is imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

_LONGEST_TEXT = 4_000
_RUNTIMES = ("deno", "node", "bun", "quickjs")


class _Log:
    """What yt-dlp says; the warnings often name the reason of the error that follows."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def debug(self, text: str) -> None:
        if "larger than max-filesize" in text or "xmbench: " in text:
            self.said.append(text)

    info = debug

    def warning(self, text: str) -> None:
        self.said.append(text)

    def error(self, text: str) -> None:
        self.said.append(text)


def _end_with_starter() -> None:
    """Kills the whole process group when standard input is closed."""

    def wait() -> None:
        while os.read(0, 1):  # unbuffered: a buffer that is in use would abort the end of the program
            pass
        if hasattr(os, "killpg"):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _options(job: dict[str, Any], folder: Path, log: _Log) -> dict[str, Any]:
    from yt_dlp.utils import download_range_func

    options: dict[str, Any] = {
        "format": "bestaudio/best",
        "outtmpl": {"default": str(folder / "recording.%(ext)s")},
        "noplaylist": True,
        "playlist_items": "1",
        "quiet": True,
        "noprogress": True,
        "color": "no_color",
        "logger": log,
        "retries": 1,
        "fragment_retries": 2,
        "extractor_retries": 1,
        "socket_timeout": job["socket_timeout_s"],
        "sleep_interval_requests": job["request_pause_s"],
        "max_filesize": job["largest_bytes"],
        "match_filter": _filter(job["longest_s"], job["end_s"]),
        "cachedir": False,
        "fixup": "never",
        "js_runtimes": {name: {} for name in _RUNTIMES},
    }
    if job["cookies"]:
        options["cookiefile"] = job["cookies"]
    if job["start_s"] or job["end_s"] is not None:
        end_s = float("inf") if job["end_s"] is None else job["end_s"]
        options["download_ranges"] = download_range_func(None, [(job["start_s"], end_s)])
    return options


def _filter(longest_s: float, end_s: float | None) -> Any:
    """What is not downloaded at all: a live stream never ends."""

    def refused(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
            return "xmbench: a live stream"
        if end_s is None and (info.get("duration") or 0) > longest_s:
            return f"xmbench: {info['duration']:,.0f} s long, at most {longest_s:,.0f} s are fetched"
        return None

    return refused


def _fetch(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The result of one job, for `done.json`."""
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import DownloadError, YoutubeDLError
    from yt_dlp.version import __version__

    log, tool = _Log(), f"yt-dlp {__version__}"
    try:
        with YoutubeDL(_options(job, folder, log)) as fetcher:
            info = fetcher.extract_info(job["url"], download=True) or {}
    except (YoutubeDLError, OSError) as error:
        cause = error.exc_info[1] if isinstance(error, DownloadError) and error.exc_info else error
        return {"tool": tool, **_problem(cause or error, str(error), log)}
    if info.get("_type") == "playlist":
        entries = [entry for entry in info.get("entries") or () if entry]
        if len(entries) != 1 or (info.get("playlist_count") or 1) > 1:
            return {"tool": tool, "error": "xmbench: a playlist, not one recording", "kind": ""}
        info = entries[0]
    files = sorted(path.name for path in folder.glob("recording.*") if not path.name.endswith((".part", ".ytdl")))
    if len(files) != 1:
        return {"tool": tool, "error": "; ".join(log.said)[-_LONGEST_TEXT:] or "nothing was downloaded", "kind": ""}
    part = (info.get("requested_downloads") or [info])[0]
    found = {
        "file": files[0],
        "format": str(part.get("format_id") or ""),
        "extractor": str(info.get("extractor") or ""),
    }
    return {"tool": tool, **found, "duration_s": info.get("duration")}


def _problem(cause: BaseException, text: str, log: _Log) -> dict[str, Any]:
    """Type, HTTP status, errno and text of an error, through the errors that it came from."""
    status, errno, kinds, seen = None, None, [], cause
    for _ in range(8):
        kinds.append(type(seen).__name__)
        status = status or getattr(seen, "status", None)
        errno = errno or getattr(seen, "errno", None)
        following = getattr(seen, "cause", None) or seen.__cause__ or seen.__context__
        if following is None:
            break
        seen = following
    warnings = [said for said in log.said if said not in text]
    return {
        "error": text[:_LONGEST_TEXT],
        "warnings": "; ".join(warnings)[-_LONGEST_TEXT:],
        "kind": " ".join(kinds),
        "status": status if isinstance(status, int) else None,
        "errno": errno if isinstance(errno, int) else None,
    }


def main(folder: Path) -> None:
    """Runs the job of a directory."""
    _end_with_starter()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    done = _fetch(job, folder)
    half = folder / "done.json.half"
    half.write_text(json.dumps(done), encoding="utf-8")
    half.replace(folder / "done.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
