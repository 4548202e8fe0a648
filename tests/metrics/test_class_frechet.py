"""class-frechet-distance: by hand, by its properties, and on real images against what once came first."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import scipy.linalg
import sklearn.datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.conftest import shared
from xmbench.interfaces import AudioFormat, ImageFormat, Pair, ScoringContext, Task
from xmbench.judges.records import read_judge, shipped
from xmbench.measures import class_frechet
from xmbench.media.image import resize
from xmbench.media.signal import Picture
from xmbench.metrics.class_frechet_distance import METRIC

Points = NDArray[np.float64]
Images = NDArray[np.uint8]


def states(outputs: Points, references: Points, labels: Points | None = None) -> Points:
    """The same points in both embeddings: the random one has 64 dimensions."""
    known = np.zeros(len(outputs)) if labels is None else labels
    wide = [np.pad(part, ((0, 0), (0, 64 - part.shape[1]))) for part in (outputs, references)]
    return np.hstack([outputs, references, *wide, known[:, None]])


def value(rows: Points, usable: NDArray[np.bool_] | None = None) -> float:
    whole = np.ones(len(rows), dtype=bool) if usable is None else usable
    return float(METRIC.reduce(METRIC.finish(rows, whole), np.ones((1, len(rows))))[0])


def by_scipy(outputs: Points, references: Points) -> float:
    """The distance of two normal distributions with covariances that divide by n, over the references' trace."""
    a, b = np.cov(outputs, rowvar=False, ddof=0), np.cov(references, rowvar=False, ddof=0)
    apart = np.square(outputs.mean(0) - references.mean(0)).sum()
    return float((apart + np.trace(a + b - 2 * np.real(scipy.linalg.sqrtm(a @ b)))) / np.trace(b))


# ------------------------------------------------------------------------------------------------ by hand
def test_up_to_sixteen_dimensions_it_is_the_distance_of_scipys_matrix_root() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12))
    references = rng.normal(size=(80, 12)) @ mixing
    outputs = 0.8 * rng.normal(size=(80, 12)) @ mixing + 0.2
    assert value(states(outputs, references)) == pytest.approx(by_scipy(outputs, references), rel=1e-6)


def test_beyond_them_both_distributions_are_round() -> None:
    """Outputs at half the references' distance in directions that only few items have: (1 - 1/2)^2 of the variance."""
    references = np.random.default_rng(1).normal(size=(30, 60))
    references -= references.mean(axis=0)
    _, _, axes = np.linalg.svd(references, full_matrices=False)
    rest = references - references @ axes[:16].T @ axes[:16]
    outputs = references - 0.5 * rest
    expected = 0.25 * np.square(rest).sum() / np.square(references).sum()
    assert value(states(outputs, references)) == pytest.approx(expected, rel=1e-5)


def test_zero_for_the_references_and_one_for_the_mean_of_each_class() -> None:
    rng = np.random.default_rng(2)
    labels = (np.arange(90) % 3).astype(np.float64)
    references = rng.uniform(-1, 1, size=(90, 20)) * (1 + labels[:, None]) + 50 * labels[:, None]
    means = np.stack([references[labels == k].mean(axis=0) for k in range(3)])
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == k)) for k in range(3)])
    own = np.concatenate([np.flatnonzero(labels == k) for k in range(3)])
    shuffled = references.copy()
    shuffled[own] = references[order]
    assert value(states(references, references, labels)) == pytest.approx(0, abs=1e-6)
    assert value(states(shuffled, references, labels)) == pytest.approx(0, abs=1e-6)
    assert value(states(means[labels.astype(int)], references, labels)) == pytest.approx(1)
    other = means[(labels.astype(int) + 1) % 3]
    assert 10 < value(states(other, references, labels)) <= class_frechet.HIGHEST


def test_the_unit_of_the_embedding_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    references, outputs = rng.normal(size=(50, 20)), 0.7 * rng.normal(size=(50, 20)) + 0.1
    assert value(states(1e4 * outputs, 1e4 * references)) == pytest.approx(value(states(outputs, references)), rel=1e-9)


def test_references_that_are_all_the_same_in_a_class_take_the_spread_of_all() -> None:
    takes, labels = np.random.default_rng(4).normal(size=(4, 20)), np.arange(40) % 4
    same, known = labels.astype(np.float64), takes[labels]
    assert value(states(known, known, same)) == pytest.approx(0)
    assert 0 < value(states(known + 0.01, known, same)) < 0.01
    assert value(states(takes[(labels + 1) % 4], known, same)) > 0.5
    one = np.ones((6, 20))
    assert value(states(one, one)) == pytest.approx(0)
    assert value(states(one[:1], one[:1])) == pytest.approx(0)
    assert value(states(one + 1, one)) > 1


def test_the_worse_of_the_two_embeddings_counts() -> None:
    rng = np.random.default_rng(5)
    references, good, bad = rng.normal(size=(60, 64)), rng.normal(size=(60, 64)), rng.normal(size=(60, 64)) + 1
    labels = np.zeros((60, 1))
    one = value(np.hstack([good, references, bad, references, labels]))
    other = value(np.hstack([bad, references, good, references, labels]))
    assert one == other == pytest.approx(value(np.hstack([bad, references, bad, references, labels])))
    assert one > value(np.hstack([good, references, good, references, labels]))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.sampled_from([0.0, 1.0, 30.0]), st.sampled_from([3, 30]))
