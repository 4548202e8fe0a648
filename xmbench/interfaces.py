"""What a plug-in author must read: Source, Engine, Annotator, Metric, Model, and the values that pass between them.

A plug-in is a module with one constant (`SOURCE`, `ENGINE`, `ANNOTATOR`, `METRIC` or `MODEL`) that has the attributes
of the protocol below. It needs no base class. Built-in items and plug-ins are found the same way
(`xmbench.registry`) and checked by the same conformance tests.

Shape letters: N items, B batch, C channels, H W pixels, T samples, D features, K classes, M distinct clips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.media.audio import to_float
from xmbench.media.signal import Media

if TYPE_CHECKING:
    from pydantic import BaseModel

Modality = Literal["image", "audio"]
Direction = Literal["i2a", "a2i"]
Status = Literal[
    "ok", "missing", "unreadable", "non-finite", "silent", "too-short", "reference-unscorable", "metric-error"
]


@dataclass(frozen=True, slots=True)
class Sides:
    """What a direction goes from and to; each is also the name of the data set's column."""

    condition: Modality
    output: Modality


# The one place that says what a direction means: everyone else asks for the modality of a side.
SIDES: Mapping[Direction, Sides] = {"i2a": Sides("image", "audio"), "a2i": Sides("audio", "image")}


# ---------------------------------------------------------------------------------------------- formats
@dataclass(frozen=True, slots=True)
class ImageFormat:
    """What every image of a data set is: height and width in pixels, 1 (grey) or 3 (RGB) channels."""

    height_px: int
    width_px: int
    channels: int


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What every clip of a data set is: mono, `samples` long, zero-padded at the end.

    `min_duration_s` and `max_duration_s` bound the clip before padding.
    """

    sample_rate_hz: int
    samples: int
    min_duration_s: float
    max_duration_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """What a data set asks for: its classes and the two formats.

    Attributes:
        class_names: names of the K classes, in label order.
        words: what is spoken for each class, in label order (empty for data without speech).
    """

    class_names: tuple[str, ...]
    words: tuple[str, ...]
    image: ImageFormat
    audio: AudioFormat


# ---------------------------------------------------------------------------------------------- sources
class Upstream(Protocol):
    """The verified upstream files of one source."""

    def names(self) -> tuple[str, ...]:
        """Names of the files that are there, as the recipe lists them."""
        ...

    def read(self, name: str) -> bytes:
        """The uncompressed content of one file.

        Raises:
            UpstreamError: the file is missing, unreachable, truncated or not the one that was published.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One item that a source offers, before anything of it is decoded.

    Attributes:
        key: unique in the source and stable across rebuilds, matches `^[a-z0-9-]+$`.
        split: "train" or "test" as published, "any" where the source does not say.
        label: index of the class, 0..K-1.
        group: what must not cross splits (speaker, video, piece); the key where items are independent.
        locator: what the source needs to read the item; opaque to everyone else, picklable.
        attributes: columns of the finished row that the source knows (text, speaker, engine ...).
    """

    key: str
    split: str
    label: int
    group: str
    locator: tuple[Any, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawImage:
    """Pixels as read: uint8 (H, W, C)."""

    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RawClip:
    """Mono samples as read: int16 (T,), at the source's own rate. `attributes` overrides the entry's."""

    samples: NDArray[np.int16]
    sample_rate_hz: int
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that did not become a row.

    Attributes:
        stage: where: "read", "speech", "trim", "resize" ...
        reason: short and countable, kebab-case: "too-long", "silent", "corrupt-image".
        temporary: a later try may succeed (network, rate limit). False with `filtered` for a decision.
        filtered: left out by a rule of the recipe; otherwise it failed.
        detail: one sentence for a person.
    """

    stage: str
    reason: str
    detail: str = ""
    filtered: bool = False
    temporary: bool = False


class Source(Protocol):
    """One upstream corpus, or a maker of clips: what it holds, and how to read one item.

    A source opens no file and no connection itself: it reads through `Upstream`.
    """

    name: str
    modality: Modality
    Options: type[BaseModel]

    def versions(self, options: Any) -> dict[str, str]:
        """Names and versions of whatever shapes the content (a speech engine, a decoder)."""
        ...

    def entries(self, upstream: Upstream, options: Any, task: Task) -> Sequence[Entry]:
        """Every item on offer, in a stable order, without decoding any.

        Raises:
            UpstreamError: a file does not hold what it should.
        """
        ...

    def read(
        self, upstream: Upstream, options: Any, task: Task, entries: Sequence[Entry]
    ) -> Iterator[RawImage | RawClip | Rejected]:
        """One value per entry, in the order given. A bad item is a `Rejected`, never an exception."""
        ...


