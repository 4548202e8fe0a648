"""One defect at a time, planted in a real build whose manifest is made to fit: `validate` finds and names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builder.conftest import Corpus
from xmbench.builder.build import build
from xmbench.formats import ledger
from xmbench.formats.dataset import content_digest, dataset_digest, row_digest, samples_digest
from xmbench.formats.ledger import LedgerRow
from xmbench.inspection.findings import Validation
from xmbench.inspection.validate import open_unchecked, validate
from xmbench.media import audio, image

Rows = list[dict[str, Any]]
Raw = dict[str, Any]


@pytest.fixture(scope="module")
def built(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("planted")
    recipes = {"single": corpus.single, "many": corpus.many}
    for name, recipe in recipes.items():
        build(recipe, root / name, source=corpus.folder)
    return {name: root / name for name in recipes}


class Copy:
    """A copy of a build, to damage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rewrite(self, change: Callable[[Rows], None], split: str = "train") -> None:
        """Changes the rows of a shard; the manifest then has its size, rows and digests, as a forger would."""
        path = next(self.folder.glob(f"data/{split}-*"))
        table = pq.read_table(path)
        rows: Rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
        self.manifest(lambda raw: self._refit(raw))

    def manifest(self, change: Callable[[Raw], object]) -> None:
        path = self.folder / "manifest.json"
        raw = json.loads(path.read_text())
        change(raw)
        path.write_text(json.dumps(raw))

    def text(self, name: str, before: str, after: str) -> None:
        path = self.folder / name
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))

    def found(self) -> Validation:
        return validate(open_unchecked(self.folder))

    def _refit(self, raw: Raw) -> None:
        everything = []
        for shard in raw["shards"]:
            path = self.folder / shard["path"]
            rows = list(_digests(shard["split"], pq.read_table(path).to_pylist()))
            everything += rows
            shard |= {"bytes": path.stat().st_size, "rows": len(rows), "digest": dataset_digest(rows)}
        raw["dataset_digest"] = dataset_digest(everything)
        self.text("README.md", _said_digest(self.folder), raw["dataset_digest"])


def _said_digest(folder: Path) -> str:
    return str(json.loads((folder / "manifest.json").read_text())["dataset_digest"])


def _digests(split: str, rows: Rows) -> Iterator[tuple[str, str, str]]:
    for row in rows:
        try:
            shown = content_digest(image.decode(row["image"]["bytes"]))
            heard = samples_digest(*audio.decode_mono_int16(row["audio"]["bytes"]))
            yield split, row["id"], row_digest(split, row["id"], row["label"], shown, heard)
        except Exception:
            yield split, row["id"], ""


@pytest.fixture
def single(built: dict[str, Path], tmp_path: Path) -> Copy:
    return Copy(Path(shutil.copytree(built["single"], tmp_path / "copy")))


@pytest.fixture
def many(built: dict[str, Path], tmp_path: Path) -> Copy:
    return Copy(Path(shutil.copytree(built["many"], tmp_path / "many")))


def spoken(row: Raw) -> tuple[np.ndarray, int]:
    samples, rate = audio.decode_mono_int16(row["audio"]["bytes"])
    return samples.copy(), rate


def replace_clip(rows: Rows, samples: np.ndarray, rate: int) -> None:
    """Gives every row of the first row's take another clip, so that they agree with each other."""
    take = rows[0]["take"]
    for row in rows:
        if row["take"] == take:
            row["audio"]["bytes"] = audio.encode_wav(samples.astype(np.int16), rate)


def test_nothing_is_found_where_nothing_was_planted(single: Copy, many: Copy) -> None:
    for copy in (single, many):
        copy.rewrite(lambda rows: None)
        assert copy.found().problems == []


def test_a_flipped_label_is_told_by_its_take_and_by_the_spoken_word(single: Copy) -> None:
    single.rewrite(lambda rows: rows[7].update(label=0))  # row 7 is "one"
    found = single.found()
    text = "\n".join(found.problems)
    assert "'train-00007': the class 'zero', but 'one' is spoken: a flipped label" in text
    assert "'train-00007': class 'zero', but the take 'en-us-r120-p50-one' is of 'one' in other rows" in text
    assert set(found.kinds) == {"label", "count", "clip"}


def test_a_flipped_label_with_the_word_flipped_too(single: Copy) -> None:
    single.rewrite(lambda rows: rows[7].update(label=0, text="zero"))
    assert "'train-00007': class 'zero', but the take" in "\n".join(single.found().problems)


def test_a_swapped_clip(single: Copy) -> None:
    def change(rows: Rows) -> None:
        rows[3]["audio"], rows[4]["audio"] = rows[4]["audio"], rows[3]["audio"]

    single.rewrite(change)
    text = "\n".join(single.found().problems)
    for item in ("train-00003", "train-00004"):
        assert f"'{item}': the clip differs from other clips of the take" in text
        assert f"'{item}': the clip is named" in text
    assert "one waveform is in several classes: 'zero' ('train-00000')" in text


