"""Table 1 of Chen et al. on a built set: what is trained on what, what is printed, what is not repeated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from xmbench.cli import app
from xmbench.errors import OutputError, UnknownNameError, UnsuitableDatasetError
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import AudioFormat, Examples, ImageFormat, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.class_encoders import SoundClassifier
from xmbench.networks.sound_features import FEATURES, features, size
from xmbench.studies import feature_classifier
from xmbench.studies.feature_classifier import Pictures, Settings, recognised, trained
from xmbench.studies.sound_features import REPORTED, compare_features
from xmbench.training import Tensors

TASK = Task(("flute", "organ", "reed"), (), ImageFormat(4, 4, 3), AudioFormat(44100, 8820, 0.1, 0.3))
TINY = Settings(widths=(2, 2, 2, 2), hidden=8, learning_rate=1e-3, epochs=1, min_steps=3, batch=8)


def takes_of(seed: int, takes: int = 4, windows: int = 6) -> Examples:
    """Takes of three instruments: the first harmonic, the odd ones, all; a pitch for each window."""
    random = np.random.default_rng(seed)
    time, clips, labels, groups = np.arange(8820) / 44100, [], [], []
    for take in range(3 * takes):
        for _ in range(windows):
            pitch, label = random.uniform(200, 400), take % 3
            numbers = {0: [1], 1: [1, 3, 5, 7], 2: list(range(1, 13))}[label]
            tone = sum(np.sin(2 * np.pi * pitch * n * time + n) for n in numbers) / len(numbers)
            clips.append(0.2 * tone + random.normal(0, 0.002, len(time)))
            labels.append(label)
            groups.append(f"take-{seed}-{take}")
    count = len(clips)
    ids = tuple(f"item-{seed}-{i:03d}" for i in range(count))
    images = np.zeros((count, 4, 4, 3), dtype=np.uint8)
    stored = (np.stack(clips) * 32768).astype(np.int16)
    return Examples(ids, np.array(labels), images, stored, np.arange(count), tuple(groups))


def run_in(folder: Path) -> Run:
    return Run(folder, 0, "cpu", True, lambda _line: None)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


# --------------------------------------------------------------------------------------------- one classifier
def test_classifiers_have_the_printed_layers_for_every_picture() -> None:
    for name in FEATURES:
        shape = size(name, 22050)
        for depth in (3, 4):
            net = SoundClassifier(13, (32, 64, 128, 256)[:depth], 512, shape)
            layers = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
            assert len(layers) == depth
            assert [layer.out_features for layer in net.modules() if isinstance(layer, torch.nn.Linear)] == [
                512,
                128,
                13,
            ]
            assert net(torch.randn(2, 1, *shape)).shape == (2, 13)
    whole = SoundClassifier(13)  # 128 x 34 unless it is said: both 34 and 44 frames become two columns
    assert whole.features[1].in_features == 256 * 8 * 2


def test_the_scale_is_that_of_the_items_that_are_trained_on(tmp_path: Path) -> None:
    examples = takes_of(0)
    examples.clips[[group == "take-0-0" for group in examples.groups]] *= 2
    data = Tensors(examples, run_in(tmp_path))
    assert len(data.held_out) > 0
    pictures = Pictures("mel", examples, data, TASK, "cpu")
    own = features("mel", 44100)(torch.from_numpy(to_float(examples.clips[data.rows.numpy()])))
    assert pictures.mean == pytest.approx(float(own.mean()), rel=1e-4)
    assert pictures.deviation == pytest.approx(float(own.std(correction=0)), rel=1e-3)
    assert float(pictures.of_clips(data.rows).mean()) == pytest.approx(0.0, abs=1e-3)


def test_pictures_that_are_not_kept_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = takes_of(0, takes=1)
    data = Tensors(examples, run_in(tmp_path))
    kept = Pictures("stft", examples, data, TASK, "cpu")
    monkeypatch.setattr(feature_classifier, "KEPT_BYTES", 0)
    made = Pictures("stft", examples, data, TASK, "cpu")
    some = torch.tensor([4, 0, 9])
    torch.testing.assert_close(kept.of_clips(some), made.of_clips(some))
    torch.testing.assert_close(kept.of_clips(some), kept.of_waveforms(data.waveforms(some)))


def test_instruments_of_new_takes_are_told_apart(tmp_path: Path) -> None:
    examples, new = takes_of(0), takes_of(1)
    run = run_in(tmp_path)
    data = Tensors(examples, run)
    settings = Settings(widths=(4, 8, 8), hidden=16, learning_rate=3e-3, epochs=1, min_steps=80, batch=16)
    pictures = Pictures("log-mel", examples, data, TASK, "cpu")
    net = trained("log-mel", 3, pictures, data, TASK, settings, run)
    assert (recognised(net, pictures, new.clips, "cpu") == new.labels).mean() > 0.9


@pytest.mark.parametrize(
    ("name", "rate", "samples"), [("cqt", 8000, 8000), ("mel", 44100, 2048), ("mfcc", 44100, 4096)]
)
def test_clips_without_such_a_picture_are_refused(tmp_path: Path, name: str, rate: int, samples: int) -> None:
    task = dataclasses.replace(TASK, audio=AudioFormat(rate, samples, 0.0, 9.0))
    examples = dataclasses.replace(takes_of(0, takes=1), clips=np.zeros((18, samples), dtype=np.int16))
    run = run_in(tmp_path)
    data = Tensors(examples, run)
    with pytest.raises(UnsuitableDatasetError):
        trained(name, 4, Pictures(name, examples, data, task, "cpu"), data, task, TINY, run)


# -------------------------------------------------------------------------------------------------- the table
def test_the_table_of_a_built_set_and_a_second_time_without_training(tmp_path: Path, digits: Dataset) -> None:
    asked = {"names": ["mfcc", "log-mel"], "seeds": [0, 2], "settings": TINY}
    table = compare_features(digits, tmp_path, **asked)  # type: ignore[arg-type]
    assert [(row.features, row.convolutions) for row in table.table] == [
        (name, depth) for name in ("mfcc", "log-mel") for depth in (3, 4)
    ]
    assert (table.items, table.takes) == (40, 40)
    assert table.most_frequent == pytest.approx(0.1)
    for row in table.table:
        assert len(row.by_seed) == 2
        assert row.accuracy == pytest.approx(sum(row.by_seed) / 2)
        assert row.low is not None
        assert row.high is not None
        assert row.low <= row.accuracy <= row.high
        assert row.reported == REPORTED[row.features, row.convolutions]
    stored = json.loads((tmp_path / "table.json").read_text())
    assert stored["schema"] == "xmbench/sound-features/1"
    assert stored["dataset_digest"] == digits.digest
    weights = tmp_path / "seed-0" / "checkpoints" / "log-mel-4.safetensors"
    before = weights.stat().st_mtime_ns
    assert compare_features(digits, tmp_path, **asked) == table  # type: ignore[arg-type]
    assert weights.stat().st_mtime_ns == before
    with pytest.raises(OutputError):
        compare_features(digits, tmp_path, **{**asked, "settings": TINY.model_copy(update={"hidden": 9})})  # type: ignore[arg-type]


def test_an_unknown_name_is_told_before_anything_is_read(tmp_path: Path, digits: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="log-mell"):
        compare_features(digits, tmp_path / "out", names=["log-mell"])
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_table(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.studies.sound_features.PRESETS", {"lite": TINY})
    monkeypatch.chdir(tmp_path)
    asked = ["compare-features", str(digits.folder), "--preset", "lite", "--features", "log-mel", "--seeds", "0"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("log-mel ")] == [["log-mel", "3"], ["log-mel", "4"]]
    assert "on 40 test items of 40 takes; the most frequent class is 0.1000" in lines
    assert (tmp_path / "runs" / "digits-ad" / "features-lite" / "table.json").is_file()
