"""The clips that a spoken-word judge is trained on and tested with: of data sets and of directories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError, MediaError, UnknownNameError
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip
from xmbench.media import audio

_ENDINGS = (".wav", ".flac", ".ogg")


@dataclass(slots=True)
class Clips:
    """Clips at one rate, with labels, speakers and words."""

    samples: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    takes: set[tuple[str, int]] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.samples)

    def add(self, samples: NDArray[np.float32], label: int, speaker: str) -> None:
        """Adds one."""
        self.samples.append(samples)
        self.labels.append(label)
        self.speakers.append(speaker)


ByRate = dict[int, Clips]


def words_of(dataset: Dataset) -> list[str]:
    """The words of a data set's classes."""
    return list(dataset.recipe.task.words or dataset.recipe.task.class_names)


def common_words(datasets: Sequence[Dataset]) -> list[str]:
    """The words of all data sets.

    Raises:
        DatasetError: they differ in words or rate.
    """
    words, rate = words_of(datasets[0]), datasets[0].recipe.audio.sample_rate_hz
    for dataset in datasets:
        if words_of(dataset) != words or dataset.recipe.audio.sample_rate_hz != rate:
            raise DatasetError(
                "the data sets have other words or another sample rate",
                where=dataset.folder,
                expected=f"{', '.join(words)} at {rate} Hz",
            )
    return words


def collect(dataset: Dataset, split: str, clips: Clips) -> None:
    """Adds each distinct take of a split once."""
    for row in dataset.rows(split, ["audio", "label", "take", "speaker"]):
        key = (str(row["take"]), int(row["label"]))
        if key not in clips.takes:
            clips.takes.add(key)
            clips.add(audio.to_float(read_clip(row, dataset)), key[1], str(row["speaker"]))


def recorded(folder: Path, dataset: Dataset) -> ByRate:
    """Clips `<class or word>_<speaker>_*.wav` of a directory by sample rate; files of other words are ignored.

    Raises:
        UnknownNameError, MediaError: no clips of these words, or one that cannot be read.
    """
    spellings = _spellings(dataset)
    found: ByRate = defaultdict(Clips)
    for path in sorted(folder.glob("*_*.wav")):
        word = _word(path, spellings)
        if word is not None:
            samples, rate = read(path)
            speaker = path.stem.removeprefix(f"{word}_").split("_")[0]
            found[rate].add(samples, spellings[word], speaker)
    if not found:
        raise UnknownNameError("no clips of these words", where=folder, expected="files <class or word>_<voice>_*.wav")
    return found


def others(folder: Path, dataset: Dataset) -> ByRate:
    """Clips `<word>_<voice>_*.wav` of a directory that are none of the data set's words; their label is K.

    Raises:
        UnknownNameError, MediaError: no such clips, or one that cannot be read.
    """
    spellings, classes = _spellings(dataset), len(words_of(dataset))
    found: ByRate = defaultdict(Clips)
    for path in sorted(folder.glob("*_*.wav")):
        if _word(path, spellings) is None:
            samples, rate = read(path)
            found[rate].add(samples, classes, path.stem.split("_")[1])
    if not found:
        raise UnknownNameError("no clips of other words", where=folder, expected="files <word>_<voice>_*.wav")
    return found


def sounds_by_kind(folder: Path) -> dict[str, ByRate]:
    """Sounds that are none of a judge's words: directory `<folder>/<kind>/` -> its clips by sample rate.

    Raises:
        UnknownNameError, MediaError: no directory with sounds, or a file that cannot be read.
    """
    found: dict[str, ByRate] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _ENDINGS):
        kind = path.relative_to(folder).parts[0]
        if kind != path.name:
            samples, rate = read(path)
            found.setdefault(kind, defaultdict(Clips))[rate].add(samples, -1, path.parent.name)
    if not found:
        raise UnknownNameError("no sounds", where=folder, expected="a directory for each kind, with wav, flac or ogg")
    return found


def read(path: Path) -> tuple[NDArray[np.float32], int]:
    """The first channel of a file, float32 (T,), and its rate in Hz.

    Raises:
        MediaError: it cannot be read.
    """
    try:
        samples, rate = audio.decode(path.read_bytes())
    except (OSError, MediaError) as error:
        raise MediaError(f"a clip cannot be read ({error})", where=path) from error
    return samples[:, 0], rate


def _spellings(dataset: Dataset) -> dict[str, int]:
    return {
        spelling: label
        for said in (dataset.recipe.task.class_names, words_of(dataset))
        for label, name in enumerate(said)
        for spelling in (name, name.replace(" ", "-").replace("_", "-"))
    }


def _word(path: Path, spellings: dict[str, int]) -> str | None:
    return max((known for known in spellings if path.stem.startswith(f"{known}_")), key=len, default=None)
