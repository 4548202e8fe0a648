"""Sub-URMP as released: real frames and sounds in its layout, and every way in which a copy of it is not whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, shared
from tests.sub_urmp_corpus import INSTRUMENTS, Window, jpeg, real_corpus, tiny_corpus, wav, windows
from tests.upstreams import Memory
from xmbench.builder.build import build
from xmbench.builder.estimate import estimate
from xmbench.builder.plan import load_recipe
from xmbench.errors import DocumentError, UpstreamError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import validate
from xmbench.interfaces import Entry, RawPair, Rejected
from xmbench.media import audio
from xmbench.runner.examples import open_examples
from xmbench.sources.sub_urmp import SOURCE, SubUrmpOptions
from xmbench.views.preview import write_preview

RECIPE = load_recipe("sub-urmp")
OPTIONS = SubUrmpOptions.model_validate(RECIPE.sources["performances"].options)
TINY = SubUrmpOptions(crop_columns=(2, 14))


def small(**options: Any) -> Recipe:
    """The recipe for frames of 12 x 20 pixels and chunks of 400 samples."""
    raw = RECIPE.model_dump(mode="json", by_alias=True)
    raw["image"] |= {"height_px": 8, "width_px": 8}
    raw["audio"] |= {"samples": 400, "min_duration_s": 0.009, "max_duration_s": 0.0091, "encoding": "wav"}
    raw["sources"]["performances"]["options"] = {"crop_columns": [2, 14], **options}
    return Recipe.model_validate(raw)


def made(recipe: Recipe, corpus: Path, out: Path, **settings: Any) -> Dataset:
    return build(recipe, out, source=corpus, accept_changed=True, workers=1, **settings)


def entries(*names: str, options: SubUrmpOptions = OPTIONS) -> list[Entry]:
    return SOURCE.entries(Memory(dict.fromkeys(names, b"")), options, RECIPE.task)


# ------------------------------------------------------------------------------------------ real frames and sounds
@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    folder = tmp_path_factory.mktemp("sub-urmp")
    real_corpus(folder / "Sub-URMP")
    return folder, made(RECIPE, folder, folder / "out")


def test_a_real_corpus_becomes_pairs(real: tuple[Path, Dataset], tmp_path: Path) -> None:
    _, dataset = real
    assert validate(dataset).problems == []
    assert (dataset.count("train"), dataset.count("test")) == (26, 13)
    examples = read_examples(dataset)
    assert examples.images.shape == (26, 64, 64, 3)
    assert examples.clips.shape == (26, 22050)
    assert write_preview(dataset, tmp_path / "page.html").clips == 25
    rows = list(dataset.rows("train", ["id", "label", "group", "piece", "start_s", "duration_s"]))
    assert Counter(row["label"] for row in rows) == dict.fromkeys(range(13), 2)
    assert rows[-1] == {
        **{"id": "violin00-1100", "label": 12, "group": "violin00", "piece": "violin00"},
        **{"start_s": 1.1, "duration_s": 0.5},
    }


def test_a_real_chunk_and_its_frame_arrive_unchanged(real: tuple[Path, Dataset]) -> None:
    folder, dataset = real
    row = next(row for row in dataset.rows("test", ["id", "audio", "image"]) if row["id"] == "bassoon01-1000")
    heard, rate = audio.decode_mono_int16(row["audio"]["bytes"])
    stereo, _ = audio.decode(shared("data", "suburmp_pairs", "real_wav", "bassoon01_1000.wav").read_bytes())
    assert (rate, len(heard)) == (44_100, 22_050)
    assert np.abs(heard / 32768 - stereo.mean(axis=1)).max() <= 0.5 / 32768 + 1e-9
    with Image.open(folder / "Sub-URMP" / "img" / "validation" / "bassoon" / "bassoon01_1000.jpg") as frame:
        seen = frame.crop((100, 0, 1180, 1080)).resize((64, 64), Image.Resampling.BICUBIC)
    import io

    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))), np.asarray(seen))


def test_another_build_has_the_same_digest(real: tuple[Path, Dataset], tmp_path: Path) -> None:
    folder, dataset = real
    assert made(RECIPE, folder / "Sub-URMP", tmp_path / "again").digest == dataset.digest


def test_it_loads_offline(real: tuple[Path, Dataset]) -> None:
    code = (
        "import sys; from datasets import load_dataset; d = load_dataset(sys.argv[1]);"
        "print({k: len(v) for k, v in d.items()}, d['train'].features['label'].names[12])"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(real[1].folder)], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert run.stdout.strip() == "{'train': 26, 'test': 13} violin", run.stderr


# ---------------------------------------------------------------------------------------------------- the release
def test_the_released_counts_are_those_of_the_files() -> None:
    assert {split: sum(found.values()) for split, found in OPTIONS.published.items()} == {"train": 71230, "test": 9575}
    assert estimate(RECIPE).rows == {"train": 71230, "test": 9575}
    for found in OPTIONS.published.values():
        assert sorted(found) == sorted(RECIPE.classes.names) == sorted(INSTRUMENTS)
        assert not any(number % 5 for number in found.values())


@pytest.mark.parametrize("named", ["validation", "test"])
def test_both_names_of_the_test_split_are_read(tmp_path: Path, named: str) -> None:
    tiny_corpus(tmp_path / "in", list(windows(2, 1, named)))
    dataset = made(small(), tmp_path / "in", tmp_path / "out")
    assert (dataset.count("train"), dataset.count("test")) == (26, 13)


@pytest.mark.parametrize("in_memory", [0, 2**30])
def test_training_items_know_when_their_windows_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr("xmbench.runner.examples.IN_MEMORY_BYTES", in_memory)
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    tiny_corpus(tmp_path / "in", list(windows(3, 1)))
    examples = open_examples(made(small(), tmp_path / "in", tmp_path / "out"), lambda _line: None)
    assert examples.starts_s is not None
    assert [round(start * 1000) for start in examples.starts_s] == [int(name.split("-")[-1]) for name in examples.ids]


def test_differences_from_the_release_are_reported(tmp_path: Path) -> None:
    tiny_corpus(tmp_path / "in", list(windows(2, 1)))
    told: list[str] = []
    published = {"train": dict.fromkeys(INSTRUMENTS, 2), "test": {**dict.fromkeys(INSTRUMENTS, 1), "horn": 525}}
    recipe = small(published=published)
    dataset = made(recipe, tmp_path / "in", tmp_path / "out", limit=13, progress=told.append)
    said = "test, horn: 1 pairs, 525 were released"
    assert f"performances: not as published: {said}" in told
    assert dataset.manifest.sources["performances"].differences == (said,)
    assert f"**Not the published items**: {said}." in (dataset.folder / "README.md").read_text()
    assert validate(dataset).problems == []


def test_names_of_the_instrument_may_be_shorter_than_the_directory() -> None:
    found = entries("img/train/double_bass/bass01_100.jpg", "chunk/train/double_bass/bass01_100.wav")
    assert [(entry.key, entry.group) for entry in found] == [("double-bass01-100", "double-bass01")]


# ------------------------------------------------------------------------------------------------- what is missing
def test_an_item_without_its_partner_stands_in_the_ledger(tmp_path: Path) -> None:
    whole = list(windows(2, 1))
    tiny_corpus(tmp_path / "in", whole)
    whole[0].path(tmp_path / "in", "img").unlink()
    whole[4].path(tmp_path / "in", "chunk").unlink()
    whole[7].path(tmp_path / "in", "img").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    whole[10].path(tmp_path / "in", "chunk").write_bytes(wav(np.ones((30, 2), np.int16)))
    whole[13].path(tmp_path / "in", "chunk").write_bytes(wav(np.zeros((400, 2), np.int16)))
    whole[16].path(tmp_path / "in", "img").write_bytes(jpeg(Image.new("RGB", (12, 20))))
    dataset = made(small(), tmp_path / "in", tmp_path / "out")
    rows = {(row.id, row.reason) for row in ledger.read(dataset.folder / "ledger.parquet")}
    assert rows == {
        ("bassoon00-1000", "no-image"),
        ("cello00-1100", "no-sound"),
        ("clarinet00-1100", "corrupt-image"),
        ("double-bass00-1100", "too-short"),
        ("flute00-1100", "silent"),
        ("horn00-1100", "outside-frame"),
    }
    assert validate(dataset).problems == []


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    whole = list(windows(1, 1))
    tiny_corpus(tmp_path / "in", whole)
    whole[3].path(tmp_path / "in", "chunk").write_bytes(b"")
    with pytest.raises(UpstreamError, match=r"cello01_1000\.wav"):
        made(small(), tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("img/train/kazoo/kazoo01_100.jpg", "img/train/kazoo: not an instrument of the recipe"),
        ("img/dev/violin/violin01_100.jpg", "img/dev: not a split"),
        ("img/train/violin/violin01.jpg", "not <instrument><take>_<ms>"),
        ("img/train/violin/viola01_100.jpg", "named after another instrument"),
        ("img/train/violin/violin01_100.wav", "not in the layout"),
        ("violin01_100.jpg", "not in the layout"),
    ],
)
def test_what_is_no_part_of_the_release_is_named(name: str, said: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        entries(name, "img/train/violin/violin00_100.jpg")
    assert any(said in problem for problem in caught.value.problems)


def test_an_item_of_two_places_is_named() -> None:
    with pytest.raises(UpstreamError, match="are one item"):
        entries("img/test/horn/horn01_100.jpg", "img/validation/horn/horn01_100.jpg")
    with pytest.raises(UpstreamError, match="in both splits"):
        entries("img/test/horn/horn01_100.jpg", "chunk/train/horn/horn01_100.wav")


def test_a_take_of_both_splits_is_refused(tmp_path: Path) -> None:
    leak = Window("validation", "oboe", 0, 5000)
    tiny_corpus(tmp_path / "in", [*windows(2, 1), leak])
    with pytest.raises(DocumentError, match="are in both splits") as caught:
        made(small(), tmp_path / "in", tmp_path / "out")
    assert "'oboe00'" in str(caught.value)


def test_a_take_under_two_names_is_found_by_validate(tmp_path: Path) -> None:
    tiny_corpus(tmp_path / "in", list(windows(2, 1)))
    first, second = Window("train", "oboe", 0, 1000), Window("validation", "oboe", 1, 1000)
    second.path(tmp_path / "in", "chunk").write_bytes(first.path(tmp_path / "in", "chunk").read_bytes())
    found = validate(made(small(), tmp_path / "in", tmp_path / "out")).problems
    assert found == ["one waveform is in several splits: train ('oboe00-1000') and test ('oboe01-1000')"]


# ------------------------------------------------------------------------------------------------------- chunks
def chunk(samples: Any, rate: int = 44_100) -> RawPair | Rejected:
    """What is read of a whole frame and a chunk of these samples."""
    names = ("img/train/horn/horn01_100.jpg", "chunk/train/horn/horn01_100.wav")
    files = {names[0]: jpeg(Image.new("RGB", (20, 12))), names[1]: wav(np.asarray(samples), rate)}
    upstream = Memory(files)
    (found,) = SOURCE.read(upstream, TINY, RECIPE.task, SOURCE.entries(upstream, TINY, RECIPE.task))
    assert isinstance(found, RawPair | Rejected)
    return found


def test_channels_are_averaged_at_the_files_own_rate() -> None:
    found = chunk(np.array([[100, 300], [-7, 7], [32767, 32767]], np.int16), rate=22_050)
    assert isinstance(found, RawPair)
    assert found.clip.samples.tolist() == [200, 0, 32767]
    assert found.clip.sample_rate_hz == 22_050
    assert found.image.pixels.shape == (12, 12, 3)
