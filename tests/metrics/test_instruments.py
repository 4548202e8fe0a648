"""Instrument metrics: judges that know more classes than the data set, top-3, and windows of takes scored as a set."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.making import submit, wav
from tests.sub_urmp_corpus import INSTRUMENTS, Window, tiny_corpus
from xmbench import registry
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.errors import PrerequisiteError
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.recompute import disagreements
from xmbench.formats.dataset import Dataset
from xmbench.formats.judge import StoredJudge
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import AudioFormat, ImageFormat, JudgeRole, JudgeWeights, Modality, Pair, ScoringContext, Task
from xmbench.judges.class_names import places
from xmbench.judges.records import LoadedJudge
from xmbench.media.signal import Media, Picture, Sound
from xmbench.metrics import _judged

KNOWN = (*sorted({"saxophone" if name == "sax" else name for name in INSTRUMENTS}), "drum", "guitar", "piano")
FOUR = ("cello", "flute", "trumpet", "violin")
Rows = NDArray[np.float64]


class Stated:
    """A judge that reads its probabilities out of the item: its first samples or pixels, to any scale."""

    embedding_size = 4

    def __init__(self, class_names: tuple[str, ...], modality: Modality = "audio") -> None:
        self.class_names, self.modality = class_names, modality

    def _values(self, items: Any, count: int) -> NDArray[np.float32]:
        flat = [item.samples if isinstance(item, Sound) else item.pixels.reshape(-1) for item in items]
        return np.stack([np.abs(values[:count].astype(np.float32)) for values in flat])

    def probabilities(self, items: Any) -> NDArray[np.float32]:
        found = self._values(items, len(self.class_names) + 1) + np.float32(1e-9)
        return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float32)

    def embed(self, items: Any) -> NDArray[np.float32]:
        return self._values(items, self.embedding_size)


@pytest.fixture
def judged_by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the judges of both roles; their weights are their names."""
    judges: dict[bytes, Stated] = {}
    monkeypatch.setattr(_judged, "load", lambda weights, _kind, _device: judges[weights])

    def weights(judge: Stated, role: JudgeRole = "first") -> JudgeWeights:
        judges[role.encode()] = judge
        return JudgeWeights(role.encode())

    return weights


def context(names: tuple[str, ...], first: JudgeWeights | None = None, second: Any = None) -> ScoringContext:
    task = Task(names, (), ImageFormat(8, 8, 3), AudioFormat(44100, 400, 0.0, 0.01))
    judges: dict[JudgeRole, JudgeWeights] = {"first": first} if first else {}
    return ScoringContext(task, judges | {"second": second} if second else judges)


def stating(rows: Rows, labels: Any, media: type[Media] = Sound) -> list[Pair]:
    """Pairs whose outputs state these probabilities (N, C + 1), out of 255."""
    found = []
    for k, (row, label) in enumerate(zip(rows, labels, strict=True)):
        values = np.zeros(192)
        values[: len(row)] = row
        item: Media = (
            Sound(np.asarray(values / 255, dtype=np.float32), 44100)
            if media is Sound
            else Picture(values.reshape(8, 8, 3).astype(np.uint8))
        )
        found.append(Pair(str(k), int(label), item, item))
    return found


def random_rows(seed: int, count: int, classes: int) -> Rows:
    """Whole numbers, some of them equal; each row adds to 255 or a little less."""
    rows = np.random.default_rng(seed).dirichlet(np.full(classes + 1, 0.3), count)
    return np.asarray(np.floor(rows * 255))


# ------------------------------------------------------------------------------------------- judges that know more
@pytest.mark.parametrize("media", [Sound, Picture])
def test_what_a_judge_gives_to_other_instruments_is_none_of_the_data_sets(media: Any, judged_by: Any) -> None:
    rows, labels = random_rows(0, 50, len(KNOWN)), np.arange(50) % 4
    given = judged_by(Stated(KNOWN, "audio" if media is Sound else "image"))
    found = _judged.named(stating(rows, labels, media), given, context(FOUR).task)
    whole = rows / rows.sum(axis=1, keepdims=True)
    own = [KNOWN.index(name) for name in FOUR]
    expected = [[*row[own], sum(p for k, p in enumerate(row) if k not in own)] for row in whole]
    assert found.shape == (50, 5)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)

    metric = registry.metric("instrument-accuracy")
    states = metric.prepare(stating(rows, labels, media), context(FOUR, first=given))
    right = [max(range(5), key=lambda k: (row[k], -k)) == label for row, label in zip(expected, labels, strict=True)]
    assert [item.state[0] for item in states if item.state is not None] == right
    assert 0 < sum(right) < 50


def test_a_judge_of_the_same_classes_says_what_it_said(judged_by: Any) -> None:
    rows, labels = random_rows(1, 20, 4), np.zeros(20)
    given = judged_by(Stated(FOUR))
    mixed = ("violin", "cello", "flute", "trumpet")
    found = _judged.named(stating(rows, labels), given, context(mixed).task)
    own = Stated(FOUR).probabilities([pair.output for pair in stating(rows, labels)])
    np.testing.assert_array_equal(found, own[:, [3, 0, 1, 2, 4]].astype(np.float64))


def test_a_judge_that_lacks_a_class_is_refused(judged_by: Any) -> None:
    given = judged_by(Stated(FOUR))
    for name in ("instrument-accuracy", "top-3-accuracy"):
        with pytest.raises(PrerequisiteError, match="other classes") as caught:
            registry.metric(name).prepare(stating(random_rows(0, 2, 4), [0, 1]), context((*FOUR, "oboe"), first=given))
        assert "oboe" in str(caught.value)


