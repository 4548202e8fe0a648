"""Recipe: what a data set is made of, as a TOML file that people write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xmbench.formats.harvest import HarvestSpec
from xmbench.formats.model import NAME_PATTERN, SHA256_PATTERN, Document, Part, digest_of
from xmbench.interfaces import AudioFormat, Direction, ImageFormat, Task

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
ClassText = Annotated[str, Field(max_length=500)]  # a name, or a word to speak
Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]


class ImageSpec(Part):
    """Format of every image."""

    height_px: int = Field(ge=1, le=4096)
    width_px: int = Field(ge=1, le=4096)
    mode: Literal["L", "RGB"]


class AudioSpec(Part):
    """Format of every clip: mono 16-bit, `samples` long, zero-padded at the end.

    `min_duration_s` and `max_duration_s` bound the clip before padding; `encoding` is how it is stored.
    """

    sample_rate_hz: int = Field(ge=4000, le=192000)
    samples: int = Field(ge=1, le=2**27)  # 46 minutes at 48 kHz
    min_duration_s: float = Field(ge=0, le=36_000)
    max_duration_s: float = Field(gt=0, le=36_000)
    encoding: Literal["wav", "flac"] = "wav"

    @model_validator(mode="after")
    def _fits(self) -> AudioSpec:
        if self.min_duration_s > self.max_duration_s:
            raise ValueError("min_duration_s is above max_duration_s")
        if round(self.max_duration_s * self.sample_rate_hz) > self.samples + self.sample_rate_hz // 1000:
            raise ValueError("a clip of max_duration_s does not fit into `samples`")
        return self


class ClassSpec(Part):
    """The classes in label order, and the word that is spoken for each."""

    names: tuple[ClassText, ...] = Field(min_length=2, max_length=50_000)
    words: tuple[ClassText, ...] = Field(default=(), max_length=50_000)

    @model_validator(mode="after")
    def _paired(self) -> ClassSpec:
        if len(set(self.names)) != len(self.names):
            raise ValueError("class names repeat")
        if self.words and len(self.words) != len(self.names):
            raise ValueError(f"{len(self.words)} words for {len(self.names)} names")
        return self


class FileSpec(Part):
    """One upstream file, or one directory of many small ones.

    Attributes:
        name: path as published, without `.gz`.
        urls: where to fetch it; none where it comes out of an archive.
        archive: name of the archive that holds it.
        layout: the published form that it belongs to; the files of one form are enough.
        kind: a "folder" is a directory: every file below `name` that matches `pattern`.
        pattern: of a directory's files, like "*.wav" or "*/*.png".
        sha256, bytes: of the uncompressed content (a re-compressed mirror is still right). Of a directory: sha256
            of its list (`builder.folders`), and 0 bytes. Without a sha256 there is nothing to check against: such a
            file needs `--accept-changed-sources`.
        split: what it holds, for information.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*$")
    urls: tuple[str, ...] = ()
    archive: str = ""
    layout: str = ""
    kind: Literal["file", "folder"] = "file"
    pattern: str = ""
    sha256: Sha256 | Literal[""] = ""
    bytes: int = Field(default=0, ge=0)
    split: Literal["train", "test", "any"] = "any"

    @model_validator(mode="after")
    def _complete(self) -> FileSpec:
        if self.kind == "folder" and not self.pattern:
            raise ValueError("a directory needs a `pattern`")
        if self.kind == "file" and self.pattern:
            raise ValueError("`pattern` is for a directory")
        if self.kind == "file" and self.sha256 and not self.bytes:
            raise ValueError("a sha256 without `bytes`")
        return self


