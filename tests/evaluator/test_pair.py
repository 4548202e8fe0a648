"""`score_pair` and `pair`: equal to the reference libraries, clear about what it cannot score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import xmbench
from tests.conftest import shared
from tests.making import wav
from xmbench.cli import app
from xmbench.errors import MediaError, SubmissionError
from xmbench.evaluator.pair import METRICS, score_files
from xmbench.evaluator.pair_list import read_list

# Our name -> the name in the reference file, and the protocol's tolerance.
COLUMNS = {
    "pesq": ("pesq_raw", 1e-6),
    "pesq-nb": ("pesq_nb", 1e-6),
    "pesq-wb": ("pesq_wb", 1e-6),
    "stoi": ("stoi", 1e-6),
    "stoi-strict": ("stoi_strict", 1e-6),
    "corr2d": ("corr2d", 1e-3),
    "corr2d-linear": ("corr2d_linear", 1e-3),
}


def test_every_reference_pair_matches() -> None:
    folder = shared("reference", "metrics")
    arrays = np.load(folder / "speech_pairs.npz")
    pairs: list[dict[str, Any]] = json.loads((folder / "speech_pairs.json").read_text())
    assert len(pairs) == 36
    for pair in pairs:
        found = xmbench.score_pair(arrays[f"ref_{pair['id']:03d}"], arrays[f"deg_{pair['id']:03d}"], 16000)
        for ours, (theirs, tolerance) in COLUMNS.items():
            assert found[ours] == (None if pair[theirs] is None else pytest.approx(pair[theirs], abs=tolerance)), (
                pair["kind"],
                ours,
            )
        if pair["estoi_strict"] is not None:
            assert found["estoi"] == pytest.approx(pair["estoi_strict"], abs=1e-6)


def tone(seconds: float = 0.8, rate: int = 22050) -> np.ndarray:
    """Something speech-like enough for every metric: modulated harmonics and a little noise."""
    t = np.arange(int(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    noise = np.random.default_rng(1).normal(0, 0.01, len(t))
    return np.asarray(0.1 * voice * (1 + np.sin(2 * np.pi * 4 * t)) + noise, dtype=np.float32)


def test_a_sound_against_itself_is_perfect() -> None:
    found = xmbench.score_pair(tone(), tone(), 22050)
    assert found["status"] == "ok"
    assert found["corr2d"] == pytest.approx(1.0)
    assert found["stoi"] == pytest.approx(1.0)
    assert found["pesq"] == pytest.approx(4.5, abs=1e-3)


@pytest.mark.parametrize(
    ("reference", "output", "status"),
    [
        (tone(), np.zeros(17640), "silent"),
        (tone(), np.full(17640, np.nan), "non-finite"),
        (np.zeros(17640), tone(), "reference-unscorable"),
        (tone(0.1), tone(0.1), "too-short"),
    ],
)
def test_what_cannot_be_scored_has_a_status_and_no_number(
    reference: np.ndarray, output: np.ndarray, status: str
) -> None:
    found = xmbench.score_pair(reference, output, 22050)
    assert found["status"] == status
    assert not any(np.isnan(found[name]) for name in METRICS if found[name] is not None)


def test_a_shorter_output_is_padded_to_the_reference() -> None:
    sound = tone()
    padded = np.concatenate([sound[:12000], np.zeros(len(sound) - 12000, dtype=np.float32)])
    assert xmbench.score_pair(sound, sound[:12000], 22050) == xmbench.score_pair(sound, padded, 22050)


def test_files_of_two_rates_and_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(tone(), 22050))
    (tmp_path / "b.wav").write_bytes(wav(tone(rate=16000), 16000))
    (tmp_path / "pairs.csv").write_text("id,reference,output\nx,a.wav,b.wav\n")
    (job,) = read_list(tmp_path / "pairs.csv")
    assert (job.id, job.fault) == ("x", "")
    assert job.reference is not None
    assert job.output is not None
    assert score_files(job.reference, job.output)["corr2d"] > 0.95


def test_bad_files_and_lists_are_explained(tmp_path: Path) -> None:
    (tmp_path / "stereo.wav").write_bytes(wav(np.stack([tone(), tone()], axis=1)))
    (tmp_path / "text.wav").write_text("no sound")
    for name, words in [
        ("stereo.wav", "2 channels"),
        ("text.wav", "not a readable audio file"),
        ("gone.wav", "cannot be read"),
    ]:
        with pytest.raises(MediaError, match=words):
            score_files(tmp_path / name, tmp_path / name)
    (tmp_path / "list.csv").write_text("id,reference\n1,a.wav\n")
    with pytest.raises(SubmissionError, match="column output missing"):
        read_list(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("id,reference,output\n1,a.wav,b.wav\n2,c.wav,d.wav\n")
    with pytest.raises(SubmissionError) as caught:
        read_list(tmp_path / "list.csv")
    assert len(caught.value.problems) == 4
    with pytest.raises(MediaError):
        xmbench.score_pair(np.zeros((2, 2)), np.zeros(4), 16000)


def test_one_bad_file_of_a_list_costs_only_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(tone(), 22050))
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "pairs.csv").write_text("id,reference,output\nx,a.wav,text.wav\ny,a.wav,a.wav\nz,text.wav,a.wav\n")
    run = CliRunner().invoke(app, ["pair", "--list", str(tmp_path / "pairs.csv"), "--json"])
    assert run.exit_code == 1
    found = {row["id"]: row for row in map(json.loads, run.stdout.splitlines())}
    assert {name: row["status"] for name, row in found.items()} == {
        "x": "unreadable",
        "y": "ok",
        "z": "reference-unscorable",
    }
    assert found["x"]["corr2d"] is None
    assert found["y"]["corr2d"] == pytest.approx(1.0)
    assert "BytesIO" not in run.stdout + run.stderr
    assert "2 of 3 pairs" in run.stderr


def test_an_id_that_appears_twice_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(tone(), 22050))
    (tmp_path / "pairs.csv").write_text("id,reference,output\nx,a.wav,a.wav\nx,a.wav,a.wav\n")
    run = CliRunner().invoke(app, ["pair", "--list", str(tmp_path / "pairs.csv")])
    assert (run.exit_code, run.stdout) == (2, "")
    assert "appears 2 times" in run.stderr