def test_two_takes_swapped_completely(many: Copy) -> None:
    """Every row of both takes agrees: the durations give them away."""

    def change(rows: Rows) -> None:
        clips = {row["take"]: row["audio"]["bytes"] for row in rows if row["label"] == 0}
        first, second = clips
        for row in rows:
            other = {first: second, second: first}.get(row["take"])
            row["audio"]["bytes"] = clips[other] if other else row["audio"]["bytes"]

    many.rewrite(change, "test")
    found = many.found()
    assert set(found.kinds) == {"duration"}
    assert all("sound until" in line for line in found.problems)
    assert found.kinds["duration"] == 10


def test_a_swapped_image(single: Copy) -> None:
    def change(rows: Rows) -> None:
        rows[3]["image"], rows[4]["image"] = rows[4]["image"], rows[3]["image"]

    single.rewrite(change)
    assert "'train-00003': the image is named 'train-00004.png'" in "\n".join(single.found().problems)


def test_a_group_that_crosses_splits(many: Copy) -> None:
    speaker = pq.read_table(next(many.folder.glob("data/train-*")), columns=["group"])["group"][0].as_py()
    many.rewrite(lambda rows: rows[0].update(group=speaker), "test")
    text = "\n".join(many.found().problems)
    assert f"the group '{speaker}' is in several splits: train (" in text
    assert "test ('test-00000')" in text


def test_a_silent_clip(single: Copy) -> None:
    single.rewrite(lambda rows: replace_clip(rows, 0 * spoken(rows[0])[0], 22050))
    assert "'train-00000': a silent clip" in single.found().problems


def test_a_clipped_clip(single: Copy) -> None:
    def change(rows: Rows) -> None:
        samples, rate = spoken(rows[0])
        replace_clip(rows, np.clip(50.0 * samples, -32768, 32767), rate)

    single.rewrite(change)
    (line,) = [line for line in single.found().problems if "clipped" in line]
    assert line.startswith("'train-00000': a clipped clip")


def test_a_wrong_sample_rate(single: Copy) -> None:
    single.rewrite(lambda rows: replace_clip(rows, spoken(rows[0])[0], 24000))
    assert "'train-00000': 24000 Hz, expected 22050" in single.found().problems


def test_a_corrupt_image(single: Copy) -> None:
    def change(rows: Rows) -> None:
        data = rows[5]["image"]["bytes"]
        rows[5]["image"]["bytes"] = data[: len(data) // 2]
        rows[6]["image"] = None

    single.rewrite(change)
    text = "\n".join(single.found().problems)
    assert "'train-00005': not a readable image" in text
    assert "'train-00006': no image" in text


def test_a_missing_shard_and_all_else(single: Copy) -> None:
    next(single.folder.glob("data/test-*")).unlink()
    single.text("README.md", "num_examples: 120", "num_examples: 121")
    text = "\n".join(single.found().problems)
    assert "data/test-00000-of-00001.parquet: missing" in text
    assert "README.md: it says {'train': 121, 'test': 30} rows" in text


def test_duplicate_ids(single: Copy) -> None:
    single.rewrite(lambda rows: rows[6].update(id="train-00005"))
    text = "\n".join(single.found().problems)
    assert "'train-00005': the id is there twice" in text
    assert "'train-00005' comes after 'train-00005'" in text


@pytest.mark.parametrize(("factor", "said"), [(0.9, "sound until"), (1.15, "sound until"), (9.0, "the recipe wants")])
def test_a_duration_column_that_lies(single: Copy, factor: float, said: str) -> None:
    def change(rows: Rows) -> None:
        for row in rows:
            if row["take"] == rows[0]["take"]:
                row["duration_s"] *= factor

    single.rewrite(change)
    found = single.found()
    assert found.kinds["duration"] >= 40
    assert any(line.startswith("'train-00000'") and said in line for line in found.problems)


def test_one_duration_that_differs_from_its_take(single: Copy) -> None:
    single.rewrite(lambda rows: rows[0].update(duration_s=rows[0]["duration_s"] + 0.01))
    (line,) = [line for line in single.found().problems if line.startswith("'train-00000': duration")]
    assert "differs from other rows of the take" in line


def test_values_that_are_not_there(single: Copy) -> None:
    def change(rows: Rows) -> None:
        rows[0] |= {"duration_s": None, "group": None}
        rows[1] |= {"label": None}
        rows[2] |= {"audio": None}
        rows[3] |= {"duration_s": float("nan")}
        rows[4] |= {"take": None, "text": None}

    single.rewrite(change)
    found = single.found()
    assert {"duration", "group", "label", "clip"} <= found.kinds.keys()
    assert "'train-00002': no clip" in found.problems


def test_columns_of_another_type_and_metadata_that_lie(single: Copy) -> None:
    path = next(single.folder.glob("data/train-*"))
    table = pq.read_table(path)
    renamed = table.schema.metadata[b"huggingface"].replace(b'"zero"', b'"naught"')
    pq.write_table(table.replace_schema_metadata({b"huggingface": renamed}), path)
    assert "does not fit the recipe: label" in "\n".join(single.found().problems)
    place = table.schema.get_field_index("duration_s")
    pq.write_table(table.set_column(place, "duration_s", table["duration_s"].cast(pa.string())), path)
    assert "'duration_s' is string, expected double" in "\n".join(single.found().problems)


def test_a_ledger_that_does_not_balance(single: Copy) -> None:
    single.manifest(lambda raw: raw["splits"]["train"]["classes"]["one"].update(planned=43))
    lost = LedgerRow("item", "x", "train", "one", "read", "lost", False, False, "")
    stranger = LedgerRow("item", "y", "train", "seven", "read", "lost", False, False, "")
    ledger.write(single.folder / "ledger.parquet", [lost, stranger])
    text = "\n".join(single.found().problems)
    assert "train, class 'one': 43 planned, but 40 written + 0 filtered + 0 failed" in text
    assert "ledger.parquet: train, class 'one' does not agree with the manifest" in text
    assert "items of train, class 'seven', which are not in the manifest" in text


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("num_examples: 120", "num_examples: 119", "it says {'train': 119, 'test': 30} rows"),
        ("| zero | zero | 40 | 1 |", "| zero | zero | 41 | 1 |", "zero, train rows: it says 41, expected 40"),
        ("| zero | zero | 40 | 1 |", "| zero | zero | 40 | 9 |", "zero, train takes: it says 9, expected 1"),
        ("| train | 120 | 120 | 0 |", "| train | 120 | 120 | 7 |", "train, filtered: it says 7, expected 0"),
        ("DIGEST", 64 * "0", "it says the data set digest 000"),
        (" | 50 | █", " | 49 | █", "its table of durations do not add up"),
        ("'1': one", "'1': eins", "its class names are not those of the recipe"),
        ("dataset_info:", "dataset_info: {", "cannot be read"),
    ],
)
def test_a_card_that_lies(single: Copy, before: str, after: str, said: str) -> None:
    single.text("README.md", _said_digest(single.folder) if before == "DIGEST" else before, after)
    found = single.found()
    assert set(found.kinds) == {"card"}
    assert any(said in line for line in found.problems), found.problems


