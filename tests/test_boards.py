"""Who is ranked on a board, before whom, and why others are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.made_boards import Fields, Made, Values, ranks, why
from xmbench import content, leaderboard
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import GateSpec, Recipe

N = 400
ALONE = tuple(f"item-{i:03d}" for i in range(N))
GATE = GateSpec(metric="corr2d-best5", baseline="random-clip")
FLOOR: Fields = {"kind": "floor", "baseline": "random-clip"}
IDENTITY: Fields = {"kind": "ceiling", "baseline": "identity"}


def share(part: float, seed: int = 0) -> Values:
    """Zeros and ones of N items; another seed, other items."""
    return np.random.default_rng(seed).permutation((np.arange(N) < round(part * N)).astype(np.float64))


def near(mean: float, seed: int = 0) -> Values:
    """Values around a mean."""
    values = np.random.default_rng(seed).normal(0, 0.1, N)
    return np.asarray(values - values.mean() + mean)


def seeds(part: float, first: int = 0) -> list[Values]:
    """Three runs that differ in single items."""
    return [share(part, first + k) for k in range(3)]


def with_bounds(**changes: Any) -> Made:
    """A board with the rows that its gate and its scale need."""
    made = Made(ALONE, gates=(GATE,), **changes)
    made.add("Random training clip", share(0.1), others={"corr2d-best5": near(0.73)}, **FLOOR)
    made.add("Identity", share(0.99), others={"corr2d-best5": near(1.0)}, **IDENTITY)
    return made


# ------------------------------------------------------------------------------------------------- gates
def test_noise_that_pleases_both_judges_has_no_rank() -> None:
    """Noise optimised against both judges: both hear the right word, and its spectrogram is that of no speech."""
    made = with_bounds()
    made.add_seeds("a net", seeds(0.7), others={"corr2d-best5": near(0.80)})
    made.add_seeds("noise against both judges", seeds(0.969), others={"corr2d-best5": near(0.136)})
    board = made.board()
    assert ranks(board)["a net"] == 1
    assert ranks(board)["noise against both judges"] is None
    limit = board.gates[0].limit
    assert limit is not None
    assert 0.70 < limit < 0.73
    assert why(board) == {
        "noise against both judges": (
            f"corr2d-best5 is 0.1360, and must be at least {limit:.4f}: the lower end of “Random training clip”"
        )
    }


def test_a_gate_without_its_row_lets_nothing_through_and_says_which_row_to_add() -> None:
    made = Made(ALONE, gates=(GATE,))
    made.add_seeds("a net", seeds(0.7), others={"corr2d-best5": near(0.80)})
    board = made.board()
    assert ranks(board) == {"a net": None}
    assert why(board) == {"a net": "the board has no verified row of random-clip"}
    assert "xmbench leaderboard anchors" in board.gates[0].text


@pytest.mark.parametrize(
    "claim", [{"verified": False}, {"preset": "mine"}, {"changed": {"level": 0}}, {"baseline": ""}]
)
def test_nobody_lowers_a_gate_with_a_row_of_his_own(claim: Fields) -> None:
    made = Made(ALONE, gates=(GATE,))
    made.add("Random training clip", share(0.1), others={"corr2d-best5": near(-0.9)}, **{**FLOOR, **claim})
    assert made.board().gates[0].limit is None


def test_a_gate_that_the_recipe_got_later_holds_for_older_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates decide who is ranked, never a score: the results stay on the recipe's current board."""
    recipe = load_toml(content.find("recipes", "digits-ad"), Recipe)
    made = Made(ALONE, "corr2d", track="digits-ad/i2a")
    made.add_seeds("a net", [near(0.5, k) for k in range(3)])
    own = made.results[0].track_spec
    later = own.model_copy(update={"metrics": ("corr2d", "corr2d-best5"), "gates": (GATE,)})
    changed = recipe.model_copy(update={"tracks": (later,)})
    monkeypatch.setattr("xmbench.leaderboard.board.installed", lambda _names: {"digits-ad": changed})
    results = [run.model_copy(update={"data_digest": changed.data_digest}) for run in made.results]
    (board,) = leaderboard.boards(results, made.columns)
    assert board.current is True
    assert why(board) == {"a net": "the board has no verified row of random-clip"}


def test_a_row_without_the_gates_metric_has_no_rank() -> None:
    made = with_bounds()
    made.add_seeds("a net", seeds(0.7))
    assert why(made.board())["a net"].startswith("no value of corr2d-best5")


