"""INIS from local files: photographs in class directories, chunks of recordings, and what is wrong with either."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.inis_corpus import real_corpus
from tests.sub_urmp_corpus import jpeg, wav
from tests.upstreams import Memory
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.errors import UpstreamError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.inspection.validate import validate
from xmbench.interfaces import Entry, RawClip, RawImage, Rejected
from xmbench.media.image import centred_square
from xmbench.sources import image_folders, recording_chunks
from xmbench.sources.image_folders import ImageFoldersOptions
from xmbench.sources.recording_chunks import RecordingChunksOptions
from xmbench.views.preview import write_preview

RECIPE = load_recipe("inis")
CLASSES = RECIPE.classes.names
DIRECTORIES = ImageFoldersOptions.model_validate(RECIPE.sources["photographs"].options)
OPTIONS = RecordingChunksOptions.model_validate(RECIPE.sources["solos"].options)


def played(seconds: float, rate: int = 8_000, level: float = 0.3, hz: float = 440.0) -> bytes:
    samples = level * 32767 * np.sin(2 * np.pi * hz / rate * np.arange(round(seconds * rate)))
    return wav(np.stack([samples, samples], axis=1).astype(np.int16), rate)


def recordings(seconds: float = 1.2, number: int = 3) -> dict[str, bytes]:
    """Every one with another tone."""
    named = [f"recordings/{name}/Take {i}.wav" for name in CLASSES for i in range(number)]
    return {name: played(seconds, hz=300.0 + 10 * i) for i, name in enumerate(named)}


def chunks(files: dict[str, bytes], options: RecordingChunksOptions = OPTIONS) -> list[Entry]:
    return recording_chunks.SOURCE.entries(Memory(files), options, RECIPE.task)


def read(files: dict[str, bytes], name: str) -> list[RawClip | Rejected]:
    """What is read of one of the recordings."""
    found = [entry for entry in chunks(files) if entry.locator[0] == name]
    raws = recording_chunks.SOURCE.read(Memory(files), OPTIONS, RECIPE.task, found)
    return [raw for raw in raws if isinstance(raw, RawClip | Rejected)]


# ------------------------------------------------------------------------------------------- real photos and sounds
@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    folder = tmp_path_factory.mktemp("inis")
    real_corpus(folder, CLASSES)
    return folder, build(RECIPE, folder / "out", source=folder, accept_changed=True, workers=1)


def test_real_photos_get_real_sounds_of_their_instrument(real: tuple[Path, Dataset], tmp_path: Path) -> None:
    dataset = real[1]
    assert validate(dataset).problems == []
    assert {split: dataset.count(split) for split in ("train", "test")} == {"train": 21, "test": 9}
    assert write_preview(dataset, tmp_path / "page.html").images > 0
    groups: dict[str, set[str]] = {"train": set(), "test": set()}
    for split, found in groups.items():
        for row in dataset.rows(split, ["label", "group", "piece", "start_s", "duration_s"]):
            assert row["group"] == row["piece"]
            assert row["group"].startswith(CLASSES[row["label"]])
            assert (row["start_s"] * 2, row["duration_s"]) == (round(row["start_s"] * 2), 0.5)
            found.add(row["group"])
    assert not groups["train"] & groups["test"]


def test_another_build_has_the_same_digest(real: tuple[Path, Dataset], tmp_path: Path) -> None:
    folder, dataset = real
    other = build(RECIPE, tmp_path / "out", source=folder, accept_changed=True, workers=1)
    assert other.digest == dataset.digest


def test_a_planted_leak_is_found(real: tuple[Path, Dataset], tmp_path: Path) -> None:
    shutil.copytree(real[1].folder, tmp_path / "leak")
    leak = open_dataset(tmp_path / "leak")
    known = next(iter(leak.rows("train", ["group", "audio"])))
    path = leak.shards("test")[0]
    table = pq.read_table(path)
    for name in ("group", "audio"):
        values = pa.array([known[name], *table[name].to_pylist()[1:]], table.schema.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    pq.write_table(table, path)
    text = "\n".join(validate(leak).problems)
    assert f"the group '{known['group']}' is in several splits" in text
    assert "one waveform is in several splits" in text


# ------------------------------------------------------------------------------------------------------ recordings
@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 4.0), st.sampled_from([0.1, 0.25, 0.5]))
def test_a_recording_has_as_many_chunks_as_fit(seconds: float, stride_s: float) -> None:
    files = recordings(seconds, 2)
    found = chunks(files, OPTIONS.model_copy(update={"stride_s": stride_s}))
    samples = round(seconds * 8_000)
    fitting = 1 + max(0, samples - 4_000) // round(stride_s * 8_000)
    assert len(found) == fitting * 2 * len(CLASSES)
    assert len({entry.key for entry in found}) == len(found)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 7), st.integers(0, 5))
def test_every_class_has_recordings_in_both_splits_and_none_in_two(number: int, seed: int) -> None:
    found = chunks(recordings(0.6, number), OPTIONS.model_copy(update={"seed": seed}))
    splits = {(entry.group, entry.split) for entry in found}
    assert len({group for group, _ in splits}) == len(splits) == number * len(CLASSES)
    assert {(entry.label, entry.split) for entry in found} == {(k, s) for k in range(5) for s in ("train", "test")}


def test_the_same_recording_under_two_names_is_in_one_split() -> None:
    for seed in range(8):
        files = recordings(2.0, 4)
        files["recordings/piano/again.flac"] = flac_of(files["recordings/piano/Take 2.wav"])
        found = chunks(files, OPTIONS.model_copy(update={"seed": seed}))
        both = {(e.group, e.split) for e in found if e.attributes["piece"] in ("piano-again", "piano-take-2")}
        assert len(both) == 1
        assert len({entry.group for entry in found}) == 4 * len(CLASSES)


def test_the_same_recording_in_two_classes_is_refused() -> None:
    files = recordings(0.6)
    files["recordings/violin/x.wav"] = files["recordings/drum/Take 1.wav"]
    with pytest.raises(UpstreamError, match=r"violin/x.wav is the recording of recordings/drum/Take 1.wav"):
        chunks(files)


def flac_of(data: bytes) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, *soundfile.read(io.BytesIO(data), dtype="int16"), format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def test_a_chunk_is_the_mean_of_the_channels_where_it_starts() -> None:
    files = recordings(0.6, 2)
    ramp = np.stack([np.arange(9_000), np.arange(9_000) + 1000], axis=1).astype(np.int16)
    files["recordings/piano/Take 0.wav"] = wav(ramp, 8_000)
    first, second = read(files, "recordings/piano/Take 0.wav")
    assert isinstance(first, RawClip)
    assert isinstance(second, RawClip)
    assert second.sample_rate_hz == 8_000
    assert second.samples.tolist() == list(range(4_500, 8_500))


def test_silent_chunks_are_filtered_with_their_level() -> None:
    files = recordings(0.6, 2)
    quiet = np.concatenate([np.full((4_000, 1), 40), np.full((4_000, 1), 400)]).astype(np.int16)
    files["recordings/drum/Take 1.wav"] = wav(quiet, 8_000)
    first, second = read(files, "recordings/drum/Take 1.wav")
    assert isinstance(first, Rejected)
    assert (first.reason, first.filtered) == ("silent", True)
    assert "-58.3 dB" in first.detail
    assert isinstance(second, RawClip)


def test_a_recording_that_cannot_be_read_is_one_failed_item() -> None:
    files = {**recordings(1.0, 2), "recordings/violin/broken.wav": b"RIFF....no sound"}
    (found,) = read(files, "recordings/violin/broken.wav")
    assert isinstance(found, Rejected)
    assert (found.reason, found.filtered) == ("corrupt-audio", False)


def test_a_recording_whose_header_cannot_be_is_one_failed_item() -> None:
    odd = bytearray(played(0.6))
    odd[24:28] = (700).to_bytes(4, "little")  # the rate
    (found,) = read({**recordings(1.0, 2), "recordings/violin/odd.wav": bytes(odd)}, "recordings/violin/odd.wav")
    assert isinstance(found, Rejected)
    assert "700 Hz, expected" in found.detail


def test_what_is_wrong_with_the_recordings_is_listed() -> None:
    files = {name: data for name, data in recordings(0.6).items() if "/drum/" not in name or "0" in name}
    files |= {"recordings/kazoo/a.wav": b"", "recordings/piano/take_1.flac": b"", "recordings/notes.txt": b""}
    with pytest.raises(UpstreamError) as caught:
        chunks(files)
    assert sorted(caught.value.problems) == [
        "1 recording(s) of 'drum'",
        "recordings/kazoo/a.wav: its directory is not a class of the recipe",
        "recordings/piano/take_1.flac: another recording has the name 'piano-take-1'",
    ]


# ---------------------------------------------------------------------------------------------------------- images
def images(*names: str) -> list[Entry]:
    known = [f"images/{name}/1.jpg" for name in CLASSES]
    files = dict.fromkeys([*known, *names], b"")
    return image_folders.SOURCE.entries(Memory(files), DIRECTORIES, RECIPE.task)


def test_directories_of_imagenet_are_classes() -> None:
    found = images("images/n03249569/n03249569_17.JPEG", "images/sax/Photo 3.png", "images/sax/notes.txt")
    labels = {entry.key: CLASSES[entry.label] for entry in found}
    assert labels["n03249569-17"] == labels["drum-1"] == "drum"
    assert labels["sax-photo-3"] == "saxophone"
    assert len(found) == 7
    assert {entry.split for entry in found} == {"any"}


def test_directories_that_are_no_class_are_named() -> None:
    with pytest.raises(UpstreamError, match=r"kazoo: not a class of the recipe \(2 images\)"):
        images("images/kazoo/1.jpg", "images/kazoo/2.jpg")
    with pytest.raises(UpstreamError, match="no image of 'guitar'"):
        image_folders.SOURCE.entries(Memory({"images/drum/1.jpg": b""}), DIRECTORIES, RECIPE.task)


def test_images_are_cut_to_their_centred_square() -> None:
    pixels = np.arange(5 * 8 * 3, dtype=np.uint8).reshape(5, 8, 3)
    np.testing.assert_array_equal(centred_square(pixels), pixels[:, 1:6])
    np.testing.assert_array_equal(centred_square(pixels.transpose(1, 0, 2)), pixels.transpose(1, 0, 2)[1:6])


def test_an_image_that_cannot_be_read_is_a_failed_item() -> None:
    stream = io.BytesIO()
    Image.new("CMYK", (4, 4)).save(stream, format="JPEG")
    files = {"images/drum/1.jpg": jpeg(Image.new("RGB", (6, 4))), "images/drum/2.jpg": stream.getvalue()}
    found = [Entry(name, "any", 0, name, (name,)) for name in files]
    first, second = image_folders.SOURCE.read(Memory(files), DIRECTORIES, RECIPE.task, found)
    assert isinstance(first, RawImage)
    assert first.pixels.shape == (4, 4, 3)
    assert isinstance(second, Rejected)
    assert second.reason == "corrupt-image"


def test_what_is_left_out_stands_in_the_ledger(tmp_path: Path) -> None:
    for name in CLASSES:
        for i in range(4):
            path = tmp_path / "in" / "images" / name / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(Image.new("RGB", (70, 64), (50 * i, 9, 40 * CLASSES.index(name)))))
        for i in range(2):
            path = tmp_path / "in" / "recordings" / name / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([i, CLASSES.index(name)])
            loud = rng.integers(-9000, 9000, (22_050, 1))
            path.write_bytes(wav(np.concatenate([loud, loud // 4000]).astype(np.int16)))
    dataset = build(RECIPE, tmp_path / "out", source=tmp_path / "in", accept_changed=True, workers=1)
    assert validate(dataset).problems == []
    rows = ledger.read(dataset.folder / "ledger.parquet")
    assert {(row.reason, row.filtered) for row in rows} == {("silent", True)}
    assert len(rows) == 2 * len(CLASSES)
