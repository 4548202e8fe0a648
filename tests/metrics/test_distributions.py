"""Frechet distance, precision, recall, diversity, collapse: against other code, by hand, and by their properties."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmbench import registry
from xmbench.interfaces import WholeSet
from xmbench.measures.frechet import frechet, moments

NAMES = ("frechet-distance", "precision", "recall", "density", "coverage", "diversity", "collapse")
Points = NDArray[np.float64]


def states(outputs: Points, references: Points, labels: Any = None) -> Points:
    known = np.zeros(len(outputs)) if labels is None else np.asarray(labels, dtype=float)
    return np.concatenate([outputs, references, known[:, None]], axis=1)


def table(name: str, rows: Points, usable: Any = None) -> Points:
    metric = registry.metric(name)
    assert isinstance(metric, WholeSet)
    return metric.finish(rows, np.ones(len(rows), dtype=bool) if usable is None else np.asarray(usable))


def score(name: str, rows: Points, usable: Any = None) -> float:
    return float(registry.metric(name).reduce(table(name, rows, usable), np.ones((1, len(rows))))[0])


def cloud(seed: int, count: int = 200, shift: float = 0.0) -> Points:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(64, 64)) / 8
    return np.asarray(np.maximum(rng.normal(size=(count, 64)) @ mixing + 0.3, 0) + shift)


def frechet_of_scipy(a: Points, b: Points) -> float:
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb)
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(ca + cb - 2 * np.real(root)))


# ------------------------------------------------------------------------------------------------- frechet
def test_the_distance_is_that_of_scipys_matrix_root() -> None:
    for seed in range(3):
        a, b = cloud(seed), cloud(seed + 10, shift=0.1 * seed) * 1.3
        assert score("frechet-distance", states(a, b)) == pytest.approx(frechet_of_scipy(a, b), rel=1e-8)


def test_it_is_a_distance() -> None:
    a, b = cloud(1), cloud(2, shift=0.2)
    assert score("frechet-distance", states(a, a[::-1])) == pytest.approx(0.0, abs=1e-6)
    there, back = score("frechet-distance", states(a, b)), score("frechet-distance", states(b, a))
    assert there == pytest.approx(back, rel=1e-9)
    assert there > 1


def test_singular_covariances_and_single_points() -> None:
    one = np.tile(cloud(1, 1), (50, 1))
    assert score("frechet-distance", states(one, one)) == 0.0
    spread = cloud(2, 50)  # 50 points in 64 dimensions
    known = np.square(one[0] - spread.mean(0)).sum() + np.trace(np.cov(spread, rowvar=False))
    assert score("frechet-distance", states(one, spread)) == pytest.approx(known)
    assert score("frechet-distance", states(cloud(1, 1), cloud(2, 1))) > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30))
def test_weights_count_items(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 5))
    counts = rng.integers(0, 4, size=count).astype(float)
    counts[0] += 2
    repeated = np.repeat(points, counts.astype(int), axis=0)
    mean, covariance = moments(points, counts)
    np.testing.assert_allclose(mean, repeated.mean(0), atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(repeated, rowvar=False), atol=1e-12)
    assert frechet(mean, covariance, mean, covariance) == pytest.approx(0.0, abs=1e-6)


# ------------------------------------------------------------------------------------- precision and recall
def by_hand(points: Points, centres: Points) -> list[bool]:
    """Straight from the paper's equation 1, with k = 3."""
    radii = [
        sorted(np.linalg.norm(c - other) for j, other in enumerate(centres) if j != i)[2] for i, c in enumerate(centres)
    ]
    return [any(np.linalg.norm(p - c) <= r for c, r in zip(centres, radii, strict=True)) for p in points]


def test_precision_and_recall_equal_the_definition_written_out() -> None:
    outputs, references = cloud(1, 60) * 1.2, cloud(2, 60)
    rows = states(outputs, references)
    np.testing.assert_array_equal(table("precision", rows)[:, 0], by_hand(outputs, references))
    np.testing.assert_array_equal(table("recall", rows)[:, 0], by_hand(references, outputs))
    assert 0 < score("precision", rows) < 1


def test_identity_far_away_and_one_point() -> None:
    references = cloud(3)
    far, single = cloud(4) + 50, np.tile(references[:1], (200, 1))
    assert score("precision", states(references, references)) == score("recall", states(references, references)) == 1
    assert score("precision", states(far, references)) == score("recall", states(far, references)) == 0
    assert score("precision", states(single, references)) == 1
    assert score("recall", states(single, references)) == pytest.approx(1 / 200)  # itself alone


