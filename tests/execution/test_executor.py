"""One executor: the same results from one process, from several and from Ray; failures arrive as themselves."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.execution import work
from xmbench.errors import PrerequisiteError, UpstreamError, XmbenchError
from xmbench.execution import ray_cluster
from xmbench.execution.engine import available_workers
from xmbench.execution.executor import check_engine, run_tasks

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install 'xmbench[ray]'")


@pytest.fixture(params=[1, 2])
def workers(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------------ results
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    assert list(run_tasks(work.add, range(50), shared=100, workers=workers)) == list(range(100, 150))


def test_no_task_gives_no_result_and_starts_nobody(workers: int) -> None:
    assert list(run_tasks(work.add, [], shared=0, workers=workers)) == []


def test_a_slow_task_holds_back_the_others_only_in_order() -> None:
    assert list(run_tasks(work.slow_first, range(6), shared=0.5, workers=2)) == list(range(6))
    as_ready = list(run_tasks(work.slow_first, range(6), shared=0.5, workers=2, ordered=False))
    assert sorted(as_ready) == list(range(6))
    assert as_ready[-1] == 0


def test_an_endless_iterable_is_taken_as_workers_become_free(workers: int) -> None:
    taken = itertools.count()
    results = run_tasks(work.add, taken, shared=0, workers=workers)
    assert [next(results) for _ in range(100)] == list(range(100))
    results.close()
    assert next(taken) <= 100 + 4 * workers


def test_what_tasks_share_travels_to_each_worker_once() -> None:
    found = set(run_tasks(work.identity, range(40), shared={"a": [1, 2, 3]}, workers=2))
    assert len(found) == len({process for _, process in found}) <= 2


def test_one_worker_works_in_this_process_and_more_do_not() -> None:
    assert set(run_tasks(work.process, range(3), shared=None, workers=1)) == {os.getpid()}
    assert os.getpid() not in set(run_tasks(work.process, range(3), shared=None, workers=2))


def test_a_task_larger_than_a_pipe_arrives() -> None:
    data = os.urandom(3_000_000)
    assert list(run_tasks(_second, [data, data], shared=b"", workers=2)) == [data, data]


def _second(shared: bytes, task: bytes) -> bytes:
    return task


# ----------------------------------------------------------------------------------------------- failures
def test_our_errors_arrive_with_every_field(workers: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        list(run_tasks(work.fail, range(9), shared="ours", workers=workers))
    assert (caught.value.where, caught.value.todo, caught.value.problems) == ("there", "fetch it", ("a", "b"))


def test_other_exceptions_arrive_with_the_traceback_of_the_worker() -> None:
    with pytest.raises(ValueError, match="no such value") as caught:
        list(run_tasks(work.fail, range(9), shared="value", workers=2))
    assert "in fail" in "".join(caught.value.__notes__)


@pytest.mark.parametrize(("shared", "said"), [("own", "OwnError: one and two"), ("result", "this does not travel")])
def test_what_cannot_travel_back_is_said(shared: str, said: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=said):
        list(run_tasks(work.fail, range(9), shared=shared, workers=2))


def test_a_task_that_cannot_be_sent_is_said() -> None:
    with pytest.raises(TypeError, match="pickle"):
        list(run_tasks(work.process, [1, (i for i in range(2))], shared=0, workers=2))


def test_what_a_worker_cannot_load_is_said_by_the_first_task() -> None:
    with pytest.raises(RuntimeError, match="not on this machine"):
        list(run_tasks(work.broken_import, range(4), shared=work.Unloadable(), workers=2))


@pytest.mark.parametrize("ordered", [True, False])
def test_results_before_a_failure_are_not_lost(ordered: bool) -> None:
    results: list[int] = []
    with pytest.raises(ValueError, match="no such value"):
        results.extend(run_tasks(work.fail, range(9), shared="value", workers=2, ordered=ordered))
    assert {0, 1, 2} <= {*results} if ordered else len(results) >= 2


@pytest.mark.parametrize("ordered", [True, False])
def test_a_worker_that_is_ended_from_outside_is_said_and_what_is_finished_is_kept(ordered: bool) -> None:
    results: list[int] = []
    with pytest.raises(XmbenchError, match="killed from outside") as caught:
        results.extend(run_tasks(work.fail, range(6), shared="kill", workers=2, ordered=ordered))
    assert "signal 9" in caught.value.what
    assert "--workers" in str(caught.value.todo)
    assert {*results} >= {0, 1, 2}


def test_an_exception_of_the_tasks_iterable_ends_the_workers(tmp_path: Path) -> None:
    def tasks() -> Iterator[int]:
        yield 0
        wait_until(lambda: any(tmp_path.iterdir()))
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(run_tasks(work.mark_and_wait, tasks(), shared=tmp_path, workers=2))
    assert not any(is_alive(int(path.name.partition("-")[2])) for path in tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------- Ctrl-C
@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_workers_end_at_once_with_their_parent(tmp_path: Path, how: str) -> None:
    """Ctrl-C reaches all processes, and the parent alone answers it. A killed parent leaves nobody behind."""
    code = (
        "from pathlib import Path; from tests.execution import work; from xmbench.execution.executor import run_tasks\n"
        f"list(run_tasks(work.mark_and_wait, range(9), shared=Path({str(tmp_path)!r}), workers=2))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=Path.cwd()
    )
    wait_until(lambda: len(list(tmp_path.iterdir())) >= 2)
    workers = [int(path.name.partition("-")[2]) for path in tmp_path.iterdir()]
    start = time.monotonic()
    if how == "interrupted":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    wait_until(lambda: not any(map(is_alive, workers)), 10)
    assert time.monotonic() - start < 10
    assert errors.count("Traceback") == (1 if how == "interrupted" else 0), errors


# ---------------------------------------------------------------------------------------------------- Ray
@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_without_ray_the_message_says_what_to_install() -> None:
    with pytest.raises(PrerequisiteError, match=r"pip install 'xmbench\[ray\]'"):
        check_engine("ray")


@needs_ray
@pytest.mark.filterwarnings("default")
def test_ray_gives_the_same_results_and_the_same_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False
    )  # one cluster for all: starting takes seconds
    try:
        assert list(run_tasks(work.add, range(50), shared=100, engine="ray")) == list(range(100, 150))
        found = set(run_tasks(work.identity, range(40), shared={"a": [1, 2, 3]}, engine="ray", ordered=False))
        assert len(found) == len({process for _, process in found})
        endless = run_tasks(work.add, itertools.count(), shared=0, engine="ray")
        assert [next(endless) for _ in range(30)] == list(range(30))
        endless.close()
        with pytest.raises(UpstreamError) as caught:
            list(run_tasks(work.fail, range(9), shared="ours", engine="ray"))
        assert caught.value.problems == ("a", "b")
        with pytest.raises(RuntimeError, match="not on this machine"):
            list(run_tasks(work.broken_import, range(4), shared=work.Unloadable(), engine="ray"))
        assert ray.is_initialized()  # a cluster that was there before stays
    finally:
        ray.shutdown()


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_no_cluster_at_the_address_is_said_before_any_work(address: str) -> None:
    with pytest.raises(PrerequisiteError, match="Ray cannot be started") as caught:
        check_engine("ray", address)
    assert caught.value.where == address
    assert "ray start --head" in str(caught.value.todo)


@needs_ray
@pytest.mark.parametrize("answer", [b"SSH-2.0-Server\r\n", None])
def test_what_listens_there_and_is_no_cluster_is_said_in_bounded_time(
    answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "_PATIENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, answer), daemon=True).start()
        with pytest.raises(PrerequisiteError, match="Ray cannot be started"):
            check_engine("ray", f"127.0.0.1:{server.getsockname()[1]}")


def _answer(server: socket.socket, answer: bytes | None) -> None:
    connection, _ = server.accept()
    with connection:
        if answer is None:
            time.sleep(3)
        else:
            connection.sendall(answer)


def test_the_local_engine_needs_nothing() -> None:
    check_engine("local")
    assert available_workers() >= 1
