"""Single items by address: fetched one by one, with pauses, and kept in the cache.

The pace changes no item, so it is not part of a recipe: two environment variables set it.
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.parse
from pathlib import Path

from xmbench.builder.upstream.contents import WrongContentError
from xmbench.builder.upstream.transfer import TooSlowError, receive
from xmbench.execution.progress import silent
from xmbench.interfaces import Rejected
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import byte_limit, make_folder
from xmbench.storage.locks import locked
from xmbench.storage.variables import number_of

PAUSE_VARIABLE = "XMBENCH_ITEM_PAUSE_S"
REQUESTS_VARIABLE = "XMBENCH_ITEM_REQUESTS"
LARGEST_ITEM = 1 << 30
_DEFAULT_PAUSE_S = 1.0
_DEFAULT_REQUESTS = 100_000
_GONE = {400, 401, 403, 404, 405, 410, 451}
_BUSY = {429, 503}


class Items:
    """Fetches items for one process; the pause applies to all processes of this machine, by a file per host.

    Attributes:
        requests: number of requests made.
    """

    def __init__(self, offline: bool) -> None:
        self._offline = offline
        self._refused: dict[str, str] = {}
        self.requests = 0

    def fetch(self, url: str) -> Path | Rejected:
        """The file of an item, or why there is none; a busy host is not asked again.

        Raises:
            DocumentError: a variable of the environment is not a number.
            OutputError: the cache cannot be written.
        """
        key = hashlib.sha256(url.encode(errors="replace")).hexdigest()
        path = cache_folder() / "items" / key[:2] / key
        if path.is_file():
            return path
        if self._offline:
            return _failed("offline", f"{url[:200]}: not in the cache, and --offline forbids fetching it")
        try:
            host = urllib.parse.urlsplit(url).hostname or ""
        except ValueError:
            host = ""
        if not host or not url.startswith(("https://", "http://")):
            return Rejected("fetch", "bad-address", f"{url[:200]!r} is not an http(s) address")
        if host in self._refused:
            return _failed("busy", f"{url[:200]}: not requested after this failure: {self._refused[host]}")
        if self.requests >= number_of(REQUESTS_VARIABLE, _DEFAULT_REQUESTS):
            return _failed("request-limit", f"{self.requests} requests were made, the limit of {REQUESTS_VARIABLE}")
        make_folder(path.parent)
        with locked(path.with_name(f"{key}.lock"), wait=True):
            return path if path.is_file() else self._asked(url, host, path)

    def _asked(self, url: str, host: str, path: Path) -> Path | Rejected:
        part = path.with_name(f"{path.name}.part")
        wait_for_turn(host, number_of(PAUSE_VARIABLE, _DEFAULT_PAUSE_S))
        self.requests += 1
        try:
            receive(url, {}, part, byte_limit(LARGEST_ITEM), silent)
        except WrongContentError as error:
            return Rejected("fetch", "wrong-content", f"{url[:200]}: {error}")
        except urllib.error.HTTPError as error:
            said = f"{url[:200]}: the server answered {error.code} {error.reason}"
            if error.code in _GONE:
                return Rejected("fetch", f"http-{error.code}", said)
            if error.code in _BUSY:
                self._refused[host] = said
            part.unlink(missing_ok=True)
            return _failed(f"http-{error.code}", said)
        except (OSError, http.client.HTTPException, ValueError, TooSlowError) as error:
            return _failed("unreachable", f"{url[:200]}: {str(error)[:200]}")
        if part.stat().st_size == 0:
            part.unlink()
            return _failed("empty", f"{url[:200]}: an empty answer")
        part.replace(path)
        return path


def wait_for_turn(host: str, pause_s: float) -> None:
    """Waits until the pause since this machine's last request to a host is over, and records this one."""
    name = hashlib.sha256(host.encode()).hexdigest()[:16]
    mark = make_folder(cache_folder() / "items" / "hosts") / name
    with locked(mark.with_suffix(".lock"), wait=True):
        if mark.exists():
            time.sleep(min(pause_s, max(0.0, mark.stat().st_mtime + pause_s - time.time())))
        mark.touch()


def _failed(reason: str, detail: str) -> Rejected:
    return Rejected("fetch", reason, detail, temporary=True)
