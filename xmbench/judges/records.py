"""Stored judges: the record and the weights, which may be a file or published at an address.

Every kind of judge has its own directory (`JudgeKind.weights`), `xmbench fit-judge` writes into `DATA/judges/`.
Both hold `<name>.json` and, unless the record gives an address, `<name>.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xmbench import registry
from xmbench.errors import DocumentError, PrerequisiteError
from xmbench.formats.document import NAME_PATTERN, parse
from xmbench.formats.judge import LARGEST_WEIGHTS, StoredJudge, Tested
from xmbench.formats.result import JudgeCard
from xmbench.interfaces import JudgeWeights
from xmbench.judges.fetching import fetched
from xmbench.judges.loading import kind_of, load
from xmbench.storage.files import read_bytes

WEIGHTS = ".safetensors"
_SECOND = "-second"  # in version 1, the end of a second judge's name
_VERSION_1 = {"schema", "name", "sha256", "bytes", "modality", "words", "classes", "accuracy", "command", "seed"}


@dataclass(frozen=True, slots=True)
class LoadedJudge:
    """Weights and their record.

    Attributes:
        local: fitted by the user, not shipped for the recipe.
        device: where it computes.
    """

    weights: bytes
    record: StoredJudge
    local: bool = False
    device: str = "cpu"

    @property
    def card(self) -> JudgeCard:
        """The judge as a result names it; its calibration error is that of the test with the largest."""
        record = self.record
        return JudgeCard(
            name=record.name,
            sha256=record.sha256,
            local=self.local,
            accuracy={test: found.accuracy for test, found in record.accuracy.items()},
            false_accepts={kind: found.share for kind, found in record.false_accepts.items()},
            calibration_error=max((found.error for found in record.calibration.values()), default=None),
            device=self.device,
        )

    @property
    def stamp(self) -> str:
        """What a measurement depends on: the weights, and the device if it is not the CPU."""
        return self.record.sha256 if self.device == "cpu" else f"{self.record.sha256} on {self.device}"

    @property
    def for_metrics(self) -> JudgeWeights:
        """The judge as metrics get it."""
        return JudgeWeights(self.weights, self.record.kind, self.record.sha256, self.device)


def shipped() -> Iterator[Path]:
    """The records of all judges that ship with the package and with plug-ins, by kind and name."""
    for name in registry.names("judges"):
        folder = registry.judge(name).weights
        yield from sorted(folder.glob("*.json")) if folder is not None else ()


def pretrained() -> Iterator[tuple[str, str]]:
    """Name and sha256 of every network that others trained and that judges of the package hear through.

    Raises:
        PrerequisiteError: its weights are missing, or not those of its record.
    """
    for path in sorted(Path(__file__).parent.glob("*/pretrained/*.json")):
        known, found = _json(path), hashlib.sha256(_weights(path.with_suffix(WEIGHTS))).hexdigest()
        if known.get("sha256") != found:
            raise PrerequisiteError(
                f"{path.stem}{WEIGHTS} is not the network that its record describes",
                where=path.parent,
                todo="install xmbench again",
            )
        yield path.stem, found


def read_record(path: Path) -> StoredJudge:
    """A record of any version; its name is that of its file.

    Args:
        path: the `.json`; for a local judge it may be missing, and the record is then read from the weights.

    Raises:
        PrerequisiteError: no record, or one that cannot be read; not a name; weights that cannot be read.
    """
    if not re.fullmatch(NAME_PATTERN, path.stem):
        raise PrerequisiteError(
            f"{path.stem!r} is not a name for a judge",
            expected="lower-case letters, digits and single hyphens",
            todo="rename both of its files, or fit it again with another --name",
        )
    known = _json(path) if path.is_file() else {}
    try:
        if known.get("schema") in ("xmbench/judge/3", "xmbench/judge/2"):  # version 2 lacks what may be left out
            return parse(known | {"schema": "xmbench/judge/3", "name": path.stem}, StoredJudge, path)
        tests = {test: _tested(found) for test, found in known.get("accuracy", {}).items()}
    except (DocumentError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path) from error
    return _from_version_1(path, known, tests)


def read_judge(path: Path, *, local: bool = False, device: str = "cpu") -> LoadedJudge:
    """A judge by its record.

    Raises:
        PrerequisiteError: the record or the weights cannot be read or fetched, or do not belong together; no such
            device.
    """
    record = read_record(path)
    weights = weights_of(path, record)
    found = hashlib.sha256(weights).hexdigest()
    if found != record.sha256:
        raise PrerequisiteError(
            f"{path.stem}{WEIGHTS} is not the judge that its record describes",
            where=path.parent,
            expected=f"sha256 {record.sha256}, found {found}",
            todo="fit the judge again, or install xmbench again",
        )
    if device != "cpu":
        load(weights, record.kind, device)  # a missing device is reported before hours of work
    return LoadedJudge(weights, record, local, device)


def weights_of(path: Path, record: StoredJudge) -> bytes:
    """The weights that a record describes: from the file next to it, or from its address through the cache.

    Raises:
        PrerequisiteError: they are missing, or cannot be fetched.
    """
    weights = path.with_suffix(WEIGHTS)
    if record.address and not weights.is_file():
        weights = fetched(record.address, record.sha256, record.bytes)
    return _weights(weights)


def _weights(path: Path) -> bytes:
    try:
        return read_bytes(path, LARGEST_WEIGHTS)
    except DocumentError as error:
        raise PrerequisiteError(
            f"the judge's weights cannot be read: {error.what}", where=path, expected=error.expected, todo=error.todo
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(read_bytes(path))
    except (ValueError, RecursionError, DocumentError) as error:
        raise _unreadable(path) from error
    if not isinstance(known, dict):
        raise _unreadable(path)
    return known


def _unreadable(path: Path) -> PrerequisiteError:
    return PrerequisiteError(
        "the judge's record cannot be read",
        where=path,
        expected="the JSON file that `xmbench fit-judge` wrote",
        todo="fit the judge again, or remove both of its files",
    )


def _tested(found: Mapping[str, Any]) -> Tested:
    kept = {key: found[key] for key in ("n", "by_class", "by_speaker") if key in found}
    return Tested.model_validate({"n": 0, **kept, "accuracy": float(found["accuracy"])})


def _from_version_1(path: Path, known: Mapping[str, Any], tests: dict[str, Tested]) -> StoredJudge:
    """Version 1 had neither kind nor role nor size: they are read from the weights and the name of the file."""
    weights = _weights(path.with_suffix(WEIGHTS))
    judge = load(weights)
    try:
        return StoredJudge(
            name=path.stem,
            kind=kind_of(weights).name,
            role="second" if path.stem.endswith(_SECOND) else "first",
            sha256=known.get("sha256") or hashlib.sha256(weights).hexdigest(),
            bytes=len(weights),
            modality=judge.modality,
            classes=judge.class_names,
            embedding_size=judge.embedding_size,
            accuracy=tests,
            command=known.get("command", ""),
            seed=known.get("seed"),
            data=known.get("data", {}),
            versions=known.get("versions", {}),
            details={key: value for key, value in known.items() if key not in _VERSION_1 | {"data", "versions"}},
        )
    except ValidationError as error:
        raise _unreadable(path) from error
