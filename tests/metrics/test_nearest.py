"""Multi-take scores on real speech: found by hand, the same in any order, never below the single reference's."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.making import submit
from tests.metrics.test_conformance import TASK
from xmbench import registry
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.errors import PrerequisiteError
from xmbench.evaluator.class_references import gathered
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.measure import prepare
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import ClassReferences, Pair, ScoringContext
from xmbench.media.audio import encode_wav, to_float
from xmbench.media.signal import Sound
from xmbench.metrics import _nearest

NAMES = [f"{base}-{take}5" for base in ("corr2d", "stoi", "pesq") for take in ("best", "mean")]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Digits by four voices at two rates."""
    folder = tmp_path_factory.mktemp("spoken")
    recipe = load_recipe("digits-ad")
    options = {**recipe.sources["speech"].options, "voices": ["en-us", "en-us+f1", "en-us+m3", "en-gb-x-rp"]}
    source = recipe.sources["speech"].model_copy(update={"options": {**options, "rates": [120, 130]}})
    changed = recipe.model_copy(update={"sources": {**recipe.sources, "speech": source}})
    metrics = ("corr2d", "corr2d-best5", "stoi-mean5")
    track = changed.tracks[0].model_copy(update={"metrics": metrics, "primary": "corr2d", "judge": None})
    changed = changed.model_copy(update={"tracks": (track,)})
    return build(changed, folder / "out", limit=120, workers=1)


@pytest.fixture(scope="module")
def references(spoken: Dataset) -> Iterator[ClassReferences]:
    with gathered(spoken, "test") as found:
        yield found


def context(references: ClassReferences) -> ScoringContext:
    return ScoringContext(TASK, references=references)


def clip(references: ClassReferences, position: int) -> Sound:
    return Sound(to_float(np.load(references.file)[position]), references.sample_rate_hz)


def test_each_distinct_clip_is_listed_once(spoken: Dataset, references: ClassReferences) -> None:
    clips = np.load(references.file)
    assert len(clips) == len(references.labels) == len({c.tobytes() for c in clips})
    rows = {(bytes(row["audio"]["bytes"]), row["label"]) for row in spoken.rows("test", ["audio", "label"])}
    assert len(clips) == len(rows)
    assert min(references.labels.count(label) for label in range(10)) >= 5


@pytest.mark.parametrize("base", ["corr2d", "stoi", "pesq"])
def test_best_and_mean_are_those_of_a_search_by_hand(references: ClassReferences, base: str) -> None:
    """The search is done again here in plain words, with every reference measured."""
    label = 7
    own = [k for k, other in enumerate(references.labels) if other == label]
    noise = np.random.default_rng(3).normal(0, 0.01, 18140).astype(np.float32)
    first = clip(references, own[0])
    output = Sound(0.5 * first.samples + noise[: len(first.samples)], first.sample_rate_hz)
    shapes = {k: _nearest._coarse(clip(references, k)) for k in own}
    wanted = _nearest._coarse(output)
    near = sorted(own, key=lambda k: (-float(np.dot(shapes[k].astype(np.float64), wanted)), k))[:5]
    single = registry.metric(base)
    assert single.floor is not None
    states = single.prepare([Pair("x", label, output, clip(references, k)) for k in near], context(references))
    values = [single.floor if s.state is None else s.state[0] for s in states]
    for take, expected in (("best", max(values)), ("mean", np.mean(values))):
        metric = registry.metric(f"{base}-{take}5")
        (found,) = metric.prepare([Pair("x", label, output, first)], context(references))
        assert found.state is not None
        assert found.state[0] == pytest.approx(expected, abs=1e-12)
    assert own[0] in near


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_of_the_class_has_the_best_score_of_all(references: ClassReferences, name: str) -> None:
    metric = registry.metric(name)
    own, other = references.labels.index(3), references.labels.index(8)
    pairs = [Pair("own", 3, clip(references, own), clip(references, own))]
    pairs += [Pair("other", 3, clip(references, other), clip(references, own))]
    right, wrong = metric.prepare(pairs, context(references))
    assert right.state is not None
    assert wrong.state is not None
    assert metric.low <= wrong.state[0] < right.state[0] <= metric.high + 1e-9
    if name.endswith("best5"):
        (single,) = registry.metric(name.removesuffix("-best5")).prepare(pairs[:1], context(references))
        assert single.state is not None
        assert right.state[0] == pytest.approx(single.state[0])


@pytest.mark.parametrize("name", NAMES)
def test_silence_fails_and_a_class_without_references_says_so(references: ClassReferences, name: str) -> None:
    metric = registry.metric(name)
    reference = clip(references, 0)
    silence = Sound(np.zeros_like(reference.samples), reference.sample_rate_hz)
    pairs = [Pair("s", 0, silence, reference), Pair("u", 99, reference, reference)]
    failed, unknown = metric.prepare(pairs, context(references))
    assert failed.state is None
    assert (unknown.state, unknown.status) == (None, "reference-unscorable")


def test_without_references_it_is_refused() -> None:
    with pytest.raises(PrerequisiteError, match="references"):
        registry.metric("corr2d-best5").prepare([], ScoringContext(TASK))


def test_references_on_another_machine_are_not_blamed_on_an_output(references: ClassReferences) -> None:
    """A Ray worker elsewhere does not see the driver's temporary file: every item would count the floor."""
    missing = ClassReferences(references.file.with_name("elsewhere.npy"), references.labels, references.sample_rate_hz)
    own = clip(references, 0)
    with pytest.raises(PrerequisiteError, match="cannot be read on this machine"):
        prepare("corr2d-best5", [Pair("a", references.labels[0], own, own)], context(missing))


def test_gathering_keeps_no_clip_in_memory(spoken: Dataset) -> None:
    """A split of 10,000 items may have 10,000 takes."""

    def rows(split: str, columns: list[str]) -> Iterator[dict[str, Any]]:
        for k in range(1_000):
            samples = np.full(spoken.recipe.audio.samples, k, dtype=np.int16)
            yield {
                "id": str(k),
                "label": 0,
                "audio": {"bytes": encode_wav(samples, spoken.recipe.audio.sample_rate_hz)},
            }

    large = cast(Dataset, SimpleNamespace(rows=rows, recipe=spoken.recipe, folder=spoken.folder))
    tracemalloc.start()
    try:
        with gathered(large, "test") as found:
            _, peak = tracemalloc.get_traced_memory()
            clips = np.load(found.file, mmap_mode="r")
            assert clips[:, 0].tolist() == list(range(1_000))
            assert peak < clips.nbytes / 10
    finally:
        tracemalloc.stop()


def test_a_submission_is_scored_the_same_by_any_number_of_workers(spoken: Dataset, tmp_path: Path) -> None:
    """The references themselves: the best of five is 1, one reference's Corr2D too, and the mean of five is below."""
    folder = submit(spoken, tmp_path / "s")
    one, two = (score(folder, spoken, workers=workers) for workers in (1, 2))
    assert one.items.equals(two.items)
    assert one.result.scores == two.result.scores
    assert one.result.scores["corr2d-best5"].value == pytest.approx(1.0)
    mean = one.result.scores["stoi-mean5"].value
    assert mean is not None
    assert 0.2 < mean < 0.95
