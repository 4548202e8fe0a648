"""A joint source as a third party would write one: windows of pieces, each with a frame and half a second of sound."""

from __future__ import annotations

from typing import Any

from xmbench.formats.recipe import Recipe

SOURCE = '''
import numpy as np
from pydantic import BaseModel
from xmbench.interfaces import Entry, RawClip, RawImage, RawPair, Rejected

down, broken, read = set(), set(), []

class Options(BaseModel):
    pieces: int = 6
    windows: int = 8
    grouped: bool = True

class Windows:
    """Noise in pieces."""
    name, yields, Options = "windows", frozenset({"image", "audio"}), Options

    def versions(self, options):
        return {"windows": "1"}

    def attributes(self, options):
        return {"piece": str, "start_s": float, "part": int}

    def entries(self, upstream, options, task):
        return [
            Entry(
                f"p{piece:02d}-{window:03d}",
                "test" if (piece if options.grouped else window) % 3 == 2 else "train",
                piece % len(task.class_names),
                f"piece-{piece}",
                (piece, window),
                {"piece": f"Piece {piece}", "start_s": window / 10},
            )
            for piece in reversed(range(options.pieces))
            for window in range(options.windows)
        ]

    def read(self, upstream, options, task, entries):
        for entry in entries:
            read.append(entry.key)
            rng = np.random.default_rng(entry.locator)
            pixels = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
            samples = rng.integers(-9000, 9000, 3200).astype(np.int16)
            if entry.key in down:
                yield Rejected("fetch", "timeout", "no answer", temporary=True)
            elif entry.key in broken:
                yield RawPair(RawImage(pixels), RawClip(samples[:100], 8000))
            else:
                yield RawPair(RawImage(pixels), RawClip(samples, 8000), {"part": entry.locator[0] + 1})

ENGINE = Windows()
'''


def recipe(**options: Any) -> Recipe:
    """Frames of 16 x 16 pixels with clips of 0.4 s at 8 kHz, padded to 0.5 s."""
    return Recipe.model_validate(
        {
            "schema": "xmbench/recipe/1",
            "name": "pieces",
            "version": "1",
            "title": "Pieces",
            "description": "Windows of pieces.",
            "licence": "CC0-1.0",
            "citation": "",
            "regime": "multi-take",
            "image": {"height_px": 16, "width_px": 16, "mode": "RGB"},
            "audio": {"sample_rate_hz": 8000, "samples": 4000, "min_duration_s": 0.3, "max_duration_s": 0.5},
            "classes": {"names": ["flute", "horn", "viola"]},
            "sources": {
                "music": {
                    "reader": "windows",
                    "title": "Noise",
                    "licence": "CC0-1.0",
                    "redistributable": True,
                    "options": options,
                }
            },
            "pairing": {"method": "joint", "items": "music"},
            "tracks": [{"direction": "a2i", "metrics": ["collapse"], "primary": "collapse"}],
        }
    )
