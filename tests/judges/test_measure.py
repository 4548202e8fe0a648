"""The script that measures a stored judge on recordings in the layout of Google's Speech Commands."""

from __future__ import annotations

import io
import json
import runpy
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import ROOT, shared
from xmbench.media.audio import resample

SCRIPT = ROOT / "recipes" / "judges" / "measure.py"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE_HZ = 16_000
Measure = Callable[[list[str]], None]


@pytest.fixture(scope="module")
def measure() -> Measure:
    main: Measure = runpy.run_path(str(SCRIPT))["main"]
    return main


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real clips of each digit; reversed digits as the words bird and cat; noise of 2.5 s as the background."""
    archive, folder = shared("data", "fsdd", "fsdd_flac.zip"), tmp_path_factory.mktemp("speech_commands")

    def write(word: str, name: str, samples: np.ndarray) -> None:
        (folder / word).mkdir(exist_ok=True)
        soundfile.write(folder / word / name, samples, RATE_HZ)

    with zipfile.ZipFile(archive) as stored:
        for name in stored.namelist():
            digit, _, take = name.split("/")[-1].removesuffix(".flac").partition("_")
            if name.endswith(".flac") and take in ("jackson_0", "theo_0"):
                samples, rate = soundfile.read(io.BytesIO(stored.read(name)), dtype="float32")
                clip, speaker = resample(samples, rate, RATE_HZ), take.split("_")[0]
                write(WORDS[int(digit)], f"{speaker}_nohash_0.wav", clip)
                write("bird" if int(digit) % 2 else "cat", f"{speaker}_nohash_{digit}.wav", clip[::-1])
    noise = np.random.default_rng(0).normal(0, 0.05, int(2.5 * RATE_HZ))
    write("_background_noise_", "white_noise.wav", noise.astype(np.float32))
    return folder


def test_the_layout_of_speech_commands_is_measured(
    measure: Measure, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(["digits", "--source", str(corpus), "--json", str(tmp_path / "found.json")])
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    words = found["accuracy"]["Speech Commands"]
    assert words["n"] == 20
    assert set(words["by_speaker"]) == {"jackson", "theo"}
    assert words["accuracy"] >= 0.6
    assert found["false_accepts"]["other-words"]["n"] == 20
    assert found["false_accepts"]["other-words: bird"]["n"] == 10
    assert found["false_accepts"]["background-noise"] == {"share": 0.0, "n": 2, "by_class": {}}
    assert set(found["accepted_when_90_percent_are_kept"]["Speech Commands"]) == set(found["false_accepts"])
    for said in (f"accuracy {words['accuracy']:.4f} (n = 20)", "at 90% of Speech Commands", "other-words: cat", "theo"):
        assert said in printed


def test_recordings_and_sounds_are_measured_and_a_limit_is_kept(
    measure: Measure, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in WORDS:
        for path in (corpus / word).glob("*.wav"):
            (tmp_path / f"{word}_{path.name}").write_bytes(path.read_bytes())
    sounds, found = tmp_path / "sounds" / "hiss", tmp_path / "found.json"
    sounds.mkdir(parents=True)
    (sounds / "a.wav").write_bytes((corpus / "_background_noise_" / "white_noise.wav").read_bytes())
    given = ["digits-second", "--recordings", str(tmp_path), "--sounds", str(tmp_path / "sounds"), "--limit", "1"]
    measure([*given, "--json", str(found)])
    record = json.loads(found.read_text())
    assert record["accuracy"]["recordings"]["n"] == 10
    assert record["calibration"]["recordings"]["bins"] == 15
    counts = {kind: value["n"] for kind, value in record["false_accepts"].items()}
    assert counts == {"noise": 200, "reversed": 10, "half-words": 20, "hiss": 1}
    assert "calibration error" in capsys.readouterr().out


def test_what_is_missing_is_said_in_one_message(
    measure: Measure, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bird").mkdir()
    cases = {
        ("nobody", "--source", str(tmp_path)): "no judge 'nobody'",
        ("digits", "--source", str(tmp_path)): "none of the judge's words",
        ("digits", "--recordings", str(tmp_path)): "none of the judge's words",
        ("digits",): "without real words",
    }
    monkeypatch.setattr(sys, "argv", ["measure.py"])
    for given, said in cases.items():
        with pytest.raises(SystemExit) as caught:
            measure(list(given))
        assert caught.value.code == 2
        assert said in capsys.readouterr().err
