"""Rows that recognise the class of an image and play something of it, and the nearest image's own clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmbench import content, registry
from xmbench.baselines import _classify, class_mean_spectrum, class_medoid
from xmbench.baselines._nearest import nearest
from xmbench.evaluator.judge import load_judges
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples, ImageFormat, Run, Task, Voice
from xmbench.judges.loading import load
from xmbench.media.audio import fit_length
from xmbench.media.signal import Sound
from xmbench.runner.examples import open_examples
from xmbench.runner.outputs import BATCH, shuffled
from xmbench.runner.speech import RecipeSpeech

TASK = Task(("a", "b", "c"), ("a", "b", "c"), ImageFormat(8, 8, 1), AudioFormat(8000, 1600, 0.0, 1.0))
PLAYERS = ["nearest-class-clip", "class-medoid", "class-mean", "class-mean-spectrum"]  # one clip of each class
ROWS = [*PLAYERS, "nearest-image-clip", "nearest-feature-clip"]


def examples_of(count: int = 120, takes: int = 2, seed: int = 0) -> Examples:
    """Class k has a bright band of rows k, and `takes` clips: noise over a tone of its own. No two items are alike."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 50, (count, 8, 8, 1)).astype(np.uint8)
    for i, label in enumerate(labels):
        images[i, 2 * label : 2 * label + 2] += 150
    time = np.arange(1600) / 8000
    tones = np.repeat([8000 * np.sin(2 * np.pi * 300 * (k + 1) * time) for k in range(3)], takes, axis=0)
    clips = (tones + np.random.default_rng(1).normal(0, 1500, tones.shape)).astype(np.int16)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, clips, labels * takes + np.arange(count) // 3 % takes, ids)


def fitted(name: str, folder: Path, examples: Examples, **changes: Any) -> Any:
    """A row of the boards, as its TOML has it, after a short training."""
    baseline = load_toml(content.find("baselines", name), Baseline)
    model = registry.model(baseline.model)
    short = {} if name == "nearest-image-clip" else {"min_steps": 60, "batch": 16}
    config = model.Config(**baseline.configured(None, {**short, **changes}))
    return model.fit(examples, TASK, config, Run(folder, 0, "cpu", False, lambda _line: None))


def batches(examples: Examples, size: int = BATCH) -> Iterator[Conditions]:
    for start in range(0, len(examples.ids), size):
        part = slice(start, start + size)
        yield Conditions(examples.ids[part], examples.images[part], examples.labels[part])


def play(generator: Any, conditions: Iterator[Conditions]) -> NDArray[np.float32]:
    return np.concatenate([generator.generate(batch, "i2a") for batch in conditions])


def words_of(outputs: NDArray[np.float32]) -> NDArray[np.int64]:
    """The tone that is loudest in each output: the class that is heard."""
    spectra = np.abs(np.fft.rfft(outputs, axis=1))  # bins of 5 Hz
    return np.asarray(spectra[:, [60, 120, 180]].argmax(axis=1), dtype=np.int64)


# ------------------------------------------------------------------------------------------------- the words
@pytest.mark.parametrize("name", ROWS)
def test_the_word_of_the_class_is_played_and_does_not_depend_on_batches(tmp_path: Path, name: str) -> None:
    examples = examples_of()
    generator = fitted(name, tmp_path, examples)
    new = examples_of(60, seed=5)
    outputs = play(generator, batches(new))
    np.testing.assert_array_equal(outputs, play(generator, batches(new, 7)))
    assert outputs.dtype == np.float32
    assert np.abs(outputs).max() <= 1.0
    assert (words_of(outputs) == new.labels).mean() > 0.95
    predicted = np.concatenate([generator.predict(batch) for batch in batches(new)])
    np.testing.assert_array_equal(words_of(outputs), predicted)


@pytest.mark.parametrize("name", ROWS)
def test_shuffled_conditions_bring_a_row_to_the_floor(tmp_path: Path, name: str) -> None:
    examples = examples_of(300)
    chance = (words_of(play(fitted_floor(tmp_path, examples), batches(examples))) == examples.labels).mean()
    outputs = play(fitted(name, tmp_path, examples), shuffled(batches(examples), 0))
    assert (words_of(outputs) == examples.labels).mean() == pytest.approx(chance, abs=0.1)
    assert chance == pytest.approx(1 / 3, abs=0.1)


def fitted_floor(folder: Path, examples: Examples) -> Any:
    model = registry.model("random-clip")
    return model.fit(examples, TASK, model.Config(), Run(folder, 0, "cpu", False, lambda _line: None))


