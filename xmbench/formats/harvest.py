"""A harvest: candidates for a data set with their media, labels and statuses; as parquet shards with a document.

`harvest.json`, `list.parquet` (every column but the media) and `candidates/`: `part-00000-of-00040.parquet` ... and
`labels.json`, which says what the ids of labels mean. A row is a candidate, whatever became of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from xmbench.formats.model import NAME_PATTERN, Document, Part

HARVEST_FILE, LIST_FILE = "harvest.json", "list.parquet"
CANDIDATES_FOLDER, LABELS_FILE = "candidates", "labels.json"
OK = "ok"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

MEDIA = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TOP = pa.list_(pa.struct({"label": pa.string(), "probability": pa.float32()}))
_COLUMNS = {
    "id": pa.string(),
    "group": pa.string(),
    "source": pa.string(),
    "status": pa.string(),
    "stage": pa.string(),
    "filtered": pa.bool_(),
    "temporary": pa.bool_(),
    "detail": pa.string(),
    "start_s": pa.float64(),
    "sound_s": pa.float32(),
    "brightness": pa.float32(),
    "contrast": pa.float32(),
    "motion": pa.float32(),
    "level_db": pa.float32(),
    "frame_hash": pa.string(),
    "picture_digest": pa.string(),
    "sound_digest": pa.string(),
    "image": MEDIA,
    "audio": MEDIA,
}


def column(annotator: str, head: str) -> str:
    """Name of the column with the labels of one output of an annotator."""
    return f"{annotator}:{head}"


def schema(tops: Sequence[str]) -> pa.Schema:
    """Columns of a shard; `tops` are those of the annotators' labels, most probable first."""
    return pa.schema({**_COLUMNS, **dict.fromkeys(tops, TOP)})


class CandidateSpec(Part):
    """Where candidates come from, in a directory of the user's.

    Attributes:
        layout: "soundnet" (the released lists, frames and mp3 files, as directories or archives), "videos" (a
            directory of video files) or "folders" (photographs and sounds, in a directory per class).
        folder: below the user's directory; "" for itself.
        lists: of soundnet: pattern of the lists' names below `lists/`.
        frames_per_video: of soundnet and videos: at most so many 5 s parts of a video, the middle ones.
        photographs, sounds: of folders: names of the two directories.
        links: of folders: class of sounds -> class of photographs. Each photograph of such a class gets a sound of the
            linked one; all others get one of the sounds of the other classes.
    """

    layout: Literal["soundnet", "videos", "folders"]
    folder: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*)?$")
    lists: str = "*frames*.txt"
    frames_per_video: int = Field(default=1, ge=1, le=1000)
    photographs: str = "photographs"
    sounds: str = "sounds"
    links: dict[str, str] = Field(default_factory=dict)


class HarvestSpec(Part):
    """What a harvest looks at, and how.

    Attributes:
        annotators: names of image and sound annotators, at least one of each is needed to find agreement.
        candidates: where they come from.
        top: labels that are kept of each output.
        seconds: of sound.
        sample_rate_hz: of the sound.
        image_px: side of a frame that is cut out of a video, or out of a larger picture.
        seed: of pairs of photographs and sounds.
    """

    annotators: tuple[Name, ...] = Field(min_length=1)
    candidates: tuple[CandidateSpec, ...] = Field(min_length=1)
    top: int = Field(default=10, ge=1, le=1000)
    seconds: float = Field(default=5.0, gt=0, le=60)
    sample_rate_hz: int = Field(default=22_050, ge=8_000, le=48_000)
    image_px: int = Field(default=256, ge=32, le=2048)
    seed: int = 0

    @model_validator(mode="after")
    def _distinct(self) -> HarvestSpec:
        if len(set(self.annotators)) != len(self.annotators):
            raise ValueError("annotators repeat")
        return self


class AnnotatorRecord(Part):
    """An annotator of a harvest: its weights, and the labels of its outputs by their digest."""

    name: Name
    modality: Literal["image", "audio"]
    weights: str
    sha256: str
    heads: dict[str, str]


class Tally(Part):
    """What became of candidates: `candidates = ok + filtered + failed`."""

    candidates: int = Field(ge=0)
    ok: int = Field(ge=0)
    filtered: dict[str, int] = Field(default_factory=dict)
    failed: dict[str, int] = Field(default_factory=dict)
    temporary: int = Field(default=0, ge=0)

    @property
    def balanced(self) -> bool:
        """Whether every candidate is accounted for."""
        return self.candidates == self.ok + sum(self.filtered.values()) + sum(self.failed.values())


class HarvestShard(Part):
    """One file of candidates."""

    path: str
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)


class Harvest(Document):
    """A finished harvest.

    Attributes:
        identity: sha256 of everything that shapes its rows: candidates, annotators and their weights, formats.
        duplicates: lines of the lists that named a candidate again.
        notes: what was wrong with the lists and archives as a whole.
        seconds: of computing in each stage, over all workers.
    """

    schema_: Literal["xmbench/harvest/1"] = Field(default="xmbench/harvest/1", alias="schema")
    xmbench_version: str
    identity: str
    spec: HarvestSpec
    annotators: tuple[AnnotatorRecord, ...]
    tally: Tally
    duplicates: int = Field(default=0, ge=0)
    notes: tuple[str, ...] = ()
    shards: tuple[HarvestShard, ...]
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)


class LabelRecord(Part):
    """What the id of a label means (`xmbench.interfaces.Label`)."""

    name: str
    kinds: tuple[str, ...] = ()


class Labels(Document):
    """The labels of all annotators of a harvest, by id."""

    schema_: Literal["xmbench/labels/1"] = Field(default="xmbench/labels/1", alias="schema")
    labels: Mapping[str, LabelRecord]


def is_harvest(folder: Path) -> bool:
    """Whether a directory holds a harvest, finished or not."""
    return (folder / HARVEST_FILE).is_file() or (folder / CANDIDATES_FOLDER).is_dir()
