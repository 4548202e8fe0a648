"""Submission: outputs of one system for one track, with who made them and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from xmbench.formats.model import NAME_PATTERN, Document
from xmbench.formats.recipe import Sha256

SUBMISSION_FILE = "submission.json"
OUTPUT_FOLDER = "outputs"
OUTPUT_TABLE = "outputs.parquet"
OUTPUT_PART = re.compile(r"^outputs-(\d{5})-of-(\d{5})\.parquet$")
SystemKind = Literal["learned", "retrieval", "reference", "floor", "ceiling"]
TrainingData = Literal["closed", "open"]
_NAME_OR_NOTHING = f"^$|{NAME_PATTERN}"
_NAMES_OR_NOTHING = f"^$|^{NAME_PATTERN.strip('^$')}(,{NAME_PATTERN.strip('^$')})*$"


def output_part(number: int, count: int) -> str:
    """Name of one of several tables, from 0 on."""
    return f"outputs-{number:05d}-of-{count:05d}.parquet"


def output_parts(folder: Path) -> list[Path]:
    """The tables of a directory that are named as one of several, in order."""
    return sorted(path for path in folder.glob("outputs-*.parquet") if OUTPUT_PART.match(path.name))


class Submission(Document):
    """`submission.json`: what was submitted, by whom, for which track and which exact data.

    It belongs to every data set with its `dataset_digest`; `data_digest`, of the recipe, is for messages.
    The outputs are next to it: `outputs/<id>.wav|.flac|.png|.npy`, or `outputs.parquet` (columns id, bytes), or several
    such tables `outputs-0000i-of-0000n.parquet`.

    Attributes:
        baseline: name of the baseline that the runner ran; "" for every other system.
        preset: of the baseline; several in their order, "lite,gen-only"; "" for none.
        changed: settings that differ from the baseline's (`--set`), by name.
        kind: "learned" generates; "retrieval" plays or shows stored items; "reference", "floor" and "ceiling" are rows
            that help to read a board.
        control: "shuffled-conditions" where each item was made from another item's condition.
        training_data: "closed": nothing but the training split of the data set was used.
        threads: of the processor in training; None if it is not known.
        training_seconds: of all pieces of the training; None if they are not known.
        parameters: number of weights of the system; None if it is not stated, or there are none.
        uses_judges: whether a judge of the package, or its weights, is part of the system or of its training; None if
            it is not stated.
        head_accuracy: share of the outputs' items that the system's own classifier recognises, 0..1; None if it has
            none, or it is not stated.
        command: for people, to repeat the run; never parsed.
    """

    schema_: Literal["xmbench/submission/3"] = Field(default="xmbench/submission/3", alias="schema")
    track: str = Field(pattern=r"^[a-z0-9-]+/(i2a|a2i)$")
    dataset_digest: Sha256
    data_digest: Sha256 | None = None
    system: str = Field(min_length=1, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")  # one line, no control characters
    kind: SystemKind = "learned"
    baseline: str = Field(default="", pattern=_NAME_OR_NOTHING)
    preset: str = Field(default="", pattern=_NAMES_OR_NOTHING)
    changed: dict[str, Any] = Field(default_factory=dict)
    control: Literal["", "shuffled-conditions"] = ""
    authors: tuple[str, ...] = ()
    url: str = ""
    training_data: TrainingData = "closed"
    seed: int | None = None
    hardware: str = ""
    # Bounded, and never infinite: boards compute means of them.
    threads: int | None = Field(default=None, ge=1, le=10**6)
    training_seconds: float | None = Field(default=None, ge=0, le=1e10)
    parameters: int | None = Field(default=None, ge=0, le=10**18)
    uses_judges: bool | None = None
    head_accuracy: float | None = Field(default=None, ge=0, le=1)
    licence: str = ""
    created: str = ""
    command: str = ""
    notes: tuple[str, ...] = ()
