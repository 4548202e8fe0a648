"""Leaving items out or breaking them improves no score: every metric, on real digits, with good and bad outputs."""

from __future__ import annotations

import functools
import itertools
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.conftest import shared
from tests.making import submit, wav
from xmbench import registry
from xmbench.evaluator.class_references import gathered
from xmbench.evaluator.decode import neutral_output
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.item_records import reference_of
from xmbench.evaluator.judge import judging_context, load_judges
from xmbench.evaluator.measure import prepare
from xmbench.evaluator.training_items import with_training
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import (
    SIDES,
    AudioFormat,
    Direction,
    ImageFormat,
    ItemState,
    Metric,
    Pair,
    ScoringContext,
    Task,
    WholeSet,
)
from xmbench.media import audio
from xmbench.media.signal import Media, Picture, Sound
from xmbench.statistics import counted

KINDS = ("right", "wrong", "noise", "same")
CLASSES = (0, 1, 2)  # of four items each
SPEECH = ("corr2d", "corr2d-floored", "corr2d-linear", "pesq", "pesq-nb", "pesq-wb", "stoi", "stoi-strict", "estoi")
cases = settings(max_examples=40, deadline=None, derandomize=True)
choices = st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), min_size=12, max_size=12)


def sides(name: str) -> list[tuple[str, Direction]]:
    """The directions in which a metric scores outputs."""
    modality = registry.metric(name).modality
    wanted: tuple[Direction, ...] = ("i2a", "a2i")
    return [(name, direction) for direction in wanted if modality in ("any", SIDES[direction].output)]


def every_side() -> list[tuple[str, Direction]]:
    """Every metric in each of its directions."""
    return [side for name in registry.names("metrics") for side in sides(name)]


@dataclass(frozen=True)
class Items:
    """Twelve items, each with an output of every kind, and with the neutral one."""

    pairs: dict[str, list[Pair]]
    context: ScoringContext

    def states(self, name: str) -> dict[str, list[ItemState]]:
        """A metric's states of the items by kind of output."""
        return {kind: prepare(name, pairs, self.context) for kind, pairs in self.pairs.items()}


def disturbed(media: Media, seed: int, level: float) -> Media:
    """The item with noise; `level` is relative to full scale."""
    rng = np.random.default_rng(seed)
    if isinstance(media, Sound):
        noise = rng.normal(0, level, len(media.samples))
        return Sound(np.clip(media.samples + noise, -1, 1).astype(np.float32), media.sample_rate_hz)
    noise = rng.normal(0, 255 * level, media.pixels.shape)
    return Picture(np.clip(np.round(media.pixels + noise), 0, 255).astype(np.uint8))