class SourceSpec(Part):
    """One upstream corpus or engine: who made it, under which licence, and how it is read.

    `archives` are the tar or zip files that hold some of the `files`: their sha256 and bytes are those of the
    archive as it is published; without them, what comes out of it is checked.
    """

    reader: Name
    title: str
    licence: str
    licence_url: str = ""
    redistributable: bool
    homepage: str = ""
    citation: str = ""
    attribution: str = ""
    archives: tuple[FileSpec, ...] = ()
    files: tuple[FileSpec, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _archived(self) -> SourceSpec:
        known = {archive.name for archive in self.archives}
        unknown = sorted({file.archive for file in self.files} - known - {""})
        if unknown:
            raise ValueError(f"files of an archive that `archives` does not have: {', '.join(unknown)}")
        unchecked = [file.name for file in self.files if file.kind == "file" and not file.sha256]
        if unchecked:
            raise ValueError(f"files without sha256: {', '.join(unchecked)}")
        return self

    @property
    def layouts(self) -> tuple[str, ...]:
        """The published forms, the preferred one first."""
        return tuple(dict.fromkeys(file.layout for file in self.files))

    def files_of(self, layout: str) -> tuple[FileSpec, ...]:
        """The files of one published form."""
        return tuple(file for file in self.files if file.layout == layout)

    @property
    def download_bytes(self) -> int:
        """What fetching the preferred form transfers at most; 0 where sizes are not known."""
        wanted = self.files_of(self.layouts[0]) if self.files else ()
        packed = {file.archive for file in wanted}
        alone = sum(file.bytes for file in wanted if not file.archive)
        return alone + sum(archive.bytes for archive in self.archives if archive.name in packed)


class PairingSpec(Part):
    """How images and clips are paired.

    `by-class`: each image of the source `images` gets, by a seeded hash of its id, a clip of its class from the
    source `clips`. `joint`: each entry of the source `items` is an image with the clip that belongs to it.
    """

    method: Literal["by-class", "joint"] = "by-class"
    images: Name | Literal[""] = ""
    clips: Name | Literal[""] = ""
    items: Name | Literal[""] = ""
    seed: int = 0

    @model_validator(mode="after")
    def _complete(self) -> PairingSpec:
        by_class = self.method == "by-class"
        wanted, others = ("`images` and `clips`", "`items`") if by_class else ("`items`", "`images` or `clips`")
        complete = (self.images and self.clips and not self.items) if by_class else self.items
        if not complete or (not by_class and (self.images or self.clips)):
            raise ValueError(f'method "{self.method}" needs {wanted}, and not {others}')
        return self

    @property
    def joint(self) -> bool:
        """Whether each entry is an image with its clip."""
        return self.method == "joint"

    @property
    def item_source(self) -> str:
        """Role of the source whose entries are the items: ids, splits and labels are theirs."""
        return self.items or self.images

    @property
    def clip_source(self) -> str:
        """Role of the source that the clips come from."""
        return self.items or self.clips


class SplitSpec(Part):
    """`published`: as the image source says. `stratified`: a seeded share of each class becomes the test."""

    method: Literal["published", "stratified"] = "published"
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    seed: int = 0


class JudgeSpec(Part):
    """The frozen network behind a track's classifier-based metrics."""

    name: Name
    sha256: Sha256


class GateSpec(Part):
    """What a row needs to be ranked: a second metric at least at the level of a baseline's row on the same board.

    The limit is `share` times the nearer end of the baseline's 95 % interval (its value where it has no interval).

    Attributes:
        metric: of the track.
        baseline: whose row, in its shipped configuration, gives the level.
        share: of that level.
    """

    metric: Name
    baseline: Name
    share: float = Field(default=1.0, gt=0)


class TrackSpec(Part):
    """One task on a data set: a direction, the split that is scored, the metrics, and the judges that some of them use.

    `second_judge` is of another architecture: it shows whether a score depends on the judge. `gates` decide which
    rows are ranked, never a score.
    """

    direction: Direction
    split: Literal["train", "test"] = "test"
    metrics: tuple[Name, ...] = Field(min_length=1)
    primary: Name
    judge: JudgeSpec | None = None
    second_judge: JudgeSpec | None = None
    gates: tuple[GateSpec, ...] = ()

    @model_validator(mode="after")
    def _has_primary(self) -> TrackSpec:
        if self.primary not in self.metrics:
            raise ValueError(f"primary metric {self.primary!r} is not among the track's metrics")
        if absent := [gate.metric for gate in self.gates if gate.metric not in self.metrics]:
            raise ValueError(f"gate on {', '.join(absent)}, which is not among the track's metrics")
        return self

    def track_digest(self, versions: Mapping[str, str]) -> str:
        """sha256 of what decides a score: direction, split, metrics with their versions, judges by their sha256.

        Args:
            versions: of each metric, by name; "" for one that is not installed.
        """
        facts = {
            "direction": self.direction,
            "split": self.split,
            "metrics": {name: versions.get(name, "") for name in self.metrics},
            "judges": [judge and judge.sha256 for judge in (self.judge, self.second_judge)],
        }
        return digest_of(facts)


# Fields that shape no row, and why. All others do, also those added later: a needless rebuild is better than a mixed
# data set. The form is pydantic's for exclusions.
_NO_ROW: dict[str, Any] = {
    **dict.fromkeys(("schema_", "name", "version"), True),  # the recipe's name; a build compares the name itself
    **dict.fromkeys(("title", "description", "licence", "citation", "languages", "notes"), True),  # for people
    "tracks": True,  # what is scored: the track digest
    "harvest": True,  # how files of its source are made; their content is checked
    "sources": {
        "__all__": {
            **dict.fromkeys(("title", "licence", "licence_url", "redistributable"), True),  # for people
            **dict.fromkeys(("homepage", "citation", "attribution"), True),
            "archives": True,  # how files are packed; their content is checked against its own sha256
            "files": {
                "__all__": {"urls": True, "archive": True, "bytes": True, "split": True}
            },  # as above, and for people
        }
    },
}


class Recipe(Document):
    """A data set's recipe.

    `digest` is the sha256 of all of it, `data_digest` of what shapes a row and nothing else: two recipes that share it
    build the same data set, whatever their descriptions and tracks.
    """

    schema_: Literal["xmbench/recipe/1"] = Field(alias="schema")
    name: Name
    version: str
    title: str
    description: str
    licence: str
    citation: str
    languages: tuple[str, ...] = ()
    regime: Literal["single-take", "multi-take"]
    image: ImageSpec
    audio: AudioSpec
    classes: ClassSpec
    sources: dict[Name, SourceSpec] = Field(min_length=1)
    pairing: PairingSpec
    splits: SplitSpec = SplitSpec()
    tracks: tuple[TrackSpec, ...] = Field(min_length=1)
    harvest: HarvestSpec | None = None  # how the files of its source are made; their content shapes the rows
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        for role in (self.pairing.item_source, self.pairing.clip_source):
            if role not in self.sources:
                raise ValueError(f"pairing names the source {role!r}, which `sources` does not have")
        if self.pairing.joint and self.regime != "multi-take":
            raise ValueError('pairing.method "joint" needs regime = "multi-take": each item has its own clip')
        directions = [track.direction for track in self.tracks]
        if len(set(directions)) != len(directions):
            raise ValueError("two tracks have the same direction")
        return self

    @property
    def data_digest(self) -> str:
        """sha256 of everything that shapes a row: sources and their options, formats, classes, pairing, splits."""
        return digest_of(self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=_NO_ROW))

    @property
    def task(self) -> Task:
        """Classes and formats, as items of the registry get them."""
        return Task(
            class_names=self.classes.names,
            words=self.classes.words,
            image=ImageFormat(self.image.height_px, self.image.width_px, 1 if self.image.mode == "L" else 3),
            audio=AudioFormat(
                self.audio.sample_rate_hz, self.audio.samples, self.audio.min_duration_s, self.audio.max_duration_s
            ),
        )

    def track(self, direction: Direction) -> TrackSpec | None:
        """The track of a direction, or None."""
        return next((track for track in self.tracks if track.direction == direction), None)

    def track_id(self, direction: Direction) -> str:
        """Public name of a track, like `mnist-ad/i2a`."""
        return f"{self.name}/{direction}"
