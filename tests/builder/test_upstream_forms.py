"""Upstream files in several published forms, in archives and in folders; and copies that are not the published ones."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.builder.test_fetch import Mirror
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.builder.upstream import fetch
from xmbench.builder.upstream.fetch import obtain
from xmbench.errors import DocumentError, UpstreamError
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import open_unchecked, validate

COUNT = 12
ARCHIVE = "small-python.tar.gz"
PICKLES = {"train": "cifar-10-batches-py/data_batch_1", "test": "cifar-10-batches-py/test_batch"}
BINARIES = {"train": "cifar-10-batches-bin/data_batch_1.bin", "test": "cifar-10-batches-bin/test_batch.bin"}


def part(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and planes of one split."""
    rng = np.random.default_rng(len(split))
    return np.arange(COUNT) % 10, rng.integers(0, 256, (COUNT, 3072), dtype=np.uint8)


def published() -> dict[str, bytes]:
    """Both forms of a corpus as small as it gets."""
    files = {}
    for split in PICKLES:
        labels, planes = part(split)
        files[PICKLES[split]] = pickle.dumps({b"labels": labels.tolist(), b"data": planes}, 2)
        files[BINARIES[split]] = np.concatenate([labels[:, None].astype(np.uint8), planes], axis=1).tobytes()
    return files


def spec(name: str, layout: str, archive: str = "", **fields: Any) -> dict[str, Any]:
    data = published()[name]
    return {
        "name": name,
        "layout": layout,
        "archive": archive,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        **fields,
    }


def packed(names: Iterator[str] | list[str], top: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tape:
        for name in names:
            info = tarfile.TarInfo(f"{top}{name}")
            info.size = len(published()[name])
            tape.addfile(info, io.BytesIO(published()[name]))
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setattr(fetch, "PAUSE_S", 0.0)
    made = Mirror()
    yield made
    made.server.shutdown()
    made.server.server_close()


def recipe_of(archive: dict[str, Any] | None = None) -> Recipe:
    raw = load_recipe("cifar10-ad").model_dump(mode="json", by_alias=True)
    source = raw["sources"]["cifar"]
    source["archives"] = [archive or {"name": ARCHIVE}]
    source["files"] = [
        *(spec(name, "pickles", ARCHIVE, split=split) for split, name in PICKLES.items()),
        *(spec(name, "binary", split=split) for split, name in BINARIES.items()),
        *({"name": split, "kind": "folder", "pattern": "*/*.png", "layout": "folders"} for split in PICKLES),
    ]
    source["options"] = {"train_images": COUNT, "test_images": COUNT}
    return Recipe.model_validate(raw)


def write(folder: Path, names: dict[str, str]) -> Path:
    for name in names.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(published()[name])
    return folder


def built(recipe: Recipe, out: Path, source: Path | None, **options: Any) -> Dataset:
    return build(recipe, out, source=source, workers=1, **options)


# ------------------------------------------------------------------------------------------------- forms
def test_every_form_gives_the_same_data_set(tmp_path: Path) -> None:
    pickles = built(recipe_of(), tmp_path / "a", write(tmp_path / "pickles", PICKLES))
    binaries = built(recipe_of(), tmp_path / "b", write(tmp_path / "binaries", BINARIES))
    assert pickles.digest == binaries.digest
    assert set(pickles.manifest.sources["cifar"].files) == set(PICKLES.values())
    assert set(binaries.manifest.sources["cifar"].files) == set(BINARIES.values())
    assert validate(binaries).problems == []


def test_files_are_in_the_directory_or_just_below_it(tmp_path: Path) -> None:
    write(tmp_path / "all" / "cifar", PICKLES)
    assert built(recipe_of(), tmp_path / "a", tmp_path / "all").count("train") == COUNT


def test_images_in_directories_need_to_be_accepted(tmp_path: Path) -> None:
    from PIL import Image

    recipe, folder = recipe_of(), tmp_path / "images"
    for split in PICKLES:
        labels, planes = part(split)
        for i, (label, plane) in enumerate(zip(labels, planes, strict=True)):
            path = folder / split / recipe.classes.names[label] / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(plane.reshape(3, 32, 32).transpose(1, 2, 0)).save(path)
    with pytest.raises(UpstreamError, match="no published list to compare") as caught:
        built(recipe, tmp_path / "a", folder)
    assert "--accept-changed-sources" in str(caught.value)
    dataset = built(recipe, tmp_path / "a", folder, accept_changed=True)
    assert dataset.count("train") == COUNT
    assert dataset.manifest.sources["cifar"].changed == ("train", "test")


# ---------------------------------------------------------------------------------------------- archives
@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("top", ["", "./", "corpus-1.0/"])
def test_an_archive_in_the_directory_is_as_good(tmp_path: Path, kind: str, top: str) -> None:
    (tmp_path / "packed").mkdir()
    data = packed(list(PICKLES.values()), top)
    if kind == "zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as entries:
            for name in PICKLES.values():
                entries.writestr(f"{top}{name}", published()[name])
        data = stream.getvalue()
    (tmp_path / "packed" / ARCHIVE).write_bytes(data)
    dataset = built(recipe_of(), tmp_path / "a", tmp_path / "packed")
    assert validate(dataset).problems == []
    assert dataset.manifest.sources["cifar"].changed == ()


def test_an_archive_is_fetched_once_and_checked(tmp_path: Path, mirror: Mirror) -> None:
    data = packed(list(PICKLES.values()))
    mirror.files["/good"] = data
    mirror.files["/other"] = packed([PICKLES["train"]])
    archive = {
        "name": ARCHIVE,
        "urls": [f"{mirror.url}/other", f"{mirror.url}/good"],
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    recipe = recipe_of(archive)
    assert recipe.sources["cifar"].download_bytes == len(data)
    dataset = built(recipe, tmp_path / "a", None)
    asked = len(mirror.asked)
    assert asked == 2
    assert built(recipe, tmp_path / "b", None, offline=True).digest == dataset.digest
    assert len(mirror.asked) == asked


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (packed(list(PICKLES.values()))[:-2000], "damaged|cut off"),
        (packed([PICKLES["train"]]), "does not contain cifar-10-batches-py/test_batch"),
        (packed(list(PICKLES.values()), "../"), "does not contain"),
        (packed(list(PICKLES.values()), "a/b/c/"), "does not contain"),
        (b"no archive", "damaged archive"),
        (b"", "damaged archive"),
    ],
)
def test_archives_that_do_not_hold_it(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / ARCHIVE).write_bytes(data)
    with pytest.raises(UpstreamError, match=said):
        obtain(recipe_of(), tmp_path / "packed", offline=True, progress=lambda line: None)
    assert not list(tmp_path.glob("*.part"))


