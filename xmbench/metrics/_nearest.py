"""Multi-take scores: an output against the K = 5 nearest references of its class, best and mean.

If many voices speak a word, the single reference of an item is an arbitrary choice. The nearest references are those
whose auditory spectrogram (power 0.3), averaged over 20 ms and a sixth of an octave, correlates most with the output's:
one rule for every metric, without a judge. The item's own reference is one of the class's and is treated like any
other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import ClassReferences, ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.media.audio import to_float
from xmbench.media.signal import Sound
from xmbench.metrics._corr2d import compressed
from xmbench.metrics._mean import mean
from xmbench.metrics._speech import sounds

NEAREST = 5
_FRAMES, _CHANNELS = 2, 4  # averaged for the search: it keeps 6,000 references in 50 MB
_SOUNDS_KEPT = 512


@dataclass(frozen=True, slots=True)
class NearestMetric:
    """One measurement against each of the nearest references; `take` says which value counts.

    Attributes as in `xmbench.interfaces.Metric`; `measure` gives one pair's state. A measurement that fails against
    one reference counts the floor there; an item has a value if at least one reference gives one.
    """

    name: str
    version: str
    low: float
    high: float
    floor: float
    citation: str
    measure: Callable[[Pair], ItemState]
    take: Literal["best", "mean"]
    left_out: frozenset[Status] = frozenset()
    unit: str = ""
    modality: Modality = "audio"
    higher_is_better: bool = True
    judges: tuple[JudgeRole, ...] = ()
    against_class: bool = True
    depends_on: Literal["condition"] = "condition"  # the references of the class are the same for all its items
    smallest_difference: float = 0.0

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """One state per pair.

        Raises:
            PrerequisiteError: without the references of the classes.
        """
        if context.references is None:
            raise PrerequisiteError(f"{self.name} needs the references of every class")
        return [self._state(pair, context.references) for pair in pairs]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted means."""
        return mean(states, weights)

    def _state(self, pair: Pair, references: ClassReferences) -> ItemState:
        near = _nearest(pair, references)
        found = [self.measure(other) for other in near]
        values = [self.floor if item.state is None else float(item.state[0]) for item in found]
        if all(item.state is None for item in found):
            return found[0] if found else ItemState("reference-unscorable", None, "no reference of the class has sound")
        return ItemState("ok", np.array([max(values) if self.take == "best" else float(np.mean(values))]))


def _nearest(pair: Pair, references: ClassReferences) -> list[Pair]:
    """The output with each of its nearest references, nearest first; computed once per pair for all metrics."""
    if "nearest" not in pair.shared:
        _, output = sounds(pair)
        index = _Index.of(references.file, references.labels, references.sample_rate_hz)
        chosen = index.nearest(_coarse(output), pair.label)
        pair.shared["nearest"] = [Pair(f"{pair.id}:{k}", pair.label, output, index.sound(k)) for k in chosen]
    near: list[Pair] = pair.shared["nearest"]
    return near


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The references of every class, ready for the search. One per process."""

    samples: NDArray[np.int16]
    sample_rate_hz: int
    of_class: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]]
    sound: Callable[[int], Sound]

    @staticmethod
    @functools.lru_cache(maxsize=1)
    def of(file: Path, labels: tuple[int, ...], sample_rate_hz: int) -> _Index:
        """Maps the file and computes the rows to search, once.

        Raises:
            PrerequisiteError: the file is not on this machine.
        """
        try:
            samples = np.load(file, mmap_mode="r")
        except OSError as error:
            raise PrerequisiteError(
                "the references of the classes cannot be read on this machine",
                where=file,
                expected="a temporary directory that every machine of the cluster sees",
                todo="set TMPDIR to a shared directory, or score with --workers instead of Ray",
            ) from error
        sound = functools.lru_cache(_SOUNDS_KEPT)(lambda k: Sound(to_float(np.array(samples[k])), sample_rate_hz))
        of_class: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
        for label in sorted(set(labels)):
            own = np.flatnonzero(np.asarray(labels) == label)
            rows = [(k, _coarse(Sound(to_float(np.array(samples[k])), sample_rate_hz))) for k in own]
            kept = [(k, row) for k, row in rows if row.any()]
            if kept:
                of_class[label] = (np.array([k for k, _ in kept]), np.stack([row for _, row in kept]))
        return _Index(samples, sample_rate_hz, of_class, sound)

    def nearest(self, output: NDArray[np.float32], label: int) -> list[int]:
        """Positions of the nearest references of a class; equal ones in the order of the file."""
        if label not in self.of_class:
            return []
        positions, rows = self.of_class[label]
        order = np.argsort(-np.sum(rows * output, axis=1, dtype=np.float64), kind="stable")
        return [int(positions[k]) for k in order[:NEAREST]]


def _coarse(sound: Sound) -> NDArray[np.float32]:
    """The spectrogram averaged to blocks, less its mean, at length 1; zeros where it is constant."""
    values = compressed(sound)
    frames = len(values) // _FRAMES * _FRAMES
    blocks = values[:frames].reshape(frames // _FRAMES, _FRAMES, -1, _CHANNELS).mean(axis=(1, 3))
    centred: NDArray[Any] = blocks - blocks.mean() if blocks.size else blocks
    norm = float(np.sqrt(np.sum(np.square(centred))))
    return np.asarray(centred / norm if norm > 1e-12 else np.zeros_like(centred), dtype=np.float32).ravel()
