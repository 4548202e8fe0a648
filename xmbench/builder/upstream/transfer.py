"""One HTTP transfer into a file, in bounded time and on bounded disk, whatever the server does.

A watchdog cuts the connection when headers are late, when the body is slower than a limit, or when the transfer takes
longer than its size allows: a server that sends a byte a second would pass every socket timeout.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from xmbench.builder.upstream.contents import WrongContentError
from xmbench.execution.progress import Progress
from xmbench.storage.files import writing

TIMEOUT_S = 30.0  # of a connection, of the headers, and the time in which LEAST_BYTES must arrive
LEAST_BYTES = 30_000
TOTAL_S = 300.0  # of a transfer, and a second more for each SLOWEST_BYTES_PER_S
SLOWEST_BYTES_PER_S = 50_000
_CHUNK = 1 << 18
_TOLD_EVERY_S = 2.0
_HTTP = ("https://", "http://")


class TooSlowError(Exception):
    """A transfer that was cut; the text says why. The part is kept, so that a later try resumes."""


def receive(url: str, headers: Mapping[str, str], part: Path, largest: int, progress: Progress) -> None:
    """Downloads into `part`, resuming an earlier try.

    Args:
        url: http or https.
        headers: sent with this request, and not with requests that it is redirected to.
        part: the file to write.
        largest: limit of the file in bytes.
        progress: called with lines of progress.

    Raises:
        WrongContentError: more than `largest` bytes, or an invalid size; `part` is removed.
        TooSlowError: headers or body are too slow.
        OSError, http.client.HTTPException, ValueError: the request or the transfer failed.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "xmbench"})
    for name, value in headers.items():
        request.add_unredirected_header(name, value)  # the Hub redirects to other hosts, which must not get the token
    if have:
        request.add_header("Range", f"bytes={have}-")
    with _guarded(largest) as watch, _opener(watch).open(request, timeout=TIMEOUT_S) as answer:
        resumed = answer.status == http.client.PARTIAL_CONTENT
        got = have if resumed else 0
        total = got + _length(answer.headers.get("Content-Length"))
        try:
            if total > largest:
                raise WrongContentError(f"the server offers {total:,} bytes, expected at most {largest:,}")
            with part.open("ab" if resumed else "wb") as handle:
                got += _copy(answer, handle, watch, largest - got, (got, total), progress)
        except WrongContentError:
            part.unlink(missing_ok=True)
            raise
    if total > got:
        raise http.client.IncompleteRead(b"", total - got)


def _copy(
    answer: Any, handle: IO[bytes], watch: _Watchdog, largest: int, known: tuple[int, int], progress: Progress
) -> int:
    """Writes the body as it arrives."""
    got, told = 0, time.monotonic()
    while chunk := answer.read1(_CHUNK):
        got += len(chunk)
        if got > largest:
            raise WrongContentError(f"the server sends more than {known[0] + largest:,} bytes: not this file")
        with writing(Path(handle.name).parent):
            handle.write(chunk)
        watch.received(len(chunk))
        if time.monotonic() - told > _TOLD_EVERY_S:
            told = time.monotonic()
            progress(f"  {(known[0] + got) / 1e6:.1f} of {known[1] / 1e6:.1f} MB")
    return got


def _length(text: str | None) -> int:
    """The Content-Length; 0 where there is none."""
    stated = (text or "0").strip()
    if not (stated.isascii() and stated.isdigit() and len(stated) < 19):
        raise WrongContentError(f"the server states a size of {stated[:40]!r}")
    return int(stated)


# ---------------------------------------------------------------------------------------------- the watchdog
class _Watchdog:
    """Cuts the connections of one transfer when it is too slow."""

    def __init__(self, largest: int) -> None:
        self.why = ""
        self._sockets: list[socket.socket] = []
        self._bytes = 0
        self._ends = time.monotonic() + TOTAL_S + largest / SLOWEST_BYTES_PER_S
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def connected(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        if self.why:
            self._cut(self.why)

    def received(self, count: int) -> None:
        self._bytes += count

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        before = 0
        while not self._done.wait(max(0.0, min(TIMEOUT_S, self._ends - time.monotonic()))):
            got, before = self._bytes - before, self._bytes
            if time.monotonic() >= self._ends:
                self._cut(f"the transfer took longer than its limit ({before / 1e6:.1f} MB arrived)")
                return
            if got < LEAST_BYTES:
                self._cut(f"{got:,} bytes in {TIMEOUT_S:g} s")
                return

    def _cut(self, why: str) -> None:
        self.why = why
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _guarded(largest: int) -> Iterator[_Watchdog]:
    watch = _Watchdog(largest)
    try:
        yield watch
    except WrongContentError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if watch.why:
            raise TooSlowError(f"too slow: {watch.why}") from error
        raise
    finally:
        watch.stop()
    if watch.why:
        raise TooSlowError(f"too slow: {watch.why}")


class _Plain(http.client.HTTPConnection):
    def __init__(self, *arguments: Any, watch: _Watchdog, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch.connected(self.sock)


class _Secure(http.client.HTTPSConnection):
    def __init__(self, *arguments: Any, watch: _Watchdog, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch.connected(self.sock)


class _PlainHandler(urllib.request.HTTPHandler):
    def __init__(self, watch: _Watchdog) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(partial(_Plain, watch=self._watch), request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def __init__(self, watch: _Watchdog) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(partial(_Secure, watch=self._watch), request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Only to other http(s) addresses."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not newurl.startswith(_HTTP):
            raise urllib.error.URLError(f"redirected to {newurl[:80]!r}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(watch: _Watchdog) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_PlainHandler(watch), _SecureHandler(watch), _Redirects())