# --------------------------------------------------------------------------------------- changed content
def test_changed_files_are_refused_unless_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "changed", PICKLES)
    labels, planes = part("train")
    other = pickle.dumps({"labels": labels[::-1].tolist(), "data": planes[::-1] // 2}, 4)
    (folder / PICKLES["train"]).write_bytes(other)
    with pytest.raises(UpstreamError, match=r"data_batch_1: \d+ bytes") as caught:
        built(recipe_of(), tmp_path / "a", folder)
    assert "--accept-changed-sources" in str(caught.value)
    lines: list[str] = []
    dataset = built(recipe_of(), tmp_path / "a", folder, accept_changed=True, progress=lines.append)
    record = dataset.manifest.sources["cifar"]
    assert record.changed == (PICKLES["train"],)
    assert record.files[PICKLES["train"]] == hashlib.sha256(other).hexdigest()
    assert record.files[PICKLES["test"]] == hashlib.sha256(published()[PICKLES["test"]]).hexdigest()
    assert any("not the published bytes" in line for line in lines)
    card = (dataset.folder / "README.md").read_text()
    assert "**Not the published bytes**: `cifar-10-batches-py/data_batch_1`" in card
    assert f"sha256 `{record.files[PICKLES['train']]}`, **not the published bytes**" in card
    assert validate(dataset).problems == []
    honest = built(recipe_of(), tmp_path / "b", write(tmp_path / "honest", PICKLES), accept_changed=True)
    assert honest.manifest.sources["cifar"].changed == ()
    assert honest.digest != dataset.digest


def test_a_manifest_that_hides_a_changed_source_is_noticed(tmp_path: Path) -> None:
    folder = write(tmp_path / "changed", PICKLES)
    labels, planes = part("train")
    (folder / PICKLES["train"]).write_bytes(pickle.dumps({"labels": labels.tolist(), "data": planes}, 5))
    dataset = built(recipe_of(), tmp_path / "a", folder, accept_changed=True)
    path = dataset.folder / "manifest.json"
    raw = json.loads(path.read_text())
    raw["sources"]["cifar"]["changed"] = []
    path.write_text(json.dumps(raw))
    assert any("the files of the source 'cifar'" in line for line in validate(open_unchecked(dataset.folder)).problems)


def test_changed_files_need_a_directory(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="only accepted from a directory"):
        built(recipe_of(), tmp_path / "a", None, accept_changed=True)


def test_a_damaged_changed_file_is_still_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "changed", PICKLES)
    whole = published()[PICKLES["train"]]
    for data, said in ((whole[:-50], "damaged pickle"), (b"", "empty"), (b"<html>please log in", "web page")):
        (folder / PICKLES["train"]).write_bytes(data)
        with pytest.raises(UpstreamError, match=said):
            built(recipe_of(), tmp_path / "a", folder, accept_changed=True)


# ----------------------------------------------------------------------------------------------- folders
def spoken(folder: Path, ending: str = "wav") -> Path:
    """One recording per digit and speaker, of a tone."""
    folder.mkdir(parents=True)
    for digit in range(10):
        for k, who in enumerate(("ann", "bob")):
            tone = np.rint(9000 * np.sin(np.arange(2400 + 100 * k) * (0.2 + 0.05 * digit))).astype(np.int16)
            soundfile.write(folder / f"{digit}_{who}_0.{ending}", tone, 8000, subtype="PCM_16")
    return folder


@pytest.fixture
def human(tmp_path: Path) -> Recipe:
    """`mnist-ad-human` with embedded digits and the recordings of `spoken`."""
    from xmbench.builder.upstream.folders import listed
    from xmbench.formats.recipe import FileSpec

    raw = load_recipe("mnist-ad-human").model_dump(mode="json", by_alias=True)
    raw["sources"]["mnist"] = load_recipe("digits-ad").model_dump(mode="json")["sources"]["digits"]
    raw["splits"] = {"method": "stratified", "test_fraction": 0.5}
    source = raw["sources"]["speech"]
    digest = listed(spoken(tmp_path / "made"), FileSpec(**source["files"][0])).digest
    source["files"][0]["sha256"] = digest
    source["options"] = {"train_speakers": ["ann"], "test_speakers": ["bob"]}
    return Recipe.model_validate(raw)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_directory_is_one_file_whatever_the_lossless_encoding(human: Recipe, tmp_path: Path, ending: str) -> None:
    spoken(tmp_path / "up" / "recordings", ending)
    dataset = built(human, tmp_path / "a", tmp_path / "up", limit=40)
    assert dataset.manifest.sources["speech"].files == {"recordings": human.sources["speech"].files[0].sha256}
    assert dataset.manifest.sources["speech"].changed == ()
    rows = list(dataset.rows("test", ["speaker", "engine", "group", "text"]))
    assert {(row["speaker"], row["engine"], row["group"]) for row in rows} == {("bob", "recorded", "bob")}
    assert validate(dataset).problems == []


@pytest.mark.parametrize("damage", ["missing", "renamed", "other", "more"])
def test_a_directory_that_is_not_the_published_one(human: Recipe, tmp_path: Path, damage: str) -> None:
    folder = spoken(tmp_path / "up" / "recordings")
    if damage == "missing":
        (folder / "3_ann_0.wav").unlink()
    elif damage == "renamed":
        (folder / "3_ann_0.wav").rename(folder / "3_ann_1.wav")
    elif damage == "other":
        shutil.copy(folder / "4_ann_0.wav", folder / "3_ann_0.wav")
    else:
        shutil.copy(folder / "4_ann_0.wav", folder / "4_ann_7.wav")
    with pytest.raises(UpstreamError, match="files whose list has the sha256"):
        built(human, tmp_path / "a", tmp_path / "up", limit=40)


def test_recordings_out_of_range_are_booked(human: Recipe, tmp_path: Path) -> None:
    folder = spoken(tmp_path / "up" / "recordings")
    for who in ("ann", "bob"):
        soundfile.write(folder / f"7_{who}_1.wav", np.sin(np.arange(800)), 8000, subtype="PCM_16")
        soundfile.write(folder / f"7_{who}_2.wav", np.sin(np.arange(16000)), 8000, subtype="PCM_16")
    (folder / "7_ann_3.wav").write_bytes(b"RIFF")
    dataset = built(human, tmp_path / "a", tmp_path / "up", limit=40, accept_changed=True)
    notes = " ".join(validate(dataset).notes)
    for said in ("2 x too-short (takes)", "2 x too-long (takes)", "1 x corrupt-audio (takes)"):
        assert said in notes


def test_a_directory_out_of_an_archive(human: Recipe, tmp_path: Path) -> None:
    folder = spoken(tmp_path / "corpus-1.0" / "recordings")
    (tmp_path / "up").mkdir()
    name = human.sources["speech"].archives[0].name
    with tarfile.open(tmp_path / "up" / name, "w:gz") as tape:
        tape.add(folder.parent, "corpus-1.0")
    assert built(human, tmp_path / "a", tmp_path / "up", limit=40).count("train") > 0


# ----------------------------------------------------------------------------------------------- recipes
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"archive": "unknown.tar"}, "`archives` does not have: unknown.tar"),
        ({"sha256": ""}, "files without sha256"),
        ({"bytes": 0}, "without `bytes`"),
        ({"kind": "folder"}, "needs a `pattern`"),
        ({"pattern": "*"}, "is for a directory"),
        ({"name": "../../etc/passwd"}, "match pattern"),
        ({"name": "/etc/passwd"}, "match pattern"),
    ],
)
def test_recipes_that_describe_no_file(change: dict[str, Any], said: str) -> None:
    raw = recipe_of().model_dump(mode="json", by_alias=True)
    raw["sources"]["cifar"]["files"][0] |= change
    with pytest.raises(ValueError, match=said):
        Recipe.model_validate(raw)
