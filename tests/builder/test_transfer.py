"""Downloads from servers that misbehave: one message, in bounded time, on bounded disk; and items by their address."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder.conftest import Corpus
from tests.builder.test_fetch import Mirror, local, with_urls
from xmbench.builder.upstream import fetch, items, transfer
from xmbench.builder.upstream.items import Items
from xmbench.builder.upstream.verified import VerifiedFiles
from xmbench.errors import DocumentError, UpstreamError
from xmbench.interfaces import Rejected

Send = Callable[[bytes], object]


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(items.PAUSE_VARIABLE, "0")
    monkeypatch.setattr(fetch, "PAUSE_S", 0.0)
    monkeypatch.setattr(fetch, "TRIES", 2)
    monkeypatch.setattr(transfer, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(transfer, "TOTAL_S", 2.0)


@contextlib.contextmanager
def server(answer: Callable[[Send], None]) -> Iterator[str]:
    """A server that sends whatever `answer` does, to everyone."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)

            def send(data: bytes) -> None:
                if ended.is_set():
                    raise OSError
                connection.sendall(data)

            answer(send)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def drip(send: Send, data: bytes) -> None:
    for i in range(len(data)):
        send(data[i : i + 1])
        time.sleep(0.02)


def headers_by_the_byte(send: Send) -> None:
    drip(send, b"HTTP/1.1 200 OK\r\n" + b"X-Filler: " + b"x" * 10_000)


def body_by_the_byte(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
    drip(send, b"x" * 3000)


def chunk_by_the_byte(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(send, b"0" * 60_000)


def nothing_at_all(send: Send) -> None:
    time.sleep(5)


def without_end(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        send(bytes(1 << 16))


def too_large(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")


def no_number(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx")


def continuing(send: Send) -> None:
    while True:
        send(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def no_http(send: Send) -> None:
    send(b"SSH-2.0-OpenSSH_9.6\r\n")


def redirect(target: bytes) -> Callable[[Send], None]:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 302 Found\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (headers_by_the_byte, "too slow"),
        (body_by_the_byte, "too slow"),
        (chunk_by_the_byte, "too slow"),
        (nothing_at_all, ""),
        (without_end, "not this file"),
        (too_large, "offers 999,999,999,999 bytes"),
        (no_number, "'many'"),
        (continuing, "too slow"),
        (no_http, "was interrupted"),
        (redirect(b"http://[half"), ""),
        (redirect(b"http://a..b/"), ""),
        (redirect(b"http:///nowhere"), ""),
        (redirect(b"ftp://127.0.0.1/file"), "redirected to"),
        (redirect(b"file:///etc/passwd"), "302"),
    ],
)
def test_servers_that_misbehave_end_in_one_message(
    corpus: Corpus, tmp_path: Path, answer: Callable[[Send], None], said: str
) -> None:
    began = time.monotonic()
    with server(answer) as url, pytest.raises(UpstreamError) as caught:
        local(with_urls(corpus.single, url), None, offline=False)
    assert time.monotonic() - began < 20
    assert len(caught.value.problems) == 4
    assert said in str(caught.value)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 1_000_000


def test_a_slow_but_steady_transfer_has_a_limit_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "LEAST_BYTES", 10)
    monkeypatch.setattr(transfer, "TOTAL_S", 0.6)
    monkeypatch.setattr(transfer, "SLOWEST_BYTES_PER_S", 1e9)
    part = tmp_path / "part"
    with server(body_by_the_byte) as url, pytest.raises(transfer.TooSlowError, match="longer than its limit"):
        transfer.receive(url, {}, part, 5000, lambda line: None)
    assert 0 < part.stat().st_size < 3000


# -------------------------------------------------------------------------------------------------- items
@pytest.fixture
def mirror() -> Iterator[Mirror]:
    made = Mirror()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_an_item_is_fetched_once(mirror: Mirror) -> None:
    mirror.files["/a.jpg"] = b"picture"
    files = VerifiedFiles("items")
    first = files.item(f"{mirror.url}/a.jpg")
    assert isinstance(first, Path)
    assert first.read_bytes() == b"picture"
    assert VerifiedFiles("items", offline=True).item(f"{mirror.url}/a.jpg") == first
    assert len(mirror.asked) == 1


def test_items_that_cannot_be_had_say_whether_to_try_again(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Items(offline=False)
    gone = found.fetch(f"{mirror.url}/gone.jpg")
    assert isinstance(gone, Rejected)
    assert (gone.reason, gone.temporary) == ("http-404", False)
    offline = Items(offline=True).fetch(f"{mirror.url}/a.jpg")
    assert isinstance(offline, Rejected)
    assert (offline.reason, offline.temporary) == ("offline", True)
    for address in ("ftp://host/a", "http://[half", "nothing", "file:///etc/passwd"):
        bad = found.fetch(address)
        assert isinstance(bad, Rejected)
        assert (bad.reason, bad.temporary) == ("bad-address", False)
    with server(body_by_the_byte) as url:
        slow = found.fetch(f"{url}/a.jpg")
    assert isinstance(slow, Rejected)
    assert (slow.reason, slow.temporary) == ("unreachable", True)
    monkeypatch.setenv(items.REQUESTS_VARIABLE, str(found.requests))
    limited = found.fetch(f"{mirror.url}/b.jpg")
    assert isinstance(limited, Rejected)
    assert (limited.reason, limited.temporary) == ("request-limit", True)
    monkeypatch.setenv(items.REQUESTS_VARIABLE, "many")
    with pytest.raises(DocumentError, match="XMBENCH_ITEM_REQUESTS"):
        found.fetch(f"{mirror.url}/b.jpg")


def test_a_host_that_is_busy_is_asked_no_more() -> None:
    asked = []

    def busy(send: Send) -> None:
        asked.append(1)
        send(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")

    found = Items(offline=False)
    with server(busy) as url:
        answers = [found.fetch(f"{url}/{i}.jpg") for i in range(3)]
    assert len(asked) == 1
    assert [answer.reason for answer in answers if isinstance(answer, Rejected)] == ["http-429", "busy", "busy"]
    assert all(isinstance(answer, Rejected) and answer.temporary for answer in answers)


def test_requests_to_one_host_are_spaced(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(items.PAUSE_VARIABLE, "0.3")
    for name in ("a", "b"):
        mirror.files[f"/{name}"] = b"x"
    began = time.monotonic()
    for name in ("a", "b"):  # also those of two processes
        assert isinstance(Items(offline=False).fetch(f"{mirror.url}/{name}"), Path)
    assert time.monotonic() - began >= 0.25
