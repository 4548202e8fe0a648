"""What is stated of a fitted judge of instruments, of sounds or of images: every test, by class and by group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xmbench.errors import DatasetError
from xmbench.interfaces import FittedJudge, Judge, JudgeRole
from xmbench.judges.labelled import Items, Material, counted
from xmbench.judges.loading import load
from xmbench.judges.measuring import BINS
from xmbench.storage.files import read_bytes

_LISTED = 40  # groups of a test: more are not listed one by one


def fitted(
    judge: Judge,
    data: bytes,
    material: Material,
    *,
    name: str,
    sees: str,
    role: JudgeRole,
    beside: Path | None,
    details: Mapping[str, Any],
    packages: tuple[str, ...],
) -> FittedJudge:
    """The outcome of all tests.

    Args:
        judge: with weights as they are stored.
        data: its file.
        material: what it was fitted with, and its tests.
        name: of its files, unless the user chooses another.
        sees: which part of an item reaches the network.
        role: of the judge.
        beside: weights of another judge: how often the two agree.
        details: further facts.
        packages: whose versions shaped the weights.

    Raises:
        DatasetError: the other judge does not judge the same.
    """
    seen = {test: items.judged(judge) for test, items in material.tests.items() if len(items)}
    none = {kind: items.judged(judge) for kind, items in material.none.items() if len(items)}
    accuracy = {test: found.accuracy() for test, found in seen.items()}
    for found in accuracy.values():
        if len(found["by_speaker"]) > _LISTED:
            found["by_speaker"] = {}
    training = {source: items for source, items in material.training.items() if len(items)}
    return FittedJudge(
        data,
        name,
        accuracy,
        sees=sees,
        role=role,
        details={
            "training_items": {source: len(items) for source, items in training.items()},
            "training_groups": {
                source: counted(items, material.class_names)
                for source, items in training.items()
                if source != "rejects"
            },
            "test_groups": {test: counted(items, material.class_names) for test, items in material.tests.items()},
            **(_agreement(judge, beside, material.tests) if beside else {}),
            **details,
        },
        packages=packages,
        false_accepts={kind: found.false_accepts() for kind, found in none.items()},
        calibration={
            test: {"error": round(found.calibration_error(), 4), "bins": BINS, "n": len(found.labels)}
            for test, found in seen.items()
        },
        voices=material.licences,
    )


def _agreement(judge: Judge, beside: Path, tests: Mapping[str, Items]) -> dict[str, Any]:
    """How often two judges name the same class, or both none, in each test."""
    weights = read_bytes(beside)
    other = load(weights)
    if other.modality != judge.modality or tuple(other.class_names) != tuple(judge.class_names):
        raise DatasetError(
            "the other judge has other classes, or judges something else",
            where=beside,
            expected=f"a judge of {judge.modality} of {', '.join(judge.class_names)}",
        )
    share = {}
    for test, items in tests.items():
        one, two = (each.probabilities(items.media).argmax(axis=1) for each in (judge, other))
        share[test] = round(float(np.mean(one == two)), 6)
    return {"agreement": {"with": beside.stem, "sha256": hashlib.sha256(weights).hexdigest(), "share": share}}
