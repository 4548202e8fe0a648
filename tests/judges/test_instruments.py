"""The judges of instruments, of sounds and of images: which data they fit, the frozen ones, fitting on a user's own."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT, shared
from tests.sub_urmp_corpus import Window, tiny_corpus, windows
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.conformance.judges import check_judge
from xmbench.errors import DatasetError, PrerequisiteError, UnknownNameError
from xmbench.formats.corpora import read_toml
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import FittableKind, Judge, JudgeKind, Modality
from xmbench.judges import labelled, loading
from xmbench.judges.fitting import fit, kind_for
from xmbench.judges.instrument_images import JUDGE as IMAGES
from xmbench.judges.instrument_images import photo_features
from xmbench.judges.instrument_images.network import seen
from xmbench.judges.instrument_sounds import JUDGE as SOUNDS
from xmbench.judges.instrument_sounds.augment import vocoded
from xmbench.judges.instrument_sounds.features import FRONT_ENDS, RATE_HZ, SAMPLES, features, heard, shape_of
from xmbench.judges.labelled import read
from xmbench.judges.records import pretrained
from xmbench.media.signal import Media, Picture, Sound

URMP = (
    *("bassoon", "cello", "clarinet", "double_bass", "flute", "horn", "oboe", "saxophone"),
    *("trombone", "trumpet", "tuba", "viola", "violin"),
)
OF_SOUNDS = ("instrument-sounds", "instrument-sounds-second")
OF_IMAGES = ("instrument-frames", "instrument-photos")
OF_MINI = ("urmp-mini-sounds", "urmp-mini-sounds-second", "urmp-mini-images")
LARGEST_BYTES = 200_000


def stored(name: str, ending: str = "safetensors") -> bytes:
    (path,) = (Path(str(files("xmbench"))) / "judges").glob(f"instrument_*/weights/{name}.{ending}")
    return path.read_bytes()


def card(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stored(name, "json"))
    return found


def frozen(name: str) -> Judge:
    return loading.load(stored(name))


def tones(number: int, rate: int = 44_100, seconds: float = 0.5) -> Sound:
    """A harmonic tone of another pitch and timbre for every number."""
    time = np.arange(int(rate * seconds)) / rate
    hz = 110.0 * 2 ** (number * 5 % 24 / 12)
    parts = [np.sin(2 * np.pi * hz * n * time) / n ** (0.5 + number % 3) for n in range(1, 12)]
    return Sound((0.1 * np.sum(parts, axis=0)).astype(np.float32), rate)


def pictures(number: int, side: int = 64) -> Picture:
    rng = np.random.default_rng(number)
    return Picture(np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((side // 8, side // 8, 1))).astype(np.uint8))


def items_for(judge: Judge, count: int) -> list[Media]:
    return [tones(i) if judge.modality == "audio" else pictures(i) for i in range(count)]


# ------------------------------------------------------------------------------------------------ what they fit
@pytest.mark.parametrize("recipe", ["sub-urmp", "urmp-windows", "urmp-mini", "inis"])
def test_data_sets_of_instruments_have_a_kind_for_either_modality(digits: Dataset, recipe: str) -> None:
    dataset = of_recipe(digits, load_recipe(recipe))
    assert kind_for([dataset], "audio") == "instrument-sounds"
    assert kind_for([dataset], "image") == "instrument-images"


@pytest.mark.parametrize("names", [("sax", "violin"), ("Double bass", "french-horn"), ("piano",)])
def test_any_set_of_instruments_fits_by_name_however_it_is_spelled(names: tuple[str, ...]) -> None:
    task = replace(load_recipe("inis").task, class_names=names)
    assert SOUNDS.fits(task)
    assert IMAGES.fits(task)


@pytest.mark.parametrize("names", [("violin", "dog"), ("0", "1"), ("sax", "saxophone")])
def test_other_classes_do_not_fit(names: tuple[str, ...]) -> None:
    task = replace(load_recipe("inis").task, class_names=names)
    assert not SOUNDS.fits(task)
    assert not IMAGES.fits(task)
    assert not SOUNDS.fits(replace(task, class_names=("violin",), words=("violin",))), "a word is spoken"


# ------------------------------------------------------------------------------------------- the frozen judges
@pytest.mark.parametrize("name", [*OF_SOUNDS, *OF_IMAGES, *OF_MINI])
def test_a_judge_is_small_and_is_the_one_on_its_card(name: str) -> None:
    data, known, judge = stored(name), card(name), frozen(name)
    assert len(data) == known["bytes"] <= LARGEST_BYTES
    assert sha256(data).hexdigest() == known["sha256"]
    assert (known["role"] == "second") == name.endswith("-second")
    assert known["voices"], "licences of what it was trained on"
    assert known["false_accepts"]
    assert list(judge.class_names) == known["classes"]


@pytest.mark.parametrize(("kind", "name"), [(SOUNDS, "instrument-sounds"), (IMAGES, "instrument-frames")])
def test_both_kinds_keep_what_judges_promise(kind: JudgeKind, name: str) -> None:
    check_judge(kind, stored(name), items_for(frozen(name), 3))


def test_the_instruments_of_urmp_are_among_their_classes() -> None:
    for name in OF_SOUNDS:
        assert set(frozen(name).class_names) == {*URMP, "piano", "guitar", "drum"}
    assert frozen("instrument-frames").class_names == URMP
    assert {"piano", "saxophone", "violin", "drum", "guitar"} <= set(frozen("instrument-photos").class_names)


def test_the_corpus_of_instruments_names_the_judges_that_ship() -> None:
    known = read_toml(ROOT / "recipes" / "corpora" / "instruments.toml")
    for name, digest in known["judges"].items():
        assert sha256(stored(name)).hexdigest() == digest
    assert {*OF_SOUNDS, *OF_IMAGES, *OF_MINI} == set(known["judges"])


@pytest.mark.parametrize("name", [*OF_SOUNDS, *OF_IMAGES])
def test_a_row_depends_on_its_own_item_only(name: str) -> None:
    judge = frozen(name)
    items = items_for(judge, 70)
    together, alone = judge.probabilities(items), judge.probabilities(items[66:67])
    assert together.shape == (70, len(judge.class_names) + 1)
    np.testing.assert_array_equal(together[66], alone[0])
    np.testing.assert_array_equal(judge.embed(items)[66], judge.embed(items[66:67])[0])
    np.testing.assert_allclose(together.sum(1), 1.0, atol=1e-5)
    assert judge.probabilities([]).shape == (0, len(judge.class_names) + 1)


@pytest.mark.parametrize("name", [*OF_SOUNDS, "urmp-mini-sounds", "urmp-mini-sounds-second"])
def test_silence_noise_and_hum_are_no_instrument(name: str) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(22_050) / 44_100
    sounds = [np.zeros(22_050), rng.normal(0, 0.1, 22_050), rng.normal(0, 1e-3, 22_050), 0.3 * np.sin(314.16 * time)]
    judge = frozen(name)
    found = judge.probabilities([Sound(sound.astype(np.float32), 44_100) for sound in sounds]).argmax(1)
    assert found.tolist() == [len(judge.class_names)] * 4


@pytest.mark.parametrize("name", [*OF_IMAGES, "urmp-mini-images"])
def test_plain_colours_and_noise_are_no_instrument(name: str) -> None:
    rng = np.random.default_rng(0)
    plain = [np.full((64, 64, 3), shade, np.uint8) for shade in (0, 128, 255)]
    images = [*plain, rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)]
    judge = frozen(name)
    found = judge.probabilities([Picture(pixels) for pixels in images]).argmax(1)
    assert found.tolist() == [len(judge.class_names)] * 4


def test_the_judges_of_drawn_players_were_not_trained_on_urmp_mini() -> None:
    for name in OF_MINI:
        known = card(name)
        assert set(known["data"]) == {"other-pieces"}
        assert "other seeds" in known["details"]["trained_on"]
        assert known["accuracy"]["test items of urmp-mini"]["accuracy"] >= 0.9
        assert set(frozen(name).class_names) == {"cello", "flute", "trumpet", "violin"}


# ---------------------------------------------------------------------------------------------- what they hear and see
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_any_length_rate_and_level_is_heard_as_half_a_second(front_end: str) -> None:
    import torch

    sounds = [tones(3), tones(3, rate=22_050), tones(3, seconds=2.0), tones(3, seconds=0.2)]
    waves = heard(sounds)
    assert waves.shape == (4, SAMPLES)
    bands = features(torch.from_numpy(waves), front_end)
    assert tuple(bands.shape[1:]) == shape_of(front_end)
    assert -1.0001 <= float(bands.min()) < float(bands.max()) <= 1.0001
    quiet = features(torch.from_numpy(0.01 * waves), front_end)
    torch.testing.assert_close(quiet, bands, atol=5e-3, rtol=0)
    assert float((bands[0] - bands[1]).abs().mean()) < 0.05, "the rate makes no difference"


def test_the_loudest_half_second_is_heard() -> None:
    samples = np.zeros(3 * RATE_HZ, np.float32)
    samples[40_000 : 40_000 + SAMPLES] = tones(1, rate=RATE_HZ).samples
    assert np.square(heard([Sound(samples, RATE_HZ)])).sum() > 0.99 * np.square(samples).sum()


@pytest.mark.parametrize("hop", [256, 334])
def test_a_vocoded_tone_keeps_its_pitch(hop: int) -> None:
    import torch

    tone = heard([tones(4)])
    again = vocoded(torch.from_numpy(tone), hop, 16, 0).numpy()
    assert again.shape == tone.shape
    peaks = [np.abs(np.fft.rfft(wave[0])).argmax() for wave in (tone, again)]
    assert abs(int(peaks[0]) - int(peaks[1])) <= 6, "12 Hz"


def test_images_of_any_size_grey_or_in_colour_are_seen_at_64_pixels() -> None:
    assert seen(pictures(1, 128).pixels).shape == (3, 64, 64)
    grey = pictures(1).pixels[:, :, :1]
    np.testing.assert_array_equal(seen(grey)[0], seen(grey)[2])


def test_the_photo_features_are_those_of_their_record_and_of_the_published_network() -> None:
    known = json.loads(photo_features.WEIGHTS.with_suffix(".json").read_text("utf-8"))
    assert photo_features.digest() == known["sha256"]
    assert photo_features.WEIGHTS.stat().st_size == known["bytes"]
    assert known["licence"] == "Apache-2.0"
    assert known["origin"] in (ROOT / "NOTICE").read_text("utf-8")
    assert (known["name"], known["sha256"]) in list(pretrained()), "`xmbench doctor` lists it"
    published = np.load(shared("data", "weights", "mobilenet_v2_1.0_224_u8.npz"))
    network = photo_features.photo_features()
    layer = network.blocks[10].get_submodule("project.layer")
    integers = published["block10.project.w_u8"].astype(np.float32) - float(published["block10.project.zp"])
    expected = integers * np.float32(published["block10.project.scale"])
    np.testing.assert_allclose(layer.get_parameter("weight").numpy()[:, :, 0, 0], expected.reshape(96, 384), rtol=1e-6)


# -------------------------------------------------------------------------------------------------- real recordings
@cache
def held_out_files() -> tuple[tuple[str, Path], ...]:
    home = shared("data", "instrument_sounds")
    with (home / "index.csv").open() as file:
        rows = [(row["label"], home / row["file"]) for row in csv.DictReader(file)]
    kept = [(label, path) for label, path in rows if labelled.tested(f"{label}/{path.stem}")]
    by_class = {label: [path for known, path in kept if known == label][:4] for label, _ in kept}
    return tuple((label, path) for label, paths in sorted(by_class.items()) for path in paths)


@pytest.mark.parametrize("name", OF_SOUNDS)
def test_real_notes_that_were_held_out_are_recognised_as_well_as_the_record_says(name: str) -> None:
    judge = frozen(name)
    sounds = [read(path, "audio") for _, path in held_out_files()]
    found = [(*judge.class_names, "none")[k] for k in judge.probabilities(sounds).argmax(1)]
    right = np.mean([one == label for one, (label, _) in zip(found, held_out_files(), strict=True)])
    said = card(name)["accuracy"]["held-out files of instrument_sounds"]["accuracy"]
    assert right == pytest.approx(said, abs=0.12)


# ------------------------------------------------------------------------------------------------------- fitting
def of_recipe(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The directory as that of another recipe: `kind_for` looks only at the recipe."""
    return Dataset(dataset.folder, dataset.manifest.model_copy(update={"recipe": recipe}))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A user's data set of instruments, of noise: two takes of each, three of the violin."""
    folder = tmp_path_factory.mktemp("instruments")
    raw = load_recipe("sub-urmp").model_dump(mode="json", by_alias=True)
    raw["image"] |= {"height_px": 16, "width_px": 16}
    raw["audio"] |= {"samples": 4000, "min_duration_s": 0.09, "max_duration_s": 0.091, "encoding": "wav"}
    raw["sources"]["performances"]["options"] = {"crop_columns": [2, 18]}
    third = [Window("train", "violin", 2, 1000), Window("train", "violin", 2, 1100)]
    tiny_corpus(folder / "in", [*windows(2, 1), *third], (16, 20), 4000)
    recipe = Recipe.model_validate(raw)
    return build(recipe, folder / "out", source=folder / "in", accept_changed=True, workers=1)


