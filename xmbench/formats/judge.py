"""The record of a stored judge: `<name>.json` with its weights, in the package, a plug-in or `DATA/judges/`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from xmbench.formats.document import Document, Part
from xmbench.formats.recipe import Name, Sha256
from xmbench.interfaces import JudgeRole, Modality

LARGEST_WEIGHTS = 1 << 31  # bytes, 2 GiB


class Tested(Part):
    """How often a judge is right on real items; "none" counts as wrong."""

    accuracy: float = Field(ge=0, le=1)
    n: int = Field(ge=0)
    by_class: dict[str, float] = Field(default_factory=dict)
    by_speaker: dict[str, float] = Field(default_factory=dict)


class FalseAccepts(Part):
    """How often a judge takes inputs that are none of its classes for one of them, and for which."""

    share: float = Field(ge=0, le=1)
    n: int = Field(ge=0)
    by_class: dict[str, float] = Field(default_factory=dict)


class Calibrated(Part):
    """How far a judge's confidence is from its accuracy: the expected calibration error over bins of equal width."""

    error: float = Field(ge=0, le=1)
    bins: int = Field(gt=0)
    n: int = Field(ge=0)


class StoredJudge(Document):
    """What is known of a judge whose weights are in a file.

    Attributes:
        kind: which kind of judge reads the weights (`xmbench.registry.names("judges")`).
        role: "second" for one used in addition to a first judge.
        sha256, bytes: of the weights.
        address: where the weights are fetched from (https); "" where they are stored with this document.
        modality: of the items that it sees.
        sees: which part of an item reaches its network.
        classes: the K classes, in its own order.
        embedding_size: D.
        accuracy: test on real data -> its outcome.
        false_accepts: kind of input that is none of the classes (other-words, instruments, ...) -> its outcome.
        calibration: test of `accuracy` -> its outcome.
        voices: family of voices (or other source of what it was trained on) -> licence.
        command, seed, versions: how it was fitted.
        data: name of a data set that it was trained on -> dataset digest.
        details: fields of its kind.
    """

    schema_: Literal["xmbench/judge/3"] = Field(default="xmbench/judge/3", alias="schema")
    name: Name
    kind: Name
    role: JudgeRole = "first"
    sha256: Sha256
    bytes: int = Field(gt=0, le=LARGEST_WEIGHTS)
    address: str = Field(default="", pattern=r"^(https?://\S+)?$")
    modality: Modality
    sees: str = ""
    classes: tuple[str, ...] = Field(min_length=1)
    embedding_size: int = Field(gt=0)
    accuracy: dict[str, Tested] = Field(default_factory=dict)
    false_accepts: dict[str, FalseAccepts] = Field(default_factory=dict)
    calibration: dict[str, Calibrated] = Field(default_factory=dict)
    voices: dict[str, str] = Field(default_factory=dict)
    command: str = ""
    seed: int | None = None
    data: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
