"""What a run says of its data set's words: as the training clips, or by another voice; repeatable or not at all."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from xmbench import content
from xmbench.engines import _espeak
from xmbench.errors import DatasetError, PrerequisiteError, UnknownNameError
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.formats.items import read_clip
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Voice
from xmbench.media.audio import fit_length
from xmbench.runner.speech import RecipeSpeech

OTHER = Voice("espeak-ng", "en+anika", 175, 50)


def recipe_of(name: str, **options: Any) -> Recipe:
    recipe = load_toml(content.find("recipes", name), Recipe)
    role = recipe.pairing.clip_source
    spec = recipe.sources[role]
    changed = spec.model_copy(update={"options": {**spec.options, **options}})
    return recipe.model_copy(update={"sources": {**recipe.sources, role: changed}})


def test_the_training_clips_are_said_again_sample_by_sample(digits: Dataset) -> None:
    spoken = RecipeSpeech(digits.recipe).speak()
    assert spoken.description.endswith("voice en-us, 120 words per minute, pitch 50")
    for row in digits.rows("train", ["label", "audio"]):
        own = fit_length(spoken.clips[row["label"]], digits.recipe.audio.samples)
        np.testing.assert_array_equal(own, read_clip(row, digits))


def test_another_voice_says_every_word_the_same_way_each_time(digits: Dataset) -> None:
    speech = RecipeSpeech(digits.recipe)
    first, second = speech.speak(OTHER), speech.speak(OTHER)
    assert "voice en+anika, 175 words per minute, pitch 50" in first.description
    assert len(first.clips) == 10
    for a, b, own in zip(first.clips, second.clips, speech.speak().clips, strict=True):
        np.testing.assert_array_equal(a, b)
        assert len(a) > 2000
        assert len(a) != len(own) or (a != own).any()


@pytest.mark.parametrize("name", ["mnist-ad-voices", "cifar10-ad-voices"])
def test_of_many_voices_the_first_of_training_speaks_and_never_one_of_the_test(name: str) -> None:
    recipe = recipe_of(name)
    options = recipe.sources[recipe.pairing.clip_source].options
    description = RecipeSpeech(recipe).speak().description
    assert f"voice {options['train_voices'][0]}," in description
    assert OTHER.name not in [*options["train_voices"], *options["test_voices"]]


def test_a_voice_that_does_not_say_every_word_leaves_it_to_the_next() -> None:
    """'two' at 200 words per minute is shorter than the recipe's clips may be."""
    spoken = RecipeSpeech(recipe_of("digits-ad", rates=[200, 110], max_rerating=0)).speak()
    assert "110 words per minute" in spoken.description
    with pytest.raises(DatasetError, match="no voice of this data set speaks all of its words") as caught:
        RecipeSpeech(recipe_of("digits-ad", rates=[200], max_rerating=0)).speak()
    assert any("'two'" in problem for problem in caught.value.problems)


def test_recordings_of_people_have_no_voice_to_speak_with() -> None:
    speech = RecipeSpeech(load_toml(content.find("recipes", "mnist-ad-human"), Recipe))
    with pytest.raises(DatasetError, match="no engine spoke the clips") as caught:
        speech.speak()
    assert "--set voice" in str(caught.value)
    assert len(speech.speak(OTHER).clips) == 10


@pytest.mark.parametrize(("engine", "why"), [("pyttsx3", "twice in the same way"), ("gtts", "calls a service")])
def test_an_engine_that_cannot_be_repeated_does_not_speak(engine: str, why: str) -> None:
    with pytest.raises(PrerequisiteError, match=why):
        RecipeSpeech(recipe_of("digits-ad")).speak(Voice(engine, "en", 150, 50))


def test_an_unknown_voice_or_engine_is_named() -> None:
    speech = RecipeSpeech(recipe_of("digits-ad"))
    with pytest.raises(UnknownNameError) as caught:
        speech.speak(Voice("espeak-ng", "en+anikka", 150, 50))
    assert any("anika" in problem for problem in caught.value.problems)
    with pytest.raises(UnknownNameError, match="festival"):
        speech.speak(Voice("festival", "en", 150, 50))


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    _espeak._catalogue.cache_clear()
    with pytest.raises(PrerequisiteError, match="speech engine is not installed"):
        RecipeSpeech(recipe_of("digits-ad")).speak()


def test_a_word_without_a_sound_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.engines._espeak.speak", lambda *_settings: np.zeros(500, dtype=np.int16))
    with pytest.raises(DatasetError) as caught:
        RecipeSpeech(recipe_of("digits-ad")).speak(OTHER)
    assert len(caught.value.problems) == 10