@pytest.mark.parametrize(("kind", "modality"), [(SOUNDS, "audio"), (IMAGES, "image")])
def test_a_judge_of_either_kind_is_fitted_on_a_users_own_set(
    own: Dataset, kind: FittableKind, modality: Modality, tmp_path: Path
) -> None:
    name = kind_for([own], modality)
    record = fit([own], tmp_path, name, steps=2, progress=lambda _: None, options={"without": ("violin02",)})
    assert record.classes == URMP
    assert record.kind == kind.name  # type: ignore[attr-defined]
    assert {test: found.n for test, found in record.accuracy.items()} == {
        "test items of sub-urmp": 13,
        "groups left out": 2,
    }
    assert set(record.accuracy["test items of sub-urmp"].by_speaker) == {
        f"{urmp.replace('_', '-').replace('saxophone', 'sax')}01" for urmp in URMP
    }, "by group"
    judge = loading.load((tmp_path / f"{record.name}.safetensors").read_bytes())
    assert judge.probabilities(items_for(judge, 2)).shape == (2, 14)


def test_training_is_seeded(own: Dataset, tmp_path: Path) -> None:
    one, again = (
        fit([own], tmp_path / number, "instrument-images", steps=1, seed=4, progress=lambda _: None).sha256
        for number in ("1", "2")
    )
    assert one == again