def test_references_that_repeat_count_once_in_the_manifold_of_precision() -> None:
    """Many items share a recorded take: each repeated three times, every ball would have radius 0."""
    rng = np.random.default_rng(5)
    outputs, takes = rng.normal(size=(60, 64)), rng.normal(size=(60, 64))
    once = table("precision", states(outputs, takes))[:, 0]
    often = table("precision", states(np.tile(outputs, (4, 1)), np.tile(takes, (4, 1))))[:, 0]
    assert once.mean() > 0
    np.testing.assert_array_equal(often, np.tile(once, 4))


def test_a_failed_item_counts_nothing_in_precision_and_recall_and_its_reference_stays() -> None:
    references = cloud(5, 40)
    usable = np.arange(40) >= 10
    outputs = np.where(usable[:, None], references, 0.0)
    assert score("coverage", states(outputs, references), usable) == 30 / 40
    assert score("density", states(outputs, references), usable) < score("density", states(references, references))
    assert score("precision", states(outputs, references), usable) == 30 / 40
    assert score("recall", states(outputs, references), usable) == 30 / 40


def test_balls_do_not_grow_when_outputs_are_left_out() -> None:
    """Four pictures each four times reach nothing; three of each left out, their balls would be enormous."""
    references = cloud(3, 64)
    outputs = np.repeat(references[:16], 4, axis=0)
    usable = np.arange(64) % 4 == 0
    whole = score("recall", states(outputs, references))
    assert score("recall", states(outputs, references), usable) <= whole
    far = np.vstack([outputs[:63], references[:1] + 20])
    assert score("recall", states(far, references), np.arange(64) != 5) <= score("recall", states(far, references))


def test_density_and_coverage_equal_the_definitions_written_out() -> None:
    """Equations 4 and 5 of Naeem et al., with k = 5."""
    outputs, references = cloud(1, 60) * 1.2, cloud(2, 60)
    radii = [sorted(float(np.linalg.norm(a - b)) for b in references)[5] for a in references]
    held = np.array([[np.linalg.norm(o - r) <= d for r, d in zip(references, radii, strict=True)] for o in outputs])
    rows = states(outputs, references)
    np.testing.assert_allclose(table("density", rows)[:, 0], held.sum(axis=1) / 5)
    np.testing.assert_array_equal(table("coverage", rows)[:, 0], held.any(axis=0))
    assert 0 < score("coverage", rows) < 1


def test_coverage_of_real_items_of_copies_and_of_one_output() -> None:
    references = cloud(3, 400)
    assert score("coverage", states(references, references)) == 1
    assert score("density", states(references, references)) == pytest.approx(1.2, abs=0.01)  # each its own ball too
    assert score("coverage", states(cloud(4, 400), references)) == pytest.approx(1 - 2**-5, abs=0.03)
    assert score("density", states(cloud(4, 400), references)) == pytest.approx(1, abs=0.15)
    assert score("coverage", states(np.tile(references[:1], (400, 1)), references)) < 0.1
    outlier = references.copy()
    outlier[0] += 30  # a reference far from all has a large ball, which precision counts for every output
    assert score("density", states(cloud(4, 400), outlier)) < score("density", states(cloud(4, 400), references)) + 0.3
    takes = np.repeat(references[:100], 4, axis=0)
    assert score("coverage", states(takes, takes)) == 1


def test_fewer_items_than_neighbours() -> None:
    for count in (1, 2, 3):
        rows = states(cloud(1, count), cloud(1, count))
        assert score("precision", rows) == score("recall", rows) == 1


# -------------------------------------------------------------------------------------------------- diversity
def test_diversity_by_hand() -> None:
    references = np.zeros((4, 64))
    references[:, 0] = [0, 2, 10, 14]  # distances within the classes: 2 and 4
    outputs = np.zeros((4, 64))
    outputs[:, 0] = [5, 6, 0, 40]  # 1, and 40: cut off at the references' spread
    labels = [0, 0, 1, 1]
    assert score("diversity", states(outputs, references, labels)) == pytest.approx((0.5 + 1.0) / 2)
    assert table("diversity", states(outputs, references, labels))[:, 0].tolist() == [0.5, 0.5, 10.0, 10.0]


def test_diversity_of_the_references_is_one_of_class_means_zero_and_failed_items_add_none() -> None:
    references, labels = cloud(6, 60), np.arange(60) % 3
    means = np.stack([references[labels == k].mean(0) for k in range(3)])[labels]
    assert score("diversity", states(references, references, labels)) == 1
    assert score("diversity", states(means, references, labels)) == 0
    usable = np.arange(60) >= 30
    assert score("diversity", states(references, references, labels), usable) == pytest.approx(0.5, abs=0.05)


def test_identical_references_require_no_diversity() -> None:
    alike = np.tile(cloud(1, 1), (6, 1))
    assert score("diversity", states(alike, alike)) == 1
    assert score("diversity", states(alike, alike), [True, True, True, False, False, False]) == 0.5


