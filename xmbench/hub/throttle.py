"""Limits of the client library of the Hub: time and size of answers, and waiting as long as the Hub asks.

The library (1.x) has no limits, does not read `Retry-After`, and retries after fixed pauses in some calls only. Here
one transport bounds every answer (`bounded`); during a push, a hook also checks every answer (`throttled`): it waits as
long as a busy Hub asks, within a limit, and reports that.
"""

from __future__ import annotations

import functools
import json
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from huggingface_hub import close_session, get_session, set_client_factory
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
    parse_ratelimit_headers,
)

from xmbench.errors import HubError
from xmbench.execution.progress import Progress
from xmbench.storage.files import LARGEST_DOCUMENT, byte_limit

MAX_WAIT_S = 600.0
ANSWER_S = 300.0  # for the headers of an answer once a request is sent, and for its body
TIMEOUTS = httpx.Timeout(connect=30.0, write=120.0, read=ANSWER_S, pool=None)
BUSY = (429, 500, 502, 503, 504)
ASKED_AGAIN = (409, 412, *BUSY)  # retried: the next answer may differ
_CREATING = "another conflicting operation is in progress"


# What the client library raises where an answer is not JSON, or JSON of another shape.
UNUSABLE = (
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
    UnicodeError,
    json.JSONDecodeError,
)


class Refused(httpx.NetworkError):
    """The Hub is busy. A network error, so that the library retries where it can."""


class _Answer(httpx.SyncByteStream):
    """The body of an answer; raises where it takes too long or is larger than any answer of the Hub."""

    def __init__(self, stream: httpx.SyncByteStream, within_s: float) -> None:
        self._stream = stream
        self._until = time.monotonic() + within_s

    def __iter__(self) -> Iterator[bytes]:
        size, largest = 0, byte_limit(LARGEST_DOCUMENT)
        for part in self._stream:
            size += len(part)
            if size > largest:
                raise httpx.DecodingError(f"the answer has more than {largest:,} bytes")
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer does not end")
            yield part

    def close(self) -> None:
        self._stream.close()


class _Question(httpx.SyncByteStream):
    """The body of a request; notes when a part was last read, as large ones take long to send."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream
        self.last_read = time.monotonic()

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            self.last_read = time.monotonic()
            yield part
        self.last_read = time.monotonic()

    def close(self) -> None:
        self._stream.close()


class BoundedTransport(httpx.BaseTransport):
    """Sends requests; an answer whose headers or body take too long, or that is too large, is a network error.

    The time limit of a socket restarts with every byte, so that a server which sends a byte a second can block a reader
    for days: a separate thread waits for the headers, and is abandoned on a timeout.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        # A client and not its bare transport, which does not use proxies.
        self._client = httpx.Client(timeout=TIMEOUTS, verify=_certificates())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request; the answer's body is not read yet.

        Raises:
            httpx.ReadTimeout: no headers of an answer came in time.
            httpx.DecodingError: the answer is compressed, unrequested: a small one could unpack to any size.
        """
        assert isinstance(request.stream, httpx.SyncByteStream)
        question = request.stream = _Question(request.stream)
        request.headers["Accept-Encoding"] = "identity"
        done: queue.SimpleQueue[httpx.Response | Exception] = queue.SimpleQueue()

        def send() -> None:
            try:
                done.put(self._client.send(request, stream=True, follow_redirects=False))
            except Exception as error:  # raised again by the waiting thread
                done.put(error)

        threading.Thread(target=send, daemon=True).start()
        while True:
            left = question.last_read + self._within_s - time.monotonic()
            try:
                answer = done.get(timeout=max(0.01, left))
                break
            except queue.Empty:
                if question.last_read + self._within_s <= time.monotonic():
                    raise httpx.ReadTimeout(f"no answer within {self._within_s:.0f} s", request=request) from None
        if isinstance(answer, Exception):
            raise answer
        if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
            answer.close()
            raise httpx.DecodingError("the answer is compressed, which was not requested", request=request)
        assert isinstance(answer.stream, httpx.SyncByteStream)
        answer.stream = _Answer(answer.stream, self._within_s)
        return answer

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Read once: that takes longer than a request."""
    return httpx.create_ssl_context()


