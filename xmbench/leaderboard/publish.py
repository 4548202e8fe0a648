"""The generated files: which there are, whether they are current, writing them, and removing those of no board."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from xmbench.errors import CheckError, UnknownNameError
from xmbench.leaderboard import history, markdown, site
from xmbench.leaderboard.board import boards
from xmbench.leaderboard.places import FRONT_PAGE, track_page
from xmbench.leaderboard.site_board import without_reports
from xmbench.leaderboard.store import load
from xmbench.storage.files import write_text

LESSONS = "lessons.md"  # what the tables teach, written by hand: a part of README.md


def pages(root: Path) -> dict[Path, str]:
    """Every generated page: its path and its text.

    Raises:
        UnknownNameError: there is no such directory.
        DocumentError: invalid documents under `root`.
    """
    _require(root)
    loaded = load(root, metrics=False)
    found = boards(loaded.results, loaded.columns)
    earlier = history.kept(root)
    tracks = sorted({board.track for board in found} | {item.track for item in loaded.reported})
    made = {}
    for track in tracks:
        own = [board for board in found if board.track == track]
        reported = [item for item in loaded.reported if item.track == track]
        made[root / track_page(track, "md")] = markdown.page(track, own, reported)
        made[root / track_page(track)] = site.board_page(track, own, reported, root, tracks)
    made[root / "README.md"] = markdown.index(found, tracks, _lessons(root), history.index_lines(earlier))
    made[root / FRONT_PAGE] = site.front_page(found, loaded.reported, root, history.PAGE if earlier else "")
    if earlier:
        made[root / history.PAGE] = history.page(earlier)
    return made


def build(root: Path) -> list[Path]:
    """Writes every page and removes those of tracks that are no longer there; returns those that changed.

    Raises:
        UnknownNameError: there is no such directory.
        DocumentError: invalid documents under `root`.
    """
    made = pages(root)
    changed = []
    for path, text in made.items():
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
            changed.append(path)
    for path in _left_over(root, made):
        path.unlink()
        changed.append(path)
    return changed


def _lessons(root: Path) -> list[str]:
    """The lines that are written by hand; none if there are none."""
    path = root / LESSONS
    return path.read_text(encoding="utf-8").strip().split("\n") if path.is_file() else []


def _left_over(root: Path, made: Container[Path]) -> list[Path]:
    """Generated pages of tracks that have neither results nor reported ones any more."""
    found = sorted(path for ending in ("md", "html") for path in root.glob(f"*.{ending}") if path not in made)
    return [path for path in found if path.is_file() and _is_generated(path.read_text(errors="replace"))]


def _is_generated(text: str) -> bool:
    return text.startswith(markdown.GENERATED) or f"</style>{markdown.GENERATED}" in text


def check(root: Path) -> None:
    """Checks every document and that each page is current; links to reports, which are local, do not count.

    Raises:
        DocumentError: invalid documents under `root`.
        CheckError: pages that are out of date.
    """
    _require(root)
    load(root)
    made = pages(root)
    stale = [
        str(path)
        for path, text in made.items()
        if not path.is_file() or without_reports(path.read_text(errors="replace")) != without_reports(text)
    ]
    stale += [f"{path}: of a track that is not there" for path in _left_over(root, made)]
    if stale:
        raise CheckError("generated pages are out of date", problems=stale, todo="xmbench leaderboard build")


def _require(root: Path) -> None:
    if not root.is_dir():
        raise UnknownNameError(
            "no leaderboards here",
            where=root,
            expected="a directory with <recipe>/<direction>/*.json",
            todo="name it with --dir, or start one with `xmbench leaderboard add RESULT`",
        )
