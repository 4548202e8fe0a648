"""Retry: what failed for a while is there afterwards, as if it had never failed; nothing else is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.builder.conftest import Corpus
from tests.plugins import plug_in
from xmbench.builder import previous_build, shards, workspace
from xmbench.builder.build import build
from xmbench.builder.retry import retry
from xmbench.builder.takes import StoredClip
from xmbench.errors import DatasetError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import validate
from xmbench.interfaces import Entry, Rejected
from xmbench.media import audio
from xmbench.sources.mnist import Mnist

# Speaks tones; `down` names the (word, voice) pairs that fail now, `broken` those that always do.
FLAKY = """
import numpy as np
from xmbench.interfaces import EngineFacts, Rejected

down, broken, asked = set(), set(), []

class Flaky:
    facts = EngineFacts("flaky", 22050, rates=(60, 300), licence="CC0-1.0", redistributable=True)
    now = "1"
    def version(self):
        return self.now
    def voices(self, language):
        return ("a", "b", "c", "d")
    def check_voices(self, voices):
        pass
    def speak(self, word, voice, rate, pitch):
        asked.append((word, voice))
        if (word, voice) in down:
            return Rejected("speech", "timeout", f"no answer for {word}", temporary=True)
        if (word, voice) in broken:
            return Rejected("speech", "no-such-word", f"cannot say {word}")
        hz = 300 + 10 * ord(voice) + sum(i * c for i, c in enumerate(word.encode()))
        return (9000 * np.sin(2 * np.pi * hz * np.arange(22050 // 2) / 22050)).astype(np.int16)

ENGINE = Flaky()
"""


@pytest.fixture
def flaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shards, "SHARD_ROWS", 40)
    return plug_in(monkeypatch, tmp_path / "plugin", "flaky", FLAKY)


@pytest.fixture
def spoken(corpus: Corpus) -> Recipe:
    raw = corpus.many.model_dump(mode="json", by_alias=True)
    raw["sources"]["speech"]["options"] = {"engine": "flaky", "train_voices": ["a", "b"], "test_voices": ["c"]}
    raw["sources"]["speech"]["options"]["rates"] = [120]
    return Recipe.model_validate(raw)


@pytest.fixture
def whole(flaky: ModuleType, spoken: Recipe, corpus: Corpus, tmp_path: Path) -> Dataset:
    dataset = build(spoken, tmp_path / "whole", source=corpus.folder)
    shutil.rmtree(tmp_path / "cache")
    flaky.asked.clear()
    return dataset


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_failed_is_there_afterwards_as_if_it_never_had(
    flaky: ModuleType, spoken: Recipe, whole: Dataset, corpus: Corpus, tmp_path: Path
) -> None:
    flaky.down.update({("one", "a"), ("two", "a")})
    part = build(spoken, tmp_path / "part", source=corpus.folder)
    assert part.digest != whole.digest
    lost = part.manifest.splits["train"].counts.failed["timeout"]
    assert validate(part).problems == []
    flaky.down.clear()
    flaky.asked.clear()
    done = retry(part.folder, source=corpus.folder)
    assert sorted(flaky.asked) == [("one", "a"), ("two", "a")]
    assert (done.due, done.left) == (lost, 0)
    assert done.dataset.digest == whole.digest
    assert validate(done.dataset).problems == []
    assert state(part.folder) == state(whole.folder)  # manifest, card, ledger and every shard


def test_attempts_are_counted_and_only_what_fails_is_left(
    flaky: ModuleType, spoken: Recipe, whole: Dataset, corpus: Corpus, tmp_path: Path
) -> None:
    flaky.down.update({("one", "a"), ("two", "b")})
    flaky.broken.add(("zero", "b"))
    out = build(spoken, tmp_path / "out", source=corpus.folder).folder
    flaky.down.discard(("one", "a"))
    flaky.asked.clear()
    done = retry(out, source=corpus.folder)
    assert sorted(flaky.asked) == [("one", "a"), ("two", "b")]  # nobody asks again for what cannot be said
    assert 0 < done.left < done.due
    rows = ledger.read(out / "ledger.parquet")
    assert {(row.reason, row.attempts) for row in rows} == {("timeout", 2), ("no-such-word", 1)}
    assert validate(done.dataset).problems == []
    retry(out, source=corpus.folder)
    assert {row.attempts for row in ledger.read(out / "ledger.parquet") if row.temporary} == {3}
    assert previous_build.temporary_failures(open_dataset(out)) == done.left


def test_shards_without_a_failure_are_left_alone(
    flaky: ModuleType, spoken: Recipe, corpus: Corpus, tmp_path: Path
) -> None:
    flaky.down.add(("one", "c"))  # of the test split only
    dataset = build(spoken, tmp_path / "out", source=corpus.folder)
    before = {path: path.stat() for path in (dataset.folder / "data").iterdir()}
    flaky.down.clear()
    done = retry(dataset.folder, source=corpus.folder)
    assert done.shards == 1
    for path, stat in before.items():
        same = (path.stat().st_ino, path.stat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
        assert same == path.name.startswith("train")


def test_clips_are_taken_from_the_data_set_without_the_cache(
    flaky: ModuleType, spoken: Recipe, whole: Dataset, corpus: Corpus, tmp_path: Path
) -> None:
    flaky.down.add(("one", "a"))
    dataset = build(spoken, tmp_path / "out", source=corpus.folder)
    shutil.rmtree(tmp_path / "cache")
    flaky.down.clear()
    flaky.asked.clear()
    assert retry(dataset.folder, source=corpus.folder).dataset.digest == whole.digest
    assert flaky.asked == [("one", "a")]


def test_nothing_to_do(whole: Dataset, corpus: Corpus) -> None:
    before = state(whole.folder)
    lines: list[str] = []
    done = retry(whole.folder, source=corpus.folder, progress=lines.append)
    assert (done.due, done.left, done.shards) == (0, 0, 0)
    assert lines == [f"{whole.folder}: nothing failed for a temporary reason"]
    assert state(whole.folder) == before


def test_a_limited_build_with_a_seed_and_another_engine(flaky: ModuleType, corpus: Corpus, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"source": corpus.folder, "limit": 12, "seed": 3, "speech": "flaky"}
    whole = build(corpus.single, tmp_path / "whole", **arguments)
    shutil.rmtree(tmp_path / "cache")
    flaky.down.add(("one", "a"))
    part = build(corpus.single, tmp_path / "part", **arguments)
    flaky.down.clear()
    assert retry(part.folder, source=corpus.folder).dataset.digest == whole.digest
    assert state(part.folder) == state(whole.folder)


# ------------------------------------------------------------------------------------------- broken off
@pytest.mark.parametrize("moment", [1, 3, 10, 11, 12, 13, 15, 16, 18])
def test_an_interrupted_retry_is_finished_or_has_no_effect(
    flaky: ModuleType,
    spoken: Recipe,
    whole: Dataset,
    corpus: Corpus,
    tmp_path: Path,
    moment: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped before the n-th rename: ten in the work folder, one of the list, then seven into place."""
    flaky.down.add(("one", "a"))
    out = build(spoken, tmp_path / "out", source=corpus.folder).folder
    flaky.down.clear()
    left = [moment]
    moved = Path.replace

    def dying(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return moved(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            retry(out, source=corpus.folder)
    begun = (out / ".build" / "replacing.json").exists()
    assert begun == (moment > 11)
    again = build(spoken, out, source=corpus.folder) if begun else retry(out, source=corpus.folder).dataset
    assert again.digest == whole.digest
    assert validate(again).problems == []
    assert state(out) == state(whole.folder)


def test_an_interrupted_build_reuses_no_shard_that_lacks_a_clip(
    flaky: ModuleType, spoken: Recipe, whole: Dataset, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: workspace.Workspace) -> None:
        raise KeyboardInterrupt

    flaky.down.add(("one", "a"))
    with monkeypatch.context() as patch:
        patch.setattr(workspace.Workspace, "publish_data", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(spoken, tmp_path / "out", source=corpus.folder)
    flaky.down.clear()
    lines: list[str] = []
    dataset = build(spoken, tmp_path / "out", source=corpus.folder, progress=lines.append)
    assert any("resuming" in line for line in lines)  # the test split's
    assert dataset.digest == whole.digest


# ---------------------------------------------------------------------------------------------- repairing
@pytest.mark.parametrize("cache", [True, False])
def test_repairing_a_shard_brings_back_nothing_that_had_failed(
    flaky: ModuleType, spoken: Recipe, whole: Dataset, corpus: Corpus, tmp_path: Path, cache: bool
) -> None:
    flaky.down.add(("one", "a"))
    dataset = build(spoken, tmp_path / "out", source=corpus.folder)
    flaky.down.clear()
    flaky.asked.clear()
    dataset.shards("train")[0].unlink()
    if not cache:
        shutil.rmtree(tmp_path / "cache")
    repaired = build(spoken, dataset.folder, source=corpus.folder)
    assert repaired.digest == dataset.digest
    assert flaky.asked == []
    assert validate(repaired).problems == []
    assert retry(dataset.folder, source=corpus.folder).dataset.digest == whole.digest


def test_images_that_failed_for_a_while(
    flaky: ModuleType, spoken: Recipe, whole: Dataset, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Mnist.read

    def read(self: Mnist, upstream: object, options: object, task: object, entries: list[Entry]) -> object:
        values = original(self, upstream, options, task, entries)  # type: ignore[arg-type]
        for entry, value in zip(entries, values, strict=True):
            if entry.key.endswith("7"):
                yield Rejected("read", "unreachable", "no answer", temporary=True)
            else:
                yield Rejected("read", "corrupt-image", "damaged") if entry.key.endswith("8") else value

    with monkeypatch.context() as patch:
        patch.setattr(Mnist, "read", read)
        part = build(spoken, tmp_path / "out", source=corpus.folder)
    part.shards("train")[0].unlink()
    assert build(spoken, part.folder, source=corpus.folder).digest == part.digest
    done = retry(part.folder, source=corpus.folder)
    assert (done.due, done.left) == (15, 0)
    rows = ledger.read(part.folder / "ledger.parquet")
    assert {(row.reason, row.attempts) for row in rows} == {("corrupt-image", 1)}
    assert len(rows) == 15
    assert validate(done.dataset).problems == []
    assert {row["id"] for row in done.dataset.rows("train", [])} < {row["id"] for row in whole.rows("train", [])}


# ----------------------------------------------------------------------------------------------- mistakes
def test_another_version_is_refused(flaky: ModuleType, spoken: Recipe, corpus: Corpus, tmp_path: Path) -> None:
    flaky.down.add(("one", "a"))
    dataset = build(spoken, tmp_path / "out", source=corpus.folder)
    before = state(dataset.folder)
    flaky.ENGINE.now = "2"
    with pytest.raises(DatasetError, match="built from other files or versions") as caught:
        retry(dataset.folder, source=corpus.folder)
    assert "speech: flaky 1 recorded, 2 now" in str(caught.value)
    assert state(dataset.folder) == before


def test_directories_that_cannot_be_retried(flaky: ModuleType, spoken: Recipe, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set here"):
        retry(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    flaky.down.add(("one", "c"))
    dataset = build(spoken, tmp_path / "out", source=corpus.folder)
    flaky.down.clear()
    shard = dataset.shards("train")[0]
    data = bytearray(shard.read_bytes())
    manifest = json.loads((dataset.folder / "manifest.json").read_text())
    for record in manifest["shards"]:
        if record["path"].endswith(shard.name):
            record["digest"] = "0" * 64
    (dataset.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="not what the manifest says"):
        retry(dataset.folder, source=corpus.folder)
    shard.write_bytes(bytes(data[:-10]))
    with pytest.raises(DatasetError, match="damaged"):
        retry(dataset.folder, source=corpus.folder)


def test_clips_of_a_data_set_are_those_that_were_spoken(flaky: ModuleType, whole: Dataset, tmp_path: Path) -> None:
    found = previous_build.clips(whole.folder, whole.manifest, tmp_path / "clips", again=True)
    assert len(found) == 9
    for clip in found.values():
        assert isinstance(clip, StoredClip)
        assert clip.attributes["engine"] == "flaky 1"
        samples = audio.decode_mono_int16(clip.path.read_bytes())[0][: clip.samples]
        assert samples[-1] or samples[-2]
