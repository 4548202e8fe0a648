"""Sound annotators: SoundNet-8 in its public layouts, and the small one that comes with the package."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conftest import shared
from xmbench import registry
from xmbench.annotators import _imagenet, esc10_sounds, soundnet_8
from xmbench.errors import PrerequisiteError, UpstreamError
from xmbench.media import audio
from xmbench.media.signal import Sound
from xmbench.networks import soundnet, soundnet_layouts

Arrays = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """Random weights under SoundNet_Pytorch's names, small enough to keep every layer alive."""
    rng, found = np.random.default_rng(3), Arrays()
    shapes = [(f"conv{n}", layer.outside, layer.inside, layer.kernel) for n, layer in enumerate(soundnet.LAYERS, 1)]
    for block, outside, inside, kernel in [*shapes, ("conv8", 1000, 1024, 8), ("conv8_2", 401, 1024, 8)]:
        weight = rng.standard_normal((outside, inside, kernel, 1), np.float32)
        found[f"{block}.0.weight"] = weight * np.float32((2 / (inside * kernel)) ** 0.5)
        found[f"{block}.0.bias"] = rng.standard_normal(outside, np.float32)
        if not block.startswith("conv8"):
            found[f"{block}.1.weight"] = rng.uniform(0.5, 1.5, outside).astype("f4")
            found[f"{block}.1.bias"] = rng.standard_normal(outside, np.float32)
            found[f"{block}.1.running_mean"] = rng.standard_normal(outside, np.float32)
            found[f"{block}.1.running_var"] = rng.uniform(0.5, 2, outside).astype("f4")
    return found


def _stored(folder: Path, arrays: Arrays, layout: str) -> Path:
    """A file of weights with its lists of categories, the objects in another order than ImageNet's."""
    names = [label.name for label in _imagenet.labels()][::-1]
    (folder / soundnet_8.OBJECT_NAMES).write_text("\n".join(names) + "\n")
    (folder / soundnet_8.SCENE_NAMES).write_text("\n".join(f"/p/place_{n}" for n in range(401)))
    path = folder / f"sound8.{layout}"
    tensorflow: dict[str, dict[str, Any]] = {}
    theirs = {ours: name for name, ours in soundnet_layouts._TENSORFLOW.items()}
    for name, value in arrays.items():
        block, _, part = name.partition(".")
        tensorflow.setdefault(block, {})[theirs[part]] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    if layout == "npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    elif layout == "pth":
        torch.save({name: torch.from_numpy(value) for name, value in arrays.items()}, path)
    else:
        np.save(path, np.array(tensorflow, dtype=object), allow_pickle=True)
    return path


def _sound(seconds: float, seed: int = 0) -> Sound:
    time = np.arange(round(22_050 * seconds)) / 22_050
    noise = np.random.default_rng(seed).standard_normal(len(time)) * 0.05
    return Sound((0.5 * np.sin(2 * np.pi * 440 * time) + noise).astype(np.float32), 22_050)


def _reference(x: NDArray[np.float32], arrays: Arrays) -> NDArray[np.float64]:
    """Probabilities of objects by plain numpy, the middle time step."""
    y = x[None].astype(np.float64)  # (C, T)
    for number, layer in enumerate(soundnet.LAYERS, 1):
        y = _convolved(y, arrays, f"conv{number}.0", layer.stride, layer.padding)
        part = {
            key: arrays[f"conv{number}.1.{key}"][:, None] for key in ("weight", "bias", "running_mean", "running_var")
        }
        y = (y - part["running_mean"]) / np.sqrt(part["running_var"] + 1e-5) * part["weight"] + part["bias"]
        y = np.maximum(y, 0)
        steps = y.shape[1] // layer.pool
        y = y[:, : steps * layer.pool].reshape(len(y), steps, layer.pool).max(2)
    y = _convolved(y, arrays, "conv8.0", 2, 0)
    logits = y[:, (y.shape[1] + 1) // 2 - 1]
    exponents = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum())


def _convolved(y: NDArray[Any], arrays: Arrays, name: str, stride: int, padding: int) -> NDArray[np.float64]:
    weight = arrays[f"{name}.weight"][:, :, :, 0].astype(np.float64)
    padded = np.pad(y, ((0, 0), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2], axis=1)[:, ::stride]
    return np.asarray(np.einsum("itk,oik->ot", windows, weight, optimize=True) + arrays[f"{name}.bias"][:, None])