def test_durations_that_the_card_invents(single: Copy) -> None:
    line = next(row for row in (single.folder / "README.md").read_text().splitlines() if row.startswith("| train |"))
    single.text("README.md", line, line.replace("| 0.", "| 1.", 1))
    assert "train, shortest s: it says 1." in "\n".join(single.found().problems)


def test_a_manifest_edited_by_hand(single: Copy) -> None:
    def change(raw: Raw) -> None:
        raw["recipe"]["audio"]["min_duration_s"] = 0.3
        raw["dataset_digest"] = 64 * "0"
        raw["splits"]["test"]["counts"]["written"] = 29
        raw["splits"]["test"]["takes"]["zero"] = 2
        raw["splits"]["test"]["classes"]["nine"] = raw["splits"]["test"]["classes"]["one"]
        raw["sources"]["mnist"] |= {"redistributable": False, "files": {}}
        raw["sources"]["other"] = raw["sources"]["speech"]
        raw["shards"][0]["bytes"] += 1
        raw["limit"] = 5

    single.manifest(change)
    text = "\n".join(single.found().problems)
    for said in (
        "its recipe has the digest",
        "the manifest says " + 64 * "0",
        "test: 30 rows, the manifest says 29",
        "test, class 'zero': 1 takes, the manifest says 2",
        "test: its shards have 30 rows, but it says 29",
        "do not add up",
        "the redistributable of the source 'mnist' differ(s)",
        "the files of the source 'mnist'",
        "the source 'other' is in only one of the recipe and the list",
        "bytes, the manifest says",
        "120 planned, but the limit is 5",
        "test: the recipe has no class 'nine'",
    ):
        assert said in text, said


def test_shards_outside_the_directory_and_shards_listed_twice(single: Copy) -> None:
    def change(raw: Raw) -> None:
        raw["shards"].append(dict(raw["shards"][0]))
        raw["shards"].append({**raw["shards"][0], "path": "../elsewhere/train-00000-of-00001.parquet"})

    single.manifest(change)
    text = "\n".join(single.found().problems)
    assert "it lists data/train-00000-of-00001.parquet 2 times" in text
    assert "../elsewhere/train-00000-of-00001.parquet: not the name of a shard of 'train': not read" in text


def test_many_problems_of_one_kind_do_not_hide_another(single: Copy) -> None:
    def change(rows: Rows) -> None:
        for row in rows:
            row["image"]["bytes"] = b"x"
        rows[119]["id"] = "Bad Id"

    single.rewrite(change)
    found = single.found()
    assert found.kinds["image"] == 121  # and one that is named after another id
    shown = found.found.shown(per_kind=3)
    assert "... and 118 more of this kind (image)" in shown
    assert any("'Bad Id'" in line for line in shown)
