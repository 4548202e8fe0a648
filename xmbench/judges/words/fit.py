"""Fits a spoken-word judge on the distinct training clips of data sets, and tests it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError, MediaError, PrerequisiteError, UnknownNameError
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip
from xmbench.interfaces import FittedJudge
from xmbench.interfaces import Judge as AnyJudge
from xmbench.judges.loading import load
from xmbench.judges.words import training
from xmbench.judges.words.convolutional import SpokenWordJudge
from xmbench.judges.words.features import BANDS, HIGH_HZ, HOP, RATE_HZ, frames_for
from xmbench.judges.words.recurrent import RecurrentWordJudge
from xmbench.judges.words.training import Architecture
from xmbench.media import audio
from xmbench.media.signal import Sound
from xmbench.storage.files import read_bytes

Judge = SpokenWordJudge | RecurrentWordJudge
NAME = "spoken-word"
SECOND = "-second"  # ends the name of a second judge's files
VOICES_SHARE = 0.8  # of the draws, if a directory of more voices is given: they are closer to real speech


@dataclass(slots=True)
class _Clips:
    """Distinct clips at one rate, with labels and speakers."""

    samples: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    speakers: list[str] = field(default_factory=list)
    takes: set[tuple[str, int]] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.samples)

    def add(self, samples: NDArray[np.float32], label: int, speaker: str) -> None:
        self.samples.append(samples)
        self.labels.append(label)
        self.speakers.append(speaker)


def fit_spoken_word_judge(
    datasets: Sequence[Dataset],
    *,
    voices: Path | None = None,
    hold_out: Sequence[str] = (),
    voices_share: float = VOICES_SHARE,
    recordings: Path | None = None,
    architecture: Architecture = "convolutional",
    beside: Path | None = None,
    seed: int = 0,
    steps: int | None = None,
    progress: Callable[[str], None] = print,
) -> FittedJudge:
    """Trains a judge and tests it.

    Args:
        datasets: their training clips are used, each distinct take once; the first defines classes and rate,
            and its test split is the held-out test.
        voices: directory of more training clips, `<class or word>_<voice>_<number>.wav`, with hyphens for spaces.
        hold_out: voices of that directory that are not used for training but for separate tests.
        voices_share: share of the draws from that directory, 0..1.
        recordings: directory of real recordings `<class or word>_<speaker>_<number>.wav`, for a test only.
        architecture: of the networks; "recurrent" makes a second judge.
        beside: weights of another judge; the record then says how often the two agree.
        seed: of the training.
        steps: of each network; None for the default.
        progress: called with a line of progress.

    Raises:
        DatasetError: the data sets differ in words or rate.
        UnknownNameError, MediaError: a directory has no clips of these words, or one that cannot be read.
    """
    words = _common(datasets)
    train, test, tests = _own_clips(datasets)
    own = len(train)
    tests |= _more_voices(voices, hold_out, datasets[0], train) if voices else {}
    if recordings is not None:
        tests["real recordings"] = _recorded(recordings, datasets[0])
    other = _other_judge(beside, words) if beside else None
    audio_format = datasets[0].recipe.audio
    judge = training.fit(
        train.samples,
        audio_format.sample_rate_hz,
        train.labels,
        words,
        weights=_weights(own, len(train), voices_share),
        seed=seed,
        steps=steps,
        frames=frames_for(audio_format.max_duration_s),
        architecture=architecture,
        progress=progress,
    )
    second = architecture == "recurrent"
    return FittedJudge(
        judge.data,
        NAME + SECOND if second else NAME,
        {what: _accuracy(judge, clips) for what, clips in tests.items()},
        sees=f"{BANDS} mel bands up to {HIGH_HZ:.0f} Hz, {judge.frames} frames of {1000 * HOP // RATE_HZ} ms",
        role="second" if second else "first",
        details={
            "architecture": architecture,
            **(_agreement(judge, other, tests) if other else {}),
            "training_clips": len(train),
            "training_voices": sorted(set(train.speakers)),
            "held_out_voices": sorted({*test.speakers, *hold_out}),
        },
        packages=("torch", "soxr"),
    )


def _own_clips(datasets: Sequence[Dataset]) -> tuple[_Clips, _Clips, dict[str, dict[int, _Clips]]]:
    """The data sets' training clips, the first one's test clips, and these as a test by name and rate."""
    train, test = _Clips(), _Clips()
    for dataset in datasets:
        _collect(dataset, "train", train)
    _collect(datasets[0], "test", test)
    name = "clips of the test split" if test.takes & train.takes else "held-out voices"
    return train, test, {name: {datasets[0].recipe.audio.sample_rate_hz: test}}


def _more_voices(
    folder: Path, hold_out: Sequence[str], dataset: Dataset, train: _Clips
) -> dict[str, dict[int, _Clips]]:
    """Adds a directory's clips to the training; those of held-out voices are returned as tests by name."""
    rate = dataset.recipe.audio.sample_rate_hz
    held: dict[str, dict[int, _Clips]] = {}
    for clip_rate, clips in _recorded(folder, dataset).items():
        for samples, label, speaker in zip(clips.samples, clips.labels, clips.speakers, strict=True):
            if speaker in hold_out:
                held.setdefault(f"held-out {speaker}", {}).setdefault(clip_rate, _Clips()).add(samples, label, speaker)
            else:
                train.add(audio.resample(samples, clip_rate, rate), label, speaker)
    missing = sorted({f"held-out {voice}" for voice in hold_out} - set(held))
    if missing:
        raise UnknownNameError(f"no clips of {', '.join(missing)} voices", where=folder)
    return held


