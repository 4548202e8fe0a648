"""A joint source: each item is a coloured square with the tone that belongs to it, out of pieces of six items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from xmbench.interfaces import AttributeTypes, Entry, RawClip, RawImage, RawPair, Rejected, Task, Upstream

RATE_HZ = 8000
TONES_HZ = (300.0, 700.0, 1500.0)
COLOURS = ((220, 40, 40), (40, 200, 60), (50, 60, 220))
PER_PIECE = 6


class Options(BaseModel):
    """How many pieces there are; every third one is a test piece."""

    pieces: int = 18


def drawn(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square of the class's colour somewhere on grey, uint8 (16, 16, 3)."""
    pixels = rng.integers(100, 130, (16, 16, 3)).astype(np.uint8)
    top, left = rng.integers(0, 8, 2)
    pixels[top : top + 8, left : left + 8] = COLOURS[label]
    return pixels


def played(label: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """A tone of the class's pitch, a little out of tune, int16 (4000,)."""
    time_s = np.arange(RATE_HZ // 2) / RATE_HZ
    tone = np.sin(2 * np.pi * TONES_HZ[label] * rng.uniform(0.97, 1.03) * time_s + rng.uniform(0, 6))
    samples: NDArray[np.int16] = np.rint(12000 * rng.uniform(0.6, 1.0) * tone).astype(np.int16)
    return samples


class Tones:
    """Coloured squares with their tones, drawn and played here."""

    name = "tones"
    yields = frozenset({"image", "audio"})
    Options = Options

    def versions(self, options: Options) -> dict[str, str]:
        """Of what shapes the content."""
        return {"xmbench-tones": "1.0"}

    def attributes(self, options: Options) -> AttributeTypes:
        """Columns of its own."""
        return {"piece": str, "start_s": float, "window": int}

    def entries(self, upstream: Upstream, options: Options, task: Task) -> Sequence[Entry]:
        """All windows of all pieces."""
        return [
            Entry(
                key=f"piece-{piece:03d}-{window}",
                split="test" if piece % 3 == 2 else "train",
                label=(piece // 3 + window) % len(task.class_names),
                group=f"piece-{piece:03d}",
                locator=(piece, window),
                attributes={"piece": f"Piece {piece}", "start_s": window / 2, "window": window},
            )
            for piece in range(options.pieces)
            for window in range(PER_PIECE)
        ]

    def read(
        self, upstream: Upstream, options: Options, task: Task, entries: Sequence[Entry]
    ) -> Iterator[RawPair | Rejected]:
        """A picture and a tone for each entry."""
        for entry in entries:
            rng = np.random.default_rng(entry.locator)
            yield RawPair(RawImage(drawn(entry.label, rng)), RawClip(played(entry.label, rng), RATE_HZ))


SOURCE = Tones()
