"""memorisation: copies of training items score 1, real items the 5 % that they set, on real handwriting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.drawing import draw
from xmbench.errors import PrerequisiteError
from xmbench.evaluator import training_items
from xmbench.evaluator.evaluate import Scored, score
from xmbench.evaluator.judge import load_judges
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.interfaces import Pair, ScoringContext
from xmbench.judges import training_embeddings
from xmbench.media.signal import Picture
from xmbench.metrics import memorisation

METRICS = ("memorisation",)
Pixels = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test."""
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    memorisation._read.cache_clear()
    return tmp_path / "cache"


def scored(dataset: Dataset, folder: Path, **options: Any) -> Scored:
    track = dataset.recipe.track("a2i")
    assert track is not None
    return score(folder, dataset, metrics=METRICS, judge=load_judges(dataset, track)[0], **options)


def value(dataset: Dataset, folder: Path, **options: Any) -> float:
    found = scored(dataset, folder, **options).result.scores["memorisation"].value
    assert found is not None
    return found


def dithered(pixels: NDArray[Any], seed: int) -> Pixels:
    """One grey value more or less at every pixel."""
    step = np.random.default_rng(seed).integers(-1, 2, pixels.shape)
    return np.asarray(np.clip(pixels.astype(int) + step, 0, 255), dtype=np.uint8)


def test_references_set_the_level_copies_are_found_and_noise_hides_none(digits: Dataset, tmp_path: Path) -> None:
    train = read_examples(digits)
    copies = {k: train.images[train.labels == k] for k in range(10)}
    assert value(digits, draw(digits, tmp_path / "a")) == pytest.approx(0.05, abs=0.03)
    noisy = draw(digits, tmp_path / "b", lambda i, _k, x: dithered(x, len(i)))
    assert value(digits, noisy) == pytest.approx(0.05, abs=0.06)
    assert value(digits, draw(digits, tmp_path / "c", lambda _i, k, _x: copies[k][0])) == 1
    assert value(digits, draw(digits, tmp_path / "d", lambda _i, k, _x: dithered(copies[k][-1], k))) == 1
    assert value(digits, draw(digits, tmp_path / "e", lambda _i, k, _x: copies[(k + 1) % 10][0])) == 1
    noise = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    assert value(digits, draw(digits, tmp_path / "f", lambda *_: noise)) == 0


def test_a_failed_item_counts_as_a_copy(digits: Dataset, tmp_path: Path) -> None:
    found = scored(digits, draw(digits, tmp_path / "s", lambda i, _k, x: None if i[-1] in "0123" else x))
    whole = value(digits, draw(digits, tmp_path / "whole"))
    one = found.result.scores["memorisation"]
    assert one.value is not None
    assert one.value >= max(whole, 1 - one.coverage - 1e-12)
    assert value(digits, draw(digits, tmp_path / "none", lambda *_: None)) == 1


def test_the_training_split_is_embedded_once_and_workers_read_it(
    digits: Dataset, tmp_path: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw(digits, tmp_path / "s", lambda i, _k, x: dithered(x, len(i)))
    first = scored(digits, folder)
    kept = {path: path.stat().st_mtime_ns for path in fresh.rglob("*-training.npy")}
    assert len(kept) == 2

    def refuse(*_: Any) -> Any:
        raise AssertionError("embedded again")

    monkeypatch.setattr(training_embeddings, "_write", refuse)
    monkeypatch.setattr("xmbench.evaluator.evaluate.JUDGED_PER_WORKER", 10)
    second = scored(digits, folder, workers=2)
    assert {path: path.stat().st_mtime_ns for path in fresh.rglob("*-training.npy")} == kept
    assert first.result.scores == second.result.scores
    assert first.items.equals(second.items)


def test_a_damaged_file_is_written_again(digits: Dataset, tmp_path: Path, fresh: Path) -> None:
    folder = draw(digits, tmp_path / "s")
    known = value(digits, folder)
    for path, damage in zip(sorted(fresh.rglob("*-training.npy")), ("torn", "changed"), strict=True):
        data = bytearray(path.read_bytes())
        data[200] ^= 1
        path.write_bytes(data[:-40] if damage == "torn" else data)
    memorisation._read.cache_clear()
    assert value(digits, folder) == known


def test_without_a_cache_the_numbers_are_the_same(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = draw(digits, tmp_path / "s", lambda i, _k, x: dithered(x, len(i)))
    known = value(digits, folder)
    monkeypatch.setattr(training_items, "_folder", lambda _context: tmp_path / "s" / "submission.json" / "x")
    assert value(digits, folder) == known


def test_an_interrupted_run_resumes_with_the_same_numbers(digits: Dataset, tmp_path: Path) -> None:
    folder = draw(digits, tmp_path / "s", lambda i, _k, x: dithered(x, len(i)))
    first = scored(digits, folder, partial=tmp_path / "partial")
    again = scored(digits, folder, partial=tmp_path / "partial")
    assert again.items.equals(first.items)


def test_without_training_items_it_says_so(digits: Dataset) -> None:
    track = digits.recipe.track("a2i")
    assert track is not None
    judge = load_judges(digits, track)[0]
    assert judge is not None
    image = Picture(read_examples(digits, "test").images[0])
    context = ScoringContext(digits.recipe.task, {"first": judge.for_metrics})
    with pytest.raises(PrerequisiteError, match="training items"):
        memorisation.METRIC.prepare([Pair("a", 0, image, image)], context)
