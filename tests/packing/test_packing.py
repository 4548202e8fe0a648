"""A data set through a narrow pipe: every byte comes back, and nothing incomplete is taken for a data set."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.builder import windows
from tests.builder.conftest import Corpus, write_corpus
from tests.plugins import plug_in
from xmbench.builder import shards
from xmbench.builder.build import build
from xmbench.cli.program import app
from xmbench.errors import DatasetError, DocumentError, OutputError
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import validate
from xmbench.media import audio, image
from xmbench.packing import clips, pack, rows, strips, unpack

PART = 1 << 16


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("upstream") / "strokes")


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def round_trip(dataset: Dataset, tmp_path: Path) -> Dataset:
    index = pack.pack(dataset, tmp_path / "pack", PART)
    assert all(0 < part.bytes <= PART for part in index.parts)
    done = unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    assert done.changed == 0
    assert files(done.dataset.folder) == files(dataset.folder)
    assert done.dataset.digest == dataset.digest
    assert sorted(path.name for path in (tmp_path / "pack").iterdir() if path.suffix != ".pack") == ["pack.json"]
    return done.dataset


@pytest.mark.parametrize("encoding", ["wav", "flac"])
@pytest.mark.parametrize("regime", ["single", "many"])
def test_every_file_comes_back_byte_for_byte(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, regime: str
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 50)
    raw = getattr(corpus, regime).model_dump(mode="json", by_alias=True)
    raw["audio"]["encoding"] = encoding
    built = build(Recipe.model_validate(raw), tmp_path / "built", source=corpus.folder, workers=1)
    assert len(built.manifest.shards) == 4
    assert validate(round_trip(built, tmp_path)).problems == []


def test_joint_items_with_typed_columns_in_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 12)
    monkeypatch.setattr(clips, "BATCH_BYTES", 20_000)
    monkeypatch.setattr(clips, "_KEPT_BYTES", 30_000)
    plug_in(monkeypatch, tmp_path / "plugin", "windows", windows.SOURCE, group="xmbench.sources")
    assert validate(round_trip(build(windows.recipe(), tmp_path / "built"), tmp_path)).problems == []


def test_an_interrupted_packing_resumes(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pack.pack(digits, tmp_path / "whole", PART)
    packed, stop = list[int](), [True]

    def shard(dataset: Dataset, number: int, folder: Path, known: clips.PackedClips) -> None:
        if number == 1 and stop:
            raise KeyboardInterrupt
        packed.append(number)
        rows.pack_shard(dataset, number, folder, known)

    monkeypatch.setattr(pack, "pack_shard", shard)
    with pytest.raises(KeyboardInterrupt):
        pack.pack(digits, tmp_path / "pack", PART)
    with pytest.raises(DatasetError, match="no complete pack"):
        unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    stop.clear()
    again = pack.pack(digits, tmp_path / "pack", PART)
    assert packed == [0, 1]
    assert again == whole
    assert files(tmp_path / "pack") == files(tmp_path / "whole")
    assert pack.pack(digits, tmp_path / "pack", PART) == whole
    assert packed == [0, 1]
    larger = pack.pack(digits, tmp_path / "pack", 10 * PART)
    assert len(larger.parts) < len(whole.parts)
    assert len(list((tmp_path / "pack").glob("part-*"))) == len(larger.parts)


def test_an_interrupted_unpacking_is_no_data_set_and_finishes(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack.pack(digits, tmp_path / "pack", PART)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(unpack, "write_text", killed)
        patched.setattr(unpack, "open_packed", killed)
        with pytest.raises(KeyboardInterrupt):
            unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    with pytest.raises(DatasetError, match="no data set here"):
        open_dataset(tmp_path / "back")
    assert unpack.unpack([tmp_path / "pack"], tmp_path / "back").dataset.digest == digits.digest
    assert files(tmp_path / "back") == files(digits.folder)
    assert unpack.unpack([tmp_path / "pack"], tmp_path / "back").dataset.digest == digits.digest


def test_missing_and_damaged_parts_are_all_named(digits: Dataset, tmp_path: Path) -> None:
    index = pack.pack(digits, tmp_path / "pack", PART)
    assert len(index.parts) > 3
    paths = sorted((tmp_path / "pack").glob("part-*"))
    data = bytearray(paths[0].read_bytes())
    data[100] ^= 1
    paths[0].write_bytes(bytes(data))
    paths[1].unlink()
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    with pytest.raises(DatasetError, match="3 of") as caught:
        unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    assert "part-00000.pack: sha256" in str(caught.value)
    assert "part-00001.pack: missing" in str(caught.value)
    assert "part-00002.pack: 65,535 bytes, expected 65,536" in str(caught.value)
    assert not (tmp_path / "back").exists()
    assert pack.pack(digits, tmp_path / "pack", PART) == index
    assert unpack.unpack([tmp_path / "pack"], tmp_path / "back").dataset.digest == digits.digest


def test_other_png_bytes_keep_the_digest(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with another version of zlib on the other machine."""
    pack.pack(digits, tmp_path / "pack", PART)
    usual = image.encode_png
    monkeypatch.setattr(image, "encode_png", lambda pixels: usual(pixels) + b"\0")
    done = unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    assert done.changed == 80
    assert validate(done.dataset).problems == []
    assert done.dataset.digest == digits.digest


