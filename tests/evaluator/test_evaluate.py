"""`score`: penalised means equal to hand-computed ones, independent of workers and order, nothing dropped."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

import xmbench
from tests.making import submit, wav
from xmbench.errors import PrerequisiteError, UnknownNameError
from xmbench.evaluator.evaluate import Scored, score
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.media import audio
from xmbench.metrics import _stoi

FAST = ["corr2d", "stoi", "stoi-strict"]


def noisy(item_id: str, label: int, reference: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(item_id.encode()))
    return np.asarray(0.5 * reference + rng.normal(0, 0.02, len(reference)))


def stable(scored: Scored) -> str:
    """A result without where and when it was made."""
    return scored.result.model_copy(update={"environment": None}).model_dump_json()


def test_the_references_score_perfectly(digits: Dataset, tmp_path: Path) -> None:
    scored = score(submit(digits, tmp_path / "s"), digits, metrics=["corr2d", "pesq", "stoi", "estoi"])
    values = {name: found.value for name, found in scored.result.scores.items()}
    assert values["corr2d"] == pytest.approx(1.0)
    assert values["pesq"] == pytest.approx(4.5, abs=1e-4)
    assert values["stoi"] == pytest.approx(1.0)
    assert values["estoi"] == pytest.approx(1.0)
    assert all(found.coverage == 1.0 for found in scored.result.scores.values())


def test_damaged_items_count_the_floor_and_the_mean_is_the_hand_computed_one(digits: Dataset, tmp_path: Path) -> None:
    ids = digits.table("test", []).column("id").to_pylist()
    damage = {
        ids[0]: None,
        ids[1]: b"text",
        ids[2]: wav(np.zeros(18140)),
        ids[3]: wav(np.full(18140, np.nan), subtype="FLOAT"),
        ids[4]: wav(np.zeros((100, 2))),
    }
    folder = submit(digits, tmp_path / "s", lambda i, k, x: damage[i] if i in damage else noisy(i, k, x))
    scored = score(folder, digits, metrics=FAST)
    examples = read_examples(digits, "test")
    expected = []
    for i, item_id in enumerate(examples.ids):
        if item_id in damage:
            expected.append(-1.0)
            continue
        reference = audio.to_float(examples.clips[examples.clip_index[i]])
        output, _ = audio.decode((folder / "outputs" / f"{item_id}.wav").read_bytes())
        expected.append(xmbench.score_pair(reference, output[:, 0], 22050)["corr2d"])
    found = scored.result.scores["corr2d"]
    assert found.value == pytest.approx(np.mean(expected), abs=1e-9)
    assert found.coverage == pytest.approx(35 / 40)
    assert found.statuses == {"missing": 1, "non-finite": 1, "ok": 35, "silent": 1, "unreadable": 2}
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert len(scored.problems) == 5
    assert scored.items.num_rows == 40


def test_strict_stoi_leaves_out_short_clips_and_nothing_else(digits: Dataset, tmp_path: Path) -> None:
    ids = digits.table("test", []).column("id").to_pylist()
    folder = submit(digits, tmp_path / "s", lambda i, k, x: None if i == ids[0] else x)
    found = score(folder, digits, metrics=["stoi-strict"]).result.scores["stoi-strict"]
    measured = found.statuses.get("ok", 0)
    assert found.statuses["missing"] == 1
    assert found.value == pytest.approx((measured - 1) / (measured + 1))
    assert found.coverage == measured / found.n


def test_results_do_not_depend_on_workers_or_on_the_form_of_the_submission(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    one = score(folder, digits, metrics=FAST, workers=1)
    two = score(folder, digits, metrics=FAST, workers=2)
    assert stable(one) == stable(two)
    assert one.items.equals(two.items)


def test_identical_outputs_are_measured_once_and_count_every_time(digits: Dataset, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = submit(digits, tmp_path / "s")
    score(folder, digits, metrics=["stoi"], progress=lambda done, items: seen.append((done, items)))
    assert seen[-1] == (10, 40)


def test_shuffled_outputs_score_lower(digits: Dataset, tmp_path: Path) -> None:
    words = {row["label"]: row for row in digits.rows("test", ["label", "audio"])}
    clips = {k: audio.decode(row["audio"]["bytes"])[0][:, 0] for k, row in words.items()}
    folder = submit(digits, tmp_path / "s", lambda _i, k, _x: clips[(k + 3) % 10])
    scored = score(folder, digits, metrics=["corr2d"])
    assert scored.result.scores["corr2d"].value is not None
    assert scored.result.scores["corr2d"].value < 0.9


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'numba'"), MemoryError("no room")])
def test_what_the_machine_lacks_is_not_blamed_on_the_outputs(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Else every item would count the floor, and the result would look like one."""

    def lacking(*_: object) -> None:
        raise error

    monkeypatch.setattr(_stoi, "stoi_scores", lacking)
    with pytest.raises(PrerequisiteError, match="stoi cannot be measured on this machine"):
        score(submit(digits, tmp_path / "s"), digits, metrics=["stoi"])


def test_an_unknown_metric_offers_the_nearest_name(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'corr2d'"):
        score(submit(digits, tmp_path / "s"), digits, metrics=["cor2d"])


def test_a_judged_metric_without_a_judge_is_refused(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="no judge"):
        score(submit(digits, tmp_path / "s"), digits, metrics=["word-accuracy"], judge=None)


def test_result_and_table_are_written_together_and_read_back(digits: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "result.json"
    scored = score_and_save(submit(digits, tmp_path / "s", noisy), digits, out, metrics=["stoi"], command="test")
    result, items = load_scored(out)
    assert result == scored.result
    assert items.equals(scored.items)
    assert result.environment.command == "test"


def test_word_accuracy_of_the_references_is_the_judges_own(digits: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    scored = score_and_save(submit(digits, tmp_path / "s"), digits, out, metrics=["word-accuracy"])
    assert scored.result.scores["word-accuracy"].value == 1.0
    assert scored.result.judge is not None
    assert scored.result.judge.accuracy["real recordings"] > 0.5