# --------------------------------------------------------------------------------------------------- collapse
def test_collapse_counts_outputs_that_have_a_twin() -> None:
    references = cloud(7, 50)
    outputs = cloud(8, 50)
    assert score("collapse", states(outputs, references)) == 0
    outputs[:10] = outputs[0]
    assert score("collapse", states(outputs, references)) == 10 / 50
    outputs[10] = outputs[11] + 1e-4  # nearly
    assert score("collapse", states(outputs, references)) == 12 / 50


def test_noise_that_nobody_sees_does_not_hide_copies_where_references_repeat() -> None:
    """Single-take data: one reference per class, many times. The distance between distinct ones is what counts."""
    takes, labels = cloud(7, 10), np.arange(60) % 10
    outputs = cloud(8, 10)[labels] + np.random.default_rng(0).normal(0, 1e-3, (60, 64))
    assert score("collapse", states(outputs, takes[labels], labels)) == 1
    assert score("collapse", states(cloud(8, 60), takes[labels], labels)) == 0
    assert score("collapse", states(outputs, np.tile(takes[:1], (60, 1)))) == 1  # a single distinct reference


def test_all_but_one_of_the_copies_left_out_is_no_better_than_all_of_them() -> None:
    references, outputs = cloud(7, 50), cloud(8, 50)
    outputs[:10] = outputs[0]
    usable = ~np.isin(np.arange(50), np.arange(1, 10))
    assert score("collapse", states(outputs, references)) == 10 / 50
    assert score("collapse", states(outputs, references), usable) == 18 / 50  # nine items, and one more for each
    assert score("collapse", states(outputs, references), np.arange(50) < 1) == 1
    assert score("collapse", states(outputs, references), np.zeros(50, dtype=bool)) == 1


def test_copies_around_one_of_them_that_is_left_out_still_repeat_each_other() -> None:
    references = cloud(7, 50)
    distances = np.linalg.norm(references[:, None] - references[None], axis=2) + 1e9 * np.eye(50)
    near = 0.1 * float(np.median(distances.min(axis=1)))
    outputs = cloud(8, 50) * 3
    outputs[1:9] = outputs[0] + 0.9 * near * np.eye(64)[:8]  # farther than `near` from each other
    whole = score("collapse", states(outputs, references))
    assert whole == 9 / 50
    assert score("collapse", states(outputs, references), np.arange(50) > 0) >= whole


# ----------------------------------------------------------------------------------------------------- all
@pytest.mark.parametrize("name", NAMES)
def test_order_does_not_matter_and_bounds_hold(name: str) -> None:
    outputs, references, labels = cloud(1, 90) * 1.1, cloud(2, 90), np.arange(90) % 4
    usable = np.arange(90) % 9 > 0
    order = np.random.default_rng(0).permutation(90)
    rows = states(outputs, references, labels)
    metric = registry.metric(name)
    assert isinstance(metric, WholeSet)
    first = score(name, rows, usable)
    assert score(name, rows[order], usable[order]) == pytest.approx(first, abs=1e-9)
    assert metric.low <= first <= metric.high
    weights = np.random.default_rng(1).integers(0, 3, (4, 90)).astype(float)
    drawn = metric.reduce(table(name, rows, usable), weights)
    assert drawn.shape == (4,)
    assert np.isfinite(drawn).all()
    assert (drawn >= metric.low).all()
    assert (drawn <= metric.high).all()


def test_thousands_of_items_are_seconds() -> None:
    rows = states(cloud(1, 4000), cloud(2, 4000), np.arange(4000) % 10)
    for name in NAMES[1:]:
        started = time.process_time()
        table(name, rows)
        assert time.process_time() - started < 10


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 1.0, 4.0]), st.integers(1, 12), st.booleans())
def test_leaving_items_out_never_helps(seed: int, width: float, left_out: int, clumped: bool) -> None:
    """Near, usual and wild outputs; some the same as others; whichever items are left out."""
    rng = np.random.default_rng(seed)
    references, labels = rng.normal(size=(24, 6)), np.arange(24) % 3
    outputs = references * rng.choice([0.0, 1.0]) + width * rng.normal(size=(24, 6))
    if clumped:
        outputs[:12] = outputs[rng.integers(0, 12, 12)]
    usable = ~np.isin(np.arange(24), rng.choice(24, left_out, replace=False))
    rows = states(outputs, references, labels)
    for name in NAMES:
        whole, part = score(name, rows), score(name, rows, usable)
        better = part - whole if registry.metric(name).higher_is_better else whole - part
        assert better <= 1e-9, (name, whole, part)