def test_files_that_cannot_be_made_again_are_kept_as_they_are(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set whose images came from another encoder: packed without strips, and restored to the byte."""
    usual = image.encode_png
    monkeypatch.setattr(image, "encode_png", lambda pixels: usual(pixels) + b"\0")
    pack.pack(digits, tmp_path / "pack", PART)
    done = unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    assert (done.changed, files(tmp_path / "back")) == (0, files(digits.folder))


def test_a_data_set_that_was_changed_is_not_packed(digits: Dataset, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(digits.folder, tmp_path / "copy"))
    path = open_dataset(folder).shards("train")[0]
    table = pq.read_table(path)
    labels = np.roll(np.array(table["label"].to_pylist()), 1)
    column = table.schema.get_field_index("label")
    pq.write_table(table.set_column(column, table.schema.field(column), [labels]), path)
    manifest = json.loads((folder / "manifest.json").read_text())
    for shard in manifest["shards"]:
        shard["bytes"] = (folder / shard["path"]).stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="does not hold what the manifest says"):
        pack.pack(open_dataset(folder), tmp_path / "pack", PART)
    assert not (tmp_path / "pack" / "pack.json").exists()


def test_directories_with_other_files_are_refused(digits: Dataset, tmp_path: Path) -> None:
    pack.pack(digits, tmp_path / "pack", PART)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="other files"):
        pack.pack(digits, tmp_path / "a", PART)
    with pytest.raises(OutputError, match="other files"):
        unpack.unpack([tmp_path / "pack"], tmp_path / "b")
    with pytest.raises(DocumentError, match="parts of 100 bytes"):
        pack.pack(digits, tmp_path / "c", 100)
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "pack" / "pack.json", tmp_path / "other")
    index = json.loads((tmp_path / "other" / "pack.json").read_text()) | {"dataset_digest": "0" * 64}
    (tmp_path / "other" / "pack.json").write_text(json.dumps(index))
    with pytest.raises(OutputError, match="the pack of another data set"):
        pack.pack(digits, tmp_path / "other", PART)


def test_a_pack_with_an_entry_outside_is_refused(digits: Dataset, tmp_path: Path) -> None:
    index = pack.pack(digits, tmp_path / "pack", 10**8)
    path = tmp_path / "pack" / index.parts[0].name
    with tarfile.open(path, "w") as made:
        made.add(digits.folder / "manifest.json", "../manifest.json")
    record = {"name": path.name, "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    changed = json.loads(index.to_json()) | {"parts": [record]}
    (tmp_path / "pack" / "pack.json").write_text(json.dumps(changed))
    with pytest.raises(DatasetError, match="unexpected entry"):
        unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    assert not (tmp_path / "manifest.json").exists()


def test_a_pack_of_other_rows_than_its_digest_says_is_refused(digits: Dataset, tmp_path: Path) -> None:
    """Each shard is what the manifest says of it, but the digest is that of another data set."""
    copy = Path(shutil.copytree(digits.folder, tmp_path / "copy"))
    manifest = json.loads((copy / "manifest.json").read_text()) | {"dataset_digest": "0" * 64}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    pack.pack(open_dataset(copy), tmp_path / "pack", 10**8)
    with pytest.raises(DatasetError, match="does not hold the data set"):
        unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    with pytest.raises(DatasetError, match="no data set here"):
        open_dataset(tmp_path / "back")


def test_an_index_without_parts_is_refused(digits: Dataset, tmp_path: Path) -> None:
    index = json.loads(pack.pack(digits, tmp_path / "pack", 10**8).to_json()) | {"parts": []}
    (tmp_path / "pack" / "pack.json").write_text(json.dumps(index))
    with pytest.raises(DocumentError):
        unpack.unpack([tmp_path / "pack"], tmp_path / "back")


def test_what_an_interrupted_unpacking_left_does_not_stay_and_a_data_set_does(digits: Dataset, tmp_path: Path) -> None:
    pack.pack(digits, tmp_path / "pack", 10**8)
    for folder in (".unpacking", "data"):
        (tmp_path / "back" / folder).mkdir(parents=True)
    (tmp_path / "back" / "data" / "train-00007-of-00009.parquet").write_text("of another data set")
    unpack.unpack([tmp_path / "pack"], tmp_path / "back")
    assert files(tmp_path / "back") == files(digits.folder)
    other = tmp_path / "other"
    (other / ".unpacking").mkdir(parents=True)
    (other / "manifest.json").write_text(digits.manifest.model_copy(update={"dataset_digest": "0" * 64}).to_json())
    shutil.copytree(digits.folder / "data", other / "data")
    before = files(other)
    with pytest.raises(OutputError, match="other files"):
        unpack.unpack([tmp_path / "pack"], other)
    assert files(other) == before


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.sampled_from([(8, 8), (28, 28), (3, 40)]), st.sampled_from([1, 3]), st.integers(0, 2**31))
def test_strips_are_exact(count: int, size: tuple[int, int], channels: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *size, channels), dtype=np.uint8)
    np.testing.assert_array_equal(strips.decode_strip(strips.encode_strip(pixels), *size, channels), pixels)


def test_strips_hold_what_webp_can() -> None:
    assert strips.strip_images(28, 28) == 512
    assert strips.strip_images(256, 256) == 63
    assert (strips.strip_images(20_000, 20), strips.strip_images(20, 20_000)) == (0, 0)


def test_a_wav_file_of_another_kind_is_kept_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(-99, 99, 400).astype(np.int16)
    plain = audio.encode_wav(noise, 8000)
    assert clips._packed(plain)[0] == "wav"
    for data in (plain + b"LIST\4\0\0\0note", plain[:40], audio.encode_flac(noise, 8000)):
        assert clips._packed(data) == ("raw", data)


def test_the_commands(digits: Dataset, tmp_path: Path) -> None:
    def typed(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return done.exit_code, done.output

    code, shown = typed("pack", digits.folder, "--parts", "100KiB", "--out", tmp_path / "pack")
    assert (code, f"digest {digits.digest}" in shown) == (0, True)
    parts = sorted((tmp_path / "pack").iterdir())
    code, shown = typed("unpack", *parts, tmp_path / "back")
    assert (code, f"digest {digits.digest}" in shown) == (0, True)
    assert typed("validate", tmp_path / "back")[0] == 0
    code, shown = typed("unpack", *parts[1:], tmp_path / "more")
    assert (code, "part-00000.pack: missing" in shown) == ((2, True) if parts[0].suffix == ".pack" else (2, False))
    code, shown = typed("pack", digits.folder, "--parts", "some")
    assert (code, "'some' is not a size" in shown) == (2, True)
    code, shown = typed("unpack", tmp_path / "nowhere", tmp_path / "x")
    assert (code, "no complete pack here" in shown) == (2, True)