# ---------------------------------------------------------------------------------------------- engines
@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What a speech engine is. Defaults are what a small offline engine without settings needs.

    Attributes:
        name: public name, kebab-case, as recipes write it.
        sample_rate_hz: of what it returns.
        rates: slowest and fastest rate it takes, words per minute; None where it speaks at its own.
        pitches: lowest and highest pitch it takes within 0..100; None where it has no such setting.
        online: asks a service for each word; such calls are paced, counted and never made with `--offline`.
        repeatable: the same call gives the same samples, everywhere and always.
        seconds_per_word: how long one word takes, measured.
        licence: of what it speaks, as an SPDX name; empty where nobody says.
        redistributable: whether what it speaks may be passed on.
        homepage: where it comes from.
    """

    name: str
    sample_rate_hz: int
    rates: tuple[int, int] | None = None
    pitches: tuple[int, int] | None = None
    online: bool = False
    repeatable: bool = True
    seconds_per_word: float = 0.01
    licence: str = ""
    redistributable: bool = False
    homepage: str = ""


class Engine(Protocol):
    """Something that speaks words. Whoever calls it trims, re-rates, caches and paces."""

    facts: EngineFacts

    def version(self) -> str:
        """Version of whatever shapes the sound.

        Raises:
            PrerequisiteError: a program or package is missing.
        """
        ...

    def voices(self, language: str) -> tuple[str, ...]:
        """Voices of a language ("en", "de"), the best first; for `--speech`, which names none."""
        ...

    def check_voices(self, voices: tuple[str, ...]) -> None:
        """Raises UnknownNameError with every voice that cannot be used."""
        ...

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16] | Rejected:
        """Speaks one word.

        Args:
            word: what to say.
            voice: one that `check_voices` lets pass.
            rate: words per minute within `rates`; 0 where the engine takes none.
            pitch: within `pitches`; 0 where the engine takes none.

        Returns:
            Samples int16 (T,), untrimmed, empty where nothing came; or why there are none, `temporary` where
            a later try may succeed.
        """
        ...


@runtime_checkable
class Spoken(Protocol):
    """What a source offers beside `read` when an engine speaks its clips."""

    def engine(self, options: Any) -> Engine:
        """The engine that these options name; raises UnknownNameError."""
        ...

    def pause_s(self) -> float:
        """Seconds between two requests to an online engine."""
        ...

    def with_engine(self, options: Mapping[str, Any], name: str, languages: Sequence[str]) -> dict[str, Any]:
        """The recipe's options for another engine; raises UnknownNameError."""
        ...


@runtime_checkable
class Countable(Protocol):
    """What a source of files offers beside `entries` when it knows, before they are there, how many items they hold."""

    def counts(self, sizes: Mapping[str, int], options: Any) -> dict[str, int]:
        """Items of each split ("train", "test" or "any").

        Args:
            sizes: uncompressed bytes of each file, by the name in the recipe.
            options: of the source.
        """
        ...


