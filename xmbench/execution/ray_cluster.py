"""The same tasks done by a Ray cluster, for work that one machine cannot do in time."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from xmbench.errors import PrerequisiteError, XmbenchError
from xmbench.execution.attempt import Outcome, attempt, failed

_PATIENCE_S = 10.0
# What begins an HTTP/2 connection, as gRPC has it: the server's settings come back at once, or an alert where it wants
# an encrypted one.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS, _TLS = b"\x04", b"\x15"

_shared: dict[str, Any] = {}  # of a Ray worker: what the tasks of the run have in common


class RayCluster:
    """A connection to a cluster, or a cluster of this machine alone that lasts as long as this object is open.

    Ray starts a task again whose worker was lost; only one that is lost again and again fails.

    Args:
        work: called as `work(shared, task)` on the cluster; a function of a module that is installed there.
        shared: travels to each worker once.
        address: of the cluster ("auto" for a running one); "" for $RAY_ADDRESS, or this machine.

    Attributes:
        workers: processors of the cluster.

    Raises:
        PrerequisiteError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, work: Callable[[Any, Any], Any], shared: Any, address: str) -> None:
        self._ray, self._ours = _connected(address)
        try:
            self.workers = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
            self._remote = self._ray.remote(num_cpus=1)(_attempt)
            self._given = self._ray.put(pickle.dumps((work, shared), pickle.HIGHEST_PROTOCOL))
        except BaseException:
            self.close(at_once=True)
            raise

    def submit(self, task: Any) -> Future[Outcome]:
        """Hands over a task; the outcome is an XmbenchError where its worker was lost."""
        # In a list, so that the task is given the reference and the worker fetches what it stands for once.
        answer: Future[Outcome] = Future()
        self._remote.remote([self._given], task).future().add_done_callback(lambda done: _settle(answer, done))
        return answer

    def close(self, *, at_once: bool) -> None:
        """Leaves the cluster, with all tasks that are unfinished; ends one of this machine alone."""
        if self._ours:
            self._ray.shutdown()


def _attempt(given: list[Any], task: Any) -> Outcome:
    import ray

    (reference,) = given
    name = reference.hex()
    if name not in _shared:
        _shared.clear()
        try:
            _shared[name] = pickle.loads(ray.get(reference))
        except Exception as error:
            return failed(error)
    work, shared = _shared[name]
    return attempt(work, shared, task)


def _settle(answer: Future[Outcome], done: Future[Outcome]) -> None:
    error = done.exception()
    if error is None:
        answer.set_result(done.result())
    else:
        cause = getattr(error, "cause", error)  # Ray's own text holds a traceback
        lost = XmbenchError(
            f"a task was lost on the Ray cluster ({type(cause).__name__}: {_first_line(cause)})",
            expected="workers with enough memory, with the xmbench of this machine",
            todo="run the same command again: what is finished is kept",
        )
        answer.set_result(Outcome(error=lost))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")


def check_ray(address: str) -> None:
    """Whether the package is there and somebody listens at the address.

    Raises:
        PrerequisiteError: not.
    """
    if not _package().is_initialized():
        _reach(address or os.environ.get("RAY_ADDRESS", ""))


def _package() -> Any:
    try:
        import ray
    except ImportError as error:
        raise PrerequisiteError(
            "`--engine ray` needs the package Ray, which is not installed", todo="pip install 'xmbench[ray]'"
        ) from error
    return ray


def _connected(address: str) -> tuple[Any, bool]:
    """The module `ray`, connected, and whether it was connected here."""
    ray = _package()
    if ray.is_initialized():
        return ray, False
    wanted = address or os.environ.get("RAY_ADDRESS", "")
    _reach(wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Ray's own future
            ray.init(
                address=wanted or "local",  # else Ray joins any cluster that it finds on this machine
                include_dashboard=None if wanted else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise _no_cluster(error, wanted) from error
    return ray, True


def _reach(address: str) -> None:
    """Raises PrerequisiteError where no cluster answers at host:port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S) as connection:
                connection.sendall(_GREETING)
                answer = connection.recv(9)
            if answer and answer[3:4] != _SETTINGS and answer[:1] != _TLS:
                raise ConnectionError("what listens there is no Ray cluster")
        except (OSError, OverflowError) as error:
            raise _no_cluster(error, address) from error


def _no_cluster(error: Exception, address: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"Ray cannot be started ({_first_line(error)})",
        where=address or "this machine",
        expected="a cluster of the same versions of Ray and Python; with RAY_AUTH_MODE=token where it asks for a token",
        todo="check --ray-address, or start a cluster with `ray start --head`",
    )
