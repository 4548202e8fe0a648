"""Metric: an expensive state per item, then a cheap reduction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.judge import JudgeRole
from xmbench.interfaces.task import Modality, Status, Task
from xmbench.media.signal import Media


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One readable, finite output with its reference, both cut or padded to the data set's format.

    `shared` caches what several metrics compute from this pair (one PESQ run serves two metrics).
    """

    id: str
    label: int
    output: Media
    reference: Media
    shared: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ItemState:
    """A metric's state of one item: a status and, where it is "ok", a state vector of shape (D,)."""

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
class TrainingEmbeddings:
    """The distinct training items of a data set as networks embed them: who copied one is found by it.

    Attributes:
        files: sha256 of a network's weights -> a .npy file that every process may map: float32 (M, D).
    """

    files: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class JudgeWeights:
    """A judge's weights, as sent to the processes that score.

    Attributes:
        weights: the content of the file.
        kind: name of its kind; "" for the kind that reads the format in the weights' header.
        sha256: of the weights, hexadecimal; computed if omitted.
        device: where it runs. Scores are defined on "cpu".
    """

    weights: bytes = field(repr=False)
    kind: str = ""
    sha256: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Fills in the digest."""
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.weights).hexdigest())


@dataclass(frozen=True, slots=True)
class ScoringContext:
    """What a metric may use in addition to the pairs.

    Attributes:
        task: of the data set.
        judges: the track's judges by role.
        references: the classes' references, for metrics that declare `against_class` (see `AgainstClass`).
        training: the training split, for metrics that declare `against_training` (see `AgainstTraining`).
        kept: directory for what metrics derive from the data set's references, the same in every submission; its name
            identifies the data set and all that the numbers depend on. None: nothing is kept.
    """

    task: Task
    judges: Mapping[JudgeRole, JudgeWeights] = field(default_factory=dict)
    references: ClassReferences | None = None
    training: TrainingEmbeddings | None = None
    kept: Path | None = None

    @property
    def judge(self) -> bytes | None:
        """The weights of the first judge, for metrics that do not use kinds of judges."""
        return self.judges["first"].weights if "first" in self.judges else None

    @property
    def second_judge(self) -> bytes | None:
        """The weights of the second judge, for metrics that do not use kinds of judges."""
        return self.judges["second"].weights if "second" in self.judges else None


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """Where the references of a split come from, for metrics that compare only some of them (see `ByOrigin`).

    Attributes:
        groups: of N references in the order of their ids: what varies together (a take, a speaker, a video). Where
            images and clips are paired by class, each image is a group of its own.
        starts_s: (N,): where a window begins in its recording; NaN where the data set does not say.
        length_s: of a clip: windows of one group that begin at least so far apart share no sound.
    """

    groups: tuple[str, ...]
    starts_s: NDArray[np.float64]
    length_s: float


class Metric(Protocol):
    """Expensive state per item, cheap reduction: the same bootstrap and per-class scores work for every metric.

    Attributes:
        name: public name, kebab-case; the module is its snake_case form.
        version: changes whenever a value can change.
        modality: what it scores; "any" where it uses items only through the track's judge.
        unit: "" for a plain number.
        low, high: bounds of a value.
        floor: the value that a failed item counts as, the worse of the two bounds; None where items have no value
            (distributions).
        left_out: statuses that are excluded from the mean (shown in the coverage).
        judges: roles of the track's judges that it uses; empty for none. A metric with judges is prepared in id order,
            in batches of one fixed size.
        citation: the paper and the equation.

    Optional attributes, read by `depends_on` and `smallest_difference`: the side of the items that its values vary
    with, and the difference below which two systems are equal in practice.
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
    judges: tuple[JudgeRole, ...]
    citation: str

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """One state per pair, in order. A pair that cannot be measured gets a status; never raises."""
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


def judges_of(metric: Metric) -> tuple[JudgeRole, ...]:
    """The judges that a metric uses. Older metrics have `needs_judge` instead, and `second` for the second judge."""
    roles: tuple[JudgeRole, ...] | None = getattr(metric, "judges", None)
    if roles is not None:
        return roles
    if not getattr(metric, "needs_judge", False):
        return ()
    return ("second",) if getattr(metric, "second", False) else ("first",)


def depends_on(metric: Metric) -> Literal["condition", "reference"]:
    """Whose groups are the clusters of its interval.

    Unless the metric says so (`depends_on`), it is the condition for metrics of a judge, which look at the output
    alone, and the reference for all others.
    """
    stated: Literal["condition", "reference"] | None = getattr(metric, "depends_on", None)
    if stated is not None:
        return stated
    return "condition" if judges_of(metric) and not isinstance(metric, WholeSet) else "reference"


def smallest_difference(metric: Metric) -> float:
    """The difference of two systems that is never a rank, in the metric's unit; 0 unless the metric states it."""
    return float(getattr(metric, "smallest_difference", 0.0))


@runtime_checkable
class AgainstClass(Protocol):
    """What a metric has in addition when it compares an output with several references of its class."""

    against_class: bool


@runtime_checkable
class AgainstTraining(Protocol):
    """What a metric has in addition when it compares an output with the training items."""

    against_training: bool


@runtime_checkable
class Naming(Protocol):
    """What a metric has in addition when its judge classifies: where in the state the class is.

    The class is 0..K-1, or K where the judge found none of them. The judge is the first of those that it uses.

    Attributes:
        named_class: position in the state.
    """

    named_class: int


@runtime_checkable
class WholeSet(Protocol):
    """What a metric that scores all items together (a distribution) has in addition to `prepare` and `reduce`.

    For an item without a usable output it gets the state of the neutral output (black, silence) with the item's own
    reference, so that nothing is dropped.

    Attributes:
        centred: the bootstrap of the score is biased (repeated items shift it): the interval is the value and the
            spread of the resamples around their own mean.
    """

    centred: bool

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Called once with every item, before any `reduce`.

        Args:
            states: shape (N, D), as `prepare` gave them.
            usable: shape (N,); False where the item has no usable output, and the state is that of the neutral output.

        Returns:
            shape (N, D'), for `reduce`; the first column is the item's own value, unless `floor` is None.
        """
        ...


@runtime_checkable
class ByOrigin(Protocol):
    """What a `WholeSet` has in addition when it must know which references come from one recording.

    `finish` is then for callers that do not know it.
    """

    def finish_by_origin(
        self, states: NDArray[np.float64], usable: NDArray[np.bool_], origins: Origins
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Called in place of `finish`, with the same arguments and the origins of the N items.

        Returns:
            The table (N, D'), and which items the metric covers (N,): the others leave the score with the status
            "reference-unscorable", which must be among the metric's `left_out`. Outputs must play no part in that.
        """
        ...
