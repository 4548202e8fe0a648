"""Worker processes that leave Ctrl-C to their parent, end on its request, and do not outlive it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any

from xmbench.errors import XmbenchError
from xmbench.execution.attempt import Outcome, attempt, failed

_END_S = 5.0  # for a process that was asked to end


class Processes:
    """Up to `count` processes that run the same kind of task.

    A thread of this process drives each of them: it sends one task and waits for the outcome, so a large task blocks
    no other and the end of a process is noticed by the thread that waits for it.

    Args:
        work: called as `work(shared, task)` in the processes; a function of a module.
        shared: sent to each process once.
        count: processes at most; each is started when there is a task for it.

    Attributes:
        workers: the same number.
    """

    def __init__(self, work: Callable[[Any, Any], Any], shared: Any, count: int) -> None:
        self.workers = count
        self._first = pickle.dumps((work, shared), pickle.HIGHEST_PROTOCOL)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self._started: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()

    def submit(self, task: Any) -> Future[Outcome]:
        """Submits a task; the outcome is an XmbenchError where its process was killed from outside."""
        if len(self._started) < self.workers:
            self._started.append(_Worker(self._first))
            self._idle.put(self._started[-1])
        return self._threads.submit(self._do, task)

    def close(self, *, at_once: bool) -> None:
        """Ends the processes: when they have nothing left to do, or in the middle of their tasks."""
        for worker in self._started if at_once else ():
            worker.process.terminate()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._started:
            worker.end()

    def _do(self, task: Any) -> Outcome:
        worker = self._idle.get()
        try:
            return worker.do(task)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process and the connection to it."""

    def __init__(self, first: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._first: bytes | None = first
        self.process: BaseProcess = context.Process(target=_serve, args=(remote,), daemon=True)
        with interrupts_held():
            self.process.start()
        remote.close()

    def do(self, task: Any) -> Outcome:
        """Sends a task and waits for its outcome. One thread at a time."""
        data = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        try:
            if self._first is not None:
                self._connection.send_bytes(self._first)
                self._first = None
            self._connection.send_bytes(data)
            answer = self._connection.recv_bytes()
        except (EOFError, OSError):
            return Outcome(error=self._lost())
        outcome: Outcome = pickle.loads(answer)
        return outcome

    def end(self) -> None:
        """Ends the process, which has nothing to do."""
        self._connection.close()
        self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def _lost(self) -> XmbenchError:
        self.process.join(_END_S)
        code = self.process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        return XmbenchError(
            f"a worker process was killed from outside ({how})",
            expected="enough memory for every worker",
            todo="run the same command again, with fewer --workers: what is finished is kept",
        )


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Blocks Ctrl-C for processes started inside: only this process handles it, with a pending one delivered late."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """A worker's main loop: what all tasks share, then task after task until the parent closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        first = connection.recv_bytes()
        try:
            work, shared = pickle.loads(first)
        except Exception as error:  # every task raises it
            work, shared = _refuse, error
        while True:
            connection.send_bytes(_answer(work, shared, connection.recv_bytes()))


def _answer(work: Callable[[Any, Any], Any], shared: Any, data: bytes) -> bytes:
    try:
        return pickle.dumps(attempt(work, shared, pickle.loads(data)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # a task or a result that cannot be pickled
        return pickle.dumps(failed(error), pickle.HIGHEST_PROTOCOL)


def _refuse(error: Exception, task: object) -> None:
    raise error


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
