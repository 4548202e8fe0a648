"""Two kinds of judges that know neither words nor digits: by the nearest class mean of a few numbers.

Run as a program, this writes the weights and records of the judges of the recipe `tones`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from xmbench.errors import PrerequisiteError
from xmbench.formats.judge import StoredJudge
from xmbench.interfaces import Modality, Task
from xmbench.judges.header import header
from xmbench.media.signal import Media
from xmbench_tones.source import RATE_HZ, drawn, played

FOLDER = Path(__file__).parent / "weights"
EDGES_HZ = (0, 200, 400, 600, 900, 1200, 1800, 4001)


def loudness_of_bands(sound: Media) -> NDArray[np.float32]:
    """Share of the energy in seven bands."""
    spectrum = np.square(np.abs(np.fft.rfft(sound.samples)))
    hertz = np.fft.rfftfreq(len(sound.samples), 1 / RATE_HZ)
    bands = np.array([spectrum[(hertz >= a) & (hertz < b)].sum() for a, b in pairwise(EDGES_HZ)])
    return (bands / max(float(bands.sum()), 1e-12)).astype(np.float32)


def excess_of_colours(picture: Media) -> NDArray[np.float32]:
    """How much brighter than grey each colour is, and how uneven: six numbers."""
    pixels = picture.pixels.astype(np.float32) / 255
    colour = pixels - pixels.mean(axis=2, keepdims=True)
    return np.concatenate([colour.mean(axis=(0, 1)), colour.std(axis=(0, 1))]).astype(np.float32)


class NearestMean:
    """Weights that were read."""

    def __init__(
        self, modality: Modality, see: Callable[[Media], NDArray[np.float32]], names: Sequence[str], means: NDArray
    ) -> None:
        self.modality, self.class_names, self.embedding_size = modality, tuple(names), means.shape[1]
        self._see, self._means = see, means

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, D)."""
        return np.stack([self._see(item) for item in items]) if items else np.empty((0, self.embedding_size), "f4")

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1)."""
        away = np.square(self.embed(items)[:, None] - self._means).sum(axis=2)
        scores = np.exp(-20 * np.concatenate([away, np.full((len(away), 1), 0.5)], axis=1))
        return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Kind:
    """One of the two kinds."""

    name: str
    modality: Modality
    needs: str
    see: Callable[[Media], NDArray[np.float32]]
    weights: Path = FOLDER

    @property
    def formats(self) -> tuple[str, ...]:
        """Of the weights."""
        return (f"xmbench-tones/{self.name}/1",)

    def fits(self, task: Task) -> bool:
        """Tones at one rate, colour pictures."""
        if self.modality == "audio":
            return not task.words and task.audio.sample_rate_hz == RATE_HZ
        return task.image.channels == 3

    def load(self, weights: bytes, device: str = "cpu") -> NearestMean:
        """Reads weights."""
        about = header(weights)
        if about["format"] not in self.formats:
            raise PrerequisiteError("the weights belong to another judge", expected=self.formats[0])
        try:
            return NearestMean(self.modality, self.see, about["classes"], load(weights)["means"])
        except Exception as error:  # any damage to the file
            raise PrerequisiteError("the weights cannot be read", expected="a safetensors file") from error


PITCH = Kind("pitch", "audio", f"sounds without words at {RATE_HZ} Hz", loudness_of_bands)
COLOUR = Kind("colour", "image", "colour pictures", excess_of_colours)


def write(classes: Sequence[str] = ("red", "green", "blue")) -> None:
    """Writes weights and records of both judges."""
    from xmbench.media.signal import Picture, Sound

    rng = np.random.default_rng(0)
    sounds = [[Sound(played(k, rng) / 32768, RATE_HZ) for _ in range(40)] for k in range(len(classes))]
    pictures = [[Picture(drawn(k, rng)) for _ in range(40)] for k in range(len(classes))]
    for kind, items in ((PITCH, sounds), (COLOUR, pictures)):
        means = np.stack([np.mean([kind.see(item) for item in own], axis=0) for own in items]).astype(np.float32)
        weights = save({"means": means}, {"judge": json.dumps({"format": kind.formats[0], "classes": list(classes)})})
        record = StoredJudge(
            name=f"tones-{kind.name}",
            kind=kind.name,
            sha256=hashlib.sha256(weights).hexdigest(),
            bytes=len(weights),
            modality=kind.modality,
            classes=tuple(classes),
            embedding_size=means.shape[1],
            command="python -m xmbench_tones.judges",
            seed=0,
        )
        (FOLDER / f"{record.name}.safetensors").write_bytes(weights)
        (FOLDER / f"{record.name}.json").write_text(record.to_json())
        print(record.name, record.sha256)


if __name__ == "__main__":
    write()
