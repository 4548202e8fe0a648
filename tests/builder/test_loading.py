"""`datasets.load_dataset` opens a built folder offline, with the right types."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL.Image import Image as Picture

from xmbench.formats import dataset as datasets_of_ours
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import pick_rows, read_examples


@pytest.mark.parametrize("way", ["folder", "parquet"])
def test_load_dataset_offline(digits: Dataset, tmp_path: Path, way: str) -> None:
    from datasets import Audio, ClassLabel, Image, load_dataset

    cache = str(tmp_path / "cache")
    if way == "folder":
        loaded = load_dataset(str(digits.folder), cache_dir=cache)
    else:
        files = {split: [str(path) for path in digits.shards(split)] for split in ("train", "test")}
        loaded = load_dataset("parquet", data_files=files, cache_dir=cache)
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 40, "test": 40}
    columns = loaded["train"].features
    assert isinstance(columns["image"], Image)
    assert isinstance(columns["audio"], Audio)
    assert columns["audio"].sampling_rate == 22050
    assert isinstance(columns["label"], ClassLabel)
    assert columns["label"].names == list(digits.recipe.classes.names)
    raw = loaded["train"].cast_column("audio", Audio(decode=False))
    examples = read_examples(digits)
    for i in (0, 17, 39):
        row = raw[i]
        assert row["id"] == examples.ids[i]
        assert isinstance(row["image"], Picture)
        assert (np.asarray(row["image"]) == examples.images[i, :, :, 0]).all()
        samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16")
        assert rate == 22050
        assert (samples == examples.clips[examples.clip_index[i]]).all()


def test_the_card_tells_licences_and_statistics(digits: Dataset) -> None:
    card = (digits.folder / "README.md").read_text()
    for said in (
        "license: cc-by-4.0",
        "image-to-audio",
        "num_examples: 40",
        digits.digest,
        digits.manifest.data_digest,
        "CC BY 4.0",
        "GPL-3.0-or-later",
        "@misc{alpaydin1998optdigits",
        "expands",
        "espeak-ng 1.",
        "| **all** |",
    ):
        assert said in card, said


def test_single_rows_are_picked_out_of_many_batches(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets_of_ours, "_BATCH_ROWS", 4)
    rows = {row["id"]: row for row in digits.rows("train", ["image", "take"])}
    chosen = sorted(rows)[5:7]  # some batches hold one of them, most hold none
    assert pick_rows(digits, "train", chosen, ["image", "take"]) == {item: rows[item] for item in chosen}
