"""Fits a spoken-word judge on the distinct training clips of data sets, and says how well it hears real ones."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError, MediaError, UnknownNameError
from xmbench.formats.dataset import Dataset
from xmbench.formats.files import make_folder, write_bytes, write_text
from xmbench.formats.items import read_clip
from xmbench.judges import fit_spoken_word
from xmbench.judges.spoken_word import SpokenWordJudge
from xmbench.media import audio

NAME = "spoken-word"
VOICES_SHARE = 0.8  # of the draws, where a folder of more voices is given: they are nearer to real speech


@dataclass(slots=True)
class _Clips:
    """Distinct clips at one rate, with labels and speakers."""

    samples: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    takes: set[tuple[str, int]] = field(default_factory=set)

    def add(self, samples: NDArray[np.float32], label: int, speaker: str) -> None:
        self.samples.append(samples)
        self.labels.append(label)
        self.speakers.append(speaker)


def fit_spoken_word_judge(
    datasets: Sequence[Dataset],
    out: Path,
    *,
    name: str = NAME,
    voices: Path | None = None,
    recordings: Path | None = None,
    seed: int = 0,
    steps: int | None = None,
    command: str = "",
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Trains a judge and writes `<out>/<name>.safetensors` and `.json`.

    Args:
        datasets: their training clips are used, each distinct take once; the first names classes and rate,
            and its test split is the held-out test.
        out: folder.
        name: of the judge's files.
        voices: folder of more training clips, `<class or word>_<voice>_<number>.wav`.
        recordings: folder of real recordings `<class or word>_<speaker>_<number>.wav`, for a test only.
        seed: of the training.
        steps: of each network; None for the default.
        command: noted in the card.
        report: called with a line of progress.

    Returns:
        The card, as written to the JSON file.

    Raises:
        DatasetError: the data sets differ in words or rate.
        UnknownNameError, MediaError: a folder has no clips of these words, or one that cannot be read.
        OutputError: the folder cannot be written.
    """
    make_folder(out)
    words = _common(datasets)
    rate = datasets[0].recipe.audio.sample_rate_hz
    train, test = _Clips(), _Clips()
    for dataset in datasets:
        _collect(dataset, "train", train)
    _collect(datasets[0], "test", test)
    own = len(train.samples)
    for clip_rate, clips in _recorded(voices, datasets[0]).items() if voices else ():
        for samples, label, speaker in zip(clips.samples, clips.labels, clips.speakers, strict=True):
            train.add(audio.resample(samples, clip_rate, rate), label, speaker)
    judge = fit_spoken_word.fit(
        train.samples, rate, train.labels, words, weights=_weights(own, len(train.samples)),
        seed=seed, steps=steps or fit_spoken_word.STEPS, report=report,
    )  # fmt: skip
    held_out = "held-out voices" if not test.takes & train.takes else "clips of the test split"
    accuracy = {held_out: _accuracy(judge, {rate: test})}
    if recordings is not None:
        accuracy["real recordings"] = _accuracy(judge, _recorded(recordings, datasets[0]))
    card = {
        "schema": "xmbench/judge/1",
        "name": name,
        "sha256": judge.sha256,
        "bytes": len(judge.data),
        "words": words,
        "accuracy": accuracy,
        "command": command,
        "seed": seed,
        "training_clips": len(train.samples),
        "training_voices": sorted(set(train.speakers)),
        "held_out_voices": sorted(set(test.speakers)),
        "data": {dataset.recipe.name: dataset.digest for dataset in datasets},
        "versions": {package: version(package) for package in ("xmbench", "torch", "numpy", "soxr")},
    }
    write_bytes(out / f"{name}.safetensors", judge.data)
    write_text(out / f"{name}.json", json.dumps(card, indent=1) + "\n")
    return card


def _weights(own: int, total: int) -> list[float]:
    """Draws are shared between the data sets' clips and the folder's, whatever their numbers."""
    if total == own:
        return [1.0] * own
    return [(1.0 - VOICES_SHARE) / own] * own + [VOICES_SHARE / (total - own)] * (total - own)


def _words(dataset: Dataset) -> list[str]:
    return list(dataset.recipe.task.words or dataset.recipe.task.class_names)


def _common(datasets: Sequence[Dataset]) -> list[str]:
    words, rate = _words(datasets[0]), datasets[0].recipe.audio.sample_rate_hz
    for dataset in datasets:
        if _words(dataset) != words or dataset.recipe.audio.sample_rate_hz != rate:
            raise DatasetError(
                "the data sets speak other words or have another sample rate",
                where=dataset.folder,
                expected=f"{', '.join(words)} at {rate} Hz",
            )
    return words


def _collect(dataset: Dataset, split: str, clips: _Clips) -> None:
    """Adds each distinct take of a split once."""
    for row in dataset.rows(split, ["audio", "label", "take", "speaker"]):
        key = (str(row["take"]), int(row["label"]))
        if key not in clips.takes:
            clips.takes.add(key)
            clips.add(audio.to_float(read_clip(row, dataset)), key[1], str(row["speaker"]))


def _recorded(folder: Path, dataset: Dataset) -> dict[int, _Clips]:
    """Clips of a folder by sample rate; files of other words are left alone."""
    names, words = list(dataset.recipe.task.class_names), _words(dataset)
    found: dict[int, _Clips] = defaultdict(_Clips)
    for path in sorted(folder.glob("*_*.wav")):
        said, speaker = path.stem.split("_")[:2]
        if said not in names and said not in words:
            continue
        try:
            samples, rate = audio.decode(path.read_bytes())
        except (OSError, MediaError) as error:
            raise MediaError(f"a clip cannot be read ({error})", where=path) from error
        label = names.index(said) if said in names else words.index(said)
        found[rate].add(samples[:, 0], label, speaker)
    if not found:
        raise UnknownNameError("no clips of these words", where=folder, expected="files <class or word>_<voice>_*.wav")
    return found


def _accuracy(judge: SpokenWordJudge, clips_by_rate: dict[int, _Clips]) -> dict[str, Any]:
    """Accuracy over all clips, and by speaker."""
    right: dict[str, list[bool]] = defaultdict(list)
    for rate, clips in clips_by_rate.items():
        heard = judge.probabilities(clips.samples, rate).argmax(axis=1)
        for speaker, label, word in zip(clips.speakers, clips.labels, heard, strict=True):
            right[speaker].append(bool(label == word))
    every = [value for values in right.values() for value in values]
    return {
        "accuracy": round(float(np.mean(every)), 6),
        "n": len(every),
        "by_speaker": {name: round(float(np.mean(values)), 4) for name, values in sorted(right.items())},
    }
