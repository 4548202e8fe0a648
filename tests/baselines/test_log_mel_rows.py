"""The rows around log-mel spectrograms: what is stored, copied, wrapped and averaged, all made sound in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xmbench import content, registry
from xmbench.baselines._adversarial import Spectrograms
from xmbench.baselines.mean_log_mel import mean_spectrogram
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples, ImageFormat, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.mel_decibels import LITERAL_HOP, MelDecibels

TASK = Task(("low", "middle", "high"), (), ImageFormat(16, 16, 3), AudioFormat(44100, 22050, 0.49, 0.51))
ROWS = ("class-log-mel", "log-mel-copy", "log-mel-wrapped", "mean-log-mel")
PITCHES = (220.0, 660.0, 1980.0)


def examples_of(count: int = 24, seed: int = 0) -> Examples:
    """Half a second of ten harmonics, of a pitch near the class's; images with a bright band of rows for the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 60, (count, 16, 16, 3)).astype(np.uint8)
    time, tones = np.arange(22050) / 44100, []
    for i, label in enumerate(labels):
        images[i, 5 * label : 5 * label + 5] += 150
        pitch = PITCHES[label] * random.uniform(0.97, 1.03)
        tones.append(sum(np.sin(2 * np.pi * pitch * n * time + n) / n for n in range(1, 11)))
    noisy = 0.1 * np.stack(tones) + random.normal(0, 0.002, (count, 22050))
    ids = tuple(f"item-{seed}-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, (noisy * 32768).astype(np.int16), np.arange(count), ids)


def fitted(name: str, folder: Path, examples: Examples, **changes: Any) -> Any:
    row = load_toml(content.find("baselines", name), Baseline)
    model = registry.model(row.model)
    short = {"min_steps": 60, "batch": 12, "iterations": 8} if name == "class-log-mel" else {"iterations": 8}
    config = model.Config(**row.configured(None, {**short, **changes}))
    return model.fit(examples, TASK, config, Run(folder, 0, "cpu", False, lambda _line: None))


def played(generator: Any, examples: Examples, batch: int = 64) -> NDArray[np.float32]:
    parts = [slice(start, start + batch) for start in range(0, len(examples.ids), batch)]
    given = [Conditions(examples.ids[p], examples.images[p], examples.labels[p], examples.clips[p]) for p in parts]
    return np.concatenate([generator.generate(part, "i2a") for part in given])


def pitches_of(sounds: NDArray[np.float32]) -> NDArray[np.int64]:
    """The class whose pitch is the loudest."""
    spectra = np.abs(np.fft.rfft(sounds, axis=1))  # bins of 2 Hz
    bands = [spectra[:, round(pitch * 0.48) : round(pitch * 0.52) + 1].max(axis=1) for pitch in PITCHES]
    return np.asarray(np.stack(bands, axis=1).argmax(axis=1), dtype=np.int64)


def decibels(sounds: NDArray[np.float32]) -> torch.Tensor:
    """What the paper prints, (N, 128, 44)."""
    return MelDecibels(TASK.audio, LITERAL_HOP, "cpu").decibels(torch.from_numpy(sounds))


@pytest.mark.parametrize("name", ROWS)
def test_sounds_have_the_form_of_outputs_and_do_not_depend_on_batches(tmp_path: Path, name: str) -> None:
    generator, new = fitted(name, tmp_path, examples_of()), examples_of(7, seed=1)
    found = played(generator, new)
    assert (found.shape, found.dtype) == ((7, 22050), np.float32)
    assert np.abs(found).max() <= 1.0
    np.testing.assert_allclose(found, played(generator, new, batch=3), atol=1e-5)


def test_a_stored_spectrogram_of_the_recognised_class_is_returned(tmp_path: Path) -> None:
    examples, new = examples_of(48), examples_of(12, seed=1)
    generator = fitted("class-log-mel", tmp_path, examples)
    conditions = Conditions(new.ids, new.images)
    sounds, classes = generator.generate_and_predict(conditions, "i2a")
    assert classes.tolist() == generator.predict(conditions).tolist() == new.labels.tolist()
    assert pitches_of(sounds).tolist() == new.labels.tolist()
    stored, scale = decibels(to_float(examples.clips)), 128 * 44
    apart = torch.cdist(decibels(sounds).flatten(1), stored.flatten(1), p=1) / scale
    assert examples.labels[apart.argmin(dim=1).numpy()].tolist() == new.labels.tolist()
    assert len(set(apart.argmin(dim=1).tolist())) > 6  # items of a class get different ones


def test_copies_keep_the_sound_and_wrapping_loses_its_upper_bands(tmp_path: Path) -> None:
    examples, new = examples_of(), examples_of(6, seed=1)
    bright = np.random.default_rng(3).normal(0, 0.02, (6, 22050))  # something to lose above 8 kHz
    new.clips[:] = (to_float(new.clips) + bright).clip(-1, 1) * 32767
    examples.clips[:6] = new.clips
    given = decibels(to_float(new.clips))
    copied, wrapped = (
        (decibels(played(fitted(name, tmp_path, examples, iterations=32), new)) - given).abs()
        for name in ("log-mel-copy", "log-mel-wrapped")
    )
    lower, upper = slice(5, 90), slice(104, 128)
    assert copied[:, lower].mean() < 4.0
    assert copied[:, upper].mean() < 4.0
    assert wrapped[:, lower].mean() < 4.0
    assert wrapped[:, upper].mean() > 6.0  # copies of the lowest bands


def test_the_mean_is_that_of_the_items_and_has_the_least_squared_error(tmp_path: Path) -> None:
    examples = examples_of(9)
    index = np.array([0, 0, 0, 1, 2, 3, 4, 5, 6])
    spectrograms = Spectrograms(examples, TASK, "native", "cpu")
    items = spectrograms.of_clips(torch.from_numpy(index))
    mean = mean_spectrogram(spectrograms, index)
    torch.testing.assert_close(mean, items.mean(dim=0, keepdim=True))
    other = mean + 0.01 * torch.randn_like(mean)
    assert (items - mean).square().sum() < (items - other).square().sum()
    sounds = played(fitted("mean-log-mel", tmp_path, examples), examples_of(3, seed=2))
    assert (sounds == sounds[0]).all()
    assert sounds.any()
