"""Fits a spoken-word judge on the distinct training clips of data sets, and says how well it hears real ones."""

from __future__ import annotations

import json
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


@dataclass(slots=True)
class _Clips:
    """Distinct clips with their labels; `takes` guards against repeats."""

    samples: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    takes: set[tuple[str, str]] = field(default_factory=set)
    speakers: set[str] = field(default_factory=set)


def fit_spoken_word_judge(
    datasets: Sequence[Dataset],
    out: Path,
    *,
    name: str = NAME,
    recordings: Path | None = None,
    seed: int = 0,
    steps: int | None = None,
    command: str = "",
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Trains a judge and writes `<out>/<name>.safetensors` and `.json`.

    Args:
        datasets: their training clips are used, each distinct take once; the first names classes and rate.
        out: folder.
        name: of the judge's files.
        recordings: folder of real recordings `<class>_*.wav`, used for a test only.
        seed: of the training.
        steps: of the training; None for the default.
        command: noted in the card.
        report: called with a line of progress.

    Returns:
        The card, as written to the JSON file.

    Raises:
        DatasetError: the data sets differ in words or rate.
        OutputError: the folder cannot be written.
    """
    make_folder(out)
    words = datasets[0].recipe.task.words or datasets[0].recipe.task.class_names
    rate = _common(datasets, words)
    train, test = _Clips(), _Clips()
    for dataset in datasets:
        _collect(dataset, "train", train)
        _collect(dataset, "test", test)
    options = {} if steps is None else {"steps": steps}
    judge = fit_spoken_word.fit(train.samples, rate, train.labels, list(words), seed=seed, report=report, **options)
    held_out = "held-out voices" if not test.takes & train.takes else "the test split's clips"
    accuracy = {
        "training clips": _accuracy(judge, train, rate),
        held_out: _accuracy(judge, test, rate),
    }
    if recordings is not None:
        accuracy["real recordings"] = _accuracy_on_recordings(judge, recordings, datasets[0], words)
    weights = judge.to_bytes()
    card = {
        "schema": "xmbench/judge/1",
        "name": name,
        "sha256": judge.sha256,
        "bytes": len(weights),
        "words": list(words),
        "command": command,
        "seed": seed,
        "training_clips": len(train.samples),
        "training_voices": sorted(train.speakers),
        "data": {dataset.recipe.name: dataset.digest for dataset in datasets},
        "xmbench": version("xmbench"),
        "accuracy": accuracy,
    }
    write_bytes(out / f"{name}.safetensors", weights)
    write_text(out / f"{name}.json", json.dumps(card, indent=1) + "\n")
    return card


def _common(datasets: Sequence[Dataset], words: tuple[str, ...]) -> int:
    rate = datasets[0].recipe.audio.sample_rate_hz
    for dataset in datasets:
        task = dataset.recipe.task
        if (task.words or task.class_names) != words or task.audio.sample_rate_hz != rate:
            raise DatasetError(
                "the data sets speak other words or have another sample rate",
                where=dataset.folder,
                expected=f"{', '.join(words)} at {rate} Hz",
            )
    return rate


def _collect(dataset: Dataset, split: str, clips: _Clips) -> None:
    for row in dataset.rows(split, ["audio", "label", "take", "speaker"]):
        key = (str(row["take"]), str(row["label"]))
        if key in clips.takes:
            continue
        clips.takes.add(key)
        clips.samples.append(audio.to_float(read_clip(row, dataset)))
        clips.labels.append(int(row["label"]))
        clips.speakers.add(str(row["speaker"]))


def _accuracy(judge: SpokenWordJudge, clips: _Clips, rate: int) -> dict[str, Any]:
    heard = judge.probabilities(clips.samples, rate).argmax(axis=1)
    right = heard == np.asarray(clips.labels)
    return {"accuracy": round(float(right.mean()), 6), "n": len(right)}


def _accuracy_on_recordings(
    judge: SpokenWordJudge, folder: Path, dataset: Dataset, words: tuple[str, ...]
) -> dict[str, Any]:
    """Recordings are read as they are: each at its own rate, cut to 1.2 times the recipe's length."""
    names = list(dataset.recipe.task.class_names)
    paths = sorted(folder.glob("*_*.wav"))
    if not paths:
        raise UnknownNameError("no recordings", where=folder, expected="files <class>_*.wav")
    right: list[bool] = []
    by_speaker: dict[str, list[bool]] = {}
    for path in paths:
        label = path.stem.split("_")[0]
        if label not in names and label not in words:
            continue
        wanted = names.index(label) if label in names else words.index(label)
        try:
            samples, rate = audio.decode(path.read_bytes())
        except (OSError, MediaError) as error:
            raise MediaError(f"a recording cannot be read ({error})", where=path) from error
        heard = int(judge.probabilities([samples[:, 0]], rate).argmax())
        right.append(heard == wanted)
        by_speaker.setdefault(path.stem.split("_")[1], []).append(heard == wanted)
    return {
        "accuracy": round(float(np.mean(right)), 6),
        "n": len(right),
        "by_speaker": {name: round(float(np.mean(found)), 4) for name, found in sorted(by_speaker.items())},
    }
