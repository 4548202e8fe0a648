"""The process in which pyttsx3 runs: it may hang forever, and sometimes loses settings and words.

Reads one JSON request per line, answers with one JSON line. A setting counts as set when it can be read back.
Ends with its input, or when a word exceeds its time limit.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SETTING_TRIES = 5
Settle = Callable[[], object]


def main() -> None:
    """Serves requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the package prints a line for each file

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    try:
        engine, settle = _started(Path(sys.argv[1]))
        answer(status="ready", voices=[_described(voice) for voice in engine.getProperty("voices")])
    except Exception as error:  # whatever a driver raises is reported to the caller
        answer(status="error", detail=f"{type(error).__name__}: {error}")
        return
    for line in sys.stdin:
        request = json.loads(line)
        guard = threading.Timer(request["timeout_s"], os._exit, (3,))
        guard.daemon = True
        guard.start()
        try:
            answer(**_spoken(engine, settle, request))
        except Exception as error:  # as above
            answer(status="error", detail=f"{type(error).__name__}: {error}")
        guard.cancel()


def _started(folder: Path) -> tuple[Any, Settle]:
    """An engine that has spoken once: until then settings are only queued."""
    settle: Settle = lambda: None  # noqa: E731
    if sys.platform in ("win32", "darwin"):
        import pyttsx3

        engine = pyttsx3.init()
    else:
        import espeakng_loader

        # pyttsx3 then finds it under its system name.
        ctypes.CDLL(espeakng_loader.get_library_path(), mode=ctypes.RTLD_GLOBAL)
        import pyttsx3
        from pyttsx3.drivers import _espeak

        engine, settle = pyttsx3.init("espeak"), _espeak.Synchronize
    engine.save_to_file("a", str(folder / "first.wav"))
    engine.runAndWait()
    settle()
    return engine, settle


def _described(voice: Any) -> tuple[str, list[str]]:
    """Name and languages; drivers give languages as text or bytes, with control characters in front."""
    languages = [x.decode("utf-8", "ignore") if isinstance(x, bytes) else str(x) for x in voice.languages or ()]
    return str(voice.id), ["".join(c for c in x if c.isprintable()).replace("_", "-").lower() for x in languages]


def _spoken(engine: Any, settle: Settle, request: dict[str, Any]) -> dict[str, str]:
    """Sets, checks, speaks into the file."""
    wanted = {name: request[name] for name in ("voice", "rate", "pitch") if request[name] is not None}
    found: dict[str, Any] = {}
    for _ in range(SETTING_TRIES):
        for name, value in wanted.items():
            engine.setProperty(name, value)
        settle()
        found = {name: engine.getProperty(name) for name in wanted}
        if all(_same(found[name], value) for name, value in wanted.items()):
            engine.save_to_file(request["word"], request["path"])
            engine.runAndWait()
            settle()
            return {"status": "ok"}
    odd = next(name for name, value in wanted.items() if not _same(found[name], value))
    return {"status": f"wrong-{odd}", "detail": f"{odd} {found[odd]} instead of {wanted[odd]}"}


def _same(found: Any, wanted: Any) -> bool:
    return str(found).lower() == str(wanted).lower()


if __name__ == "__main__":
    main()
