"""Training data that are decoded once: the same rows as in memory, written completely, found again, removed in time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import load_dataset
from safetensors.torch import load_file

from xmbench import content
from xmbench.builder.build import build
from xmbench.errors import DatasetError
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.items import read_examples
from xmbench.formats.recipe import Recipe
from xmbench.hub.push import _files
from xmbench.inspection.diff import compare
from xmbench.inspection.validate import validate
from xmbench.interfaces import Examples
from xmbench.runner import run
from xmbench.runner.examples import open_examples


@pytest.fixture
def own(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A copy of a data set that is too large for memory, with its own cache."""
    monkeypatch.setattr("xmbench.runner.examples.IN_MEMORY_BYTES", 0)
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    return open_dataset(shutil.copytree(digits.folder, tmp_path / "data"))


def silent(_line: str) -> None:
    pass


def assert_same(first: Examples, second: Examples) -> None:
    assert (first.ids, first.groups) == (second.ids, second.groups)
    for name in ("labels", "images", "clips", "clip_index"):
        one, other = getattr(first, name), getattr(second, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def decoded(dataset: Dataset) -> list[str]:
    return sorted(path.name for path in (dataset.folder / ".decoded").iterdir() if path.name != ".lock")


@pytest.mark.parametrize("pooled", [False, True])
def test_decoded_once_they_are_what_is_read_into_memory(
    own: Dataset, pooled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pooled:
        monkeypatch.setattr("xmbench.runner.decoding.POOL_FROM_ROWS", 0)
        monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    lines: list[str] = []
    first = open_examples(own, lines.append)
    assert first.starts_s is None
    assert isinstance(first.images, np.memmap)
    assert any("decoding" in line for line in lines)
    assert_same(first, read_examples(own))
    monkeypatch.setattr("xmbench.runner.examples.decode", lambda *_: pytest.fail("decoded again"))
    lines.clear()
    assert_same(open_examples(own, lines.append), first)
    assert lines == []
    assert decoded(own) == [f"{own.digest}-train-1"]


def test_what_a_model_writes_into_its_examples_stays_out_of_the_files(own: Dataset) -> None:
    first = open_examples(own, silent)
    first.images[:] = 0
    assert open_examples(own, silent).images.any()


@pytest.mark.parametrize("name", ["images.npy", "rows.parquet", "done.json"])
def test_damaged_files_are_decoded_again(own: Dataset, name: str) -> None:
    folder = open_examples(own, silent).store
    assert folder is not None
    (folder / name).write_bytes(b"half")
    assert_same(open_examples(own, silent), read_examples(own))


def test_an_interrupted_run_and_an_earlier_build_are_removed(own: Dataset) -> None:
    for name in (f".{own.digest}-train-1.tmp", f"{'0' * 64}-train-1"):
        (own.folder / ".decoded" / name).mkdir(parents=True)
    open_examples(own, silent)
    assert decoded(own) == [f"{own.digest}-train-1"]


def test_an_item_that_cannot_be_decoded_leaves_nothing(own: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> None:
        raise DatasetError("item 'x': not a readable image")

    monkeypatch.setattr("xmbench.runner.decoding.read_image", damaged)
    with pytest.raises(DatasetError, match="not a readable image"):
        open_examples(own, silent)
    assert decoded(own) == []


def test_a_directory_that_cannot_be_written_falls_back_to_the_cache_and_then_to_memory(
    own: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own.folder / ".decoded").write_text("")  # root may write everywhere: a file in the way stands for permissions
    lines: list[str] = []
    found = open_examples(own, lines.append)
    assert found.store is not None
    assert found.store.parent == tmp_path / "cache" / "decoded"
    assert any("cannot be kept" in line and ".decoded" in line for line in lines)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("")
    again = open_examples(own, lines.append)
    assert again.store is None
    assert lines[-1] == "decoding all training data into memory"
    assert_same(found, again)


def test_a_model_trains_on_decoded_data_as_on_those_in_memory(
    own: Dataset, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = load_toml(content.find("baselines", "nearest-class-clip"), Baseline)
    quick = {"min_steps": 5, "epochs": 1, "batch": 8}
    seen = []
    for name, dataset in (("mapped", own), ("memory", digits)):
        if name == "memory":
            monkeypatch.setattr("xmbench.runner.examples.IN_MEMORY_BYTES", 2**28)
        run(baseline, dataset, tmp_path / name, device="cpu", overrides=quick, progress=silent)
        seen.append(load_file(tmp_path / name / "checkpoints" / "classifier.safetensors"))
    assert decoded(own)
    assert all(torch.equal(seen[0][key], seen[1][key]) for key in seen[0])


def test_small_sets_stay_in_memory(digits: Dataset) -> None:
    assert open_examples(digits, silent).store is None
    assert not (digits.folder / ".decoded").exists()


def test_everything_else_ignores_the_decoded_data_and_a_rebuild_removes_them(own: Dataset, digits: Dataset) -> None:
    open_examples(own, silent)
    assert not validate(own).found.counts
    assert not compare(digits, own).kinds
    assert not any("decoded" in name for name in _files(own, manifest_only=False))
    assert load_dataset(str(own.folder), cache_dir=str(own.folder.parent / "hf"))["train"].num_rows == 40
    build(load_toml(content.find("recipes", "digits-ad"), Recipe), own.folder, limit=40, workers=1, rebuild=True)
    assert not (own.folder / ".decoded").exists()
