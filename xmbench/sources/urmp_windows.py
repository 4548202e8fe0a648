"""URMP in windows: the University of Rochester Multi-Modal Music Performance data set (doi 10.5061/dryad.ng3r749).

One image of the player with half a second of what the player plays, out of the archive as it is published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xmbench.interfaces import AttributeTypes, Entry, Modality, Raw, Rejected, Task, Upstream
from xmbench.media import video
from xmbench.sources import _urmp


class UrmpWindows:
    """Windows of the archive's pieces; keys like `24-0012300-p3` (piece, start in ms, part), grouped by take."""

    name = "urmp-windows"
    yields: frozenset[Modality] = frozenset({"image", "audio"})
    Options = _urmp.WindowOptions

    def versions(self, options: _urmp.WindowOptions) -> dict[str, str]:
        """FFmpeg, which decodes the video."""
        return {"ffmpeg": video.ffmpeg_version()}

    def attributes(self, options: _urmp.WindowOptions) -> AttributeTypes:
        """Columns of every row: piece, part, start of the window."""
        return _urmp.COLUMNS

    def entries(self, upstream: Upstream, options: _urmp.WindowOptions, task: Task) -> list[Entry]:
        """One entry per window and player; raises UpstreamError and DocumentError as `_urmp.entries`."""
        return _urmp.entries(upstream, options, task)

    def read(
        self, upstream: Upstream, options: _urmp.WindowOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """The player's picture with the player's sound, per entry."""
        return _urmp.read(upstream, options, task, entries)


SOURCE = UrmpWindows()