@dataclass(frozen=True, slots=True)
class _OtherJudge:
    """Another judge to compare with, and where it came from."""

    name: str
    sha256: str
    judge: AnyJudge


def _other_judge(path: Path, words: Sequence[str]) -> _OtherJudge:
    """Reads the other judge before minutes of training are spent."""
    weights = read_bytes(path)
    try:
        other = load(weights)
    except PrerequisiteError as error:
        raise PrerequisiteError(
            error.what, where=path, expected=error.expected, todo="name the .safetensors file of a judge of sounds"
        ) from error
    if other.modality != "audio" or list(other.class_names) != list(words):
        raise DatasetError(
            "the other judge has other words, or judges images",
            where=path,
            expected=f"a judge of sounds of the words {', '.join(words)}",
        )
    return _OtherJudge(path.stem, hashlib.sha256(weights).hexdigest(), other)


def _agreement(judge: Judge, other: _OtherJudge, tests: dict[str, dict[int, _Clips]]) -> dict[str, Any]:
    """How often two judges agree, right or wrong, in each test."""
    first, agreement = other.judge, {}
    for what, clips in tests.items():
        agree = [
            _recognised(judge, part, rate) == first.probabilities([Sound(c, rate) for c in part.samples]).argmax(axis=1)
            for rate, part in clips.items()
        ]
        agreement[what] = round(float(np.concatenate(agree).mean()), 6)
    return {"agreement": {"with": other.name, "sha256": other.sha256, "share": agreement}}


def _weights(own: int, total: int, share: float) -> list[float]:
    """Splits the draws between the data sets' clips and the directory's, independent of their numbers."""
    if total == own:
        return [1.0] * own
    return [(1.0 - share) / own] * own + [share / (total - own)] * (total - own)


def _words(dataset: Dataset) -> list[str]:
    return list(dataset.recipe.task.words or dataset.recipe.task.class_names)


def _common(datasets: Sequence[Dataset]) -> list[str]:
    words, rate = _words(datasets[0]), datasets[0].recipe.audio.sample_rate_hz
    for dataset in datasets:
        if _words(dataset) != words or dataset.recipe.audio.sample_rate_hz != rate:
            raise DatasetError(
                "the data sets have other words or another sample rate",
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
    """Clips of a directory by sample rate; files of other words are ignored."""
    spellings = {
        spelling: label
        for said in (dataset.recipe.task.class_names, _words(dataset))
        for label, name in enumerate(said)
        for spelling in (name, name.replace(" ", "-").replace("_", "-"))
    }
    found: dict[int, _Clips] = defaultdict(_Clips)
    for path in sorted(folder.glob("*_*.wav")):
        word = max((known for known in spellings if path.stem.startswith(f"{known}_")), key=len, default=None)
        if word is None:
            continue
        try:
            samples, rate = audio.decode(path.read_bytes())
        except (OSError, MediaError) as error:
            raise MediaError(f"a clip cannot be read ({error})", where=path) from error
        speaker = path.stem.removeprefix(f"{word}_").split("_")[0]
        found[rate].add(samples[:, 0], spellings[word], speaker)
    if not found:
        raise UnknownNameError("no clips of these words", where=folder, expected="files <class or word>_<voice>_*.wav")
    return found


def _recognised(judge: Judge, clips: _Clips, rate: int) -> NDArray[np.int64]:
    return np.asarray(judge.probabilities(clips.samples, rate).argmax(axis=1))


def _accuracy(judge: Judge, clips_by_rate: dict[int, _Clips]) -> dict[str, Any]:
    """Accuracy over all clips, and by speaker."""
    right: dict[str, list[bool]] = defaultdict(list)
    for rate, clips in clips_by_rate.items():
        for speaker, label, word in zip(clips.speakers, clips.labels, _recognised(judge, clips, rate), strict=True):
            right[speaker].append(bool(label == word))
    every = [value for values in right.values() for value in values]
    return {
        "accuracy": round(float(np.mean(every)), 6),
        "n": len(every),
        "by_speaker": {name: round(float(np.mean(values)), 4) for name, values in sorted(right.items())},
    }