def test_no_item_gains_by_being_left_out_and_bounds_hold(seed: int, left_out: int, width: float, size: int) -> None:
    rng = np.random.default_rng(seed)
    references, labels = rng.normal(size=(24, size)), (np.arange(24) % 3).astype(np.float64)
    outputs = rng.choice([0.0, 1.0]) * references + width * rng.normal(size=(24, size))
    rows, order = states(outputs, references, labels), rng.permutation(24)
    usable, known = np.ones(24, dtype=bool), [value(rows)]
    for item in order[:left_out]:
        usable[item] = False
        known.append(value(rows, usable))
    assert np.diff(known).min() >= -1e-7
    assert METRIC.low <= min(known)
    assert max(known) <= METRIC.high
    assert 10 <= value(rows, np.zeros(24, dtype=bool)) <= METRIC.high


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_weights_count_items(seed: int) -> None:
    rng = np.random.default_rng(seed)
    references, outputs, usable = rng.normal(size=(20, 18)), rng.normal(size=(20, 18)), rng.random(20) < 0.8
    weights = rng.integers(0, 3, 20).astype(float)
    weights[0] = 1
    made, known = class_frechet.in_class_axes(outputs, references, np.zeros(20))
    again = np.repeat(np.arange(20), weights.astype(int))
    one = class_frechet.distances(made, known, usable, weights[None])
    other = class_frechet.distances(made[again], known[again], usable[again], np.ones((1, len(again))))
    np.testing.assert_allclose(one, other, atol=1e-7)
    assert np.isnan(class_frechet.distances(made, known, usable, np.zeros((1, 20)))).all()


# ------------------------------------------------------------------------------------------- on real images
def context() -> ScoringContext:
    """Digits and the judge that ships for them."""
    task = Task(tuple("0123456789"), (), ImageFormat(28, 28, 1), AudioFormat(8000, 800, 0.0, 0.1))
    judge = read_judge(next(path for path in shipped() if path.stem == "digit-images"))
    return ScoringContext(task, {"first": judge.for_metrics})


def rows_of(outputs: Images, references: Images, labels: NDArray[np.int64]) -> Points:
    found, given = [], context()
    for start in range(0, len(outputs), 64):
        part = range(start, min(start + 64, len(outputs)))
        pairs = [Pair(str(i), int(labels[i]), Picture(outputs[i]), Picture(references[i])) for i in part]
        found += [state.state for state in METRIC.prepare(pairs, given) if state.state is not None]
    return np.stack(found)


def in_the_judge_alone(rows: Points) -> float:
    """The value if the second embedding held no difference."""
    blind = rows.copy()
    blind[:, -129:-1] = 0.0
    return value(blind)


def checkerboard(images: Images, step: int) -> Images:
    """Every second pixel brighter by so many grey values, the others darker."""
    sign = (np.indices(images.shape[1:3]).sum(axis=0) % 2 * 2 - 1)[None, :, :, None]
    return np.asarray(np.clip(images.astype(int) + step * sign, 0, 255), dtype=np.uint8)


def check_order(images: Images, labels: NDArray[np.int64]) -> None:
    """The rows of a board in the order that a person gives them, and the two outputs that once came first.

    Half of the images are for training, the others are the references.
    """
    train, train_labels, test, test_labels = images[::2], labels[::2], images[1::2], labels[1::2]
    rng = np.random.default_rng(0)
    of_class = [np.flatnonzero(train_labels == k) for k in range(10)]
    heard = test_labels.copy()
    heard[::33] = (heard[::33] + 1) % 10  # a classifier that is wrong on three in a hundred
    means = np.stack([train[own].mean(axis=0) for own in of_class]).astype(np.uint8)
    noise = rng.integers(-1, 2, test.shape)
    stored = {
        name: train[[rng.choice(of_class[k]) for k in wanted]]
        for name, wanted in (("oracle", test_labels), ("classify", heard), ("wrong", (test_labels + 1) % 10))
    }
    other = {
        "identity": test,
        "mean": means[heard],
        "noisy mean": np.clip(means[test_labels].astype(int) + noise, 0, 255).astype(np.uint8),
        "checkerboard": checkerboard(test, 32),
    }
    found = {name: rows_of(made, test, test_labels) for name, made in {**stored, **other}.items()}
    values = {name: value(rows) for name, rows in found.items()}
    order = ["identity", "oracle", "classify", "mean", "wrong"]
    assert sorted(order, key=values.__getitem__) == order
    assert values["identity"] == pytest.approx(0, abs=1e-5)
    assert values["noisy mean"] > 2 * values["classify"], "one picture per class is not rescued by noise"
    assert in_the_judge_alone(found["checkerboard"]) < in_the_judge_alone(found["oracle"]), "the judge does not see it"
    assert values["checkerboard"] > 1.5 * values["oracle"]
    usable = np.arange(len(test)) % 33 > 0  # leaving out what the classifier gets wrong
    assert value(found["classify"], usable) > values["classify"]


def test_embedded_digits_are_in_order(embedded_digits: tuple[Images, NDArray[np.int64]]) -> None:
    check_order(*embedded_digits)


def test_mnist_is_in_order() -> None:
    folder = shared("data", "mnist")
    with (
        gzip.open(folder / "t10k-images-idx3-ubyte.gz") as images,
        gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as k,
    ):
        pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)[:1000]
        labels = np.frombuffer(k.read(), np.uint8, offset=8)[:1000].astype(np.int64)
    check_order(pixels, labels)


@pytest.fixture
def embedded_digits() -> tuple[Images, NDArray[np.int64]]:
    """A thousand of the images that come with scikit-learn, at the size of the data set."""
    known = sklearn.datasets.load_digits()
    cells = np.rint(known.images[:1000] * (255 / 16)).astype(np.uint8)
    return np.stack([resize(cell[:, :, None], 28, 28) for cell in cells]), known.target[:1000].astype(np.int64)
