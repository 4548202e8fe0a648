"""Metrics on chunks of pairs, in this process or in a pool of processes.

PESQ holds the interpreter's lock and keeps globals, so parallel work means processes. A chunk depends on
nothing but its own pairs: results are the same for any number of workers.
"""

from __future__ import annotations

import multiprocessing
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import PrerequisiteError, XmbenchError
from xmbench.execution.processes import interrupts_held, start_worker
from xmbench.interfaces import ItemState, Pair, ScoringContext
from xmbench.media.signal import Media, Picture, Sound

CHUNK = 8  # small enough that no process is left alone with much work at the end
_REFERENCES_KEPT = 512
_LINE_LENGTH = 200

States = dict[str, ItemState]


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One distinct (output, reference) pair to be measured.

    `key` names it in the caller's tables. `reference_digest` stands for the content of the reference: what one of
    them gives is kept for the next pair.
    """

    key: bytes
    id: str
    label: int
    output: NDArray[Any]
    reference: NDArray[Any]
    reference_digest: bytes
    sample_rate_hz: int | None


def measured(
    work: Iterable[list[Work]], metrics: tuple[str, ...], context: ScoringContext, workers: int
) -> Iterator[list[tuple[bytes, States]]]:
    """Measures chunks of work; yields each chunk's states, in order, with bounded memory.

    Args:
        work: chunks of pairs.
        metrics: names of metrics that need no judge.
        context: handed to every metric.
        workers: 1 works in this process; more start that many processes.
    """
    if workers <= 1:
        for chunk in work:
            yield measure(chunk, metrics, context)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(metrics,)
    )
    try:
        yield from _pooled(pool, work, metrics, context, workers)
    except BrokenProcessPool as error:
        raise XmbenchError(
            "a worker process died", expected="enough memory for every worker", todo="try again with fewer --workers"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _pooled(
    pool: ProcessPoolExecutor,
    work: Iterable[list[Work]],
    metrics: tuple[str, ...],
    context: ScoringContext,
    workers: int,
) -> Iterator[list[tuple[bytes, States]]]:
    with interrupts_held():
        pool.submit(_ready)  # the processes start while the first outputs are read
    waiting: deque[Future[list[tuple[bytes, States]]]] = deque()
    for chunk in work:
        with interrupts_held():  # a process may start here
            waiting.append(pool.submit(measure, chunk, metrics, context))
        if len(waiting) > 4 * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start_worker(metrics: tuple[str, ...]) -> None:
    """Ctrl-C is the parent's business; metrics are imported before the first chunk."""
    start_worker()
    for name in metrics:
        registry.metric(name)


def _ready() -> None:
    """The first task: nothing to do."""


def measure(chunk: list[Work], metrics: tuple[str, ...], context: ScoringContext) -> list[tuple[bytes, States]]:
    """All metrics on one chunk."""
    pairs = [Pair(w.id, w.label, _media(w.output, w.sample_rate_hz), reference(w)) for w in chunk]
    states: list[States] = [{} for _ in chunk]
    for name in metrics:
        for own, state in zip(states, prepare(name, pairs, context), strict=True):
            own[name] = state
    return [(w.key, own) for w, own in zip(chunk, states, strict=True)]


def prepare(name: str, pairs: list[Pair], context: ScoringContext) -> list[ItemState]:
    """One metric on pairs. If a whole batch fails, pair by pair, so that one bad clip costs only itself.

    Raises:
        PrerequisiteError: the machine lacks a package or memory: that says nothing about an output.
        XmbenchError: whatever else the metric refuses.
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
    except Exception as error:  # a metric is code of many authors and of C libraries; nothing is swallowed
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
    """What `make` gave for this key, if it is among the last that were asked for."""
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
