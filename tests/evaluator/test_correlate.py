"""Metrics against human ratings: coefficients by hand and by scipy, agreement of raters, results with known ratings."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from typer.testing import CliRunner

from tests.making import Make, submit
from xmbench.cli.program import app
from xmbench.errors import DocumentError
from xmbench.evaluator import correlation
from xmbench.evaluator.correlate import correlate
from xmbench.evaluator.correlation import COEFFICIENTS, FEWEST, Values, alpha, over_items, over_systems
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.ratings import Scale

N = np.nan
X = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
VALUES = arrays(np.float64, st.integers(5, 12), elements=st.integers(-20, 20).map(float))


# ------------------------------------------------------------------------------------------------ coefficients
def test_coefficients_by_hand() -> None:
    y = np.array([2.0, 1.0, 4.0, 3.0, 5.0])
    # deviations (-2..2) and (-1, -2, 1, 0, 2): 2 + 2 + 0 + 0 + 4 = 8 of 10; 8 concordant pairs, 2 discordant
    assert COEFFICIENTS["pearson"](X, y) == pytest.approx(0.8)
    assert COEFFICIENTS["spearman"](X, y) == pytest.approx(0.8)
    assert COEFFICIENTS["kendall"](X, y) == pytest.approx(0.6)
    ties = np.array([1.0, 1.0, 2.0, 2.0, 2.0])  # 6 concordant of 10 pairs, 4 tied: 6 / sqrt(10 * 6)
    assert COEFFICIENTS["kendall"](X, ties) == pytest.approx(6 / 60**0.5)


@settings(max_examples=60, deadline=None)
@given(x=VALUES, seed=st.integers(0, 99))
def test_coefficients_are_those_of_scipy(x: Values, seed: int) -> None:
    y = np.random.default_rng(seed).integers(-5, 5, len(x)).astype(np.float64)
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    theirs = {
        "pearson": stats.pearsonr(x, y).statistic,
        "spearman": stats.spearmanr(x, y).statistic,
        "kendall": stats.kendalltau(x, y).statistic,
    }
    for name, compute in COEFFICIENTS.items():
        assert compute(x, y) == pytest.approx(theirs[name], abs=1e-12)
        assert compute(x, y) == pytest.approx(compute(y, x)) == pytest.approx(-compute(x, -y))


@settings(max_examples=10, deadline=None)
@given(x=arrays(np.float64, 5, elements=st.integers(0, 9).map(float)), seed=st.integers(0, 9))
def test_p_values_are_those_of_every_order(x: Values, seed: int) -> None:
    y = np.random.default_rng(seed).permutation(len(x)).astype(np.float64)
    assume(np.ptp(x) > 0)
    found = over_systems(x, y)
    for name, compute in COEFFICIENTS.items():
        each = [abs(compute(x, np.array(order))) for order in itertools.permutations(y)]
        expected = np.mean(np.array(each) >= abs(compute(x, y)) - 1e-9)
        assert found[name].p_value == pytest.approx(expected)


def test_systems_in_the_same_order_of_five_are_one_order_of_sixty() -> None:
    found = over_systems(X, X**3)
    assert found["spearman"].value == 1
    assert found["spearman"].p_value == pytest.approx(2 / 120)  # and the reversed one
    assert "all 120 orders" in found["spearman"].method
    many = over_systems(np.arange(12.0), np.arange(12.0))
    assert many["kendall"].p_value == pytest.approx(1 / 10_000)


@pytest.mark.parametrize("n", range(FEWEST))
def test_few_systems_and_few_items_are_not_estimable(n: int) -> None:
    for found in (over_systems(X[:n], X[:n]), over_items(X[:n], X[None, :n], list("abcde")[:n])):
        assert {own.value for own in found.values()} == {None}
        assert all(f"not estimable: {n} " in own.method for own in found.values())


def test_what_does_not_vary_has_no_coefficient() -> None:
    flat = np.ones(8)
    assert over_systems(flat, np.arange(8.0))["pearson"].value is None
    assert over_items(np.arange(8.0), flat[None], list("abcdefgh"))["pearson"].value is None


def test_the_interval_holds_the_true_correlation_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "COEFFICIENTS", {"pearson": correlation.pearson})
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        quality = rng.normal(size=60)
        metric = 0.8 * quality + 0.6 * rng.normal(size=60)  # their correlation is 0.8
        found = over_items(metric, quality[None], [str(i) for i in range(60)])["pearson"]
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.8 <= found.high
    assert held >= 34


def test_few_raters_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    quality = np.linspace(0, 3, 80)
    odd = np.stack([quality, quality, rng.permutation(quality)])  # one of three raters listens to something else
    names = [str(i) for i in range(80)]
    some, one = (over_items(quality, table, names)["spearman"] for table in (odd, np.nanmean(odd, axis=0)[None]))
    assert some.low is not None
    assert one.low is not None
    assert some.value == one.value
    assert some.low < one.low - 0.1


# ------------------------------------------------------------------------------------------------ agreement
def test_alpha_is_that_of_its_author() -> None:
    """Krippendorff (2011), section D: four observers, twelve units, missing data; interval alpha .849."""
    table = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
            [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
        ]
    )
    assert alpha(table) == pytest.approx(0.849, abs=5e-4)


def test_alpha_at_its_ends() -> None:
    same = np.tile(np.arange(6.0), (3, 1))
    assert alpha(same) == 1
    assert alpha(np.array([[0.0, 1.0], [1.0, 0.0]])) == pytest.approx(-0.5)  # 1 - 1 / (2 / 3)
    assert alpha(np.ones((2, 5))) is None
    assert alpha(np.array([[1.0, N], [N, 2.0]])) is None


# ------------------------------------------------------------------------------------------------ results
LEVELS = (0.0, 0.01, 0.03, 0.1, 0.3)


@pytest.fixture(scope="module")
def scored(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five systems: the references with more and more noise, each with another name."""
    root = tmp_path_factory.mktemp("correlate")
    rng = np.random.default_rng(3)
    paths = []

    def noisy(level: float) -> Make:
        return lambda _i, _l, x: np.clip(x + rng.normal(0, level * rng.uniform(0.5, 1.5), len(x)), -1, 1)

    for number, level in enumerate(LEVELS):
        folder = submit(digits, root / str(number) / "submission", noisy(level), system=f"noise {level}")
        score_and_save(folder, digits, root / str(number) / "result.json", metrics=["corr2d", "stoi"], workers=1)
        paths.append(root / str(number) / "result.json")
    return paths


