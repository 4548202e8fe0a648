"""pyttsx3: the voices of the machine. On Linux those of eSpeak NG (from the `espeakng-loader` wheel).

It runs in a separate process with a time limit for each word, because it can hang forever; its output is checked, and
a failed word is retried. On Linux the library keeps state from word to word, so that a word never sounds exactly the
same twice: two builds differ unless they share a cache. The drivers of Windows and macOS are used as the package
provides them.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.engines import _espeak
from xmbench.errors import MediaError, PrerequisiteError, UnknownNameError, nearest
from xmbench.interfaces import EngineFacts, Rejected
from xmbench.media import audio

START_TIMEOUT_S = 60.0
WORD_TIMEOUT_S = 20.0
TRIES = 3
_ON_ESPEAK = sys.platform not in ("win32", "darwin")


class Worker:
    """The process that speaks, with its directory. Replaced after a word that crashed it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xmb-")
        self._answers: queue.Queue[str] = queue.Queue()
        self.path = Path(self._folder.name) / "spoken.wav"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "xmbench.engines._pyttsx3_worker", self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=_environment(),
        )
        threading.Thread(target=self._read_answers, daemon=True).start()
        started = self._answer(START_TIMEOUT_S)
        if started.get("status") != "ready":
            self.end()
            raise PrerequisiteError(
                f"pyttsx3 does not start ({started.get('detail', 'no answer')})",
                expected="a working speech driver",
                todo="choose another engine: xmbench list engines",
            )
        self.voices: dict[str, list[str]] = {name.lower(): languages for name, languages in started["voices"]}

    def ask(self, **request: Any) -> dict[str, Any]:
        """Speaks one word into `path`; {"status": "timeout"} where the process hung or died."""
        self.path.unlink(missing_ok=True)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({**request, "path": str(self.path), "timeout_s": WORD_TIMEOUT_S}))
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except OSError:
            return {"status": "timeout", "detail": "its process has ended"}
        return self._answer(WORD_TIMEOUT_S)

    def end(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # unread requests
                    stream.close()
        self._folder.cleanup()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._answers.put(line)
        except ValueError:
            return  # closed by `end`
        self._answers.put("")

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            line = ""
        missing = {"status": "timeout", "detail": f"no answer within {timeout_s:g} s"}
        return dict(json.loads(line)) if line else missing


class Pyttsx3:
    """The voices of the machine."""

    facts = EngineFacts(
        "pyttsx3",
        22050,
        rates=_espeak.RATES_WPM,
        pitches=_espeak.PITCHES if _ON_ESPEAK else None,
        repeatable=False,
        seconds_per_word=0.05,
        licence="CC0-1.0" if _ON_ESPEAK else "",
        redistributable=_ON_ESPEAK,
        homepage="https://github.com/nateshmbhat/pyttsx3",
    )

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def version(self) -> str:
        """Version of the package and of its speech driver."""
        try:
            package = installed("pyttsx3")
        except PackageNotFoundError as error:
            raise PrerequisiteError("the package pyttsx3 is not installed", todo="pip install pyttsx3") from error
        return f"{package} ({f'espeak-ng {_espeak.version()}' if _ON_ESPEAK else sys.platform})"

    def voices(self, language: str) -> tuple[str, ...]:
        """The machine's voices of a language; on Linux the American one first, as for `espeak-ng`."""
        there = self._started().voices.items()
        found = [name for name, tongues in there if any(t.split("-")[0] == language for t in tongues)]
        return tuple(sorted(found, key=lambda name: (not name.endswith("/en-us"), name)))

    def check_voices(self, voices: tuple[str, ...]) -> None:
        """Raises UnknownNameError with every voice that the machine does not have."""
        self.version()
        known, problems = self._started().voices, []
        for voice in voices:
            base, plus, variant = voice.lower().partition("+") if _ON_ESPEAK else (voice.lower(), "", "")
            if base not in known:
                problems.append(f"'{voice}': {nearest(base, known)}")
            elif plus and variant not in {name.lower() for name in _espeak.variants()}:
                problems.append(f"'{voice}': no variant '{variant}'")
        if problems:
            raise UnknownNameError(
                "voices that cannot be used",
                where=f"pyttsx3 {self.version()}",
                problems=problems,
                expected="a voice of this machine, like gmw/en-us or gmw/en-us+f1" if _ON_ESPEAK else None,
            )

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16] | Rejected:
        """Samples int16 (T,) at 22,050 Hz; a word that fails three times is a temporary failure."""
        request = {"word": word, "voice": voice, "rate": rate, "pitch": pitch if self.facts.pitches else None}
        reason = detail = ""
        with self._lock:
            for _ in range(TRIES):
                worker = self._started()
                answer = worker.ask(**request)
                reason, detail = str(answer["status"]), str(answer.get("detail", ""))
                if reason == "ok":
                    samples = self._samples(worker.path)
                    if len(samples):
                        return samples
                    reason, detail = "empty", "the file that it wrote has no sound"
                else:
                    self.close()
        tried = f"'{word}' by {voice} at {rate} words per minute, {TRIES} times: {detail}"
        return Rejected("speech", reason if reason != "error" else "engine-error", tried, temporary=True)

    def close(self) -> None:
        """Ends the process; the next word starts a new one."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _started(self) -> Worker:
        if self._worker is None:
            self._worker = Worker()
        return self._worker

    def _samples(self, path: Path) -> NDArray[np.int16]:
        """The samples of the file; none where it is missing, empty or not a sound."""
        try:
            samples, rate_hz = audio.decode(path.read_bytes())
        except (OSError, MediaError):
            return np.zeros(0, dtype=np.int16)
        mono = samples.mean(axis=1, dtype=np.float32)
        return audio.to_int16(audio.resample(mono, rate_hz, self.facts.sample_rate_hz))


def _environment() -> dict[str, str]:
    """This process's environment, with the paths of this package and of the voices."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), root]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    return {**found, "ESPEAK_DATA_PATH": _espeak.data_path()} if _ON_ESPEAK else found


ENGINE = Pyttsx3()
