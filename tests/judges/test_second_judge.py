"""The second judge's machinery, and what two judges say together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from xmbench import registry
from xmbench.engines._espeak import SAMPLE_RATE_HZ, speak
from xmbench.errors import PrerequisiteError, UnknownNameError
from xmbench.evaluator.judge import load_judges
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import JudgeSpec
from xmbench.interfaces import AudioFormat, ImageFormat, JudgeWeights, Pair, ScoringContext, Task
from xmbench.judges.words import fit as fitting
from xmbench.judges.words import recurrent
from xmbench.judges.words.clips import recorded
from xmbench.judges.words.convolutional import SpokenWordJudge, WordNet
from xmbench.judges.words.judging import EMBEDDING
from xmbench.judges.words.kind import word_judge
from xmbench.judges.words.recurrent import RecurrentNet, RecurrentWordJudge
from xmbench.judges.words.training import fit
from xmbench.media.audio import to_float, trim_silence
from xmbench.media.signal import Sound

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TASK = Task(WORDS, WORDS, ImageFormat(28, 28, 1), AudioFormat(SAMPLE_RATE_HZ, 18140, 0.3, 0.82))
Clip = NDArray[np.float32]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [to_float(trim_silence(speak(word, "en-us", 120, 50), SAMPLE_RATE_HZ)) for word in WORDS]


@pytest.fixture(scope="module")
def first() -> SpokenWordJudge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return SpokenWordJudge.of(WORDS, [WordNet(len(WORDS)).eval()])


@pytest.fixture(scope="module")
def second() -> RecurrentWordJudge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return RecurrentWordJudge.of(WORDS, RecurrentNet(len(WORDS)).eval())


def write(folder: Path, name: str, clip: Clip) -> None:
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / name, clip, SAMPLE_RATE_HZ)


# --------------------------------------------------------------------------------------------- machinery
def test_bytes_round_trip_to_the_same_judge(second: RecurrentWordJudge, clips: list[Clip]) -> None:
    recurrent._unpack.cache_clear()
    again = word_judge(second.data)
    assert isinstance(again, RecurrentWordJudge)
    assert again is not second
    assert (again.data, again.class_names, again.frames) == (second.data, WORDS, second.frames)
    expected = second.probabilities(clips, SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(again.probabilities(clips, SAMPLE_RATE_HZ), expected)


def test_shapes_sums_and_independence_of_the_batch(second: RecurrentWordJudge, clips: list[Clip]) -> None:
    found = second.probabilities(clips * 7, SAMPLE_RATE_HZ)
    assert found.shape == (70, len(WORDS) + 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(second.probabilities(clips[:1], SAMPLE_RATE_HZ), found[-10:-9], atol=1e-6)
    assert second.embed(clips, SAMPLE_RATE_HZ).shape == (len(clips), EMBEDDING)
    assert second.probabilities([], SAMPLE_RATE_HZ).shape == (0, len(WORDS) + 1)
    assert second.embed([], SAMPLE_RATE_HZ).shape == (0, EMBEDDING)


def test_the_same_call_gives_the_same_bits_with_any_number_of_threads(
    second: RecurrentWordJudge, clips: list[Clip]
) -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(second.probabilities(clips, SAMPLE_RATE_HZ))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-100], lambda data: b"x" * 50])
def test_damaged_weights_are_refused(second: RecurrentWordJudge, damage: Any) -> None:
    for read in (word_judge, RecurrentWordJudge.from_bytes):
        with pytest.raises(PrerequisiteError, match="cannot be read"):
            read(damage(second.data))


def test_weights_of_another_format_are_refused(first: SpokenWordJudge, second: RecurrentWordJudge) -> None:
    with pytest.raises(PrerequisiteError, match="another judge"):
        RecurrentWordJudge.from_bytes(first.data)
    with pytest.raises(PrerequisiteError, match="another judge"):
        word_judge(second.data.replace(b"recurrent-word-judge/2", b"recurrent-word-judge/9"))


def test_training_is_seeded(clips: list[Clip]) -> None:
    def trained() -> bytes:
        judge = fit(
            clips[:2],
            SAMPLE_RATE_HZ,
            [0, 1],
            WORDS[:2],
            seed=1,
            steps=2,
            frames=120,
            architecture="recurrent",
            progress=lambda line: None,
        )
        return judge.data

    assert trained() == trained()
    assert word_judge(trained()).frames == 120


# --------------------------------------------------------------------------------------------- fitting
def test_two_word_classes_are_found_by_file_name(tmp_path: Path, clips: list[Clip]) -> None:
    task = SimpleNamespace(class_names=("oak_tree", "oak", "bee"), words=("oak tree", "oak", "bee"))
    dataset = cast(Dataset, SimpleNamespace(recipe=SimpleNamespace(task=task)))
    for name in ("oak_tree_anna_1.wav", "oak-tree_ben_2.wav", "oak_anna_3.wav", "bee_x-y_4.wav", "beetle_ben_5.wav"):
        write(tmp_path / "v", name, clips[0])
    (found,) = recorded(tmp_path / "v", dataset).values()
    assert sorted(zip(found.labels, found.speakers, strict=True)) == [(0, "anna"), (0, "ben"), (1, "anna"), (2, "x-y")]


def test_a_held_out_voice_is_tested_on_and_the_agreement_noted(
    digits: Dataset, tmp_path: Path, clips: list[Clip], first: SpokenWordJudge
) -> None:
    for number, clip in enumerate(clips):
        write(tmp_path / "v", f"{WORDS[number]}_anna_{number}.wav", clip)
        write(tmp_path / "v", f"{WORDS[number]}_ben_{number}.wav", clip)
    (tmp_path / "first.safetensors").write_bytes(first.data)
    fitted = fitting.fit_spoken_word_judge(
        [digits],
        voices=tmp_path / "v",
        hold_out=["ben"],
        architecture="recurrent",
        beside=tmp_path / "first.safetensors",
        steps=1,
        progress=lambda line: None,
    )
    assert (fitted.name, fitted.role) == ("spoken-word-second", "second")
    assert fitted.accuracy["held-out ben"]["n"] == len(WORDS)
    assert "ben" in fitted.details["held_out_voices"]
    assert "ben" not in fitted.details["training_voices"]
    assert set(fitted.details["agreement"]["share"]) == set(fitted.accuracy)
    with pytest.raises(UnknownNameError, match="carl"):
        fitting.fit_spoken_word_judge([digits], voices=tmp_path / "v", hold_out=["carl"])


# --------------------------------------------------------------------------------------------- scoring
def test_accuracy_and_agreement_are_those_counted_by_hand(
    first: SpokenWordJudge, second: RecurrentWordJudge, clips: list[Clip]
) -> None:
    context = ScoringContext(TASK, {"first": JudgeWeights(first.data), "second": JudgeWeights(second.data)})
    recognised = [judge.probabilities(clips, SAMPLE_RATE_HZ).argmax(axis=1) for judge in (first, second)]
    sounds = [Sound(clip, SAMPLE_RATE_HZ) for clip in clips]
    pairs = [Pair(str(number), number, sound, sound) for number, sound in enumerate(sounds)]
    labels = np.arange(len(WORDS))
    for name, expected in (
        ("word-accuracy", recognised[0] == labels),
        ("word-accuracy-second", recognised[1] == labels),
        ("judge-agreement", recognised[0] == recognised[1]),
    ):
        metric = registry.metric(name)
        states = np.stack([state.state for state in metric.prepare(pairs, context) if state.state is not None])
        np.testing.assert_array_equal(states[:, 0], expected)
        assert metric.reduce(states, np.ones((1, len(states)))) == pytest.approx(expected.mean())


@pytest.mark.parametrize("name", ["word-accuracy-second", "judge-agreement"])
def test_without_a_second_judge_its_metrics_are_refused(name: str, first: SpokenWordJudge, clips: list[Clip]) -> None:
    sound = Sound(clips[0], SAMPLE_RATE_HZ)
    with pytest.raises(PrerequisiteError, match="second judge"):
        registry.metric(name).prepare(
            [Pair("a", 0, sound, sound)], ScoringContext(TASK, {"first": JudgeWeights(first.data)})
        )


def test_local_judges_are_distinguished_by_name_and_frozen_ones_by_the_recipe(
    tmp_path: Path, digits: Dataset, first: SpokenWordJudge, second: RecurrentWordJudge
) -> None:
    track = digits.recipe.tracks[0].model_copy(update={"second_judge": None})
    frozen, none = load_judges(digits, track)
    assert frozen is not None
    assert none is None
    damaged = track.model_copy(update={"second_judge": JudgeSpec(name="digits-second", sha256="0" * 64)})
    with pytest.raises(PrerequisiteError, match="not the one"):
        load_judges(digits, damaged)
    local = cast(Dataset, SimpleNamespace(folder=tmp_path))
    (tmp_path / "judges").mkdir()
    (tmp_path / "judges" / "a-second.safetensors").write_bytes(second.data)
    with pytest.raises(PrerequisiteError, match="no local judge"):
        load_judges(local, track, local=True)
    (tmp_path / "judges" / "b.safetensors").write_bytes(first.data)
    found = [judge.weights for judge in load_judges(local, track, local=True) if judge]
    assert found == [first.data, second.data]