def test_a_second_judge_has_another_network_and_says_how_often_both_agree(own: Dataset, tmp_path: Path) -> None:
    fit([own], tmp_path, "instrument-sounds", name="one", steps=1, progress=lambda _: None)
    options = {"network": "recurrent", "beside": tmp_path / "one.safetensors"}
    record = fit([own], tmp_path, "instrument-sounds", steps=1, progress=lambda _: None, options=options)
    assert record.role == "second"
    assert set(record.details["agreement"]["share"]) == {"test items of sub-urmp"}


def test_what_is_missing_is_named(own: Dataset, tmp_path: Path) -> None:
    quiet: dict[str, Any] = {"steps": 1, "progress": lambda _: None}
    with pytest.raises(UnknownNameError, match="no training items of the groups violin77"):
        fit([own], tmp_path, "instrument-images", options={"without": ("violin77",)}, **quiet)
    with pytest.raises(DatasetError, match="classes without a training item") as caught:
        fit([own], tmp_path, "instrument-images", options={"without": ("tuba00",)}, **quiet)
    assert "tuba" in str(caught.value.expected)
    with pytest.raises(UnknownNameError, match="no such items"):
        fit([own], tmp_path, "instrument-sounds", options={"rejects": tmp_path / "nowhere"}, **quiet)
    (tmp_path / "rejects" / "speech").mkdir(parents=True)
    (tmp_path / "rejects" / "speech" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(Exception, match="an item cannot be read"):
        fit([own], tmp_path, "instrument-sounds", options={"rejects": tmp_path / "rejects"}, **quiet)


def test_a_judge_of_photo_features_that_are_not_here_is_refused() -> None:
    data = stored("instrument-frames").replace(photo_features.digest().encode(), b"0" * 64)
    with pytest.raises(PrerequisiteError, match="other photo features"):
        IMAGES.load(data)


def test_data_sets_of_other_classes_are_refused(own: Dataset, tmp_path: Path) -> None:
    other = of_recipe(own, load_recipe("urmp-mini"))
    with pytest.raises(DatasetError, match="other classes"):
        fit([own, other], tmp_path, "instrument-sounds", steps=1, progress=lambda _: None)
