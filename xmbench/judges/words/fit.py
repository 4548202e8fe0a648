"""Fits a spoken-word judge on the distinct training clips of data sets, other words and made sounds, and tests it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError, PrerequisiteError, UnknownNameError
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import FittedJudge
from xmbench.interfaces import Judge as AnyJudge
from xmbench.judges.licences import licences
from xmbench.judges.loading import load
from xmbench.judges.measuring import BINS, KEPT, accepted_when_kept
from xmbench.judges.synthesised_sounds import synthesised
from xmbench.judges.words import measuring, training
from xmbench.judges.words.clips import ByRate, Clips, collect, common_words, others, recorded, sounds_by_kind
from xmbench.judges.words.embedding import EmbeddingWordJudge, windows_for
from xmbench.judges.words.features import BANDS, HIGH_HZ, HOP, RATE_HZ, frames_for
from xmbench.judges.words.measuring import Heard
from xmbench.judges.words.recurrent import RecurrentWordJudge
from xmbench.judges.words.training import Architecture, Judge
from xmbench.judges.words.voting import VotingWordJudge
from xmbench.media import audio
from xmbench.media.signal import Sound
from xmbench.storage.files import read_bytes

NAME = "spoken-word"
SECOND = "-second"  # ends the name of a second judge's files
VOICES_SHARE = 0.8  # of the draws of words, if a directory of more voices is given: they are closer to real speech
OTHERS_SHARE = 0.3  # of the draws, if a directory of other words is given
SOUNDS_SHARE = 0.05  # of the draws
# Of the words of held-out voices: what the bias of the rejection is fitted to. Networks on mel bands lose more real
# words by rejecting than they lose synthesised ones, and a vote of them most.
ACCEPTED: dict[Architecture, float] = {"convolutional": 0.998, "recurrent": 0.998, "voting": 1.0, "embedding": 0.993}
RECORDINGS = "real recordings"
SYNTHESISED = 3000  # sounds
_RATE_HZ = 2 * RATE_HZ  # of training clips
_PRETRAINED = "Google speech_embedding, trained by others on real speech; only the networks after it were trained here"


@dataclass(slots=True)
class _Material:
    """Training clips at one rate with what they are drawn for, and tests by name.

    Attributes:
        clips: label K is another word, K + 1 no word.
        sources: of each clip: "data", "voices", "others" or "sounds".
        tests: of words.
        none: of anything else, by kind.
        held_out: voices that are in no training clip.
    """

    clips: Clips = field(default_factory=Clips)
    sources: list[str] = field(default_factory=list)
    tests: dict[str, ByRate] = field(default_factory=dict)
    none: dict[str, ByRate] = field(default_factory=dict)
    held_out: set[str] = field(default_factory=set)

    def add(self, source: str, samples: NDArray[np.float32], rate: int, label: int, speaker: str) -> None:
        self.clips.add(audio.resample(samples, rate, _RATE_HZ), label, speaker)
        self.sources.append(source)


def fit_spoken_word_judge(
    datasets: Sequence[Dataset],
    *,
    voices: Path | None = None,
    other_words: Path | None = None,
    hold_out: Sequence[str] = (),
    voices_share: float = VOICES_SHARE,
    others_share: float = OTHERS_SHARE,
    recordings: Path | None = None,
    sounds: Path | None = None,
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
        other_words: directory of clips of other words, `<word>_<voice>_<number>.wav`, that the judge learns to reject.
        hold_out: voices of these directories that are not used for training but for separate tests.
        voices_share: share of the draws of words from `voices`, 0..1.
        others_share: share of all draws from `other_words`, 0..1.
        recordings: directory of real recordings `<class or word>_<speaker>_<number>.wav`, for a test only.
        sounds: directory of sounds that are none of the words, in a directory for each kind, for a test only.
        architecture: of the networks; "recurrent" and "voting" make a second judge.
        beside: weights of another judge; the record then says how often the two agree.
        seed: of the training.
        steps: of each network; None for the default.
        progress: called with a line of progress.

    Raises:
        DatasetError: the data sets differ in words or rate.
        UnknownNameError, MediaError: a directory has no clips of these words, or one that cannot be read.
    """
    words = common_words(datasets)
    material = _own_clips(datasets)
    if voices is not None:
        _more(material, "voices", recorded(voices, datasets[0]), hold_out)
    if other_words is not None:
        _more(material, "others", others(other_words, datasets[0]), hold_out)
    _check_held(material, hold_out, voices)
    for sound in synthesised(SYNTHESISED, _RATE_HZ, seed):
        material.add("sounds", sound, _RATE_HZ, len(words) + 1, "")
    _add_tests(material, recordings, sounds, datasets[0])
    other = _other_judge(beside, words) if beside else None
    judge = training.fit(
        material.clips.samples,
        _RATE_HZ,
        material.clips.labels,
        words,
        weights=_weights(material, voices_share, others_share),
        seed=seed,
        steps=steps,
        frames=frames_for(datasets[0].recipe.audio.max_duration_s),
        architecture=architecture,
        progress=progress,
    )
    judge = judge.rejecting(replace(judge.rejection, bias=_bias(judge, material.tests)))
    spoken = zip(material.sources, material.clips.speakers, strict=True)
    about = {
        "training_voices": sorted({speaker for source, speaker in spoken if source in ("data", "voices")}),
        "shares": {"voices": voices_share, "other_words": others_share, "sounds": SOUNDS_SHARE},
    }
    return _fitted(
        judge, material, other, about, _licences(material, datasets, {"voices": voices, "others": other_words})
    )


