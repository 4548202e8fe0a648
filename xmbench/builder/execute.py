"""Runs shards: here, or in a pool of processes. Resume and accounting depend on none of this."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from xmbench.builder.shard_writer import Job, ShardReport, ShardTask, write_shard
from xmbench.errors import XmbenchError
from xmbench.execution.processes import interrupts_held, start_worker

POOL_FROM_ROWS = 5_000  # starting a pool takes longer than writing fewer rows

_job: Job | None = None


def run(job: Job, tasks: Sequence[ShardTask], workers: int, done: Callable[[ShardReport], None]) -> list[ShardReport]:
    """Writes every shard.

    Args:
        job: what the shards have in common.
        tasks: the shards.
        workers: processes; 1 works in this one.
        done: called with each report as it comes.

    Returns:
        One report per task, in the order of the tasks.
    """
    workers = min(workers, len(tasks))
    if workers <= 1 or sum(len(task.shard.items) for task in tasks) < POOL_FROM_ROWS:
        reports = []
        for task in tasks:
            reports.append(write_shard(job, task))
            done(reports[-1])
        return reports
    return _pooled(job, tasks, workers, done)


def available_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pooled(
    job: Job, tasks: Sequence[ShardTask], workers: int, done: Callable[[ShardReport], None]
) -> list[ShardReport]:
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(job,)
    )
    futures: list[Future[ShardReport]] = []
    try:
        with interrupts_held():
            futures += [pool.submit(_work, task) for task in tasks]
        for future in as_completed(futures):
            done(future.result())
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise XmbenchError(
            "a worker process was ended from outside",
            expected="enough memory for every worker",
            todo="run the same command again, with fewer --workers: finished shards are kept",
        ) from error
    finally:
        _stop(pool, futures)


def _stop(pool: ProcessPoolExecutor, futures: Sequence[Future[ShardReport]]) -> None:
    """Ends the workers; at once where shards are unfinished, of which only temporary files are left."""
    if not all(future.done() for future in futures):
        for process in list((pool._processes or {}).values()):
            process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(job: Job) -> None:
    global _job
    _job = job
    start_worker()


def _work(task: ShardTask) -> ShardReport:
    assert _job is not None
    return write_shard(_job, task)
