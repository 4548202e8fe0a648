"""URMP's layout without URMP: six short pieces that the project plays and draws itself, read as the archive is.

The corpus is made once, in the cache, in less than a minute; nothing is fetched. Its players are drawings, its sounds
are sums of harmonics: it shows that the way from video to data set works; no result on it says anything about music.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.interfaces import AttributeTypes, Entry, Modality, Raw, Rejected, Task, Upstream
from xmbench.media import video
from xmbench.sources import _urmp, _urmp_rendering
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder, writing
from xmbench.storage.locks import locked


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A rendered corpus, read like upstream files."""

    folder: Path

    def names(self) -> tuple[str, ...]:
        """Names of all files, sorted."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return tuple(sorted(path.relative_to(self.folder).as_posix() for path in files))

    def path(self, name: str) -> Path:
        """The file of a name."""
        return self.folder / name


def corpus() -> Path:
    """The directory with the corpus, made if it is not in the cache.

    Raises:
        PrerequisiteError: the package av is not installed.
        OutputError: the cache cannot be written.
    """
    versions = f"{_urmp_rendering.VERSION}-{video.ffmpeg_version()}".replace(", ", "-").replace(" ", "-")
    home = make_folder(cache_folder() / "rendered")
    folder = home / f"urmp-mini-{versions}"
    if not folder.is_dir():
        with locked(home / "lock", wait=True):
            if not folder.is_dir():
                half = home / f"{folder.name}.part"
                with writing(half):
                    shutil.rmtree(half, ignore_errors=True)
                    _urmp_rendering.render(half)
                    half.rename(folder)
    return folder


class UrmpMini:
    """Windows of the rendered pieces; keys, groups and columns as those of `urmp-windows`."""

    name = "urmp-mini"
    yields: frozenset[Modality] = frozenset({"image", "audio"})
    Options = _urmp.WindowOptions

    def versions(self, options: _urmp.WindowOptions) -> dict[str, str]:
        """What renders and decodes."""
        return {"urmp-mini": _urmp_rendering.VERSION, "ffmpeg": video.ffmpeg_version()}

    def attributes(self, options: _urmp.WindowOptions) -> AttributeTypes:
        """Columns of every row: piece, part, start of the window."""
        return _urmp.COLUMNS

    def entries(self, upstream: Upstream, options: _urmp.WindowOptions, task: Task) -> list[Entry]:
        """One entry per window and player; renders the corpus first, where it is not in the cache."""
        return _urmp.entries(_Rendered(corpus()), options, task)

    def read(
        self, upstream: Upstream, options: _urmp.WindowOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """The player's picture with the player's sound, per entry."""
        return _urmp.read(_Rendered(corpus()), options, task, entries)


SOURCE = UrmpMini()
