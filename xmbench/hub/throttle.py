"""How the client library talks to the Hub during a push: with time limits, waiting as long as it is asked to.

The library (1.x) has no time limit, does not read `Retry-After`, and tries again after fixed pauses in some calls
only. Here one hook sees every answer: a busy Hub's wish is obeyed, within a limit, and said.
"""

from __future__ import annotations

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

MAX_WAIT_S = 600.0
TIMEOUTS = httpx.Timeout(connect=30.0, write=120.0, read=300.0, pool=None)
BUSY = (429, 500, 502, 503, 504)
ASKED_AGAIN = (409, 412, *BUSY)  # tried again: the next answer may be another one
_CREATING = "another conflicting operation is in progress"


class Refused(httpx.NetworkError):
    """The Hub is busy. A network error, so that the library tries again wherever it does so."""


class _Manners:
    """The hook."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()  # files are sent by several threads
        self._waited_s = 0.0
        self._sent = (0, 0)
        self.active = True

    def __call__(self, answer: httpx.Response) -> None:
        """Looks at one answer.

        Raises:
            Refused: the Hub is busy; what it asked to wait was waited.
            HubError: it asks to wait for longer than is polite to let a user wait without a word.
        """
        if not self.active:
            return
        if answer.status_code in BUSY:
            self._wait(answer)
            raise Refused(f"it answers {answer.status_code}")
        if answer.status_code == 409 and answer.request.url.path.endswith("/repos/create"):
            answer.read()
            if _CREATING in answer.text:  # the library would ask again at once, for ever
                raise Refused("it is making another repository of yours")
        if answer.request.method == "PUT" and answer.is_success:
            self._count(int(answer.request.headers.get("Content-Length", 0)))

    def _wait(self, answer: httpx.Response) -> None:
        asked = _asked_pause(answer.headers)
        if asked is None:
            self._progress(f"the Hub is busy ({answer.status_code}); trying again")
            return
        with self._lock:
            self._waited_s += asked
            if self._waited_s > MAX_WAIT_S:
                raise HubError(
                    f"the Hub asks to wait for {asked:.0f} s ({answer.status_code})",
                    todo="run the same command again after that: files that arrived whole are not sent again",
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
    except ValueError:
        until = None
    if until is not None:
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())
    limit = parse_ratelimit_headers(headers)
    return None if limit is None else float(limit.reset_in_seconds)


@contextmanager
def polite(progress: Progress, *, progress_bars: bool) -> Iterator[None]:
    """The library behaves like this inside the block, and as it always does after it."""
    manners = _Manners(progress)
    own_request_hooks = get_session().event_hooks["request"]

    def client() -> httpx.Client:
        hooks: dict[str, list[Callable[..., Any]]] = {"request": own_request_hooks, "response": [manners]}
        return httpx.Client(event_hooks=hooks, follow_redirects=True, timeout=TIMEOUTS)

    level, quiet = logging.get_verbosity(), are_progress_bars_disabled()
    set_client_factory(client)
    logging.set_verbosity_error()  # what it says of busy answers is said here
    if not progress_bars:
        disable_progress_bars()
    try:
        yield
    finally:
        manners.active = False
        close_session()
        logging.set_verbosity(level)
        if not quiet and not progress_bars:
            enable_progress_bars()