def _licences(material: _Material, datasets: Sequence[Dataset], folders: Mapping[str, Path | None]) -> dict[str, str]:
    """Licences of the voices: a data set has one for its clips, a directory may state those of its voices."""
    found = {}
    for dataset in datasets:
        source = dataset.recipe.sources[dataset.recipe.pairing.clip_source]
        found[f"{dataset.recipe.name}: {source.title}"] = source.licence
    spoken = set(zip(material.sources, material.clips.speakers, strict=True))
    for source_name, folder in folders.items():
        if folder is not None:
            found |= licences(folder, sorted(speaker for source, speaker in spoken if source == source_name))
    return found


def _bias(judge: Judge, tests: Mapping[str, ByRate]) -> float:
    """The bias of the rejection with which `ACCEPTED` of the held-out voices' words are accepted as some word.

    Real recordings have no part in it.
    """
    margins = [Heard.of(judge, clips).margins for test, clips in tests.items() if test != RECORDINGS]
    return round(float(np.quantile(np.concatenate(margins), 1.0 - ACCEPTED[architecture_of(judge)])), 3)


def _own_clips(datasets: Sequence[Dataset]) -> _Material:
    """The data sets' training clips, and the first one's test clips as a test."""
    material, test, rate = _Material(), Clips(), datasets[0].recipe.audio.sample_rate_hz
    own = Clips()
    for dataset in datasets:
        collect(dataset, "train", own)
    collect(datasets[0], "test", test)
    for samples, label, speaker in zip(own.samples, own.labels, own.speakers, strict=True):
        material.add("data", samples, rate, label, speaker)
    name = "clips of the test split" if test.takes & own.takes else "held-out voices"
    material.tests[name] = {rate: test}
    material.held_out |= set(test.speakers)
    return material


def _more(material: _Material, source: str, found: ByRate, hold_out: Sequence[str]) -> None:
    """Adds a directory's clips to the training; words of held-out voices are tests by name."""
    for rate, clips in found.items():
        for samples, label, speaker in zip(clips.samples, clips.labels, clips.speakers, strict=True):
            if speaker not in hold_out:
                material.add(source, samples, rate, label, speaker)
            elif source == "voices":
                test = material.tests.setdefault(f"held-out {speaker}", {})
                test.setdefault(rate, Clips()).add(samples, label, speaker)


def _check_held(material: _Material, hold_out: Sequence[str], voices: Path | None) -> None:
    missing = sorted({f"held-out {voice}" for voice in hold_out} - set(material.tests))
    if missing:
        raise UnknownNameError(f"no clips of {', '.join(missing)} voices", where=voices)
    material.held_out |= set(hold_out)


def _add_tests(material: _Material, words: Path | None, sounds: Path | None, dataset: Dataset) -> None:
    """Real recordings, and what is none of the words: noise, words reversed or cut in half, directories of sounds."""
    material.none = {"noise": measuring.noise(), **measuring.made(next(iter(material.tests.values())))}
    if words is not None:
        material.tests[RECORDINGS] = recorded(words, dataset)
        made = measuring.made(material.tests[RECORDINGS])
        material.none |= {f"{kind}-recordings": clips for kind, clips in made.items()}
    if sounds is not None:
        material.none |= sounds_by_kind(sounds)


