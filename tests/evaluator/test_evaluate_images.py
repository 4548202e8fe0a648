"""`score` of images: the rows that show what each metric sees, and failed items that are never dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.drawing import draw
from tests.making import submit
from xmbench.evaluator.evaluate import Scored, score
from xmbench.evaluator.judge import load_judges
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples

TRACK = (
    "class-frechet-distance",
    "image-accuracy",
    "frechet-distance",
    "precision",
    "recall",
    "density",
    "coverage",
    "diversity",
    "collapse",
    "memorisation",
    "ssim",
    "psnr",
)
WHOLE = ("class-frechet-distance", "frechet-distance", "precision", "recall", "coverage", "diversity", "collapse")


def scored(dataset: Dataset, folder: Path, metrics: tuple[str, ...] = (), workers: int = 1) -> Scored:
    track = dataset.recipe.track("a2i")
    assert track is not None
    return score(folder, dataset, metrics=metrics, workers=workers, judge=load_judges(dataset, track)[0])


def values(found: Scored) -> dict[str, float | None]:
    return {name: one.value for name, one in found.result.scores.items()}


def test_the_references_score_perfectly(digits: Dataset, tmp_path: Path) -> None:
    found = scored(digits, draw(digits, tmp_path / "s"))
    assert tuple(found.result.scores) == TRACK
    assert found.result.primary == "class-frechet-distance"
    known = values(found)
    assert known["class-frechet-distance"] == pytest.approx(0.0, abs=1e-5)
    assert known["coverage"] == 1.0
    assert known["memorisation"] == pytest.approx(0.05, abs=0.03)
    assert known["image-accuracy"] == 1.0
    assert known["frechet-distance"] == pytest.approx(0.0, abs=1e-5)
    assert (known["precision"], known["recall"], known["diversity"], known["collapse"]) == (1.0, 1.0, 1.0, 0.0)
    assert (known["ssim"], known["psnr"]) == (pytest.approx(1.0), 100.0)
    assert found.result.judge is not None
    assert found.result.judge.name == "digit-images"
    assert set(found.result.judge.accuracy) == {"real test images of mnist-ad", "real test images of digits-ad"}


def test_class_means_are_right_and_always_the_same(digits: Dataset, tmp_path: Path) -> None:
    train = read_examples(digits)
    means = [train.images[train.labels == k].mean(axis=0).astype(np.uint8) for k in range(10)]
    known = values(scored(digits, draw(digits, tmp_path / "s", lambda _i, k, _x: means[k])))
    assert known["image-accuracy"] is not None
    assert known["image-accuracy"] >= 0.9
    assert (known["diversity"], known["collapse"]) == (0.0, 1.0)
    assert known["recall"] is not None
    assert known["recall"] < 0.1
    assert known["class-frechet-distance"] is not None
    assert known["class-frechet-distance"] > 1
    assert known["frechet-distance"] is not None
    assert known["frechet-distance"] > 1


def test_blank_images_are_judged_as_none(digits: Dataset, tmp_path: Path) -> None:
    found = scored(digits, draw(digits, tmp_path / "s", lambda *_: np.zeros((28, 28, 1), np.uint8)))
    assert found.problems == ()
    assert values(found)["image-accuracy"] == 0.0
    assert found.result.scores["image-accuracy"].coverage == 1.0


def test_failed_items_count_the_floor_and_stay_in_the_set(digits: Dataset, tmp_path: Path) -> None:
    ids = digits.table("test", []).column("id").to_pylist()
    broken = {ids[0]: None, ids[5]: b"text", ids[9]: b""}
    found = scored(digits, draw(digits, tmp_path / "s", lambda i, _, x: broken.get(i, x) if i in broken else x))
    whole = scored(digits, draw(digits, tmp_path / "whole"))
    known, share = values(found), 37 / 40
    assert known["image-accuracy"] == known["precision"] == pytest.approx(share)
    assert known["coverage"] == pytest.approx(share)
    assert known["recall"] == pytest.approx(share)  # the references themselves, whatever the balls
    assert known["collapse"] == pytest.approx(2 * (1 - share))  # each might have been another's twin
    assert known["class-frechet-distance"] is not None
    assert known["class-frechet-distance"] > 10 * (1 - share) / 2
    assert known["diversity"] is not None
    assert 0.8 < known["diversity"] < 1
    assert known["ssim"] == pytest.approx(share * 1 + (1 - share) * -1)
    assert known["psnr"] == pytest.approx(share * 100)
    assert known["frechet-distance"] is not None
    assert known["frechet-distance"] > 1e-3
    for name in TRACK:
        assert found.result.scores[name].coverage == pytest.approx(share)
        assert found.result.scores[name].statuses == {"missing": 1, "ok": 37, "unreadable": 2}
    assert len(found.problems) == 3
    assert values(whole)["frechet-distance"] == pytest.approx(0.0, abs=1e-5)
    assert found.items["precision"].to_pylist().count(0.0) == 3
    assert set(found.items["frechet-distance"].to_pylist()) == {None}
    assert found.items["frechet-distance:status"].to_pylist().count("ok") == 37


def test_no_image_is_worse_for_the_distances_than_none(digits: Dataset, tmp_path: Path) -> None:
    ids = set(digits.table("test", []).column("id").to_pylist()[:8])
    noise = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    metrics = ("class-frechet-distance", "frechet-distance")
    left_out = values(scored(digits, draw(digits, tmp_path / "a", lambda i, _, x: None if i in ids else x), metrics))
    for name, bad in (("blank", np.zeros_like(noise)), ("white", np.full_like(noise, 255)), ("noise", noise)):
        made = draw(digits, tmp_path / name, lambda i, _, x, bad=bad: bad if i in ids else x)  # type: ignore[misc]
        known = values(scored(digits, made, metrics))
        for metric in metrics:
            assert (known[metric] or 0) <= (left_out[metric] or 0) + 1e-9, (name, metric)


def test_nothing_at_all_still_has_values(digits: Dataset, tmp_path: Path) -> None:
    found = scored(digits, draw(digits, tmp_path / "s", lambda *_: None))
    known = values(found)
    assert (known["image-accuracy"], known["precision"], known["diversity"], known["collapse"]) == (0, 0, 0, 1)
    assert known["frechet-distance"] is not None
    assert known["frechet-distance"] > 1


def test_intervals_contain_the_value_and_results_do_not_depend_on_workers(digits: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def noisy(_i: str, _k: int, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.clip(x + rng.normal(0, 40, x.shape), 0, 255), dtype=np.uint8)

    folder = draw(digits, tmp_path / "s", noisy)
    one, two = scored(digits, folder, workers=1), scored(digits, folder, workers=2)
    assert one.result.scores == two.result.scores
    assert one.items.equals(two.items)
    for name, found in one.result.scores.items():
        assert found.value is not None, name
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high, name


def test_the_same_metrics_serve_sounds(digits: Dataset, tmp_path: Path) -> None:
    """A data set whose i2a track asks for them: the spoken-word judge embeds, and nobody asks which one it is."""
    tracks = tuple(
        track.model_copy(update={"metrics": (*track.metrics, *WHOLE)}) if track.direction == "i2a" else track
        for track in digits.recipe.tracks
    )
    recipe = digits.recipe.model_copy(update={"name": "digits-and-more", "tracks": tracks})
    dataset = Dataset(digits.folder, digits.manifest.model_copy(update={"recipe": recipe}))
    folder = submit(dataset, tmp_path / "s", lambda i, _k, x: None if i.endswith("7") else x)
    track = recipe.track("i2a")
    assert track is not None
    found = score(folder, dataset, metrics=WHOLE, judge=load_judges(dataset, track)[0])
    known, coverage = values(found), found.result.scores["precision"].coverage
    assert coverage < 1
    assert known["precision"] == known["recall"] == pytest.approx(coverage)  # single-take: references again
    assert known["coverage"] == pytest.approx(coverage)
    assert known["collapse"] == 1.0
    assert known["class-frechet-distance"] is not None
    assert 0 < known["class-frechet-distance"] < 11
    assert known["diversity"] == pytest.approx(coverage)
    assert known["frechet-distance"] is not None
    assert known["frechet-distance"] > 0
