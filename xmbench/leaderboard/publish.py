"""The generated files: which there are, whether they are current, and writing them."""

from __future__ import annotations

from pathlib import Path

from xmbench.errors import CheckError, UnknownNameError
from xmbench.leaderboard import history, markdown, site
from xmbench.leaderboard.board import boards
from xmbench.leaderboard.site_board import without_reports
from xmbench.leaderboard.store import load
from xmbench.storage.files import write_text

INDEX = "index.html"


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
    made = {
        root / f"{track.replace('/', '-')}.md": markdown.page(
            track, [b for b in found if b.track == track], [r for r in loaded.reported if r.track == track]
        )
        for track in tracks
    }
    made[root / "README.md"] = markdown.index(found, tracks, history.index_lines(earlier))
    made[root / INDEX] = site.page(found, loaded.reported, root, history.PAGE if earlier else "")
    if earlier:
        made[root / history.PAGE] = history.page(earlier)
    return made


def build(root: Path) -> list[Path]:
    """Writes every page; returns those that changed.

    Raises:
        UnknownNameError: there is no such directory.
        DocumentError: invalid documents under `root`.
    """
    changed = []
    for path, text in pages(root).items():
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
            changed.append(path)
    return changed


def check(root: Path) -> None:
    """Checks every document and that each page is current; links to reports, which are local, do not count.

    Raises:
        DocumentError: invalid documents under `root`.
        CheckError: pages that are out of date.
    """
    _require(root)
    load(root)
    stale = [
        str(path)
        for path, text in pages(root).items()
        if not path.is_file() or without_reports(path.read_text(errors="replace")) != without_reports(text)
    ]
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