def _weights(material: _Material, voices_share: float, others_share: float) -> list[float]:
    """Splits the draws between the sources, independent of their numbers; every voice of `voices` is drawn as often."""
    present = set(material.sources)
    shares = {"others": others_share, "sounds": SOUNDS_SHARE}
    words = 1.0 - sum(share for source, share in shares.items() if source in present)
    own = words * (1.0 - voices_share) if "voices" in present else words
    shares |= {"data": own, "voices": words - own}
    several = Counter(material.sources)
    speakers = Counter(zip(material.sources, material.clips.speakers, strict=True))
    voices = len({speaker for source, speaker in speakers if source == "voices"})

    def chance(source: str, speaker: str) -> float:
        return shares[source] / (voices * speakers[source, speaker] if source == "voices" else several[source])

    return [chance(*key) for key in zip(material.sources, material.clips.speakers, strict=True)]


def _fitted(
    judge: Judge, material: _Material, other: _OtherJudge | None, about: Mapping[str, Any], voices: Mapping[str, str]
) -> FittedJudge:
    """The outcome of all tests, and what the record says besides."""
    second = isinstance(judge, RecurrentWordJudge | VotingWordJudge)
    heard = {test: Heard.of(judge, clips) for test, clips in material.tests.items()}
    none = {kind: Heard.of(judge, clips) for kind, clips in material.none.items()}
    several = Counter(material.sources)
    details = {
        "architecture": architecture_of(judge),
        **({"pretrained": _PRETRAINED} if isinstance(judge, EmbeddingWordJudge) else {}),
        **(_agreement(judge, other, material.tests) if other else {}),
        "rejection": asdict(judge.rejection),
        f"accepted_when_{KEPT:.0%}_are_kept".replace("%", "_percent"): {
            test: {
                kind: round(accepted_when_kept(words.accepting, sounds.accepting), 4) for kind, sounds in none.items()
            }
            for test, words in heard.items()
        },
        "training_clips": several["data"] + several["voices"],
        "training_clips_of_other_words": several["others"],
        "training_sounds": several["sounds"],
        "held_out_voices": sorted(material.held_out),
        **about,
    }
    return FittedJudge(
        judge.data,
        NAME + SECOND if second else NAME,
        {test: found.accuracy() for test, found in heard.items()},
        sees=_sees(judge),
        role="second" if second else "first",
        details=details,
        packages=("torch", "soxr"),
        false_accepts={kind: found.false_accepts() for kind, found in none.items()},
        calibration={
            test: {"error": round(found.calibration_error(), 4), "bins": BINS, "n": len(found.labels)}
            for test, found in heard.items()
        },
        voices=voices,
    )


def architecture_of(judge: Judge) -> Architecture:
    """Which networks a judge has."""
    if isinstance(judge, EmbeddingWordJudge):
        return "embedding"
    if isinstance(judge, VotingWordJudge):
        return "voting"
    return "recurrent" if isinstance(judge, RecurrentWordJudge) else "convolutional"


def _sees(judge: Judge) -> str:
    if isinstance(judge, EmbeddingWordJudge):
        windows = windows_for(judge.frames)
        return f"{windows} windows of a speech embedding (32 mel bands up to 3800 Hz, 76 frames of 10 ms)"
    return f"{BANDS} mel bands up to {HIGH_HZ:.0f} Hz, {judge.frames} frames of {1000 * HOP // RATE_HZ} ms"


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


def _agreement(judge: Judge, other: _OtherJudge, tests: Mapping[str, ByRate]) -> dict[str, Any]:
    """How often two judges agree, right or wrong, in each test."""
    first, agreement = other.judge, {}
    for what, clips in tests.items():
        agree = [
            judge.probabilities(part.samples, rate).argmax(axis=1)
            == first.probabilities([Sound(c, rate) for c in part.samples]).argmax(axis=1)
            for rate, part in clips.items()
        ]
        agreement[what] = round(float(np.concatenate(agree).mean()), 6)
    return {"agreement": {"with": other.name, "sha256": other.sha256, "share": agreement}}
