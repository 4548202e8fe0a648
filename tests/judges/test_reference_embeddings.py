"""Cached embeddings of references are those that a judge would compute now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.drawing import draw
from xmbench.evaluator.save import items_path, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.judges import reference_embeddings
from xmbench.judges.loading import load
from xmbench.judges.records import read_judge, shipped
from xmbench.media.signal import Media, Picture


class Counting:
    """A judge that notes how many items it embeds."""

    def __init__(self) -> None:
        self.loaded = read_judge(next(path for path in shipped() if path.stem == "digit-images"))
        self.judge = load(self.loaded.weights)
        self.class_names, self.modality = self.judge.class_names, self.judge.modality
        self.embedding_size = self.judge.embedding_size
        self.seen = 0

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        return self.judge.probabilities(items)

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        self.seen += len(items)
        return self.judge.embed(items)

    def kept(self, items: Sequence[Media], folder: Path) -> NDArray[np.float32]:
        reference_embeddings._Kept.of.cache_clear()  # as another process would find it
        return reference_embeddings.embedded_references(items, self, folder, self.loaded.record.sha256, "cpu")


@pytest.fixture
def pictures(digits: Dataset) -> list[Picture]:
    return [Picture(image) for image in read_examples(digits, "test").images]


def test_references_are_embedded_once_and_are_the_same_bytes(pictures: list[Picture], tmp_path: Path) -> None:
    judge = Counting()
    fresh = judge.judge.embed(pictures)
    np.testing.assert_array_equal(judge.kept([*pictures[:10], *pictures[:10]], tmp_path)[:10], fresh[:10])
    assert judge.seen == 10
    for _ in range(2):
        np.testing.assert_array_equal(judge.kept(pictures, tmp_path), fresh)
    assert judge.seen == len(pictures)


def test_a_torn_or_damaged_file_is_computed_again(pictures: list[Picture], tmp_path: Path) -> None:
    judge = Counting()
    fresh = judge.kept(pictures, tmp_path)
    (file,) = tmp_path.glob("*.f32")
    whole = file.read_bytes()
    record = len(whole) // len(pictures)
    file.write_bytes(whole[: 5 * record + 17])
    np.testing.assert_array_equal(judge.kept(pictures, tmp_path), fresh)
    assert file.stat().st_size == len(whole)
    damaged = bytearray(whole)
    damaged[3 * record + 40] ^= 1
    file.write_bytes(damaged)
    np.testing.assert_array_equal(judge.kept(pictures, tmp_path), fresh)


def test_a_directory_that_cannot_be_written_costs_only_time(pictures: list[Picture], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    judge = Counting()
    for _ in range(2):
        np.testing.assert_array_equal(judge.kept(pictures, tmp_path / "file" / "x"), judge.judge.embed(pictures))


def test_a_second_submission_scores_the_same_with_and_without_what_is_kept(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)

    def noisy(item_id: str, _k: int, x: NDArray[Any]) -> NDArray[Any] | None:
        return None if item_id.endswith("3") else np.clip(x + rng.normal(0, 40, x.shape), 0, 255).astype(np.uint8)

    first, second = draw(digits, tmp_path / "a"), draw(digits, tmp_path / "b", noisy)
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    score_and_save(first, digits, tmp_path / "first.json")
    found = []
    for name, place in (("kept", "cache"), ("fresh", "other")):
        monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / place))
        reference_embeddings._Kept.of.cache_clear()
        score_and_save(second, digits, tmp_path / f"{name}.json")
        document = json.loads((tmp_path / f"{name}.json").read_text())
        del document["environment"], document["items_table"]
        found.append((document, items_path(tmp_path / f"{name}.json").read_bytes()))
    assert list((tmp_path / "cache").rglob("*.f32"))
    assert found[0] == found[1]
