"""Fits a judge of instrument sounds on data sets and directories of sounds, and tests it on what it has not heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.formats.dataset import Dataset
from xmbench.interfaces import FittedJudge
from xmbench.judges import instrument_record
from xmbench.judges.confidence import fitted_rejection
from xmbench.judges.instrument_sounds.augment import POOL, Draws, varied
from xmbench.judges.instrument_sounds.features import (
    BANDS,
    MEL_HIGH_HZ,
    MEL_LOW_HZ,
    RATE_HZ,
    SEMITONES,
    features,
    heard,
)
from xmbench.judges.instrument_sounds.judging import InstrumentSoundJudge
from xmbench.judges.instrument_sounds.networks import NETWORKS
from xmbench.judges.instrument_sounds.unplayed import add_unplayed
from xmbench.judges.labelled import Items, Material, gather
from xmbench.judges.learning import Schedule, learned
from xmbench.judges.stored import exactly
from xmbench.media.audio import resample
from xmbench.media.signal import Sound

NAME, SECOND = "instrument-sound", "-second"
STEPS = 3000
DRAWS = 12_000  # sounds that the network is trained on, each varied at every step
ACCEPTED = 0.97  # of the sounds of instruments that are kept apart for the confidence
_FRONT_ENDS = {"convolutional": "mel", "recurrent": "semitones"}
_PEAK_LR = {"mel": 6e-3, "semitones": 4e-3}
_BATCH = 64
_SECOND_SEED = 500  # a second judge never gets the first one's draws
_CALIBRATED = 1600  # draws, of which a fifth is none


def fit_instrument_sounds(
    datasets: Sequence[Dataset],
    *,
    more: Path | None = None,
    rejects: Path | None = None,
    strangers: Path | None = None,
    without: Sequence[str] = (),
    test_on: Sequence[Path] = (),
    network: str = "convolutional",
    draws: int = DRAWS,
    beside: Path | None = None,
    seed: int = 0,
    steps: int | None = None,
    progress: Callable[[str], None] = print,
) -> FittedJudge:
    """Trains a judge and tests it.

    Args:
        datasets: their training sounds are used, their test sounds are a test; the first defines the classes.
        more: directory `<class>/*` of more sounds; a quarter of its files is a test. Its classes join.
        rejects: directory `<kind>/*` of sounds that are none of the classes, which the judge learns to reject.
        strangers: the same, for a test only.
        without: groups of the training items that are a test of their own.
        test_on: directories of more data sets, of some of the classes, whose test items are tests.
        network: "recurrent" makes a second judge, with another front end.
        draws: examples for the training; a short training draws fewer.
        beside: weights of another judge; the record then says how often the two agree.
        seed: of the training.
        steps: of the training; None for the default.
        progress: called with a line of progress.

    Raises:
        DatasetError: the data sets differ in classes, or one has no training items.
        UnknownNameError, MediaError: a directory has no such sounds, or one that cannot be read; an unknown group.
    """
    material = gather(
        datasets, "audio", more=more, rejects=rejects, strangers=strangers, without=without, test_on=test_on
    )
    add_unplayed(material)
    front_end = _FRONT_ENDS[network]
    second = front_end == "semitones"
    judge = _trained(material, front_end, seed + _SECOND_SEED * second, steps or STEPS, draws, progress)
    return instrument_record.fitted(
        judge,
        judge.data,
        material,
        name=NAME + SECOND * second,
        sees=_sees(front_end),
        role="second" if second else "first",
        beside=beside,
        details={"network": network, "steps": steps or STEPS, "draws": draws, "rejection": asdict(judge.rejection)},
        packages=("torch", "torchaudio", "soxr"),
    )


def _sees(front_end: str) -> str:
    if front_end == "mel":
        return f"{BANDS} mel bands of {MEL_LOW_HZ:.0f} to {MEL_HIGH_HZ:.0f} Hz of the loudest half second"
    return f"{SEMITONES} semitones from 32.7 Hz of the loudest half second"


def _trained(
    material: Material, front_end: str, seed: int, steps: int, draws: int, progress: Callable[[str], None]
) -> InstrumentSoundJudge:
    classes = len(material.class_names)
    clips, labels, groups, sources = [], [], [], []
    for source, items in material.training.items():
        for media, label, group in items:
            clips.append(_wave(media))
            labels.append(label)
            groups.append(group)
            sources.append(source)
    progress(f"{len(clips)} sounds of {len(set(groups))} groups")
    drawn = Draws(clips, labels, groups, sources, classes, seed, min(POOL, max(draws // 8, 1), steps * _BATCH))

    examples, wanted = _heard(drawn, min(draws, steps * _BATCH), front_end, progress)
    generator = torch.Generator().manual_seed(seed)

    def batch() -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(examples), (_BATCH,), generator=generator)
        return varied(examples[chosen].float(), generator), wanted[chosen]

    def log(step: int, loss: float) -> None:
        progress(f"step {step} of {steps}: loss {loss:.3f}")

    schedule = Schedule(steps, _PEAK_LR[front_end], smoothing=0.05, half=front_end == "mel")
    network = learned(lambda: NETWORKS[front_end](classes), batch, schedule, seed, log)
    judge = InstrumentSoundJudge.of(material.class_names, front_end, network)
    return judge.rejecting(
        fitted_rejection(
            *_kept_apart(judge, material.calibrating, drawn, min(_CALIBRATED, draws, steps * _BATCH)), ACCEPTED
        )
    )


def _heard(drawn: Draws, count: int, front_end: str, progress: Callable[[str], None]) -> tuple[Tensor, Tensor]:
    """What the network hears of at least `count` draws, float16 (N, bands, frames), and labels (N,)."""
    found: list[Tensor] = []
    labels: list[Tensor] = []
    while len(found) * _BATCH < count:
        waves, wanted = drawn.batch(_BATCH)
        with torch.no_grad():
            found.append(features(waves, front_end).half())
        labels.append(wanted)
        if len(found) % 50 == 0:
            progress(f"{len(found) * _BATCH} of {count} sounds")
    return torch.cat(found), torch.cat(labels)


def _wave(media: object) -> NDArray[np.float32]:
    if not isinstance(media, Sound):
        raise TypeError("a judge of sounds needs sounds")
    return resample(media.samples, media.sample_rate_hz, RATE_HZ)


def _kept_apart(
    judge: InstrumentSoundJudge, items: Items, drawn: Draws, count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and labels of sounds that are kept apart, or else of `count` fresh draws; and of those of none."""
    waves, labels = drawn.batch(count)
    none = labels == drawn.classes
    if len(items):
        sounds = [item for item in items.media if isinstance(item, Sound)]
        waves = torch.cat([waves[none], torch.from_numpy(heard(sounds))])
        labels = torch.cat([labels[none], torch.tensor(items.labels)])
    found = []
    with exactly():
        for part in torch.split(waves, _BATCH):
            found.append(judge.network(features(part, judge.front_end)))
    return torch.cat(found).numpy(), labels.numpy()