def test_names_are_compared_as_they_are_meant() -> None:
    assert places(KNOWN, INSTRUMENTS) == [KNOWN.index("saxophone" if n == "sax" else n) for n in INSTRUMENTS]
    assert places(("Double Bass", "sax"), ("double_bass", "saxophone")) == [0, 1]
    assert places(("a-b", "a b"), ("a b",)) == [1], "as written, where another spelling would confuse two"
    assert places(("a-b", "a b"), ("a_b",)) is None
    assert places(("0", "1"), ("1", "2")) is None
    assert places(("sax", "saxophone"), ("saxophone",)) == [1]


# ------------------------------------------------------------------------------------------------- top-3, agreed
def test_the_right_class_is_counted_among_the_three_best_of_all_that_the_judge_knows(judged_by: Any) -> None:
    rows, labels = random_rows(2, 200, len(KNOWN)), np.arange(200) % 4
    given = judged_by(Stated(KNOWN))
    states = registry.metric("top-3-accuracy").prepare(stating(rows, labels), context(FOUR, first=given))
    for row, label, item in zip(rows, labels, states, strict=True):
        own = KNOWN.index(FOUR[label])
        as_good = sum(1 for k, p in enumerate(row) if k != own and p >= row[own])
        assert item.state is not None
        assert item.state.tolist() == [float(as_good < 3), 1 + as_good]
    assert 0.1 < np.mean([item.state[0] for item in states if item.state is not None]) < 0.8


def test_a_judge_that_cannot_tell_gives_no_credit(judged_by: Any) -> None:
    given = judged_by(Stated(KNOWN))
    (state,) = registry.metric("top-3-accuracy").prepare(
        stating(np.full((1, len(KNOWN) + 1), 10.0), [0]), context(FOUR, first=given)
    )
    assert state.state is not None
    assert state.state[0] == 0


def test_an_instrument_counts_if_both_judges_find_it(judged_by: Any) -> None:
    """The second judge has the same numbers in another order of classes: they agree where that changes nothing."""
    rows, labels = random_rows(3, 60, 4), np.arange(60) % 4
    swapped = ("cello", "flute", "violin", "trumpet")
    both = context(FOUR, first=judged_by(Stated(FOUR)), second=judged_by(Stated(swapped), "second"))
    found = {}
    for name in ("instrument-accuracy", "instrument-accuracy-second", "instrument-accuracy-agreed"):
        states = registry.metric(name).prepare(stating(rows, labels), both)
        found[name] = np.array([item.state[0] for item in states if item.state is not None])
    one, other, agreed = found.values()
    np.testing.assert_array_equal(agreed, one * other)
    assert 0 < agreed.mean() < one.mean()


# -------------------------------------------------------------------------------------------- windows of takes
SAMPLES = 4410  # 0.1 s


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Windows of 0.1 s every 0.05 s: of the cello two takes, of the others one, and of the horn two windows only."""
    folder = tmp_path_factory.mktemp("takes")
    made = [Window("train", name, 0, 1000) for name in INSTRUMENTS]
    for name in INSTRUMENTS:
        count = 2 if name == "horn" else 6
        made += [Window("test", name, 1, 1000 + 50 * k) for k in range(count)]
    made += [Window("test", "cello", 2, 1000 + 50 * k) for k in range(3)]
    tiny_corpus(folder / "in", made, samples=SAMPLES)
    raw = load_recipe("sub-urmp").model_dump(mode="json", by_alias=True)
    raw["image"] |= {"height_px": 8, "width_px": 8}
    raw["audio"] |= {"samples": SAMPLES, "min_duration_s": 0.09, "max_duration_s": 0.1, "encoding": "wav"}
    raw["sources"]["performances"]["options"] = {"crop_columns": [2, 14]}
    metrics = ("within-class-retrieval", "instrument-accuracy")
    for track in raw["tracks"]:
        track |= {"metrics": metrics, "primary": metrics[0], "judge": None, "second_judge": None, "gates": []}
    return build(Recipe.model_validate(raw), folder / "out", source=folder / "in", accept_changed=True, workers=1)


def test_a_set_of_windows_is_scored_by_its_takes(takes: Dataset, tmp_path: Path, judged_by: Any) -> None:
    """The references score 1, one stored clip per class 0.5; what has no alternative leaves the score and is named."""
    given = judged_by(Stated(KNOWN))
    record = StoredJudge(
        name="stated",
        kind="stated",
        sha256=hashlib.sha256(given.weights).hexdigest(),
        bytes=len(given.weights),
        modality="audio",
        classes=KNOWN,
        embedding_size=4,
    )
    judge = LoadedJudge(given.weights, record)
    clips: dict[int, NDArray[np.float32]] = {}

    def scored(folder: str, make: Any) -> Any:
        made = submit(takes, tmp_path / folder, lambda i, k, x: wav(make(i, k, x), 44100))
        return score(made, takes, judge=judge)

    right = scored("right", lambda _i, _k, x: x)
    found = right.result.scores["within-class-retrieval"]
    assert found.value == 1.0
    windows = takes.count("test")
    assert found.statuses == {"ok": windows - 2, "reference-unscorable": 2}
    assert found.coverage == (windows - 2) / windows
    table = right.items.select(["class", "within-class-retrieval"]).to_pylist()
    assert {row["class"] for row in table if row["within-class-retrieval"] is None} == {"horn"}
    assert disagreements(right.result, right.items) == []

    stored = scored("stored", lambda _i, k, x: clips.setdefault(k, x))
    assert stored.result.scores["within-class-retrieval"].value == pytest.approx(0.5, abs=1e-9)
    assert disagreements(stored.result, stored.items) == []
