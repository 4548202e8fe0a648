"""Metrics and judges on chunks of pairs, by any number of workers.

Numbers do not depend on the workers: a chunk's states come from its own pairs alone, a worker does one chunk at a
time, and the ids decide which pairs share a chunk before any is handed out. That matters for judges, whose
sums could differ in the last digit in a batch of another size: their batches are formed in id order, all of one size
but the last, and never split; a network runs with one thread, so that the processors of a machine do not matter
either. PESQ holds the interpreter's lock and keeps globals, so parallel work means processes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import PrerequisiteError, XmbenchError
from xmbench.execution.engine import Workers
from xmbench.execution.executor import run_tasks
from xmbench.interfaces import ItemState, Pair, ScoringContext
from xmbench.media.signal import Media, Picture, Sound

CHUNK = 8  # pairs; small enough that the last worker has little work left
JUDGE_BATCH = 64  # pairs that a judge gets in one call
JUDGED_PER_WORKER = 1_000  # judging fewer takes less time than loading the judge in another process
_REFERENCES_KEPT = 512
_LINE_LENGTH = 200

States = dict[str, ItemState]


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One distinct (output, reference) pair to measure.

    `key` names it in the caller's tables. `reference_digest` identifies the content of the reference: what is computed
    from it is kept for the next pair.
    """

    key: bytes
    id: str
    label: int
    output: NDArray[Any]
    reference: NDArray[Any]
    reference_digest: bytes
    sample_rate_hz: int | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Distinct pairs that are measured together, by the same metrics: one task of a worker."""

    work: tuple[Work, ...]
    metrics: tuple[str, ...]


def measured(
    chunks: Iterable[Chunk], context: ScoringContext, workers: Workers
) -> Generator[list[tuple[bytes, States]], None, None]:
    """Measures chunks with bounded memory; yields each chunk's states as soon as they are ready.

    Args:
        chunks: of pairs.
        context: given to every metric.
        workers: how many, and on which engine.

    Raises:
        PrerequisiteError: a metric lacks something on this machine; Ray is not installed or cannot be reached.
        XmbenchError: a worker was killed; everything measured before that has been yielded.
    """
    return run_tasks(
        measure,
        chunks,
        shared=context,
        engine=workers.engine,
        workers=workers.count,
        address=workers.address,
        ordered=False,
    )


def measure(context: ScoringContext, chunk: Chunk) -> list[tuple[bytes, States]]:
    """A chunk's metrics on its pairs: each pair's key and its states."""
    pairs = [pair_of(work) for work in chunk.work]
    states: list[States] = [{} for _ in pairs]
    for name in chunk.metrics:
        for own, state in zip(states, prepare(name, pairs, context), strict=True):
            own[name] = state
    return [(work.key, own) for work, own in zip(chunk.work, states, strict=True)]


def pair_of(work: Work) -> Pair:
    """The pair as metrics see it."""
    return Pair(work.id, work.label, _media(work.output, work.sample_rate_hz), reference(work))


def prepare(name: str, pairs: list[Pair], context: ScoringContext) -> list[ItemState]:
    """One metric on pairs. If a batch fails, pair by pair, so that one bad clip fails alone.

    Raises:
        PrerequisiteError: the machine lacks a package or memory, which says nothing about the outputs.
        XmbenchError: the metric refuses the pairs for another reason.
    """
    metric = registry.metric(name)
    try:
        return metric.prepare(pairs, context)
    except XmbenchError:
        raise
    except (ImportError, MemoryError) as error:
        raise PrerequisiteError(
            f"{name} cannot be measured on this machine ({type(error).__name__}: {error})"[:_LINE_LENGTH],
            expected="every package of xmbench, and enough memory: no output is at fault",
            todo="run `xmbench doctor`; try again with fewer --workers",
        ) from error
    except Exception as error:  # metrics have many authors and call C libraries; nothing is swallowed
        if len(pairs) == 1:
            detail = f"{type(error).__name__}: {error}"[:_LINE_LENGTH]
            return [ItemState("metric-error", None, detail)]
        return [prepare(name, [pair], context)[0] for pair in pairs]


_references: OrderedDict[Hashable, Media] = OrderedDict()


def reference(work: Work) -> Media:
    """The reference as media, kept by content: what metrics derive from it is computed once."""
    key = (work.reference_digest, work.sample_rate_hz, work.reference.shape)
    return kept(key, lambda: _media(work.reference, work.sample_rate_hz))


def kept(key: Hashable, make: Callable[[], Media]) -> Media:
    """What `make` returns for this key; the most recently used ones are kept."""
    if key not in _references:
        _references[key] = make()
        if len(_references) > _REFERENCES_KEPT:
            _references.popitem(last=False)
    _references.move_to_end(key)
    return _references[key]


def _media(values: NDArray[Any], sample_rate_hz: int | None) -> Media:
    if sample_rate_hz is None:
        return Picture(values)
    return Sound(np.asarray(values, dtype=np.float32), sample_rate_hz)
