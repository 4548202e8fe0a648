"""Whole builds: the same digest whatever happens on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.builder.conftest import Corpus
from tests.conftest import shared
from tests.sources.test_mnist import TEST_COUNTS, TRAIN_COUNTS
from xmbench import content, registry
from xmbench.builder import documents, plan, shard_writer, shards, workspace
from xmbench.builder.build import build
from xmbench.builder.upstream.fetch import VerifiedFiles
from xmbench.errors import CheckError, DatasetError, DocumentError, OutputError, UnknownNameError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.items import read_examples
from xmbench.formats.layout import HASHED_LAYOUT
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import validate
from xmbench.interfaces import Entry, RawClip, RawImage, Rejected
from xmbench.sources.mnist import Mnist
from xmbench.sources.speech import Speech
from xmbench.storage.locks import locked


@pytest.fixture
def built(corpus: Corpus, tmp_path: Path) -> Dataset:
    return build(corpus.single, tmp_path / "built", source=corpus.folder)


def changed(recipe: Recipe, **fields: object) -> Recipe:
    return Recipe.model_validate({**recipe.model_dump(mode="json", by_alias=True), **fields})


# ------------------------------------------------------------------------------------------- the content
def test_a_build_holds_every_item_once(built: Dataset) -> None:
    assert {split: built.count(split) for split in ("train", "test")} == {"train": 120, "test": 30}
    rows = list(built.rows("train", ["label", "take", "group", "duration_s", "source", "text", "speaker", "engine"]))
    assert [row["id"] for row in rows] == [f"train-{i:05d}" for i in range(120)]
    for i, row in enumerate(rows):
        assert row["label"] == i % 3
        assert row["text"] == ("zero", "one", "two")[i % 3]
        assert row["group"] == row["id"]
        assert row["engine"].startswith("espeak-ng 1.")
        assert 0.322 <= row["duration_s"] <= 0.823
    assert validate(built).problems == []


def test_pixels_and_samples_are_those_of_the_sources(built: Dataset) -> None:
    examples = read_examples(built)
    assert examples.images.shape == (120, 28, 28, 1)
    assert examples.clips.shape == (3, 18140)
    for i in range(9):
        assert (examples.images[i, 5 + 8 * (i % 3)] == 255).all()
    durations = {row["take"]: row["duration_s"] for row in built.rows("train", ["take", "duration_s"])}
    for clip in examples.clips:
        assert any(np.flatnonzero(clip)[-1] < round(s * 22050) for s in durations.values())
        assert not clip[round(max(durations.values()) * 22050) :].any()


def test_the_digest_is_that_of_the_decoded_content_whatever_the_encoding(
    corpus: Corpus, built: Dataset, tmp_path: Path
) -> None:
    audio = corpus.single.audio.model_dump() | {"encoding": "flac"}
    flac = build(changed(corpus.single, audio=audio), tmp_path / "flac", source=corpus.folder)
    assert flac.digest == built.digest
    assert flac.manifest.recipe_digest != built.manifest.recipe_digest
    assert next(flac.rows("test", ["audio"]))["audio"]["bytes"][:4] == b"fLaC"


def test_workers_and_shards_do_not_change_the_digest(
    corpus: Corpus, built: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 40)
    monkeypatch.setattr(documents, "POOL_FROM_ROWS", 0)
    pooled = build(corpus.single, tmp_path / "pooled", source=corpus.folder, workers=2)
    assert len(pooled.manifest.shards) == 4
    assert pooled.digest == built.digest
    ids = [row["id"] for row in pooled.rows("train", ["label"])]
    assert ids == sorted(ids)
    assert len(ids) == 120
    assert validate(pooled).problems == []


def test_row_groups_keep_each_clip_once_and_no_media_statistics(built: Dataset) -> None:
    file = pq.ParquetFile(built.shards("train")[0])
    columns = {file.metadata.row_group(0).column(i).path_in_schema: i for i in range(file.metadata.num_columns)}
    clips = file.metadata.row_group(0).column(columns["audio.bytes"])
    assert clips.total_uncompressed_size < 4 * 36_400
    assert "RLE_DICTIONARY" in clips.encodings
    assert not clips.is_stats_set
    assert file.metadata.row_group(0).column(columns["label"]).is_stats_set


def test_a_seed_changes_pairs_and_splits(corpus: Corpus, tmp_path: Path) -> None:
    one, other, again = (
        build(corpus.many, tmp_path / str(i), source=corpus.folder, seed=seed) for i, seed in enumerate((1, 2, 1))
    )
    assert one.digest == again.digest != other.digest
    assert one.manifest.seed == 1


def test_many_takes_never_cross_splits(corpus: Corpus, tmp_path: Path) -> None:
    dataset = build(corpus.many, tmp_path / "many", source=corpus.folder)
    groups = {split: {row["group"] for row in dataset.rows(split, ["group"])} for split in ("train", "test")}
    assert groups == {"train": {"en-us", "en-us-m1"}, "test": {"en-us-m2"}}
    assert dataset.manifest.splits["train"].takes == {"zero": 4, "one": 4, "two": 4}
    assert validate(dataset).problems == []


def test_a_limit_takes_a_part_of_the_full_set(corpus: Corpus, built: Dataset, tmp_path: Path) -> None:
    part = build(corpus.single, tmp_path / "part", source=corpus.folder, limit=10)
    assert {split: part.count(split) for split in ("train", "test")} == {"train": 10, "test": 10}
    assert part.digest != built.digest
    whole = {row["id"]: row for row in built.rows("train", ["image", "take"])}
    rows = list(part.rows("train", ["image", "take"]))
    assert all(row == whole[row["id"]] for row in rows)
    assert "--limit 10" in (part.folder / "README.md").read_text()


# -------------------------------------------------------------------------------------------- broken off
KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
from xmbench.builder import rows, shards
from xmbench.builder.build import build
from xmbench.formats.document import load_json
from xmbench.formats.recipe import Recipe
shards.SHARD_ROWS = 40
left = int(sys.argv[4])
def dying(made):
    def call(*args):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return made(*args)
    return call
if left > 0:
    rows.image.encode_png = dying(rows.image.encode_png)
else:
    left = -left
    Path.replace = dying(Path.replace); Path.rename = dying(Path.rename)
build(load_json(Path(sys.argv[1]), Recipe), Path(sys.argv[2]), source=Path(sys.argv[3]), workers=1)
"""