def outputs(references: list[Media], neutral: Media) -> dict[str, list[Media]]:
    count = len(references)
    return {
        "right": [disturbed(media, k, 0.01) for k, media in enumerate(references)],
        "wrong": [disturbed(references[(k + count // 3) % count], k, 0.001) for k in range(count)],
        "noise": [disturbed(neutral, k, 0.2) for k in range(count)],
        "same": [references[0]] * count,
        "neutral": [neutral] * count,
    }


@pytest.fixture(scope="module")
def items_of(digits: Dataset) -> Any:
    """`Items` of the small data set by direction."""
    with gathered(digits, "test") as references:

        @functools.cache
        def of(direction: Direction) -> Items:
            track = digits.recipe.track(direction)
            assert track is not None
            judging = judging_context(digits, *load_judges(digits, track))
            given = ScoringContext(judging.task, judging.judges, references)
            context = with_training(given, digits, track, [*registry.names("metrics")])
            rows = list(digits.rows("test", [SIDES[direction].output, "label"]))
            own = [row for label in CLASSES for row in rows if row["label"] == label]
            assert len(own) == 12
            known = [reference_of(row, digits) for row in own]
            made = outputs(known, neutral_output(digits.recipe.task, direction))
            return Items(
                {
                    kind: [Pair(str(k), own[k]["label"], media[k], known[k]) for k in range(len(own))]
                    for kind, media in made.items()
                },
                context,
            )

        yield of


States = dict[str, list[ItemState]]


def value(metric: Metric, states: States, kinds: list[str], broken: list[bool]) -> float | None:
    """The score of outputs of these kinds, of which some have failed: the protocol in plain code."""
    made = [states[kind][k] for k, kind in enumerate(kinds)]
    if isinstance(metric, WholeSet):
        rows = [states["neutral"][k] if gone else made[k] for k, gone in enumerate(broken)]
        table = metric.finish(np.stack([row.state for row in rows if row.state is not None]), ~np.array(broken))
        return float(metric.reduce(table, np.ones((1, len(table))))[0])
    covered = [states["right"][k].status not in metric.left_out for k in range(len(kinds))]
    kept = np.array([state.state is not None and not gone for state, gone in zip(made, broken, strict=True)])
    names = ["missing" if cover else "too-short" for cover in covered]
    width = next((len(state.state) for state in made if state.state is not None), 1)
    table = np.array([np.zeros(width) if state.state is None else state.state for state in made])
    own = counted(table, kept, names, metric.floor, metric.left_out)
    if not own.counts.any():
        return None
    return float(metric.reduce(own.values[own.counts], np.ones((1, int(own.counts.sum()))))[0])


def never_better(metric: Metric, items: Items) -> None:
    """Compares scores with and without failed items: outputs drawn at random, and what a gamer would try."""
    states = items.states(metric.name)

    def holds(kinds: list[str], broken: list[bool]) -> None:
        whole, damaged = value(metric, states, kinds, [False] * len(kinds)), value(metric, states, kinds, broken)
        if whole is None or damaged is None:  # no reference is covered
            assert whole == damaged
        elif metric.higher_is_better:
            assert damaged <= whole + 1e-9, (kinds, broken)
        else:
            assert damaged >= whole - 1e-9, (kinds, broken)

    for kinds, broken in gamed():
        holds(kinds, broken)

    @cases
    @given(choices)
    def holds_for_any(drawn: list[tuple[str, bool]]) -> None:
        holds([kind for kind, _ in drawn], [gone for _, gone in drawn])

    holds_for_any()


def gamed() -> list[tuple[list[str], list[bool]]]:
    """Outputs of two kinds, of which one is left out: all, all but one, or all of one class."""
    found = []
    for one, other in itertools.product(KINDS, KINDS):
        for step in (1, 2, 3, 6):  # one item in so many is of the other kind; classes are runs of four
            kinds = [other if k % step == 0 else one for k in range(12)]
            gone = [k for k in range(12) if k % step == 0]
            for absent in (gone, gone[1:], [k for k in gone if k < 4]):
                found.append((kinds, [k in absent for k in range(12)]))
    return found


@pytest.mark.parametrize("name", registry.names("metrics"))
def test_a_failed_item_counts_the_worst_that_the_metric_can_give(name: str) -> None:
    metric = registry.metric(name)
    assert metric.floor in (None, metric.low if metric.higher_is_better else metric.high)


@pytest.mark.parametrize(("name", "direction"), every_side())
def test_breaking_items_never_improves_a_score(name: str, direction: Direction, items_of: Any) -> None:
    never_better(registry.metric(name), items_of(direction))


@pytest.fixture(scope="module")
def recorded() -> Items:
    """Twelve real recordings of 0.2 to 1 s: half of them too short for STOI as published."""
    rate, samples = 8_000, 9_600
    with zipfile.ZipFile(shared("data", "fsdd", "fsdd_flac.zip")) as packed:
        names = sorted(name for name in packed.namelist() if name.endswith(".flac"))
        chosen = [packed.read(names[k]) for k in np.random.default_rng(3).choice(len(names), 12, replace=False)]
    clips = [np.asarray(audio.fit_length(audio.decode(raw)[0][:, 0], samples), dtype=np.float32) for raw in chosen]
    known: list[Media] = [Sound(clip, rate) for clip in clips]
    task = Task(("0",), ("zero",), ImageFormat(1, 1, 1), AudioFormat(rate, samples, 0.1, 1.2))
    made = outputs(known, Sound(np.zeros(samples, dtype=np.float32), rate))
    pairs = {kind: [Pair(str(k), 0, media[k], known[k]) for k in range(12)] for kind, media in made.items()}
    return Items(pairs, ScoringContext(task))


@pytest.mark.parametrize("name", SPEECH)
def test_breaking_outputs_for_real_recordings_never_improves_a_score(name: str, recorded: Items) -> None:
    never_better(registry.metric(name), recorded)


def test_leaving_out_what_scores_below_zero_no_longer_helps(recorded: Items) -> None:
    """With a floor of 0 it did: ESTOI .114 became .179."""
    metric = registry.metric("estoi")
    states = recorded.states("estoi")
    kinds = ["right" if k % 4 == 0 else "wrong" for k in range(12)]
    values = [states[kind][k].state for k, kind in enumerate(kinds)]
    below = [one is not None and bool(one[0] < 0) for one in values]
    assert any(below)
    whole, gamed = value(metric, states, kinds, [False] * 12), value(metric, states, kinds, below)
    assert whole is not None
    assert gamed is not None
    assert gamed < whole - 0.05
    with_zero = [0.0 if one is None or gone else float(one[0]) for one, gone in zip(values, below, strict=True)]
    assert np.mean(with_zero) > whole


Break = Callable[[NDArray[np.float32]], NDArray[Any] | bytes | None]
BREAKS: dict[str, tuple[str, Break]] = {
    "missing": ("missing", lambda clip: None),
    "not a sound": ("unreadable", lambda clip: b"RIFF"),
    "another rate": ("unreadable", lambda clip: wav(clip, 16_000)),
    "not a number": (
        "non-finite",
        lambda clip: wav(np.where(np.arange(len(clip)) == 9, np.nan, clip), subtype="FLOAT"),
    ),
    "silent": ("silent", lambda clip: np.zeros_like(clip)),
}


def test_every_way_to_break_bad_outputs_costs_on_every_metric_of_the_track(digits: Dataset, tmp_path: Path) -> None:
    """Noise, the worst of outputs, in every third item; then each of these broken in one of the ways."""
    track = digits.recipe.track("i2a")
    assert track is not None
    names = [name for name in track.metrics if not isinstance(registry.metric(name), WholeSet)]
    bad = sorted(row["id"] for row in digits.rows("test", ["label"]))[::3]
    ways = {item_id: list(BREAKS)[k % len(BREAKS)] for k, item_id in enumerate(bad)}

    def scores(folder: str, break_them: bool) -> Any:
        def make(item_id: str, label: int, reference: NDArray[np.float32]) -> Any:
            noise = np.random.default_rng(label).normal(0, 0.2, len(reference)).clip(-1, 1).astype(np.float32)
            broken = BREAKS[ways[item_id]][1](noise) if item_id in ways and break_them else noise
            return broken if item_id in ways else reference

        made = submit(digits, tmp_path / folder, make)
        judge, second = load_judges(digits, track)
        return score(made, digits, metrics=names, judge=judge, second_judge=second).result.scores

    whole, damaged = scores("noise", False), scores("broken", True)
    expected = Counter(BREAKS[way][0] for way in ways.values())
    for name in names:
        one, other = whole[name], damaged[name]
        assert one.value is not None
        assert other.value is not None
        assert other.left_out or expected.items() <= other.statuses.items(), name
        assert other.value <= one.value + 1e-12, name