def test_a_gate_may_ask_for_a_share_of_the_level() -> None:
    """Half of the lower end of the random image's coverage: the class mean behind a classifier covers nothing."""
    gate = GateSpec(metric="coverage", baseline="random-image", share=0.5)
    made = Made(ALONE, "class-frechet-distance", (gate,), higher=False, track="made-up/a2i")
    made.add("Random image", near(0.9), others={"coverage": near(0.8)}, kind="floor", baseline="random-image")
    made.add_seeds("generator", [near(0.2, k) for k in range(3)], others={"coverage": near(0.5)})
    made.add_seeds("class mean", [near(0.1, k) for k in range(3)], others={"coverage": near(0.01)})
    board = made.board()
    assert ranks(board)["generator"] == 1
    assert "0.5 of the lower end of “Random image”" in why(board)["class mean"]


# ------------------------------------------------------------------------------------------------- who is ranked
def test_generators_and_stored_items_are_ranked_apart_and_bounds_never() -> None:
    made = with_bounds()
    fine = {"corr2d-best5": near(0.8)}
    made.add_seeds("better net", seeds(0.8), others=fine)
    made.add_seeds("worse net", seeds(0.5), others=fine)
    made.add("stored clips", share(0.95), others=fine, kind="retrieval")
    board = made.board()
    assert [(row.block, row.name, row.rank) for row in board.rows] == [
        ("generators", "better net", 1),
        ("generators", "worse net", 2),
        ("retrieval", "stored clips", 1),
        ("bounds", "Identity", None),
        ("bounds", "Random training clip", None),
    ]


def test_a_self_reported_row_stands_last_without_a_rank() -> None:
    made = with_bounds()
    made.add_seeds("a net", seeds(0.5), others={"corr2d-best5": near(0.8)})
    made.add_seeds("a claim", seeds(0.9), others={"corr2d-best5": near(0.8)}, verified=False)
    board = made.board()
    assert board.rows[-1].name == "a claim"
    assert ranks(board) == {"a net": 1, "Identity": None, "Random training clip": None, "a claim": None}


def test_a_self_reported_seed_does_not_change_the_mean_of_verified_ones() -> None:
    made = with_bounds()
    made.add_seeds("a net", seeds(0.5), others={"corr2d-best5": near(0.8)})
    made.add("a net", share(0.0), others={"corr2d-best5": near(0.8)}, seed=7, verified=False)
    verified, reported = (row for row in made.board().rows if row.name == "a net")
    assert verified.value("word-accuracy-agreed") == 0.5
    assert (len(verified.runs), len(reported.runs), reported.block) == (3, 1, "self-reported")


def test_results_that_were_scored_here_are_ranked_whatever_their_status() -> None:
    made = Made(ALONE)
    made.add_seeds("a net", seeds(0.5), verified=False)
    (board,) = leaderboard.boards(made.results, made.columns, scored_here=True)
    assert ranks(board) == {"a net": 1}


@pytest.mark.parametrize(("count", "rank"), [(1, None), (2, None), (3, 1)])
def test_a_generator_is_ranked_with_three_seeds_or_more(count: int, rank: int | None) -> None:
    made = Made(ALONE)
    made.add_seeds("a net", seeds(0.5)[:count])
    board = made.board()
    assert ranks(board) == {"a net": rank}
    assert bool(why(board)) == (rank is None)


def test_a_system_that_uses_the_judges_is_never_ranked() -> None:
    """The judges themselves as systems were first on two boards."""
    made = Made(ALONE)
    made.add_seeds("the judges", seeds(1.0), uses_judges=True)
    made.add_seeds("a net", seeds(0.5))
    board = made.board()
    assert ranks(board) == {"the judges": None, "a net": 1}
    assert why(board)["the judges"] == "uses the judges of this package"


def test_the_interval_of_several_seeds_is_over_seeds_too() -> None:
    """Runs that differ much more than their items explain: the mean of the runs' own ends would be too narrow."""
    made = Made(ALONE)
    made.add_seeds("a net", [near(mean, 0) for mean in (0.2, 0.5, 0.8)])
    score = made.board().rows[0].scores[made.primary]
    assert score.low is not None
    assert score.high is not None
    own = made.results[0].scores[made.primary]
    assert score.high - score.low > 10 * (float(own.high or 0) - float(own.low or 0))


# ------------------------------------------------------------------------------------------------- ranks
def test_equal_systems_tie_and_clear_differences_do_not() -> None:
    made = Made(ALONE)
    for name, mean in (("a", 0.80), ("b", 0.80), ("c", 0.80), ("d", 0.60)):
        made.add_seeds(name, [near(mean, ord(name) + 7 * k) for k in range(3)])
    assert ranks(made.board()) == {"a": 1, "b": 1, "c": 1, "d": 4}


def test_a_difference_below_the_smallest_is_never_a_rank() -> None:
    base = near(0.8)
    for smallest, rank in ((0.0, 2), (0.01, 1)):
        made = Made(ALONE, smallest=smallest)
        made.add_seeds("a", [base] * 3)
        made.add_seeds("b", [base - 0.005] * 3)
        assert ranks(made.board())["b"] == rank


