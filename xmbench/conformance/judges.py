"""The contract of judges, for the tests of this package and of plug-ins: ``check_judge(JUDGE, weights, items)``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmbench.errors import CheckError, PrerequisiteError, XmbenchError
from xmbench.interfaces import Judge, JudgeKind
from xmbench.judges.header import header
from xmbench.judges.records import read_judge
from xmbench.media.signal import Media

_ATTRIBUTES = ("name", "modality", "formats", "weights", "needs", "fits", "load")


def check_judge(kind: JudgeKind, weights: bytes, items: Sequence[Media]) -> None:
    """Checks the contract of a kind of judge (`xmbench.interfaces.JudgeKind`) on one judge of this kind.

    Args:
        kind: the plug-in's constant.
        weights: the weights file of a judge of this kind.
        items: inputs for the judge, at least two different ones.

    Raises:
        CheckError: it breaks the contract; every violation is listed.
    """
    problems = [f"'{name}' is missing" for name in _ATTRIBUTES if not hasattr(kind, name)]
    if not problems:
        problems = [*_weights(kind, weights), *_records(kind)]
        try:
            problems += _judge(kind, kind.load(weights), items)
        except XmbenchError as error:
            problems.append(f"the weights cannot be read: {error.what}")
    if problems:
        name = getattr(kind, "name", type(kind).__name__)
        raise CheckError(f"the kind of judge '{name}' breaks the contract of judges", problems=problems)


def _weights(kind: JudgeKind, weights: bytes) -> list[str]:
    problems = [f"'{name}' is empty" for name in ("name", "formats", "needs") if not getattr(kind, name)]
    try:
        known = header(weights)["format"]
    except PrerequisiteError:
        return [*problems, "the weights have no header that names their format"]
    if known not in kind.formats:
        problems.append(f"the format of the weights, '{known}', is not among its formats")
    try:
        kind.load(weights[: len(weights) // 2])
        problems.append("half a file of weights is read without an error")
    except PrerequisiteError:
        pass
    except Exception as error:  # the author of the plug-in must read whatever else it raises
        problems.append(f"half a file of weights raises {type(error).__name__}, expected PrerequisiteError")
    return problems


def _records(kind: JudgeKind) -> list[str]:
    """Judges that ship with the kind: each with a record that fits its weights. Nothing is fetched."""
    problems = []
    for path in sorted(kind.weights.glob("*.json")) if kind.weights is not None else ():
        if not path.with_suffix(".safetensors").is_file():
            continue
        try:
            found = read_judge(path)
        except PrerequisiteError as error:
            problems.append(f"{path.name}: {error.what}")
            continue
        judge, record = kind.load(found.weights), found.record
        said = (record.kind, record.modality, record.classes, record.embedding_size)
        if said != (kind.name, judge.modality, tuple(judge.class_names), judge.embedding_size):
            problems.append(f"{path.name}: kind, modality, classes or embedding size are not those of its weights")
    return problems


def _judge(kind: JudgeKind, judge: Judge, items: Sequence[Media]) -> list[str]:
    count, classes = len(items), len(judge.class_names)
    problems = [] if judge.modality == kind.modality else [f"it sees {judge.modality}, its kind {kind.modality}"]
    if not classes or len(set(judge.class_names)) != classes:
        problems.append("it has no classes, or two of the same name")
    for what, width in (("probabilities", classes + 1), ("embed", judge.embedding_size)):
        compute = getattr(judge, what)
        found, none = np.asarray(compute(items)), np.asarray(compute([]))
        if found.shape != (count, width) or found.dtype != np.float32 or none.shape != (0, width):
            problems.append(f"{what} gives {found.dtype} {found.shape} and {none.shape}, expected float32 (N, {width})")
            continue
        if not np.isfinite(found).all():
            problems.append(f"{what} gives values that are not finite")
        if what == "probabilities" and not np.allclose(found.sum(axis=1), 1.0, atol=1e-4):
            problems.append("probabilities of an item do not sum to 1")
        if not np.array_equal(found, compute(items)):
            problems.append(f"{what} gives other numbers the second time")
        if not np.allclose(found, compute(list(reversed(items)))[::-1], rtol=1e-5, atol=1e-6):
            problems.append(f"{what} of an item depends on the items before it")
        if not np.allclose(found[:1], compute(items[:1]), rtol=1e-5, atol=1e-6):
            problems.append(f"{what} of an item depends on how many others there are")
    return problems
