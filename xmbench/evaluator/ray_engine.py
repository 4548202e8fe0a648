"""The same chunks mapped by Ray tasks, for submissions that one machine cannot score in time."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from xmbench.errors import PrerequisiteError, XmbenchError
from xmbench.evaluator.measure import States, Work, measure
from xmbench.interfaces import ScoringContext

_PATIENCE_S = 10.0


def measured_by_ray(
    work: Iterable[list[Work]], metrics: tuple[str, ...], context: ScoringContext, address: str
) -> Iterator[list[tuple[bytes, States]]]:
    """Measures chunks of work on a Ray cluster; yields each chunk's states, in order, with bounded memory.

    Args:
        work: chunks of pairs.
        metrics: names of metrics that need no judge.
        context: handed to every metric.
        address: of the cluster ("auto" for a running one); "" for $RAY_ADDRESS, or a cluster of this machine alone.

    Raises:
        PrerequisiteError: Ray is not installed, or there is no cluster at the address.
    """
    ray = _started(address)
    try:
        task = ray.remote(num_cpus=1)(measure)
        shared = ray.put(context)
        most = 4 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[Any] = deque()
        for chunk in work:
            waiting.append(task.remote(chunk, metrics, shared))
            if len(waiting) > most:
                yield _result(ray, waiting.popleft())
        while waiting:
            yield _result(ray, waiting.popleft())
    finally:
        ray.shutdown()


def _started(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise PrerequisiteError(
            "`--engine ray` needs the package Ray, which is not installed", todo="pip install 'xmbench[ray]'"
        ) from error
    try:
        _reach(address)
        ray.init(address=address or None, include_dashboard=None if address else False, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise PrerequisiteError(
            f"Ray cannot be started ({error})",
            where=address or "this machine",
            todo="check --ray-address, or start a cluster with `ray start --head`",
        ) from error
    return ray


def _reach(address: str) -> None:
    """Raises OSError where nobody listens at host:port: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "://" not in address:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()


def _result(ray: Any, handle: Any) -> list[tuple[bytes, States]]:
    try:
        found: list[tuple[bytes, States]] = ray.get(handle)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, XmbenchError):
            raise error.cause from error
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise XmbenchError("a Ray worker died", expected="enough memory for every worker") from error
    return found
