"""pyttsx3: ten words for real, and everything that it is known to do wrong, done by a package of the same name."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.engines import pyttsx3
from xmbench.engines.pyttsx3 import ENGINE, Pyttsx3
from xmbench.errors import PrerequisiteError, UnknownNameError
from xmbench.inspection.validate import validate
from xmbench.interfaces import Rejected
from xmbench.media import audio

# Behaves as one line of `PLAN` says for each file, the first (which primes the engine) always well.
FAKE = """
import os, time, wave
from pathlib import Path
plan = {plan!r}
counter = Path({counter!r})

class Voice:
    id, languages = "gmw/en-us", ["en-us"]

class Engine:
    found = {{"voice": "gmw/en-us", "rate": 200, "pitch": 50}}
    def getProperty(self, name):
        return [Voice()] if name == "voices" else self.found[name]
    def setProperty(self, name, value):
        done = int(counter.read_text())
        if not (name == "rate" and done < len(plan) and plan[done] == "wrong-rate"):
            self.found[name] = value
        elif value != self.found[name]:
            self.tries = getattr(self, "tries", 0) + 1
            if self.tries == 5:
                counter.write_text(str(done + 1))
    def save_to_file(self, word, path):
        self.path = path
    def runAndWait(self):
        if self.path.endswith("first.wav"):
            return
        done = int(counter.read_text())
        counter.write_text(str(done + 1))
        does = plan[done] if done < len(plan) else "well"
        if does == "hang":
            time.sleep(600)
        if does == "crash":
            os._exit(1)
        if does == "raise":
            raise RuntimeError("run loop already started")
        if does == "nothing":
            return
        with wave.open(self.path, "wb") as f:
            f.setnchannels(1), f.setsampwidth(2), f.setframerate(22050)
            f.writeframes(b"" if does == "empty" else bytes(range(250)) * 90)

def init(driver=None):
    if plan and plan[0] == "broken":
        raise RuntimeError("This means you probably do not have eSpeak")
    return Engine()
"""


@pytest.fixture
def real() -> Iterator[Pyttsx3]:
    engine = Pyttsx3()
    yield engine
    engine.close()


class Fake:
    """A package that misbehaves, and how often it was asked for a file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._counter = folder / "count"
        self._counter.write_text("0")
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setattr(pyttsx3, "WORD_TIMEOUT_S", 1.0)
        self.engine = Pyttsx3()

    def does(self, *plan: str) -> Pyttsx3:
        package = self._folder / "pyttsx3" / "drivers"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").write_text(FAKE.format(plan=plan, counter=str(self._counter)))
        (package / "__init__.py").write_text("")
        (package / "_espeak.py").write_text("def Synchronize(): pass\n")
        return self.engine

    @property
    def files(self) -> int:
        return int(self._counter.read_text())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake(tmp_path, monkeypatch)
    yield made
    made.engine.close()


def test_ten_words_by_two_voices_at_two_rates(real: Pyttsx3) -> None:
    voices, lengths = ("gmw/en-us", "gmw/en-us+m3"), []
    for i, word in enumerate(load_recipe("digits-ad").classes.words):
        samples = real.speak(word, voices[i % 2], (110, 220)[i % 2], 50)
        assert isinstance(samples, np.ndarray), samples
        assert np.abs(samples.astype(int)).max() > 3000
        lengths.append(len(audio.trim_silence(samples, real.facts.sample_rate_hz)))
    assert np.mean(lengths[::2]) > 1.4 * np.mean(lengths[1::2])  # the rate is heard, each time


def test_voices_of_the_machine(real: Pyttsx3) -> None:
    assert real.voices("en")[0] == "gmw/en-us"
    assert real.voices("de") == ("gmw/de",)
    real.check_voices(("gmw/en-us", "gmw/en-US+M3"))
    with pytest.raises(UnknownNameError) as caught:
        real.check_voices(("en-us", "gmw/en-us+nobody"))
    assert "did you mean 'gmw/en-us'" in str(caught.value)
    assert "no variant 'nobody'" in str(caught.value)


def test_a_data_set_says_that_it_cannot_be_repeated(tmp_path: Path) -> None:
    dataset = build(load_recipe("digits-ad"), tmp_path / "out", limit=20, speech="pyttsx3")
    assert {row["speaker"] for row in dataset.rows("train", ["speaker"])} == {"gmw/en-us"}
    assert not dataset.manifest.sources["speech"].repeatable
    assert "**Not repeatable**: pyttsx3" in (dataset.folder / "README.md").read_text()
    assert validate(dataset).problems == []
    assert build(load_recipe("digits-ad"), tmp_path / "two", limit=20, speech="pyttsx3").digest == dataset.digest
    ENGINE.close()


@pytest.mark.parametrize("trouble", ["empty", "nothing", "hang", "crash", "raise", "wrong-rate"])
def test_one_trouble_is_overcome(fake: Fake, trouble: str) -> None:
    engine = fake.does(trouble)
    samples = engine.speak("seven", "gmw/en-us", 130, 50)
    assert isinstance(samples, np.ndarray), samples
    assert len(samples) == 11250
    assert fake.files == 2


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("empty", "empty"),
        ("hang", "timeout"),
        ("crash", "timeout"),
        ("raise", "engine-error"),
        ("wrong-rate", "wrong-rate"),
    ],
)
def test_three_troubles_are_told(fake: Fake, trouble: str, reason: str) -> None:
    engine = fake.does(trouble, trouble, trouble)
    begun = time.monotonic()
    said = engine.speak("seven", "gmw/en-us", 130, 50)
    assert isinstance(said, Rejected)
    assert (said.reason, said.temporary, said.filtered) == (reason, True, False)
    assert "'seven' by gmw/en-us at 130 words per minute, 3 times" in said.detail
    assert time.monotonic() - begun < 40
    assert isinstance(engine.speak("seven", "gmw/en-us", 130, 50), np.ndarray)


def test_a_process_that_hangs_ends_without_its_parent(fake: Fake) -> None:
    """Killed parents leave no sleeping children: the process watches its own time."""
    engine = fake.does("hang")
    worker = engine._started()
    process = worker._process
    assert process.stdin is not None
    process.stdin.write(
        '{"word": "a", "voice": "gmw/en-us", "rate": 100, "pitch": 50, "timeout_s": 0.3, "path": "x"}\n'
    )
    process.stdin.flush()
    assert process.wait(timeout=20) == 3


def test_no_driver_is_a_prerequisite(fake: Fake) -> None:
    with pytest.raises(PrerequisiteError, match="probably do not have eSpeak"):
        fake.does("broken").check_voices(("gmw/en-us",))


def test_the_fake_is_a_module() -> None:
    compile(textwrap.dedent(FAKE.format(plan=(), counter="x")), "fake", "exec")