def from_the_library(error: BaseException) -> bool:
    """Whether an error arose inside the client library: the answer is not what it expects."""
    frame = error.__traceback__
    while frame is not None:
        if str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in ("huggingface_hub", "httpx"):
            return True
        frame = frame.tb_next
    return False


class _Throttle:
    """The hook for every answer during a push."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()  # files are sent by several threads
        self._waited_s = 0.0
        self._sent = (0, 0)
        self.active = True

    def __call__(self, answer: httpx.Response) -> None:
        """Checks one answer.

        Raises:
            Refused: the Hub is busy; the time that it asked for has been waited.
            HubError: it asks to wait longer than `MAX_WAIT_S`.
        """
        if not self.active:
            return
        if answer.status_code in BUSY:
            self._wait(answer)
            raise Refused(f"it answers {answer.status_code}")
        if answer.status_code == 409 and answer.request.url.path.endswith("/repos/create"):
            answer.read()
            if _CREATING in answer.text:  # the library would retry at once, forever
                raise Refused("it is creating another repository of yours")
        if answer.request.method == "PUT" and answer.is_success:
            self._count(int(answer.request.headers.get("Content-Length", 0)))

    def _wait(self, answer: httpx.Response) -> None:
        asked = _asked_pause(answer.headers)
        if asked is None:
            self._progress(f"the Hub is busy ({answer.status_code}); retrying")
            return
        with self._lock:
            self._waited_s += asked
            if self._waited_s > MAX_WAIT_S:
                raise HubError(
                    f"the Hub asks to wait for {asked:.0f} s ({answer.status_code})",
                    todo="run the same command again after that: files that arrived completely are not sent again",
                )
            self._progress(f"the Hub asks to wait for {asked:.0f} s ({answer.status_code})")
            time.sleep(asked)

    def _count(self, size: int) -> None:
        with self._lock:
            self._sent = (self._sent[0] + 1, self._sent[1] + size)
            self._progress(f"sent {self._sent[0]} file(s), {self._sent[1] / 1e6:.1f} MB")


def _asked_pause(headers: httpx.Headers) -> float | None:
    """Seconds that the Hub asks to wait, None if it does not say."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, OverflowError):
        until = None
    if until is not None:
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())
    try:
        limit = parse_ratelimit_headers(headers)
    except ValueError:
        return None
    return None if limit is None else float(limit.reset_in_seconds)


@contextmanager
def bounded(within_s: float = ANSWER_S) -> Iterator[None]:
    """The library's answers are bounded inside the block: in time, in size, in redirects."""
    with _session(within_s, []):
        yield


@contextmanager
def throttled(progress: Progress, *, progress_bars: bool) -> Iterator[None]:
    """The library's answers are bounded, and a busy Hub is waited for, inside the block."""
    throttle = _Throttle(progress)
    level, quiet = logging.get_verbosity(), are_progress_bars_disabled()
    logging.set_verbosity_error()  # busy answers are reported here
    if not progress_bars:
        disable_progress_bars()
    try:
        with _session(ANSWER_S, [throttle]):
            yield
    finally:
        throttle.active = False
        logging.set_verbosity(level)
        if not quiet and not progress_bars:
            enable_progress_bars()


@contextmanager
def _session(within_s: float, response_hooks: list[Callable[..., Any]]) -> Iterator[None]:
    own_request_hooks = get_session().event_hooks["request"]

    def client() -> httpx.Client:
        hooks: dict[str, list[Callable[..., Any]]] = {"request": own_request_hooks, "response": response_hooks}
        return httpx.Client(
            transport=BoundedTransport(within_s),
            event_hooks=hooks,
            follow_redirects=True,
            max_redirects=10,
            timeout=TIMEOUTS,
        )

    set_client_factory(client)
    try:
        yield
    finally:
        close_session()
