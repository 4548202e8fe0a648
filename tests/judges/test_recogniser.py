"""A recogniser as a judge: CTC against every alignment, rejection of other words, the contract; tiny random weights."""

from __future__ import annotations

import hashlib
import itertools
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model

from tests.conftest import ROOT
from tests.making import submit
from xmbench import registry
from xmbench.conformance.judges import check_judge
from xmbench.errors import PrerequisiteError
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.judge import load_judges
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.judges.asr.ctc import freely_decoded, log_probability
from xmbench.judges.asr.network import RecogniserJudge, packed, spelled
from xmbench.media.signal import Sound

LETTERS = ("-", "|", *"EATOINHSRWZXFUVG")
WORDS = ("zero", "one", "two", "six")
TINY: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(16, 10, 5), (16, 8, 4), (16, 4, 4), (16, 4, 4)],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 24,
    "encoder_projection_dropout": 0.0,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 2,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.0,
    "encoder_ff_interm_features": 32,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.0,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": len(LETTERS),
}
ABOUT = {"classes": WORDS, "letters": LETTERS, "network": TINY, "margin": 5.0, "level": 0.1}


@pytest.fixture(scope="module")
def weights() -> bytes:
    torch.manual_seed(0)
    return packed(wav2vec2_model(**TINY), ABOUT)


@pytest.fixture(scope="module")
def judge(weights: bytes) -> RecogniserJudge:
    return RecogniserJudge.from_bytes(weights)


def clips(count: int) -> list[Sound]:
    rng = np.random.default_rng(0)
    t = np.arange(6_000) / 22_050
    tones = [0.3 * np.sin(2 * np.pi * rng.uniform(100, 900) * t) + rng.normal(0, 0.02, len(t)) for _ in range(count)]
    return [Sound(tone.astype(np.float32), 22_050) for tone in tones]


def by_every_alignment(emissions: torch.Tensor, text: tuple[int, ...]) -> float:
    """Every way to write one letter per frame, merged and without blanks."""
    total = 0.0
    for path in itertools.product(range(emissions.shape[1]), repeat=len(emissions)):
        merged = [letter for k, letter in enumerate(path) if k == 0 or letter != path[k - 1]]
        if tuple(letter for letter in merged if letter) == text:
            total += float(torch.exp(sum(emissions[k, letter] for k, letter in enumerate(path))))  # type: ignore[arg-type]
    return float(np.log(total)) if total else -np.inf


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.lists(st.integers(1, 3), max_size=4))
def test_the_probability_of_a_text_is_the_sum_over_its_alignments(seed: int, text: list[int]) -> None:
    emissions = torch.log_softmax(torch.randn(5, 4, generator=torch.Generator().manual_seed(seed)).double(), 1)
    found = log_probability(emissions, tuple(text))
    assert found == pytest.approx(by_every_alignment(emissions, tuple(text)), abs=1e-9)


def said(text: str, sureness: float = 8.0) -> torch.Tensor:
    """Emissions of a network that hears these letters, each for two frames with a blank after it."""
    frames = torch.zeros(3 * len(text) + 2, len(LETTERS), dtype=torch.float64)
    frames[:, 0] = sureness
    for k, letter in enumerate(text):
        frames[3 * k : 3 * k + 2, 0] = 0.0
        frames[3 * k : 3 * k + 2, LETTERS.index(letter)] = sureness
    return torch.log_softmax(frames, 1)


@pytest.mark.parametrize(
    ("heard", "named"),
    [("ZERO|", "zero"), ("SIX", "six"), ("|ONE|", "one"), ("WON", ""), ("SEVEN|", ""), ("", ""), ("|", "")],
)
def test_words_of_the_list_are_named_and_other_words_rejected(heard: str, named: str, judge: RecogniserJudge) -> None:
    emissions = said(heard)
    assert "".join(LETTERS[k] for k in freely_decoded(emissions)) == heard
    row = judge._row(emissions)
    assert row.sum() == pytest.approx(1.0, abs=1e-5)
    assert row.argmax() == (WORDS.index(named) if named else len(WORDS))


def test_a_slip_within_the_margin_is_the_word(judge: RecogniserJudge) -> None:
    """An E for the I of SIX, barely preferred."""
    emissions = said("SIX").exp()
    emissions[3:5, LETTERS.index("E")] = 1.2 * emissions[3:5, LETTERS.index("I")]
    emissions = torch.log(emissions / emissions.sum(1, keepdim=True))
    assert "".join(LETTERS[k] for k in freely_decoded(emissions)) == "SEX"
    assert judge._row(emissions).argmax() == WORDS.index("six")


def test_the_contract_of_judges_holds(weights: bytes) -> None:
    check_judge(registry.judge("asr"), weights, clips(3))


def test_gain_and_neighbours_change_nothing_and_silence_is_heard(judge: RecogniserJudge) -> None:
    sounds = [clip.samples for clip in clips(3)]
    plain = judge.probabilities(sounds, 22_050)
    for gain in (0.1, 10.0):
        louder = [np.asarray(gain * clip, dtype=np.float32) for clip in sounds]
        np.testing.assert_allclose(judge.probabilities(louder, 22_050), plain, atol=1e-4)
    np.testing.assert_array_equal(judge.probabilities(sounds[::-1], 22_050)[::-1], plain)
    assert np.isfinite(judge.probabilities([np.zeros(10, np.float32)], 22_050)).all()


def test_words_of_several_parts_and_letters_that_it_does_not_have() -> None:
    assert spelled("one two", LETTERS) == spelled("one_two", LETTERS)
    assert LETTERS[spelled("one two", LETTERS)[3]] == "|"
    with pytest.raises(PrerequisiteError, match="spell"):
        spelled("zéro", LETTERS)


def test_a_checkpoint_of_a_bundle_becomes_a_local_judge(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a bundle of tiny sizes: the published ones differ in sizes and weights alone."""
    torch.manual_seed(1)
    letters = LETTERS[1:]
    bundle = pipelines.WAV2VEC2_ASR_BASE_960H
    tiny = replace(bundle, _path="tiny.pth", _params=TINY, _labels=letters, _remove_aux_axis=())
    monkeypatch.setattr(pipelines, "TINY", tiny, raising=False)
    torch.save(wav2vec2_model(**TINY).state_dict(), tmp_path / "tiny.pth")
    folder = shutil.copytree(digits.folder, tmp_path / "data")
    sha256 = hashlib.sha256((tmp_path / "tiny.pth").read_bytes()).hexdigest()
    script = runpy.run_path(str(ROOT / "recipes" / "judges" / "recogniser.py"))
    monkeypatch.setattr(sys, "argv", ["recogniser.py", str(folder), str(tmp_path / "tiny.pth"), "0" * 64, "TINY"])
    with pytest.raises(SystemExit, match="another file"):
        script["main"]()
    monkeypatch.setattr(sys, "argv", [*sys.argv[:3], sha256, "TINY"])
    script["main"]()
    assert "of 10 test clips" in capsys.readouterr().out
    dataset = open_dataset(folder)
    track = dataset.recipe.track("i2a")
    assert track is not None
    first, second = load_judges(dataset, track, local=True)
    assert first is not None
    assert second is None
    assert (first.record.kind, first.record.classes) == ("asr", digits.recipe.classes.words)
    done = score(submit(dataset, tmp_path / "s"), dataset, metrics=["word-accuracy"], judge=first).result
    assert done.scores["word-accuracy"].value == first.record.accuracy["test clips"].accuracy
    assert done.judge is not None
    assert done.judge.local