def test_rounding_is_never_a_rank() -> None:
    """Three seeds with the same outputs as one: their means differ in the last digit."""
    made = Made(ALONE)
    base = near(0.7)
    made.add_seeds("a", [base] * 3, kind="retrieval")
    made.add("b", base, kind="retrieval")
    assert ranks(made.board()) == {"a": 1, "b": 1}


def test_two_groups_have_no_interval_and_all_systems_tie() -> None:
    made = Made(tuple(f"speaker {i % 2}" for i in range(N)))
    made.add_seeds("a", seeds(0.9))
    made.add_seeds("b", seeds(0.1))
    board = made.board()
    assert ranks(board) == {"a": 1, "b": 1}
    assert {row.by for row in board.rows} == {"not estimable"}
    assert board.rows[0].scores[made.primary].low is None
    assert leaderboard.cell(board.rows[0].scores[made.primary], interval=True) == "0.9000 [not estimable: 2 groups]"


def test_systems_above_the_reference_itself_tie() -> None:
    """There the judge is the limit: it hears the systems better than the real items."""
    made = Made(ALONE)
    made.add("Identity", share(0.80), **IDENTITY)
    made.add_seeds("well heard", seeds(0.99))
    made.add_seeds("heard", seeds(0.90))
    made.add_seeds("below", seeds(0.50))
    board = made.board()
    assert ranks(board) == {"well heard": 1, "heard": 1, "below": 3, "Identity": None}
    assert [row.name for row in board.rows if row.beyond_judge] == ["well heard", "heard"]


def test_without_the_values_of_items_intervals_decide() -> None:
    made = Made(ALONE)
    made.add_seeds("a", seeds(0.9))
    made.add_seeds("b", seeds(0.5))
    (board,) = leaderboard.boards(made.results)
    assert [(row.rank, row.by) for row in board.rows] == [(1, "intervals"), (2, "intervals")]


# ------------------------------------------------------------------------------------------------- the scale
def test_a_constant_gets_no_credit() -> None:
    """The mean waveform scores above a random clip: the scale begins there, above every row that ignores its input."""
    made = Made(ALONE, "corr2d-floored")
    made.add("Mean waveform", near(0.744), kind="floor", baseline="mean-audio")
    made.add("Random training clip", near(0.630), **FLOOR)
    made.add("White noise", near(-0.19), kind="floor", baseline="white-noise")
    made.add("Identity", np.ones(N), **IDENTITY)
    made.add_seeds("the mean of a net", [near(0.744, 5)] * 3)
    made.add_seeds("a net", [near(0.872, 5)] * 3)
    board = made.board()
    known = {row.name: row.normalised for row in board.rows}
    assert board.scale.zero_name == "Mean waveform"
    assert known["the mean of a net"] == pytest.approx(0.0, abs=1e-12)
    assert known["a net"] == pytest.approx(0.5)
    assert known["Identity"] == pytest.approx(1.0)
    assert max(known[name] or 0 for name in ("Mean waveform", "Random training clip", "White noise")) <= 0.0


@pytest.mark.parametrize(
    "claim", [{"verified": False}, {"changed": {"a": 1}}, {"baseline": "mtnet"}, {"kind": "learned"}]
)
def test_nobody_declares_an_end_of_the_scale(claim: Fields) -> None:
    made = Made(ALONE)
    made.add("Identity", share(0.2), **{**IDENTITY, **claim})
    made.add("Random training clip", share(0.1), **FLOOR)
    assert {row.normalised for row in made.board().rows} == {None}


def test_a_reference_below_the_zero_is_no_scale() -> None:
    made = Made(ALONE)
    made.add("Identity", share(0.05), **IDENTITY)
    made.add("Random training clip", share(0.1), **FLOOR)
    assert {row.normalised for row in made.board().rows} == {None}


def test_the_ends_of_the_scale_among_the_baselines_ignore_the_condition_or_are_the_reference() -> None:
    found = [load_toml(content.find("baselines", name), Baseline) for name in content.names("baselines")]
    anchors = {one.name: one.anchor for one in found if one.anchor}
    assert {name for name, end in anchors.items() if end == "ceiling"} == {"identity", "identity-image"}
    assert {
        "silence",
        "white-noise",
        "mean-audio",
        "random-clip",
        "majority-class",
        "random-image",
        "majority-class-image",
    } <= {name for name, end in anchors.items() if end == "floor"}
    assert {one.name for one in found if one.kind == "retrieval"} == {
        "class-log-mel",
        "class-medoid",
        "heard-class-image",
        "i2t2a-same-voice",
        "nearest-class-clip",
        "nearest-class-image",
        "nearest-feature-clip",
        "nearest-multimodal",
        "nearest-image-clip",
        "nearest-sound-image",
    }
