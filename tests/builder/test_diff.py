"""`diff` says which rows differ between two builds, and in what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builder.conftest import Corpus
from xmbench.builder.build import build
from xmbench.formats.dataset import Dataset, Manifest, open_dataset
from xmbench.inspection.diff import Difference, compare
from xmbench.media import audio, image

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def whole(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diff") / "whole"
    build(corpus.single, folder, source=corpus.folder)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def opened(folder: Path) -> Dataset:
    return Dataset(folder, Manifest.model_validate_json((folder / "manifest.json").read_text()))


def rewrite(folder: Path, change: Callable[[Rows], None], split: str = "train", digest: str = 64 * "0") -> None:
    """Changes the rows of a shard; the manifest gets another digest."""
    path = opened(folder).shards(split)[0]
    table = pq.read_table(path)
    rows: Rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    raw = json.loads((folder / "manifest.json").read_text())
    raw["dataset_digest"] = digest or raw["dataset_digest"]
    (folder / "manifest.json").write_text(json.dumps(raw))


def between(a: Path, b: Path) -> Difference:
    return compare(opened(a), opened(b))


def first(found: Difference, kind: str) -> list[tuple[str, str]]:
    return found.kinds[kind].first


def test_a_set_is_equal_to_itself(whole: Path, copy: Path) -> None:
    found = between(whole, copy)
    assert found.equal
    assert found.rows == {"train": (120, 120), "test": (30, 30)}
    assert (found.compared, found.kinds, found.documents, found.columns) == (150, {}, [], [])


def test_every_way_in_which_a_row_can_differ(whole: Path, copy: Path) -> None:
    def change(rows: Rows) -> None:
        pixels = image.decode(rows[0]["image"]["bytes"]).copy()
        pixels[0, 0, 0] ^= 8
        rows[0]["image"]["bytes"] = image.encode_png(pixels)
        samples, rate = audio.decode_mono_int16(rows[1]["audio"]["bytes"])
        samples[5:8] += 2
        rows[1]["audio"]["bytes"] = audio.encode_wav(samples, rate)
        rows[2]["audio"]["bytes"] = audio.encode_wav(samples[:-5], 8000)
        rows[3]["label"] = 1
        rows[4] |= {"take": "other", "group": "g", "text": "uno", "duration_s": 0.5}
        rows[5]["image"]["bytes"] = b"no image"
        rows[6]["image"] = None
        rows[7]["audio"]["bytes"] = audio.encode_flac(*audio.decode_mono_int16(rows[7]["audio"]["bytes"]))
        rows[-1]["id"] = "train-99999"

    rewrite(copy, change)
    found = between(whole, copy)
    assert not found.equal
    assert first(found, "image")[0] == ("train-00000", "1 of 784 values, by up to 8")
    assert first(found, "image")[1][1].startswith("B: not a readable image")
    assert found.kinds["image"].rows == 3
    assert first(found, "audio")[0] == ("train-00001", "3 of 18,140 samples, by up to 2")
    assert first(found, "audio")[1] == ("train-00002", "22050 Hz in A, 8000 Hz in B; 18140 samples in A, 18135 in B")
    assert first(found, "label") == [("train-00003", "zero in A, one in B")]
    assert first(found, "text") == [("train-00004", "one in A, uno in B")]
    assert {"take", "group", "duration_s"} < found.kinds.keys()
    assert first(found, "only in A") == [("train-00119", "train")]
    assert first(found, "only in B") == [("train-99999", "train")]
    assert found.reencoded == 1
    json.dumps(found.to_dict())


def test_a_row_in_another_split(whole: Path, copy: Path) -> None:
    moved: Rows = []
    rewrite(copy, lambda rows: moved.append(rows.pop(0)))
    rewrite(copy, lambda rows: rows.append(moved[0]), "test")
    found = between(whole, copy)
    assert first(found, "split") == [("train-00000", "train in A, test in B")]
    assert set(found.kinds) == {"split"}


def test_equal_digests_leave_the_other_columns(whole: Path, copy: Path) -> None:
    rewrite(copy, lambda rows: rows[0].update(speaker="somebody", image=None), digest="")
    found = between(whole, copy)
    assert found.equal
    assert set(found.kinds) == {"speaker"}


def test_two_ways_of_making(corpus: Corpus, whole: Path, tmp_path: Path) -> None:
    build(corpus.many, tmp_path / "many", source=corpus.folder, limit=6, seed=3)
    found = compare(open_dataset(whole), open_dataset(tmp_path / "many"))
    documents = {what: (a, b) for what, a, b in found.documents}
    assert documents["recipe.name"] == ("strokes", "strokes-voices")
    assert documents["recipe.regime"] == ("single-take", "multi-take")
    assert documents["limit"] == ("none", "6")
    assert documents["seed"] == ("0", "3")
    assert documents["splits.train.counts.written"] == ("120", "6")
    assert documents["recipe.sources.speech.options.rates"] == ("[120]", "[120, 130]")
    assert found.kinds["only in A"].rows == 150 - 12
    assert len(first(found, "only in A")) == 5


def test_a_column_that_only_one_has(whole: Path, copy: Path) -> None:
    for path in opened(copy).shards("train") + opened(copy).shards("test"):
        pq.write_table(pq.read_table(path).drop_columns(["pitch"]), path)
    assert between(whole, copy).columns == [("pitch", "A")]


def test_many_rows_that_share_a_clip_are_compared_once(
    whole: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(rows: Rows) -> None:
        for row in rows:
            samples, rate = audio.decode_mono_int16(row["audio"]["bytes"])
            row["audio"]["bytes"] = audio.encode_wav(np.roll(samples, 7), rate)

    rewrite(copy, change)
    decoded: list[int] = []
    decode = audio.decode_mono_int16

    def counted(data: bytes) -> Any:
        decoded.append(1)
        return decode(data)

    monkeypatch.setattr(audio, "decode_mono_int16", counted)
    found = between(whole, copy)
    assert found.kinds["audio"].rows == 120
    assert len(decoded) == 2 * 3