def rate(paths: list[Path], folder: Path, *, digest: bool = False, leave_out: int = 0) -> Path:
    """Ratings that are a known increasing function of `corr2d`: a cube, from 0 to 3, the same from two raters."""
    folder.mkdir()
    with (folder / "ratings.csv").open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["rater", "outputs_digest" if digest else "system", "id", "score"])
        for number, path in enumerate(paths):
            result, items = load_scored(path)
            name = result.outputs_digest if digest else result.submission.system
            for row in items.to_pylist()[leave_out if number == 0 else 0 :]:
                for rater in ("ann", "bob"):
                    rows.writerow([rater, name, row["id"], 1.5 + 1.5 * row["corr2d"] ** 3])
    return folder


def test_ratings_that_follow_a_metric_give_it_rank_correlations_of_one(scored: list[Path], tmp_path: Path) -> None:
    found = correlate(scored, rate(scored, tmp_path / "ratings"), Scale(0, 3))
    (aspect,) = found.aspects
    assert (aspect.raters, aspect.items, aspect.alpha) == (2, 200, 1.0)
    metrics = {metric.metric: metric for metric in aspect.metrics}
    own = metrics["corr2d"]
    for name in ("spearman", "kendall"):
        by_item = own.by_item[name]
        assert (by_item.value, by_item.low, by_item.high, by_item.n) == pytest.approx((1.0, 1.0, 1.0, 200))
        assert own.by_system[name].value == pytest.approx(1.0)
    pearson = own.by_item["pearson"]
    ends = [pearson.low, pearson.value, pearson.high]
    known = [end for end in ends if end is not None]
    assert known == ends == sorted(known)
    assert known[0] > 0.8
    assert known[2] < 1
    assert 0.3 < (metrics["stoi"].by_item["spearman"].value or 0) < 1
    assert list(aspect.means) == [f"noise {level}" for level in LEVELS]
    assert sorted(aspect.means.values(), reverse=True) == list(aspect.means.values())


def test_digests_name_the_same_systems(scored: list[Path], tmp_path: Path) -> None:
    by_name = correlate(scored, rate(scored, tmp_path / "names"), Scale(0, 3))
    by_digest = correlate(scored, rate(scored, tmp_path / "digests", digest=True), Scale(0, 3))
    assert by_name == by_digest


def test_fewer_than_five_systems_and_items_that_were_not_rated(scored: list[Path], tmp_path: Path) -> None:
    found = correlate(scored[:2], rate(scored[:2], tmp_path / "ratings", leave_out=3), Scale(0, 3))
    (aspect,) = found.aspects
    assert {name: len(items) for name, items in aspect.missing.items()} == {"noise 0.0": 3}
    for metric in aspect.metrics:
        assert metric.by_system["pearson"].value is None
        assert "2 systems, 5 needed" in metric.by_system["pearson"].method


def test_every_problem_is_listed_before_anything_is_computed(scored: list[Path], tmp_path: Path) -> None:
    _, items = load_scored(scored[0])
    first = items.column("id")[0].as_py()
    (tmp_path / "a.csv").write_text(
        f"rater,system,id,score\nann,noise 0.0,{first},1\nann,nobody,{first},1\nann,noise 0.0,no-item,1\n"
        f"ann,noise 0.0,{first},9\n"
    )
    with pytest.raises(DocumentError) as caught:
        correlate(scored, tmp_path, Scale(0, 3))
    assert sorted(caught.value.problems) == [
        "a.csv:3: no result of the system 'nobody'",
        "a.csv:4: the per-item table has no id 'no-item'",
        "a.csv:5: the score 9 is not within 0..3",
    ]


def test_the_same_result_twice_is_refused(scored: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        correlate([scored[0], scored[0]], rate(scored[:1], tmp_path / "r"), Scale(0, 3))
    assert "the same outputs in two results" in str(caught.value)


def test_the_command_prints_a_table_and_writes_json(scored: list[Path], tmp_path: Path) -> None:
    folder = rate(scored, tmp_path / "ratings")
    words = ["correlate", *map(str, scored), "--ratings", str(folder)]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "found.json")])
    assert done.exit_code == 0, done.output
    for said in (
        "Krippendorff's alpha",
        "1.000",
        "corr2d",
        "by 2 raters of 200 outputs",
        "all 120 orders of 5 systems",
    ):
        assert said in done.output
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["schema"] == "xmbench/correlation/1"
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout) == written


@pytest.mark.parametrize("words", [["--scale", "3"], ["--scale", "0..1"], []])
def test_mistakes_end_in_a_message(scored: list[Path], tmp_path: Path, words: list[str]) -> None:
    folder = rate(scored, tmp_path / "ratings") if words else tmp_path
    done = CliRunner().invoke(app, ["correlate", str(scored[0]), "--ratings", str(folder), *words])
    assert done.exit_code == 2
    assert "Traceback" not in done.output
