"""Every judge that ships: small, the one on its card and in the recipes, and as good on held-out voices as it says."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT
from xmbench import content
from xmbench.engines._espeak import SAMPLE_RATE_HZ, speak
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import SIDES
from xmbench.judges.loading import load
from xmbench.judges.words.features import FRAMES, HOP, RATE_HZ, features
from xmbench.judges.words.fit import architecture_of
from xmbench.judges.words.kind import word_judge
from xmbench.media.audio import to_float, trim_silence

LARGEST_BYTES = {"embedding": 400_000, "voting": 600_000, "convolutional": 300_000, "recurrent": 300_000}
RECIPES = {"digits": "mnist-ad-voices", "cifar10-words": "cifar10-ad-voices", "cifar100-words": "cifar100-ad-voices"}
LISTS = list(RECIPES)
JUDGES = [name + end for name in LISTS for end in ("", "-second")]
VOICES = ("en-us+m7", "en-gb-x-rp+belinda")

Clip = NDArray[np.float32]


def shipped(file: str) -> Path:
    """A file in the directory of the frozen weights, of any kind of judge."""
    return next((Path(str(files("xmbench"))) / "judges").glob(f"*/weights/{file}"))


def stored(name: str) -> bytes:
    return shipped(f"{name}.safetensors").read_bytes()


def card(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shipped(f"{name}.json").read_text("utf-8"))
    return found


def recipe_of(name: str) -> Recipe:
    return load_toml(content.find("recipes", RECIPES[name.removesuffix("-second")]), Recipe)


@cache
def spoken(words: tuple[str, ...]) -> list[Clip]:
    """The words, freshly spoken by voices that no judge was trained on."""
    takes = [trim_silence(speak(word, voice, 130, 50), SAMPLE_RATE_HZ) for voice in VOICES for word in words]
    return [to_float(take) for take in takes]


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_is_small_and_is_the_one_on_its_card(name: str) -> None:
    judge = word_judge(stored(name))
    architecture = card(name)["details"].get(
        "architecture", "recurrent" if name.endswith("-second") else "convolutional"
    )
    assert len(judge.data) == card(name)["bytes"] <= LARGEST_BYTES[architecture]
    assert sha256(judge.data).hexdigest() == card(name)["sha256"]
    assert architecture_of(judge) == architecture
    assert (architecture in {"recurrent", "voting"}) == name.endswith("-second"), "the second judge is another network"
    assert list(judge.class_names) == card(name)["classes"] == list(recipe_of(name).task.words)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: str(path.stem))
def test_recipes_name_the_judges_that_ship(path: Any) -> None:
    recipe = load_toml(path, Recipe)
    heard = "word" if recipe.classes.words else "instrument"
    for track in recipe.tracks:
        for spec in filter(None, (track.judge, track.second_judge)):
            assert sha256(stored(spec.name)).hexdigest() == spec.sha256
            assert load(stored(spec.name)).modality == SIDES[track.direction].output
        if track.second_judge:
            assert track.judge
            assert track.second_judge.name == f"{track.judge.name}-second"
            assert {f"{heard}-accuracy", f"{heard}-accuracy-second", "judge-agreement"} <= set(track.metrics)


@pytest.mark.parametrize("name", JUDGES)
def test_held_out_voices_are_recognised_as_well_as_the_record_says(name: str) -> None:
    judge = word_judge(stored(name))
    assert set(VOICES) <= set(card(name)["details"]["held_out_voices"])
    assert not set(VOICES) & set(card(name)["details"]["training_voices"])
    found = judge.probabilities(spoken(judge.class_names), SAMPLE_RATE_HZ).argmax(axis=1)
    right = found == np.tile(np.arange(len(judge.class_names)), len(VOICES))
    by_voice = card(name)["accuracy"]["held-out voices"]["by_speaker"]
    assert right.mean() == pytest.approx(np.mean([by_voice[voice] for voice in VOICES]), abs=0.08)


@pytest.mark.parametrize("name", JUDGES)
def test_silence_and_noise_are_not_words(name: str) -> None:
    judge = word_judge(stored(name))
    noise = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)
    found = judge.probabilities([np.zeros_like(noise), noise], SAMPLE_RATE_HZ).argmax(axis=1)
    assert found.tolist() == [len(judge.class_names)] * 2


@pytest.mark.parametrize("name", ["cifar10-words", "cifar100-words"])
def test_the_longest_word_fits_into_the_frames(name: str) -> None:
    judge = word_judge(stored(name))
    seconds = recipe_of(name).audio.max_duration_s
    assert seconds * RATE_HZ <= judge.frames * HOP
    clip = np.sin(2 * np.pi * 700 * np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ).astype(np.float32)
    sounding = (features([clip], SAMPLE_RATE_HZ, judge.frames)[0] > 0).any(0).sum() * HOP / RATE_HZ
    assert sounding == pytest.approx(seconds, abs=0.03)
    assert (features([clip], SAMPLE_RATE_HZ)[0] > 0).any(0).all(), f"{FRAMES} frames would be too few"