@pytest.mark.parametrize("name", ["nearest-class-clip", "class-medoid", "class-mean"])
def test_with_the_true_classes_a_row_of_single_take_data_is_the_oracle(tmp_path: Path, name: str) -> None:
    examples = examples_of(takes=1)
    oracle = registry.model("oracle-class")
    ceiling = oracle.fit(examples, TASK, oracle.Config(), Run(tmp_path, 0, "cpu", False, lambda _line: None))
    generator = fitted(name, tmp_path, examples)
    np.testing.assert_array_equal(generator.clips_of(examples.labels), play(ceiling, batches(examples, 120)))


@pytest.mark.parametrize("name", PLAYERS)
def test_these_rows_differ_in_what_they_play_alone(tmp_path: Path, name: str) -> None:
    examples, new = examples_of(), examples_of(60, seed=5)
    classes = [fitted(row, tmp_path / row, examples).predict(next(batches(new))) for row in (PLAYERS[0], name)]
    np.testing.assert_array_equal(*classes)
    settings_of = [load_toml(content.find("baselines", row), Baseline).config for row in (PLAYERS[0], name)]
    shared = _classify.ClassifierConfig.model_fields
    assert {key: settings_of[0][key] for key in shared} == {key: settings_of[1][key] for key in shared}


# ----------------------------------------------------------------------------------------------- what is played
def test_the_class_mean_is_weighted_by_items_and_has_the_least_squared_error(tmp_path: Path) -> None:
    examples = examples_of(takes=3)
    examples.clip_index[examples.labels == 0] = [0] * 30 + [1] * 10  # uneven, and take 2 is nobody's
    means = fitted("class-mean", tmp_path, examples).clips_of(np.arange(3))
    waves = examples.clips[examples.clip_index] / 32768.0
    np.testing.assert_allclose(means[0], (30 * waves[0] + 10 * waves[90 + 3]) / 40, atol=1e-6)
    for k in range(3):
        np.testing.assert_allclose(means[k], waves[examples.labels == k].mean(axis=0), atol=1e-6)


def test_the_mean_spectrum_is_that_of_the_items(tmp_path: Path) -> None:
    examples = examples_of(takes=3)
    examples.clip_index[examples.labels == 0] = [0] * 30 + [1] * 10
    config = class_mean_spectrum.Config()
    found = class_mean_spectrum.class_spectra(examples, TASK, config)
    waves = torch.from_numpy(examples.clips[examples.clip_index[examples.labels == 0]] / 32768.0)
    spectra = torch.stft(waves, 1024, 256, window=torch.hann_window(1024).double(), return_complex=True).abs()
    np.testing.assert_allclose(found[0], (spectra**0.3).mean(dim=0) ** (1 / 0.3), rtol=1e-3, atol=1e-5)


def test_with_the_true_classes_the_mean_spectrum_of_one_take_is_copy_synthesis(digits: Dataset, tmp_path: Path) -> None:
    examples, task = open_examples(digits, lambda _line: None), digits.recipe.task
    ceiling = registry.model("griffin-lim")
    copies = ceiling.fit(examples, task, ceiling.Config(), Run(tmp_path, 0, "cpu", False, lambda _line: None))
    config = class_mean_spectrum.Config()
    outputs = class_mean_spectrum.synthesised(
        class_mean_spectrum.class_spectra(examples, task, config), task, config, 0
    )
    references = examples.clips[[examples.clip_index[examples.labels == k][0] for k in range(10)]]
    made = copies.generate(Conditions(examples.ids[:10], examples.images[:10], references=references), "i2a")
    wanted = magnitudes(references / np.float32(32768))
    own, copied = (np.linalg.norm(magnitudes(waves) - wanted) for waves in (outputs, made))
    assert own == pytest.approx(copied, rel=0.25)  # other first phases
    assert own < 0.1 * np.linalg.norm(wanted)


