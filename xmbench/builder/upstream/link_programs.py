"""What linked recordings need: yt-dlp, for some sites a JavaScript runtime, for a part of a recording ffmpeg."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sysconfig
import urllib.parse
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Link

EXTRA = "pip install 'xmbench[links]'"
_ASK_S = 20
# Sites whose pages hold a puzzle that only JavaScript solves; the runtimes that yt-dlp knows, with the least version.
_PUZZLING = ("youtube.com", "youtu.be", "youtube-nocookie.com")
_RUNTIMES = {"deno": (2, 3), "node": (22, 0), "bun": (1, 2), "qjs": (0, 0)}


def fetcher_version() -> str:
    """Version of yt-dlp; "" where it is not installed."""
    try:
        return version("yt-dlp") if importlib.util.find_spec("yt_dlp") else ""
    except PackageNotFoundError:
        return ""


def script_runtime() -> str:
    """Name and version of a JavaScript runtime that yt-dlp can use; "" where there is none."""
    for name, least in _RUNTIMES.items():
        program = _program(name)
        said = _said([program, "--help" if name == "qjs" else "--version"]) if program else ""
        found = re.search(r"(\d+)\.(\d+)[\d.]*", said)
        if found and (int(found[1]), int(found[2])) >= least:
            return f"{name} {found[0]}"
        if said and name == "qjs":
            return name
    return ""


def ffmpeg() -> str:
    """Path of ffmpeg: the installed program, else the one of imageio-ffmpeg; "" where there is neither."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return ""


def ffmpeg_version() -> str:
    """Version of that ffmpeg; "" where there is none."""
    program = ffmpeg()
    found = re.search(r"version (\S+)", _said([program, "-version"])) if program else None
    return found[1] if found else ""


def missing(links: Iterable[Link]) -> list[str]:
    """What is missing to fetch some links, one line each."""
    wanted = list(links)
    found = []
    if wanted and not fetcher_version():
        found.append("yt-dlp, which fetches linked recordings")
    if any(_puzzling(link) for link in wanted) and not script_runtime():
        found.append("a JavaScript runtime, which yt-dlp needs for YouTube (deno 2.3, node 22, bun 1.2 or QuickJS)")
    if any(link.is_part for link in wanted) and not ffmpeg():
        found.append("ffmpeg, which fetches a part of a recording without the rest")
    return found


def require(links: Iterable[Link]) -> None:
    """Raises PrerequisiteError where something is missing to fetch these links."""
    problems = missing(links)
    if problems:
        raise PrerequisiteError("linked recordings cannot be fetched", problems=problems, todo=EXTRA)


def _puzzling(link: Link) -> bool:
    host = urllib.parse.urlsplit(link.url).hostname or ""
    return any(host == site or host.endswith(f".{site}") for site in _PUZZLING)


def _program(name: str) -> str:
    """Path of a program; yt-dlp, too, looks beside Python first."""
    beside = Path(sysconfig.get_path("scripts")) / name
    return str(beside) if beside.is_file() else shutil.which(name) or ""


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return done.stdout + done.stderr
