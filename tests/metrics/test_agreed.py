"""word-accuracy-agreed: counted by hand, and what the gate on corr2d-best5 is for."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from xmbench import registry
from xmbench.errors import PrerequisiteError
from xmbench.evaluator.class_references import gathered
from xmbench.evaluator.item_records import reference_of
from xmbench.evaluator.judge import judging_context, load_judges
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import Naming, Pair, ScoringContext, depends_on, judges_of, smallest_difference
from xmbench.judges.words.features import FRAMES, HOP
from xmbench.judges.words.kind import word_judge
from xmbench.media.signal import Sound
from xmbench.metrics import _judged


def states(name: str, pairs: list[Pair], context: ScoringContext) -> np.ndarray:
    found = registry.metric(name).prepare(pairs, context)
    return np.stack([item.state for item in found if item.state is not None])


@pytest.fixture(scope="module")
def judging(digits: Dataset) -> ScoringContext:
    track = digits.recipe.track("i2a")
    assert track is not None
    return judging_context(digits, *load_judges(digits, track))


def test_a_word_counts_if_both_judges_name_the_right_one(
    judging: ScoringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every case once: both right, one right, both wrong in the same way, both wrong, none."""
    cases = [(3, 3, 3), (3, 3, 4), (3, 4, 3), (3, 4, 4), (3, 4, 5), (3, 10, 10), (3, 3, 10)]
    heard = {"first": [one for _, one, _ in cases], "second": [other for _, _, other in cases]}
    roles = {judging.judges[role].sha256: role for role in ("first", "second")}
    monkeypatch.setattr(_judged, "named", lambda pairs, given, task: np.eye(11)[heard[roles[given.sha256]]])
    sound = Sound(np.ones(18140, dtype=np.float32), 22050)
    pairs = [Pair(str(k), label, sound, sound) for k, (label, _, _) in enumerate(cases)]
    found = states("word-accuracy-agreed", pairs, judging)
    np.testing.assert_array_equal(found, [[k == 0, *case[1:]] for k, case in enumerate(cases)])
    assert registry.metric("word-accuracy-agreed").reduce(found, np.ones((1, 7))) == pytest.approx(1 / 7)


def test_it_is_at_most_the_accuracy_of_either_judge_and_their_agreement(
    digits: Dataset, judging: ScoringContext
) -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for row in list(digits.rows("test", ["audio", "label"]))[::2]:
        known = reference_of(row, digits)
        assert isinstance(known, Sound)
        noise = rng.normal(0, 10 ** rng.uniform(-3, 0), len(known.samples))
        made = Sound(np.clip(known.samples + noise, -1, 1).astype(np.float32), known.sample_rate_hz)
        pairs.append(Pair(row["id"], row["label"], made, known))
    agreed = states("word-accuracy-agreed", pairs, judging)[:, 0]
    one, other, same = (
        states(name, pairs, judging)[:, 0] for name in ("word-accuracy", "word-accuracy-second", "judge-agreement")
    )
    np.testing.assert_array_equal(agreed, one * other)
    assert (agreed <= same).all()
    assert 0 < agreed.mean() < 1


def test_without_a_second_judge_it_is_refused(judging: ScoringContext) -> None:
    sound = Sound(np.ones(18140, dtype=np.float32), 22050)
    alone = ScoringContext(judging.task, {"first": judging.judges["first"]})
    with pytest.raises(PrerequisiteError, match="second judge"):
        registry.metric("word-accuracy-agreed").prepare([Pair("a", 0, sound, sound)], alone)


def attack() -> Any:
    spec = importlib.util.spec_from_file_location("attack", ROOT / "recipes" / "judges" / "attack.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_noise_made_for_both_judges_passes_them_and_fails_the_gate(digits: Dataset, judging: ScoringContext) -> None:
    """Such a system had .969 with both judges and a shared first rank; a random clip sounds more like the word."""
    tools, wanted = attack(), torch.arange(3)
    tools.STEPS = 120  # 40 were enough for judges that had heard synthesised speech only
    judges = tuple(word_judge(judging.judges[role].weights) for role in ("first", "second"))
    noise = torch.randn(len(wanted), (FRAMES - 1) * HOP, generator=torch.Generator().manual_seed(0))
    clips = tools.written(tools.attacked(noise, wanted, judges, lambda change: change), 22050)
    known = {row["label"]: reference_of(row, digits) for row in digits.rows("test", ["audio", "label"])}
    samples = digits.recipe.audio.samples
    made = [Sound(np.asarray(np.pad(clip, (0, samples))[:samples], dtype=np.float32), 22050) for clip in clips]
    optimised = [Pair(str(k), k, sound, known[k]) for k, sound in enumerate(made)]
    random = [Pair(str(k), k, known[(k + shift) % 10], known[k]) for k in range(3) for shift in range(10)]
    assert states("word-accuracy-agreed", optimised, judging)[:, 0].mean() >= 0.8
    with gathered(digits, "test") as references:
        context = ScoringContext(judging.task, judging.judges, references)
        of_noise, of_clips = (states("corr2d-best5", pairs, context)[:, 0].mean() for pairs in (optimised, random))
    assert of_noise < of_clips - 0.3
    assert of_clips > 0.5


def test_clusters_are_those_of_what_a_metric_looks_at() -> None:
    """A judge hears the output alone; the nearest of the class are the same for all items of the class."""
    for name in registry.names("metrics"):
        metric = registry.metric(name)
        expected = "condition" if judges_of(metric) or name.endswith("5") else "reference"
        if metric.modality == "audio":
            assert depends_on(metric) == expected, name


def test_every_speech_metric_says_what_difference_is_no_rank() -> None:
    spoken = [registry.metric(name) for name in registry.names("metrics")]
    spoken = [metric for metric in spoken if metric.modality == "audio"]
    assert len(spoken) >= 19
    for metric in spoken:
        assert 0 < smallest_difference(metric) <= (metric.high - metric.low) / 50, metric.name
    assert not isinstance(registry.metric("word-accuracy-agreed"), Naming)  # two classes, not one
