"""Runs tasks: in this process, in processes of this machine, or on a Ray cluster, with the same results.

A result depends only on its task and on what all tasks share. Which process runs it, and how many there are, decides
only when it arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import chain
from typing import Any, Protocol, TypeVar

from xmbench.execution.attempt import Outcome
from xmbench.execution.engine import Engine
from xmbench.execution.processes import Processes
from xmbench.execution.ray_cluster import RayCluster, check_ray

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks in flight per worker: one that it runs, and others so that it never waits. In order, one slow task delays
# the results of all that follow it.
_IN_ORDER, _AS_READY = 4, 2


class Backend(Protocol):
    """What runs tasks for this process, `workers` at a time."""

    workers: int

    def submit(self, task: Any) -> Future[Outcome]:
        """Submits a task."""

    def close(self, *, at_once: bool) -> None:
        """Ends the workers: in the middle of tasks, or when nothing is left to do."""


def run_tasks(
    work: Callable[[Shared, Task], Result],
    tasks: Iterable[Task],
    *,
    shared: Shared,
    engine: Engine = "local",
    workers: int = 1,
    address: str = "",
    ordered: bool = True,
) -> Generator[Result, None, None]:
    """Runs every task and yields the results as they arrive.

    Tasks are taken from the iterable as workers become free, so there may be any number: a bounded number is in memory.
    Nothing starts before the first result is asked for. Workers end with the last result, and at once when the
    generator is closed or an exception is raised: Ctrl-C is handled by this process alone.

    Args:
        work: called as `work(shared, task)`; a function of a module, as processes find it by its name.
        tasks: one value each that can be pickled.
        shared: what all tasks need; sent to each worker once.
        engine: "local" for processes of this machine, "ray" for a Ray cluster.
        workers: processes; 1 runs the tasks in this one. A Ray cluster has as many as it has processors.
        address: of the Ray cluster ("auto" for a running one); "" for $RAY_ADDRESS, or a cluster of this machine alone.
        ordered: results in the order of the tasks; otherwise each as soon as it is ready.

    Raises:
        PrerequisiteError: Ray is not installed, or there is no cluster at the address.
        XmbenchError: a worker was ended from outside; every earlier result has been yielded (in order: up
            to the first that is missing).
        Exception: what a task raised, unchanged.
    """
    if engine == "local" and workers <= 1:
        for task in tasks:
            yield work(shared, task)
        return
    rest = iter(tasks)
    for first in rest:
        backend: Backend = RayCluster(work, shared, address) if engine == "ray" else Processes(work, shared, workers)
        yield from _run(backend, chain([first], rest), ordered)


def check_engine(engine: Engine, address: str = "") -> None:
    """Raises, before any work, what `run_tasks` would raise later.

    Args:
        engine: as in `run_tasks`.
        address: of the Ray cluster.

    Raises:
        PrerequisiteError: Ray is not installed, or there is no cluster at the address.
    """
    if engine == "ray":
        check_ray(address)


def _run(backend: Backend, tasks: Iterable[Any], ordered: bool) -> Generator[Any, None, None]:
    waiting: deque[Future[Outcome]] = deque()
    most = backend.workers * (_IN_ORDER if ordered else _AS_READY)
    take = _first if ordered else _ready
    finished = False
    try:
        for task in tasks:
            waiting.append(backend.submit(task))
            for done in take(waiting, most):
                yield done.result().result()
        while waiting:
            for done in take(waiting, 1):
                yield done.result().result()
        finished = True
    finally:
        backend.close(at_once=not finished)


def _first(waiting: deque[Future[Outcome]], most: int) -> list[Future[Outcome]]:
    """Removes the finished tasks at the front; waits for the first when there are too many."""
    taken = []
    while waiting and (waiting[0].done() or len(waiting) >= most):
        wait([waiting[0]])
        taken.append(waiting.popleft())
    return taken


def _ready(waiting: deque[Future[Outcome]], most: int) -> list[Future[Outcome]]:
    """Removes the finished tasks, failures last; waits for one when there are too many."""
    done = wait(waiting, None if len(waiting) >= most else 0, return_when=FIRST_COMPLETED).done
    taken = [future for future in waiting if future in done]
    for future in taken:
        waiting.remove(future)
    return sorted(taken, key=_is_failure)


def _is_failure(done: Future[Outcome]) -> bool:
    return done.exception() is not None or done.result().error is not None