class Annotator(Protocol):
    """A pretrained network that labels data while a data set is built; never the judge that grades it."""

    name: str
    modality: Modality

    def label(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Class probabilities, shape (N, K)."""
        ...


# ---------------------------------------------------------------------------------------------- metrics
@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One readable, finite output beside its reference, both cut or padded to the data set's format.

    `shared` keeps what several metrics compute of this pair (one PESQ run serves two metrics).
    """

    id: str
    label: int
    output: Media
    reference: Media
    shared: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ItemState:
    """What a metric keeps of one item: a status and, where it is "ok", a state vector of shape (D,)."""

    status: Status
    state: NDArray[np.float64] | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ClassReferences:
    """The distinct references of a split, for metrics that compare an output with several of its class.

    Attributes:
        file: a .npy file that every process may map: int16 (M, T) of sounds.
        labels: M labels.
        sample_rate_hz: of the sounds.
    """

    file: Path
    labels: tuple[int, ...]
    sample_rate_hz: int


@dataclass(frozen=True, slots=True)
class ScoringContext:
    """What a metric may know beside the pairs: the task, the weights of the track's judges, the classes' references.

    `references` is there for metrics that declare `against_class` (see `AgainstClass`).
    """

    task: Task
    judge: bytes | None = None
    second_judge: bytes | None = None
    references: ClassReferences | None = None


class Metric(Protocol):
    """Expensive state per item, cheap reduction: one bootstrap and per-class scores serve every metric.

    Attributes:
        name: public name, kebab-case; the module is its snake_case form.
        version: changes whenever a value could change.
        modality: what it scores; "any" where it sees items only through the track's judge.
        unit: "" for a plain number.
        low, high: bounds of a value.
        floor: what a failed item counts; None where items have no value of their own (distributions).
        left_out: statuses that leave the mean instead of counting the floor (shown in the coverage).
        needs_judge: prepared in one process, in id order, in batches of one fixed size.
        citation: the paper and the equation.
    """

    name: str
    version: str
    modality: Modality | Literal["any"]
    unit: str
    low: float
    high: float
    higher_is_better: bool
    floor: float | None
    left_out: frozenset[Status]
    needs_judge: bool
    citation: str

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """One state per pair, in order. A pair that cannot be measured gets a status, never an exception."""
        ...

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of B weighted samples of the items.

        Args:
            states: shape (N, D); failed items hold the floor.
            weights: shape (B, N), non-negative: how often each item counts.

        Returns:
            shape (B,).
        """
        ...


@runtime_checkable
class AgainstClass(Protocol):
    """What a metric declares beside the rest when it compares an output with several references of its class."""

    against_class: bool


@runtime_checkable
class Naming(Protocol):
    """What a metric offers beside `prepare` when its judge names a class: where in the state that class stands.

    The class is 0..K-1, or K where the judge found none of them.

    Attributes:
        named_class: position in the state.
        second: whether it is the track's second judge that names it.
    """

    named_class: int
    second: bool


@runtime_checkable
class WholeSet(Protocol):
    """What a metric that looks at all items together (a distribution) offers beside `prepare` and `reduce`.

    For an item without a usable output it is given the state of the neutral output (black, silence) beside the
    item's own reference, so that nothing is dropped.

    Attributes:
        centred: the bootstrap of the score is biased (repeated items shift it): the interval is the value and the
            spread of the resamples around their own mean.
    """

    centred: bool

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Called once with every item, before any `reduce`.

        Args:
            states: shape (N, D), as `prepare` gave them.
            usable: shape (N,); False where the item has no usable output, and the state is the neutral one's.

        Returns:
            shape (N, D'), for `reduce`; the first column is the item's own value, unless `floor` is None.
        """
        ...


# ---------------------------------------------------------------------------------------------- models
@dataclass(frozen=True, slots=True)
class Examples:
    """Training items in memory. Repeated clips are kept once.

    Attributes:
        ids: N item ids, sorted.
        labels: int64, shape (N,).
        images: uint8, shape (N, H, W, C).
        clips: int16, shape (M, T): the distinct clips at the data set's fixed length.
        clip_index: int64, shape (N,): `clips[clip_index[i]]` belongs to item i.
        groups: what must not cross splits, one per item.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    images: NDArray[np.uint8]
    clips: NDArray[np.int16]
    clip_index: NDArray[np.int64]
    groups: tuple[str, ...]

    def as_outputs(self, rows: Sequence[int] | NDArray[np.int64], direction: Direction) -> NDArray[Any]:
        """Training items in the form of outputs: float32 (B, T) in -1..1, or uint8 (B, H, W, C)."""
        if SIDES[direction].output == "image":
            return self.images[rows]
        return to_float(self.clips[self.clip_index[rows]])


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a model gets at generation time: the model's input and never a reference.

    Attributes:
        ids: B item ids.
        inputs: uint8 (B, H, W, C) for i2a; int16 (B, T) for a2i.
        labels: int64 (B,), only for a model that declares `oracle`; otherwise None.
        references: what the outputs are compared with, in their form as stored (int16 (B, T) or uint8
            (B, H, W, C)); only for the ceiling that declares `sees_references`, otherwise None.
    """

    ids: tuple[str, ...]
    inputs: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    references: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a model: where it may write, what it must repeat, how it tells how far it is.

    Attributes:
        folder: for checkpoints and curves.
        seed: of everything random.
        device: "cpu" or "cuda".
        resume: go on from the newest checkpoint in `folder`.
        report: called with one line of progress.
        fingerprint: what the training depends on, by name (digests of the settings and of the data set);
            checkpoints remember it, and checkpoints of another training are refused.
    """

    folder: Path
    seed: int
    device: str
    resume: bool
    report: Callable[[str], None]
    fingerprint: Mapping[str, str] = field(default_factory=dict)


def item_rng(seed: int, item_id: str) -> np.random.Generator:
    """Randomness that belongs to one item: the same for every batch size, order and choice of items."""
    digest = hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


class Generator(Protocol):
    """A model that is ready to generate."""

    def generate(self, conditions: Conditions) -> NDArray[Any]:
        """Outputs for one batch, in order: float32 (B, T) in -1..1 for i2a; uint8 (B, H, W, C) for a2i."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """What a generator may offer beside `generate`: the class it believes to see. For diagnosis only."""

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """Class of each condition, shape (B,); None where the settings left the classifier untrained."""
        ...


@runtime_checkable
class SeesReferences(Protocol):
    """What a model declares beside `oracle` to be handed the references themselves: a ceiling, and no system."""

    sees_references: bool


class Model(Protocol):
    """One baseline: fitted on training examples, then asked for outputs.

    Attributes:
        name: public name, kebab-case.
        directions: what it can generate.
        oracle: sees the labels of the items it generates for; only for floors and ceilings, and marked as such.
        Config: every hyper-parameter, checked against the baseline's TOML.
    """

    name: str
    directions: tuple[Direction, ...]
    oracle: bool
    Config: type[BaseModel]

    def fit(self, examples: Examples, task: Task, direction: Direction, config: Any, run: Run) -> Generator:
        """Trains, or takes up a finished training from `run.folder`."""
        ...
