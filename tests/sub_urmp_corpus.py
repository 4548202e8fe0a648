"""A corpus in the layout of the Sub-URMP release: from real frames and real sounds, or tiny and made of numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import shared

RATE_HZ = 44_100
WINDOW = 22_050
FRAME = (1080, 1920)
INSTRUMENTS = (  # as the release names them
    *("bassoon", "cello", "clarinet", "double_bass", "flute", "horn", "oboe"),
    *("sax", "trombone", "trumpet", "tuba", "viola", "violin"),
)
_SOUNDS = {"sax": "saxophone"}  # where the sounds have another name


@dataclass(frozen=True)
class Window:
    """A place in the release: split as released, instrument, take, start in ms."""

    split: str
    instrument: str
    take: int
    ms: int

    @property
    def stem(self) -> str:
        return f"{self.instrument}{self.take:02d}_{self.ms}"

    def path(self, root: Path, kind: str) -> Path:
        ending = {"img": "jpg", "chunk": "wav"}[kind]
        return root / kind / self.split / self.instrument / f"{self.stem}.{ending}"


def windows(train: int, test: int, tests_named: str = "validation") -> Iterator[Window]:
    """Windows of one take of each instrument for training, and of another one for the test."""
    for instrument in INSTRUMENTS:
        for split, take, number in (("train", 0, train), (tests_named, 1, test)):
            for i in range(number):
                yield Window(split, instrument, take, 1000 + 100 * i)


def real_corpus(root: Path, train: int = 2, test: int = 1, tests_named: str = "validation") -> list[Window]:
    """Real frames of Sub-URMP (enlarged to their former size) with real sounds of their instrument, and 2 real chunks.

    Skips the test where the material is missing.
    """
    pairs, sounds = shared("data", "suburmp_pairs"), shared("data", "instrument_sounds")
    with (pairs / "index.csv").open() as file:
        frames = [(row["label"], pairs / row["image"]) for row in csv.DictReader(file)]
    made = list(windows(train, test, tests_named))
    for window in made:
        own = [path for label, path in frames if label == window.instrument]
        picture = Image.open(own[(5 * window.take + window.ms // 100) % len(own)]).convert("RGB")
        frame = Image.new("RGB", FRAME[::-1], (90, 20, 20))
        frame.paste(picture.resize((FRAME[0], FRAME[0]), Image.Resampling.BILINEAR), (100, 0))
        write(window, root, jpeg(frame), wav(_played(sounds, window)))
    for name, split in (("bassoon00_1000", "train"), ("bassoon01_1000", tests_named)):
        chunk = (pairs / "real_wav" / f"{name}.wav").read_bytes()
        (root / "chunk" / split / "bassoon" / f"{name}.wav").write_bytes(chunk)
    return made


def _played(sounds: Path, window: Window) -> NDArray[np.int16]:
    """Half a second of stereo, the second channel half as loud: int16 (22050, 2)."""
    name = _SOUNDS.get(window.instrument, window.instrument)
    samples, rate = soundfile.read(sounds / name / f"{name}_{3 + window.take:02d}.ogg", dtype="float32")
    assert rate == RATE_HZ
    start = (window.ms - 1000) * RATE_HZ // 1000
    part = np.tile(samples, 1 + (start + WINDOW) // len(samples))[start : start + WINDOW]
    stereo: NDArray[np.int16] = (
        np.rint(32767 * part[:, None] * np.array([1.0, 0.5])).clip(-32768, 32767).astype(np.int16)
    )
    return stereo


def tiny_corpus(root: Path, made: list[Window], side: tuple[int, int] = (12, 20), samples: int = 400) -> None:
    """The layout with frames of a few pixels and chunks of a few samples, different for every window."""
    for i, window in enumerate(made):
        rng = np.random.default_rng(i)
        frame = Image.fromarray(rng.integers(0, 256, (*side, 3)).astype(np.uint8))
        write(window, root, jpeg(frame), wav(rng.integers(-9000, 9000, (samples, 2)).astype(np.int16)))


def write(window: Window, root: Path, frame: bytes, chunk: bytes) -> None:
    for kind, data in (("img", frame), ("chunk", chunk)):
        path = window.path(root, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def jpeg(frame: Image.Image) -> bytes:
    stream = io.BytesIO()
    frame.save(stream, format="JPEG", quality=85)
    return stream.getvalue()


def wav(samples: NDArray[np.int16], rate: int = RATE_HZ) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="WAV", subtype="PCM_16")
    return stream.getvalue()
