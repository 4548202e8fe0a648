"""Outputs that were optimised against the judge are detected: the second judge disagrees."""

from __future__ import annotations

import importlib.util
from importlib.resources import files

import torch

from tests.conftest import ROOT
from xmbench.judges.words.features import FRAMES, HOP
from xmbench.judges.words.kind import word_judge


def test_on_noise_that_the_first_judge_takes_for_words_the_second_disagrees() -> None:
    spec = importlib.util.spec_from_file_location("attack", ROOT / "recipes" / "judges" / "attack.py")
    assert spec
    assert spec.loader
    attack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(attack)
    weights = files("xmbench") / "judges" / "words" / "weights"
    first, second = (word_judge((weights / f"{name}.safetensors").read_bytes()) for name in ("digits", "digits-second"))
    wanted = torch.arange(20) % 10
    noise = torch.randn(20, (FRAMES - 1) * HOP, generator=torch.Generator().manual_seed(0))
    sounds = attack.attacked(noise, wanted, (first,), lambda change: change)
    one, other = (attack.recognised(judge, sounds, 22050) for judge in (first, second))
    assert (one == wanted.numpy()).mean() >= 0.9
    assert (one == other).mean() <= 0.5