@pytest.mark.parametrize("layout", ["npz", "pth", "npy"])
def test_every_public_layout_gives_the_same_arrays(tmp_path: Path, arrays: Arrays, layout: str) -> None:
    found = soundnet_layouts.canonical(_stored(tmp_path, arrays, layout))
    network = soundnet.SoundNet8()
    assert {name for name, v in network.state_dict().items() if v.is_floating_point()} == found.keys()
    np.testing.assert_array_equal(found["conv3.weight"], arrays["conv3.0.weight"][:, :, :, 0])
    np.testing.assert_array_equal(found["norm5.running_var"], arrays["conv5.1.running_var"])
    np.testing.assert_array_equal(found["scenes.weight"], arrays["conv8_2.0.weight"][:, :, :, 0])


def test_the_outputs_are_those_of_a_plain_implementation(tmp_path: Path, arrays: Arrays) -> None:
    loaded = registry.annotator("soundnet-8").load(_stored(tmp_path, arrays, "npz"))
    sound = _sound(5.0)
    found = loaded.probabilities([sound])
    reference = _reference(np.tile(sound.samples * 256, 2), arrays)  # 5 s, repeated to 10 s
    np.testing.assert_allclose(found["objects"][0], reference, atol=1e-5)
    assert found["scenes"].shape == (1, 401)
    # The first output is the last class of ImageNet: the list beside the weights says so.
    assert loaded.heads["objects"][0].id == _imagenet.labels()[-1].id
    assert loaded.heads["scenes"][7].id == "places2:place_7"


def test_the_time_steps_are_those_of_the_table() -> None:
    for seconds, pool5, conv7 in ((20, 54, 15), (5, 13, 4), (0.5, 1, 1)):
        samples = round(seconds * 22_050)
        assert (soundnet.steps(samples, 5), soundnet.steps(samples)) == (pool5, conv7)
    network = soundnet.SoundNet8().eval()
    with torch.no_grad():
        assert network.features(torch.zeros(1, 11_025), 5).shape == (1, 256, 1)


def test_sounds_reach_soundnet_in_its_range_and_only_once_scaled() -> None:
    prepared = soundnet_8._prepared(_sound(1.0))
    assert 1 < np.abs(prepared).max() <= 256
    assert len(prepared) >= soundnet.LEAST_SAMPLES
    with pytest.raises(ValueError, match="scaled before"):
        soundnet.scaled(torch.from_numpy(prepared))


def test_soundnet_without_its_list_of_categories_is_refused(tmp_path: Path, arrays: Arrays) -> None:
    path = _stored(tmp_path, arrays, "npz")
    (tmp_path / soundnet_8.OBJECT_NAMES).unlink()
    with pytest.raises(PrerequisiteError, match="categories"):
        registry.annotator("soundnet-8").load(path)


def test_the_small_annotator_comes_with_weights_and_a_card() -> None:
    kind = registry.annotator("esc10-sounds")
    assert kind.shipped is not None
    card = json.loads(kind.shipped.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(kind.shipped.read_bytes()).hexdigest()
    assert kind.shipped.stat().st_size < 20_000
    loaded = kind.load(kind.shipped)
    known = {label.id for label in _imagenet.labels()}
    for label in loaded.heads["objects"]:
        assert label.id in known or label.kinds or label.id.startswith("esc10:")
        assert set(label.kinds) <= known


def test_the_small_annotator_knows_sounds_that_it_was_not_fitted_to() -> None:
    kind = registry.annotator("esc10-sounds")
    assert kind.shipped is not None
    loaded = kind.load(kind.shipped)
    files = sorted(shared("data", "esc10").glob("*/5-*.ogg"))
    sounds = []
    for file in files:
        samples, rate = audio.decode(file.read_bytes())
        sounds.append(Sound(samples.mean(1, dtype=np.float32), rate))
    found = loaded.probabilities(sounds)["objects"]
    truth = [esc10_sounds.CLASSES.index(file.parent.name) for file in files]
    first = np.mean(found.argmax(1) == truth)
    among = np.mean([k in np.argsort(-row)[:3] for row, k in zip(found, truth, strict=True)])
    assert first == pytest.approx(0.7)
    assert among == pytest.approx(1.0)


def test_fitting_again_gives_the_weights_that_ship() -> None:
    kind = esc10_sounds.ANNOTATOR
    assert kind.shipped is not None
    fitted = kind.fit(shared("data", "esc10"))
    with np.load(kind.shipped) as shipped, np.load(io.BytesIO(fitted.weights)) as again:
        for name in shipped.files:
            np.testing.assert_allclose(again[name], shipped[name], atol=1e-3)


def test_fitting_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "dog_bark").mkdir()
    audio_file = tmp_path / "dog_bark" / "1-100-A.wav"
    audio_file.write_bytes(audio.encode_wav(audio.to_int16(_sound(1.0).samples), 22_050))
    with pytest.raises(UpstreamError, match="no clip of dog_bark in fold 2"):
        esc10_sounds.ANNOTATOR.fit(tmp_path)
