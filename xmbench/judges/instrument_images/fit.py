"""Fits a judge of instrument images on data sets and directories of images, and tests it on what it has not seen."""

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
from xmbench.judges.instrument_images.augment import Draws
from xmbench.judges.instrument_images.network import SHOWN, SIZE, InstrumentImageJudge, SceneNet, features, seen
from xmbench.judges.instrument_images.photo_features import BLOCKS, digest
from xmbench.judges.instrument_images.unseen import add_unseen
from xmbench.judges.labelled import Items, Material, gather
from xmbench.judges.learning import Schedule, learned
from xmbench.judges.stored import exactly
from xmbench.media.signal import Picture

NAME = "instrument-image"
STEPS = 1500
DRAWS = 6_000  # images whose features the network is trained on
ACCEPTED = 0.97  # of the images that are kept apart for the confidence
_PRETRAINED = (
    "the first blocks of Google's MobileNetV2, trained by others on ImageNet; only what is after it was trained here"
)
_BATCH, _AT_ONCE = 128, 64
_PEAK_LR, _WEIGHT_DECAY = 3e-3, 1e-2
_CALIBRATED = 1200  # draws, of which a fifth is none


def fit_instrument_images(
    datasets: Sequence[Dataset],
    *,
    more: Path | None = None,
    rejects: Path | None = None,
    strangers: Path | None = None,
    without: Sequence[str] = (),
    test_on: Sequence[Path] = (),
    mirrored: str = "no",
    draws: int = DRAWS,
    beside: Path | None = None,
    seed: int = 0,
    steps: int | None = None,
    progress: Callable[[str], None] = print,
) -> FittedJudge:
    """Trains a judge and tests it.

    Args:
        datasets: their training images are used, their test images are a test; the first defines the classes.
        more: directory `<class>/*` of more images; a quarter of its files is a test. Its classes join.
        rejects: directory `<kind>/*` of images of none of the classes, which the judge learns to reject.
        strangers: the same, for a test only.
        without: groups of the training items that are a test of their own.
        test_on: directories of more data sets, of some of the classes, whose test items are tests.
        mirrored: "yes" to mirror half of the training images.
        draws: examples for the training; a short training draws fewer.
        beside: weights of another judge; the record then says how often the two agree.
        seed: of the training.
        steps: of the training; None for the default.
        progress: called with a line of progress.

    Raises:
        DatasetError: the data sets differ in classes, or one has no training items.
        UnknownNameError, MediaError: a directory has no such images, or one that cannot be read; an unknown group.
    """
    material = gather(
        datasets, "image", more=more, rejects=rejects, strangers=strangers, without=without, test_on=test_on
    )
    add_unseen(material)
    material.licences["photo features: MobileNetV2"] = "Apache-2.0"
    judge = _trained(material, mirrored == "yes", seed, steps or STEPS, draws, progress)
    return instrument_record.fitted(
        judge,
        judge.data,
        material,
        name=NAME,
        sees=f"colour images at {SIZE} x {SIZE} pixels, through {BLOCKS} blocks of MobileNetV2 at {SHOWN} x {SHOWN}",
        role="first",
        beside=beside,
        details={
            "pretrained": _PRETRAINED,
            "photo_features": digest(),
            "mirrored": mirrored == "yes",
            "steps": steps or STEPS,
            "draws": draws,
            "rejection": asdict(judge.rejection),
        },
        packages=("torch", "pillow"),
    )


def _trained(
    material: Material, mirrored: bool, seed: int, steps: int, draws: int, progress: Callable[[str], None]
) -> InstrumentImageJudge:
    classes = len(material.class_names)
    images, labels, groups = [], [], []
    for items in material.training.values():
        for media, label, group in items:
            images.append(_image(media))
            labels.append(label)
            groups.append(group)
    drawn = Draws(images, labels, groups, classes, mirrored=mirrored, seed=seed)
    examples, wanted = _featured(drawn, min(draws, steps * _BATCH), progress)
    generator = torch.Generator().manual_seed(seed)

    def make() -> SceneNet:
        network = SceneNet(classes)
        network.mean.copy_(examples.mean(0))
        network.deviation.copy_(examples.std(0).clamp_min(1e-3))
        return network

    def batch() -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(examples), (_BATCH,), generator=generator)
        return examples[chosen], wanted[chosen]

    def log(step: int, loss: float) -> None:
        progress(f"step {step} of {steps}: loss {loss:.3f}")

    schedule = Schedule(steps, _PEAK_LR, weight_decay=_WEIGHT_DECAY, smoothing=0.05)
    judge = InstrumentImageJudge.of(material.class_names, learned(make, batch, schedule, seed, log))
    return judge.rejecting(
        fitted_rejection(
            *_kept_apart(judge, material.calibrating, drawn, min(_CALIBRATED, draws // 2, steps * _BATCH)), ACCEPTED
        )
    )


def _featured(drawn: Draws, count: int, progress: Callable[[str], None]) -> tuple[Tensor, Tensor]:
    """Photo features (N, 1600) and labels (N,) of at least `count` draws."""
    found: list[Tensor] = []
    labels: list[Tensor] = []
    while len(found) * _AT_ONCE < count:
        images, wanted = drawn.batch(_AT_ONCE)
        with torch.no_grad():
            found.append(features(images))
        labels.append(wanted)
        if len(found) % 32 == 0:
            progress(f"{len(found) * _AT_ONCE} of {count} images")
    return torch.cat(found), torch.cat(labels)


def _image(media: object) -> NDArray[np.uint8]:
    if not isinstance(media, Picture):
        raise TypeError("a judge of images needs images")
    return seen(media.pixels)


def _kept_apart(
    judge: InstrumentImageJudge, items: Items, drawn: Draws, count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and labels of images that are kept apart, or else of `count` fresh draws; and of those of none."""
    images, labels = drawn.batch(count)
    none = labels == drawn.classes
    if len(items):
        own = torch.from_numpy(np.stack([_image(media) for media in items.media])).float()
        images, labels = torch.cat([images[none], own]), torch.cat([labels[none], torch.tensor(items.labels)])
    found = []
    with exactly():
        for part in torch.split(images, _AT_ONCE):
            found.append(judge.network(features(part)))
    return torch.cat(found).numpy(), labels.numpy()