def magnitudes(waves: NDArray[np.floating]) -> NDArray[np.float32]:
    window = torch.hann_window(1024)
    found: NDArray[np.float32] = (
        torch.stft(torch.from_numpy(waves), 1024, 256, window=window, return_complex=True).abs().numpy()
    )
    return found


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 150), st.integers(0, 2**31))
def test_the_medoid_is_the_take_with_the_highest_mean_correlation(takes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    base = random.normal(0, 4000, 1600)
    clips = (base + random.normal(0, 1, (takes, 1)) * random.normal(0, 3000, (takes, 1600))).astype(np.int16)
    items = takes + 20
    index = np.concatenate([np.arange(takes), np.full(20, takes - 1)])  # a take of many items counts once
    ids = tuple(f"item-{i:03d}" for i in range(items))
    labels = np.zeros(items, dtype=np.int64)
    examples = Examples(ids, labels, np.zeros((items, 8, 8, 1), dtype=np.uint8), clips, index, ids)
    table = np.corrcoef(class_medoid.normalised_spectra(clips)) if takes > 1 else np.ones((1, 1))
    found = class_medoid.class_medoids(examples, 2)
    assert table.mean(axis=1)[found[0]] == pytest.approx(table.mean(axis=1).max(), abs=1e-9)
    assert found[1] == 0


def test_voices_that_cancel_as_waves_are_still_a_word_as_a_spectrum(digits: Dataset) -> None:
    """Ten digits by six voices, really spoken; both judges of the digits hear the mean spectra."""
    recipe = digits.recipe
    speech, task = RecipeSpeech(recipe), recipe.task
    voices = ["en-us", "en-us+m2", "en-us+f4", "en-gb-x-rp", "en-gb-x-rp+m1", "en-gb-scotland"]
    clips = [
        fit_length(clip, task.audio.samples)
        for voice in voices
        for clip in speech.speak(Voice("espeak-ng", voice, 120, 50)).clips
    ]
    count = len(clips)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    images = np.zeros((count, 28, 28, 1), dtype=np.uint8)
    examples = Examples(ids, np.arange(count) % 10, images, np.stack(clips).astype(np.int16), np.arange(count), ids)
    config = class_mean_spectrum.Config()
    spectra = class_mean_spectrum.class_spectra(examples, task, config)
    outputs = class_mean_spectrum.synthesised(spectra, task, config, 0)
    track = digits.track("i2a")
    assert track is not None
    for judge in load_judges(digits, track):
        assert judge is not None
        sounds = [Sound(wave, task.audio.sample_rate_hz) for wave in outputs]
        heard = load(judge.weights).probabilities(sounds).argmax(axis=1)
        assert (heard == np.arange(10)).sum() >= 9


# ----------------------------------------------------------------------------------------------- nearest images
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 8), st.integers(0, 2**31))
def test_the_nearest_points_are_those_of_a_plain_search(points: int, queries: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    stored = random.integers(0, 256, (points, 12)).astype(np.uint8)
    asked = random.integers(0, 256, (queries, 12)).astype(np.uint8)
    table = np.square(asked[:, None].astype(np.int64) - stored[None]).sum(axis=2)
    np.testing.assert_array_equal(nearest(asked, stored, count), np.argsort(table, axis=1, kind="stable")[:, :count])


def test_the_search_crosses_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.baselines._nearest.BLOCK", 7)
    random = np.random.default_rng(0)
    stored, asked = random.normal(size=(100, 5)).astype(np.float32), random.normal(size=(9, 5)).astype(np.float32)
    table = np.square(asked[:, None].astype(np.float64) - stored[None]).sum(axis=2)
    np.testing.assert_array_equal(nearest(asked, stored, 3), np.argsort(table, axis=1, kind="stable")[:, :3])


@pytest.mark.parametrize("name", ["nearest-image-clip", "nearest-feature-clip"])
def test_a_training_image_plays_its_own_clip(tmp_path: Path, name: str) -> None:
    examples = examples_of(takes=3)
    outputs = play(fitted(name, tmp_path, examples), batches(examples))
    np.testing.assert_array_equal(outputs, examples.clips[examples.clip_index] / np.float32(32768))


def test_several_neighbours_vote_and_the_nearest_of_the_winners_is_played(tmp_path: Path) -> None:
    images = np.array([0, 10, 12, 14, 200], dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), dtype=np.uint8)
    clips = np.arange(1, 6, dtype=np.int16)[:, None] * np.ones((1, 1600), dtype=np.int16)
    ids = ("a", "b", "c", "d", "e")
    labels = np.array([0, 1, 0, 0, 2])
    examples = Examples(ids, labels, images, clips, np.arange(5), ids)
    query = Conditions(("x",), np.full((1, 8, 8, 1), 9, dtype=np.uint8))
    for neighbours, played in ((1, 1), (2, 1), (3, 2)):  # alone; a tie goes to the nearer; two of class a win
        generator = fitted("nearest-image-clip", tmp_path, examples, neighbours=neighbours)
        assert generator.generate(query, "i2a")[0, 0] == np.float32((played + 1) / 32768)
        assert generator.predict(query) == [labels[played]]


def test_conditions_of_the_same_ids_are_searched_again(tmp_path: Path) -> None:
    examples = examples_of(60)
    generator = fitted("nearest-image-clip", tmp_path, examples)
    first = generator.generate(Conditions(examples.ids, examples.images), "i2a")
    turned = generator.generate(Conditions(examples.ids, examples.images[::-1]), "i2a")
    np.testing.assert_array_equal(first[::-1], turned)