@pytest.mark.parametrize("moment", [1, 70, *(-i for i in (1, 8, 11, 12, 13, 14, 15))])
def test_a_build_killed_at_any_moment_is_finished_by_the_same_command(
    corpus: Corpus, built: Dataset, tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moments > 0: while images are encoded; < 0: before the n-th rename, up to the last ones."""
    recipe, out = tmp_path / "recipe.json", tmp_path / "out"
    recipe.write_text(corpus.single.to_json())
    command = [sys.executable, "-c", KILLED, str(recipe), str(out), str(corpus.folder), str(moment)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert not (out / "manifest.json").exists()
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset(out)
    monkeypatch.setattr(shards, "SHARD_ROWS", 40)
    lines: list[str] = []
    dataset = build(corpus.single, out, source=corpus.folder, progress=lines.append)
    assert dataset.digest == built.digest
    assert validate(dataset).problems == []
    assert {path.name for path in out.iterdir()} == {"README.md", "data", "ledger.parquet", "manifest.json"}
    if moment == 70:
        assert any("resuming an earlier build" in line for line in lines)


def test_a_part_of_another_plan_is_not_taken_up(corpus: Corpus, built: Dataset, tmp_path: Path) -> None:
    """A shard whose report says another plan is written again, whatever its size."""
    out = tmp_path / "out"
    (out / ".build" / "data").mkdir(parents=True)
    (out / ".build" / "reports").mkdir()
    name = built.shards("train")[0].name
    shutil.copy(built.shards("train")[0], out / ".build" / "data" / name)
    (out / ".build" / "data" / f".{name}.123.tmp").write_bytes(b"half")
    (out / ".build" / "reports" / f"{name}.json").write_text("{}")
    lines: list[str] = []
    assert build(corpus.single, out, source=corpus.folder, progress=lines.append).digest == built.digest
    assert not any("resuming" in line for line in lines)
    assert len(list((out / "data").iterdir())) == 2


def test_a_full_disk_is_reported_and_the_build_can_be_resumed(corpus: Corpus, built: Dataset, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the middle of a shard."""
    recipe, out = tmp_path / "recipe.json", tmp_path / "out"
    recipe.write_text(corpus.single.to_json())
    code = """
        import resource, sys
        from pathlib import Path
        from xmbench.builder.build import build
        from xmbench.errors import OutputError
        from xmbench.formats.document import load_json
        from xmbench.formats.recipe import Recipe
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        try:
            build(load_json(Path(sys.argv[1]), Recipe), Path(sys.argv[2]), source=Path(sys.argv[3]))
        except OutputError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(recipe), str(out), str(corpus.folder)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert "no space left on the disk" in run.stdout, run.stderr
    assert "run the same command again" in run.stdout
    assert not any(path.name.endswith(".tmp") for path in out.rglob("*"))
    assert build(corpus.single, out, source=corpus.folder).digest == built.digest


def test_an_interrupt_leaves_nothing_that_looks_complete(
    corpus: Corpus, built: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(pixels: object) -> bytes:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("xmbench.builder.rows.image.encode_png", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(corpus.single, out, source=corpus.folder)
    assert [path.name for path in out.iterdir()] == [".build"]
    assert list((out / ".build" / "data").iterdir()) == []
    assert build(corpus.single, out, source=corpus.folder).digest == built.digest


def test_a_worker_that_is_ended_is_said(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "POOL_FROM_ROWS", 0)
    monkeypatch.setattr(shard_writer, "write_shard", _dying_worker)
    with pytest.raises(Exception, match="a worker process was killed from outside"):
        build(corpus.single, tmp_path / "out", source=corpus.folder, workers=2)


def _dying_worker(job: object, task: object) -> None:
    import os

    os._exit(9)


# ---------------------------------------------------------------------------------------------- finished
def test_a_finished_build_is_left_alone(corpus: Corpus, built: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.folder.rglob("*")}
    lines: list[str] = []
    again = build(corpus.single, built.folder, source=corpus.folder, progress=lines.append)
    assert again.digest == built.digest
    assert {path: path.stat().st_mtime_ns for path in built.folder.rglob("*")} == before
    assert lines == [f"{built.folder}: already built"]


@pytest.mark.parametrize("damage", ["missing", "short", "ledger", "card", "data"])
def test_only_what_is_missing_is_repaired(corpus: Corpus, built: Dataset, damage: str) -> None:
    shard = built.shards("train")[0]
    kept = built.shards("test")[0]
    written = kept.stat().st_mtime_ns
    if damage == "short":
        shard.write_bytes(shard.read_bytes()[:-100])
    elif damage == "data":
        shutil.rmtree(built.folder / "data")
    else:
        {"missing": shard, "ledger": built.folder / "ledger.parquet", "card": built.folder / "README.md"}[
            damage
        ].unlink()
    manifest = (built.folder / "manifest.json").read_text()
    repaired = build(corpus.single, built.folder, source=corpus.folder)
    assert repaired.digest == built.digest
    assert (built.folder / "manifest.json").read_text() == manifest
    assert validate(repaired).problems == []
    if damage in ("missing", "short", "card"):
        assert kept.stat().st_mtime_ns == written
    assert not (built.folder / ".build").exists()


def test_a_repaired_shard_of_other_content_is_refused(
    corpus: Corpus, built: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.shards("train")[0].unlink()
    monkeypatch.setattr("xmbench.builder.takes.audio.fit_length", lambda samples, length: np.ones(length, np.int16))
    with pytest.raises(CheckError, match="not the recorded ones") as caught:
        build(corpus.single, built.folder, source=corpus.folder)
    assert "espeak-ng" in str(caught.value)
    assert not built.shards("train")[0].exists()
    monkeypatch.undo()


@pytest.mark.parametrize("state", ["finished", "begun"])
@pytest.mark.parametrize("other", [{"limit": 9}, {"seed": 9}, {"recipe": "many"}])
def test_another_build_in_the_same_directory_is_refused(
    corpus: Corpus, tmp_path: Path, state: str, other: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if state == "finished":
        build(corpus.single, out, source=corpus.folder)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(documents, "run_tasks", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                build(corpus.single, out, source=corpus.folder)
    options: dict[str, Any] = {"limit": None, "seed": None, **{k: v for k, v in other.items() if k != "recipe"}}
    recipe = corpus.many if "recipe" in other else corpus.single
    with pytest.raises(DatasetError, match="belongs to another build") as caught:
        build(recipe, out, source=corpus.folder, **options)
    assert "--rebuild" in str(caught.value)
    (out / "notes.txt").write_text("mine")
    (out / "judges").mkdir()
    fresh = build(recipe, out, source=corpus.folder, rebuild=True, **options)
    assert validate(fresh).problems == []
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "judges").is_dir()


@pytest.mark.parametrize("again", [True, False])
def test_a_rebuild_interrupted_while_it_removes(
    corpus: Corpus, built: Dataset, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("xmbench.builder.workspace.shutil.rmtree", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(corpus.single, built.folder, source=corpus.folder, rebuild=True)
    assert not (built.folder / "manifest.json").exists()
    dataset = build(corpus.single, built.folder, source=corpus.folder, limit=9, rebuild=again)
    assert dataset.count("train") == 9
    assert validate(dataset).problems == []


def _interrupt(*args: object, **options: object) -> list[object]:
    raise KeyboardInterrupt


# --------------------------------------------------------------------------------------- the former layout
@pytest.fixture
def former(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A set as version 0.1 wrote it: several shards by a hash of the id, and no word about it."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 40)
    with monkeypatch.context() as patch:
        patch.setattr("xmbench.builder.build.SORTED_LAYOUT", HASHED_LAYOUT)
        dataset = build(corpus.single, tmp_path / "former", source=corpus.folder)
    manifest = json.loads((dataset.folder / "manifest.json").read_text())
    assert manifest.pop("layout") == HASHED_LAYOUT
    (dataset.folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return open_dataset(dataset.folder)


def test_a_set_of_the_former_layout_is_read_and_repaired(corpus: Corpus, built: Dataset, former: Dataset) -> None:
    assert former.digest == built.digest
    assert list(former.rows("train", ["image", "take"])) == list(built.rows("train", ["image", "take"]))
    ids = [pq.read_table(path, columns=["id"])["id"].to_pylist() for path in former.shards("train")]
    assert max(ids[0]) > min(ids[1])
    assert validate(former).problems == []
    lines: list[str] = []
    build(corpus.single, former.folder, source=corpus.folder, progress=lines.append)
    assert lines == [f"{former.folder}: already built"]
    former.shards("train")[1].unlink()
    repaired = build(corpus.single, former.folder, source=corpus.folder)
    assert repaired.digest == built.digest
    assert validate(repaired).problems == []


def test_a_build_begun_in_the_former_layout_is_refused_with_the_way_out(
    corpus: Corpus, built: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(documents, "run_tasks", _interrupt)
        patch.setattr("xmbench.builder.build.SORTED_LAYOUT", HASHED_LAYOUT)
        with pytest.raises(KeyboardInterrupt):
            build(corpus.single, out, source=corpus.folder)
    with pytest.raises(DatasetError, match="layout: xmbench/build/1, 2 shards there, xmbench/build/2") as caught:
        build(corpus.single, out, source=corpus.folder)
    assert "--rebuild" in str(caught.value.todo)
    assert build(corpus.single, out, source=corpus.folder, rebuild=True).digest == built.digest


# --------------------------------------------------------------------------------------------- the folder
@pytest.mark.parametrize("rebuild", [False, True])
@pytest.mark.parametrize("name", ["README.md", "data", "ledger.parquet", "manifest.json"])
def test_files_of_others_are_never_touched(corpus: Corpus, tmp_path: Path, name: str, rebuild: bool) -> None:
    path = tmp_path / name
    path.mkdir() if name == "data" else path.write_text("{}")
    with pytest.raises(OutputError, match=r"not built by xmbench|not a dataset manifest"):
        build(corpus.single, tmp_path, source=corpus.folder, rebuild=rebuild)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("left", [None, '{"a"'])
def test_a_data_set_without_its_manifest_is_made_again_with_rebuild(
    corpus: Corpus, built: Dataset, left: str | None
) -> None:
    """Lost or damaged: the error names the way out, and the way out works."""
    path = built.folder / "manifest.json"
    path.write_text(left) if left else path.unlink()
    with pytest.raises(OutputError, match=r"lacks its manifest.json|not a dataset manifest") as caught:
        build(corpus.single, built.folder, source=corpus.folder)
    assert "--rebuild" in str(caught.value.todo)
    assert build(corpus.single, built.folder, source=corpus.folder, rebuild=True).digest == built.digest
    assert validate(open_dataset(built.folder)).problems == []


def test_a_source_without_items_is_refused(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mnist, "entries", lambda *args: [])
    with pytest.raises(DocumentError, match="has no items"):
        build(corpus.single, tmp_path / "out", source=corpus.folder)
    assert not (tmp_path / "out").exists()


def test_rebuild_refuses_strange_files_among_the_data(corpus: Corpus, built: Dataset) -> None:
    (built.folder / "data" / "mine.csv").write_text("1")
    with pytest.raises(OutputError, match="not built by xmbench"):
        build(corpus.single, built.folder, source=corpus.folder, rebuild=True)
    assert (built.folder / "manifest.json").exists()


def test_two_builds_at_once_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "out" / ".build").mkdir(parents=True)
    with locked(tmp_path / "out" / ".build" / "lock"), pytest.raises(OutputError, match="another xmbench is working"):
        build(corpus.single, tmp_path / "out", source=corpus.folder)
    assert build(corpus.single, tmp_path / "out", source=corpus.folder).count("test") == 30


@pytest.mark.parametrize("place", ["file/out", "/proc/xmbench"])
def test_a_directory_that_cannot_be_written(corpus: Corpus, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((OutputError, DocumentError)) as caught:
        build(corpus.single, tmp_path / place, source=corpus.folder)
    assert "--out" in str(caught.value)


# -------------------------------------------------------------------------------------------- bad recipes
def with_options(recipe: Recipe, **options: object) -> Recipe:
    raw = recipe.model_dump(mode="json", by_alias=True)
    raw["sources"]["speech"]["options"] = options
    return Recipe.model_validate(raw)


def test_recipes_that_name_what_is_not_there(corpus: Corpus, tmp_path: Path) -> None:
    raw = corpus.single.model_dump(mode="json", by_alias=True)
    raw["sources"]["mnist"]["reader"] = "mnits"
    with pytest.raises(UnknownNameError, match="did you mean 'mnist'"):
        build(Recipe.model_validate(raw), tmp_path / "out", source=corpus.folder)
    with pytest.raises(DocumentError, match="did you mean 'voices'"):
        build(with_options(corpus.single, voicse=["en-us"]), tmp_path / "out", source=corpus.folder)
    with pytest.raises(UnknownNameError, match="en-uk"):
        build(with_options(corpus.single, voices=["en-uk"]), tmp_path / "out", source=corpus.folder)
    raw["sources"]["mnist"]["reader"] = "speech"
    with pytest.raises(DocumentError, match="yields audio"):
        build(Recipe.model_validate(raw), tmp_path / "out", source=corpus.folder)
    with pytest.raises(DocumentError, match="limit"):
        build(corpus.single, tmp_path / "out", source=corpus.folder, limit=0)
    assert not (tmp_path / "out").exists()


def synthesised(name: str) -> bool:
    """Whether a recipe's clips come from an engine; recorded ones need their files before anything can be listed."""
    recipe = plan.load_recipe(name)
    return recipe.sources[recipe.pairing.clip_source].reader == "speech"


@pytest.mark.parametrize("name", [name for name in content.names("recipes") if synthesised(name)])
def test_readers_take_what_every_recipe_asks_of_them(name: str) -> None:
    """Options, voices and words; many voices, and none of the test's among the training ones."""
    recipe = plan.load_recipe(name)
    plan.check(recipe)
    spec = recipe.sources[recipe.pairing.clips]
    speech = registry.source(spec.reader)
    files = VerifiedFiles(spec.title)
    takes = speech.entries(files, speech.Options(**spec.options), recipe.task)
    groups = {split: {take.group for take in takes if take.split == split} for split in ("any", "train", "test")}
    if recipe.regime == "single-take":
        assert len(takes) == len(recipe.classes.names)
    else:
        assert len(groups["train"]) >= 16
        assert len(groups["test"]) >= 8
        assert not groups["any"] | (groups["train"] & groups["test"])


def test_a_part_of_the_real_mnist(tmp_path: Path) -> None:
    dataset = build(plan.load_recipe("mnist-ad"), tmp_path / "out", source=shared("data", "mnist"), limit=100)
    counts = {name: part.written for name, part in dataset.manifest.splits["test"].classes.items()}
    assert sum(counts.values()) == 100
    assert counts["1"] == 11  # 1,135 of 10,000
    assert validate(dataset).problems == []


# ---------------------------------------------------------------------------------------------- the books
def test_lost_images_stand_in_the_ledger(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(
        self: Mnist, upstream: object, options: object, task: object, entries: Sequence[Entry]
    ) -> Iterator[object]:
        for entry in entries:
            if entry.key.endswith("7"):
                yield Rejected("read", "corrupt-image", "no such pixels")
            else:
                yield RawImage(np.full((28, 28, 1), 7, dtype=np.uint8))

    monkeypatch.setattr(Mnist, "read", read)
    dataset = build(corpus.single, tmp_path / "out", source=corpus.folder)
    counts = dataset.manifest.splits["train"].counts
    assert (counts.planned, counts.written, counts.failed) == (120, 108, {"corrupt-image": 12})
    rows = ledger.read(dataset.folder / "ledger.parquet")
    assert Counter(row.split for row in rows) == {"train": 12, "test": 3}
    assert validate(dataset).problems == []


def test_a_take_that_failed_loses_its_items_and_moves_no_other(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build(corpus.many, tmp_path / "whole", source=corpus.folder)
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    original = Speech.read

    def read(self: Speech, *args: object) -> Iterator[object]:
        for raw in original(self, *args):  # type: ignore[arg-type]
            lost = isinstance(raw, RawClip) and raw.attributes["rate_wpm"] == "130"
            yield Rejected("speech", "timeout", "no answer", temporary=True) if lost else raw

    monkeypatch.setattr(Speech, "read", read)
    dataset = build(corpus.many, tmp_path / "out", source=corpus.folder)
    failed = dataset.manifest.splits["train"].counts.failed
    assert set(failed) == {"timeout"}
    takes = {row["id"]: row["take"] for row in whole.rows("train", ["take"])}
    assert all(takes[row["id"]] == row["take"] for row in dataset.rows("train", ["take"]))
    rows = ledger.read(dataset.folder / "ledger.parquet")
    assert all(row.temporary for row in rows)
    assert {row.kind for row in rows} == {"item", "take"}


def test_a_recipe_that_leaves_nothing_is_no_data_set(corpus: Corpus, tmp_path: Path) -> None:
    audio = corpus.single.audio.model_dump() | {"min_duration_s": 0.01, "max_duration_s": 0.02}
    with pytest.raises(CheckError, match="no item became a row") as caught:
        build(changed(corpus.single, audio=audio), tmp_path / "out", source=corpus.folder)
    assert "150 x pair: no-take" in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_books_that_do_not_balance_stop_the_build(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = type("Forgetful", (Counter,), {"__getitem__": lambda *args: 0})
    monkeypatch.setattr("xmbench.builder.shard_writer.Counter", forgetful)
    with pytest.raises(CheckError, match="not accounted for"):
        build(corpus.single, tmp_path / "out", source=corpus.folder)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_damaged_clip_in_the_cache_is_spoken_again(
    corpus: Corpus, built: Dataset, tmp_path: Path, cache: Path
) -> None:
    kept = list(cache.rglob("*.take"))
    assert kept
    for path in kept:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
    lines: list[str] = []
    assert build(corpus.single, tmp_path / "again", source=corpus.folder, progress=lines.append).digest == built.digest
    assert any("making 3 of 3 clips" in line for line in lines)
    lines.clear()
    build(corpus.single, tmp_path / "third", source=corpus.folder, progress=lines.append)
    assert not any("making" in line for line in lines)


# ------------------------------------------------------------------------------------------ the full size
@pytest.mark.slow
def test_mnist_ad_in_full(tmp_path: Path) -> None:
    folder = shared("data", "mnist")
    recipe = plan.load_recipe("mnist-ad")
    code = (  # in a process of its own: what children of other tests needed is not counted
        "import resource, sys; from pathlib import Path; from xmbench.builder.build import build\n"
        "from xmbench.builder.plan import load_recipe\n"
        "build(load_recipe('mnist-ad'), Path(sys.argv[1]), source=Path(sys.argv[2]))\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command: list[str | Path] = [sys.executable, "-c", code, tmp_path / "one", folder]
    peak_kb = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    dataset = open_dataset(tmp_path / "one")
    for split, wanted in (("train", TRAIN_COUNTS), ("test", TEST_COUNTS)):
        assert [c.written for c in dataset.manifest.splits[split].classes.values()] == wanted
    assert sum(path.stat().st_size for path in dataset.folder.rglob("*") if path.is_file()) < 40e6
    assert peak_kb < 1e6
    assert validate(dataset).problems == []
    assert build(recipe, tmp_path / "two", source=folder, workers=1).digest == dataset.digest
    begun = json.loads((dataset.folder / "manifest.json").read_text())
    assert begun["dataset_digest"] == dataset.digest
    assert workspace.damaged_shards(dataset.folder, dataset.manifest) == []
