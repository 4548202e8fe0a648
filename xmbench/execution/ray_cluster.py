"""The same tasks on a Ray cluster, for work that takes one machine too long."""

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
# The start of an HTTP/2 connection, as in gRPC: the server answers with its settings at once, or with an alert where it
# expects TLS.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS, _TLS = b"\x04", b"\x15"

_shared: dict[str, Any] = {}  # of a Ray worker: what the tasks of the run share


class RayCluster:
    """A connection to a cluster, or a cluster of this machine alone that ends with this object.

    Ray retries a task whose worker was lost; it fails only after several losses.

    Args:
        work: called as `work(shared, task)` on the cluster; a function of a module that is installed there.
        shared: sent to each worker once.
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
        """Submits a task; the outcome is an XmbenchError where its worker was lost."""
        # In a list, so that the task gets the reference and the worker fetches its content once.
        answer: Future[Outcome] = Future()
        self._remote.remote([self._given], task).future().add_done_callback(lambda done: _settle(answer, done))
        return answer

    def close(self, *, at_once: bool) -> None:
        """Disconnects, abandoning unfinished tasks; ends a cluster of this machine alone."""
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
    """Checks that Ray is installed and that a cluster answers at the address.

    Raises:
        PrerequisiteError: it is not, or none does.
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
            warnings.simplefilter("ignore")  # about future versions of Ray
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
    """Raises PrerequisiteError where no cluster answers at host:port: Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S) as connection:
                connection.sendall(_GREETING)
                answer = connection.recv(9)
            if answer and answer[3:4] != _SETTINGS and answer[:1] != _TLS:
                raise ConnectionError("what listens there is not a Ray cluster")
        except (OSError, OverflowError) as error:
            raise _no_cluster(error, address) from error


def _no_cluster(error: Exception, address: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"Ray cannot be started ({_first_line(error)})",
        where=address or "this machine",
        expected="a cluster of the same versions of Ray and Python; with RAY_AUTH_MODE=token where it asks for a token",
        todo="check --ray-address, or start a cluster with `ray start --head`",
    )
