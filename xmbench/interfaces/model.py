"""Model: one baseline, fitted on training examples, then used to generate outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.speech import Speech
from xmbench.interfaces.task import SIDES, Direction, Task
from xmbench.media.audio import to_float

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Examples:
    """Training items by row. Repeated clips are kept once.

    The two arrays of media may be memory-mapped and larger than memory: read the rows of a batch, not all.

    Attributes:
        ids: N item ids, sorted.
        labels: int64, shape (N,).
        images: uint8, shape (N, H, W, C).
        clips: int16, shape (M, T): the distinct clips at the data set's fixed length.
        clip_index: int64, shape (N,): `clips[clip_index[i]]` belongs to item i.
        groups: what must not cross splits, one per item.
        store: the directory of the mapped files, where prepared forms may be stored too; None for a set in memory.
        starts_s: float64, shape (N,): when each item begins within its group, in seconds; None where the data set has
            no column `start_s`.
    """

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    images: NDArray[np.uint8]
    clips: NDArray[np.int16]
    clip_index: NDArray[np.int64]
    groups: tuple[str, ...]
    store: Path | None = None
    starts_s: NDArray[np.float64] | None = None

    def as_outputs(self, rows: Sequence[int] | NDArray[np.int64], direction: Direction) -> NDArray[Any]:
        """Training items in the form of outputs: float32 (B, T) in -1..1, or uint8 (B, H, W, C)."""
        if SIDES[direction].output == "image":
            return self.images[rows]
        return to_float(self.clips[self.clip_index[rows]])


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a model gets for generation: its input and never a reference.

    Attributes:
        ids: B item ids.
        inputs: uint8 (B, H, W, C) for i2a; int16 (B, T) for a2i.
        labels: int64 (B,), only for a model that declares `oracle`; otherwise None.
        references: what the outputs are compared with, in their form as stored (int16 (B, T) or uint8
            (B, H, W, C)); only for the upper bound that declares `sees_references`, otherwise None.
    """

    ids: tuple[str, ...]
    inputs: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    references: NDArray[Any] | None = None


def _nothing() -> None:
    """What `Run.saved` does by default."""


@dataclass(slots=True)
class PhaseProgress:
    """How far one phase of a training is. `xmbench.training.train` keeps it.

    Attributes:
        steps: planned.
        cost: of one step, relative to steps of the other phases: for the share of the whole that is done, and the
            time left.
        done: steps done; at the end fewer than planned if the phase stopped early.
        selected: the step whose weights are kept; None until the phase is finished.
        parameters: number of weights of the phase's network.
    """

    steps: int
    cost: float = 1.0
    done: int = 0
    selected: int | None = None
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a model: where it may write, its seed, how it reports progress.

    Attributes:
        folder: for checkpoints and curves.
        seed: of everything random.
        device: "cpu" or "cuda".
        resume: continue from the newest checkpoint in `folder`.
        progress: called with one line of progress.
        fingerprint: what the training depends on, by name (digests of the settings and of the data set);
            checkpoints store it, and checkpoints of another training are refused.
        directions: what the generator will be used for: a model may leave the rest untrained.
        speech: speaks the words of the data set, for a model that has its text read aloud; None outside a run.
        phases: of the training, by name, in order. A model that trains several may enter them before the first one
            (`run.phases["joint"] = PhaseProgress(steps)`): progress then tells the share of all of them. Those that
            it does not enter are added when they begin.
        status: called often with one short line that replaces the one before; None where nothing can show it.
        saved: called after each checkpoint.
        stop_at: `time.monotonic()` at which the training writes a checkpoint and stops; None for no limit.
    """

    folder: Path
    seed: int
    device: str
    resume: bool
    progress: Callable[[str], None]
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    directions: tuple[Direction, ...] = ()
    speech: Speech | None = None
    phases: dict[str, PhaseProgress] = field(default_factory=dict)
    status: Callable[[str], None] | None = None
    saved: Callable[[], None] = _nothing
    stop_at: float | None = None


def item_rng(seed: int, item_id: str) -> np.random.Generator:
    """A random generator for one item: the same for every batch size, order and choice of items."""
    digest = hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


class Generator(Protocol):
    """A model that is ready to generate."""

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """Outputs for one batch, in order: float32 (B, T) in -1..1 for i2a; uint8 (B, H, W, C) for a2i."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """What a generator may have in addition: the class that it recognises. For diagnosis only."""

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """Class of each condition, shape (B,); None where the settings left the classifier untrained."""
        ...


@runtime_checkable
class ClassifiesInOnePass(Protocol):
    """What a generator may have in addition to `predict`: outputs and classes without computing the condition twice."""

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        """What `generate` and `predict` return for one batch."""
        ...


@runtime_checkable
class ReadsImages(Protocol):
    """What a model with a network for images has in addition, so that it can be examined without a training."""

    def image_network(self, task: Task, config: Any) -> Any:
        """The untrained network: standardised images, float32 (B, C, H, W), to features or logits (B, D)."""
        ...


@runtime_checkable
class CountsParameters(Protocol):
    """What a generator may have in addition: how many weights it generates with.

    Where it is missing, the weights of all trained phases are counted.
    """

    parameters: int


@runtime_checkable
class StatesTrainingData(Protocol):
    """What a model's `Config` has in addition when its settings may bring knowledge from other data.

    `training_data` is "open" where they do (weights that others trained), "closed" otherwise; a submission says so.
    """

    @property
    def training_data(self) -> str:
        """See the class."""
        ...


@runtime_checkable
class SeesReferences(Protocol):
    """What a model declares in addition to `oracle` to get the references themselves: an upper bound, not a system."""

    sees_references: bool


class Model(Protocol):
    """One baseline: fitted once on training examples, then used to generate outputs in each of its directions.

    Attributes:
        name: public name, kebab-case.
        directions: what it can generate.
        oracle: gets the labels of the items it generates for; only for lower and upper bounds, and marked as such.
        Config: every hyper-parameter, checked against the baseline's TOML.
    """

    name: str
    directions: tuple[Direction, ...]
    oracle: bool
    Config: type[BaseModel]

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains for `run.directions`, or loads a finished training from `run.folder`."""
        ...
