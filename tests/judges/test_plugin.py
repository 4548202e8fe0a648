"""A judge of another kind, in another package: neither of words nor of digits, with an embedding of 5 numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.drawing import draw
from tests.plugins import plug_in
from xmbench import doctor, registry
from xmbench.cli import app
from xmbench.conformance.judges import check_judge
from xmbench.errors import CheckError, PrerequisiteError
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.save import score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.formats.judge import StoredJudge
from xmbench.formats.recipe import JudgeSpec
from xmbench.formats.result import Result
from xmbench.media.signal import Picture

INK = '''
"""Where the ink is: a judge that compares the ink of four quarters, and of all, with the means of classes."""
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from xmbench.errors import PrerequisiteError
from xmbench.formats.items import read_examples
from xmbench.interfaces import FitOption, FittedJudge
from xmbench.judges.header import header

FORMAT = "ink/1"


def pack(classes, means):
    about = json.dumps({"format": FORMAT, "classes": list(classes)})
    return save({"means": np.asarray(means, np.float32)}, {"judge": about})


def seen(pixels):
    ink = pixels.mean(axis=2) / 255
    h, w = ink.shape[0] // 2, ink.shape[1] // 2
    parts = [ink[:h, :w], ink[:h, w:], ink[h:, :w], ink[h:, w:], ink]
    return np.array([part.mean() for part in parts], np.float32)


class InkJudge:
    modality = "image"
    embedding_size = 5

    def __init__(self, classes, means):
        self.class_names, self.means = tuple(classes), means

    def embed(self, items):
        return np.stack([seen(item.pixels) for item in items]) if items else np.empty((0, 5), np.float32)

    def probabilities(self, items):
        away = np.square(self.embed(items)[:, None] - self.means[None]).sum(axis=2)
        scores = np.exp(-100 * np.concatenate([away, np.full((len(away), 1), 9)], axis=1))
        return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Ink:
    name: str = "ink"
    modality: str = "image"
    formats: tuple = (FORMAT,)
    weights: Path = Path(__file__).parent / "ink-weights"
    needs: str = "images of any size"
    options: tuple = (FitOption("power", "Of the ink.", float, between=(0.5, 2.0)),)

    def fits(self, task):
        return True

    def load(self, weights, device="cpu"):
        if header(weights)["format"] != FORMAT:
            raise PrerequisiteError("not ink")
        try:
            return InkJudge(header(weights)["classes"], load(weights)["means"])
        except Exception as error:
            raise PrerequisiteError("the weights cannot be read") from error

    def fit(self, datasets, *, seed, steps, progress, options):
        train = read_examples(datasets[0])
        rows = np.stack([seen(image) for image in train.images]) ** options.get("power", 1.0)
        classes = datasets[0].recipe.classes.names
        means = np.stack([rows[train.labels == k].mean(axis=0) for k in range(len(classes))])
        progress("fitted")
        return FittedJudge(pack(classes, means), "ink-judge", {"nothing": {"accuracy": 0.5, "n": 2}}, sees="ink")


JUDGE = Ink()
'''

METRIC = '''
from dataclasses import dataclass

import numpy as np

from xmbench.interfaces import ItemState
from xmbench.judges.loading import load


@dataclass(frozen=True)
class InkGap:
    """Mean distance of output and reference in the judge's embedding."""

    name: str = "ink-gap"
    version: str = "1"
    modality: str = "image"
    unit: str = ""
    low: float = 0.0
    high: float = 10.0
    higher_is_better: bool = False
    floor: float = 10.0
    left_out: frozenset = frozenset()
    citation: str = "a test"
    {declared}

    def prepare(self, pairs, context):
        judge = load({weights})
        a, b = (judge.embed([getattr(p, side) for p in pairs]) for side in ("output", "reference"))
        return [ItemState("ok", np.array([float(np.linalg.norm(x - y))])) for x, y in zip(a, b)]

    def reduce(self, states, weights):
        return weights @ states[:, 0] / weights.sum(axis=1)


METRIC = InkGap()
'''
TODAY = {"declared": 'judges: tuple = ("first",)', "weights": 'context.judges["first"].weights'}
BEFORE = {"declared": "needs_judge: bool = True", "weights": "context.judge"}  # as plug-ins for version 0.1 are


@pytest.fixture
def ink(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, digits: Dataset) -> ModuleType:
    """The plug-in, with a judge of the digits that comes with it."""
    module = plug_in(monkeypatch, tmp_path / "ink", "ink", INK, "xmbench.judges", "JUDGE")
    train = read_examples(digits)
    rows = np.stack([module.seen(image) for image in train.images])
    weights = module.pack(
        digits.recipe.classes.names, np.stack([rows[train.labels == k].mean(axis=0) for k in range(10)])
    )
    record = StoredJudge(
        name="ink-digits",
        kind="ink",
        sha256=hashlib.sha256(weights).hexdigest(),
        bytes=len(weights),
        modality="image",
        classes=digits.recipe.classes.names,
        embedding_size=5,
    )
    folder = tmp_path / "ink" / "ink-weights"
    folder.mkdir()
    (folder / "ink-digits.json").write_text(record.to_json())
    (folder / "ink-digits.safetensors").write_bytes(weights)
    return module


def judged_by_ink(dataset: Dataset, sha256: str, *metrics: str) -> Dataset:
    """The data set under a name of its own, so that its own track counts, with one track, of images."""
    track = dataset.recipe.track("a2i")
    assert track is not None
    judge = JudgeSpec(name="ink-digits", sha256=sha256)
    track = track.model_copy(update={"judge": judge, "metrics": metrics, "primary": metrics[0], "gates": ()})
    recipe = dataset.recipe.model_copy(update={"name": "ink-ad", "tracks": (track,)})
    return Dataset(dataset.folder, dataset.manifest.model_copy(update={"recipe": recipe}))


@pytest.mark.parametrize("declares", [TODAY, BEFORE], ids=["roles", "needs-judge"])
def test_a_track_is_scored_with_it(
    digits: Dataset, tmp_path: Path, ink: ModuleType, monkeypatch: pytest.MonkeyPatch, declares: dict[str, str]
) -> None:
    code = METRIC.replace("{declared}", declares["declared"]).replace("{weights}", declares["weights"])
    plug_in(monkeypatch, tmp_path / "gap", "ink-gap", code, "xmbench.metrics", "METRIC")
    weights = (tmp_path / "ink" / "ink-weights" / "ink-digits.safetensors").read_bytes()
    sha256 = hashlib.sha256(weights).hexdigest()
    metrics = ("image-accuracy", "ink-gap", "frechet-distance", "precision", "recall", "diversity", "collapse")
    dataset = judged_by_ink(digits, sha256, *metrics)
    folder = draw(dataset, tmp_path / "s", lambda _i, _k, x: np.roll(x, 3, axis=1))
    result: Result = score_and_save(folder, dataset, tmp_path / "r.json").result
    assert result.judge is not None
    assert (result.judge.name, result.judge.sha256, result.judge.local) == ("ink-digits", sha256, False)

    judge, test = ink.JUDGE.load(weights), read_examples(dataset, "test")
    shown = [Picture(np.roll(image, 3, axis=1)) for image in test.images]
    right = judge.probabilities(shown).argmax(axis=1) == test.labels
    assert result.scores["image-accuracy"].value == pytest.approx(right.mean())
    gaps = np.linalg.norm(judge.embed(shown) - judge.embed([Picture(image) for image in test.images]), axis=1)
    assert result.scores["ink-gap"].value == pytest.approx(gaps.mean())
    assert all(score.value is not None for score in result.scores.values())


def test_it_keeps_what_judges_promise(digits: Dataset, tmp_path: Path, ink: ModuleType) -> None:
    weights = (tmp_path / "ink" / "ink-weights" / "ink-digits.safetensors").read_bytes()
    pictures = [Picture(image) for image in read_examples(digits, "test").images[:5]]
    check_judge(registry.judge("ink"), weights, pictures)
    with pytest.raises(CheckError, match="is not among its formats"):
        check_judge(replace(ink.JUDGE, formats=("ink/2",)), weights, pictures)
    ink.InkJudge.embedding_size = 64
    with pytest.raises(CheckError, match=r"expected float32 \(N, 64\)") as caught:
        check_judge(ink.JUDGE, weights, pictures)
    assert any("ink-digits.json" in problem for problem in caught.value.problems)


def test_doctor_checks_what_ships_with_it_and_refuses_another_one(
    digits: Dataset, tmp_path: Path, ink: ModuleType
) -> None:
    assert "ink-digits" in doctor._judges().version
    strange = judged_by_ink(digits, "0" * 64, "image-accuracy")
    with pytest.raises(PrerequisiteError, match="not the one of this data set's recipe"):
        load_judges(strange, strange.recipe.tracks[0])
    (tmp_path / "ink" / "ink-weights" / "ink-digits.safetensors").write_bytes(b"other")
    assert "ink-digits.safetensors is not the judge that its record describes" in doctor._judges().version


def run(*arguments: Any) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["fit-judge", *map(str, arguments)])
    return done.exit_code, done.output + str(done.exception or "")


def test_its_own_options_are_those_of_the_command(digits: Dataset, tmp_path: Path, ink: ModuleType) -> None:
    place = (digits.folder, "--direction", "a2i", "--out", tmp_path / "j")
    assert "--power" in run("--help")[1]
    code, output = run(*place)
    assert "several kinds of judges fit digits-ad" in output
    code, output = run(*place, "--kind", "ink", "--power", "2", "--name", "mine")
    assert (code, "accuracy on nothing: 0.5000 (n = 2)" in output) == (0, True)
    record = json.loads((tmp_path / "j" / "mine.json").read_text())
    assert (record["kind"], record["embedding_size"], record["sees"]) == ("ink", 5, "ink")
    assert run(*place, "--kind", "ink", "--power", "9")[0] == 2
    assert "judges of the kind 'ink' have no option --voices" in run(*place, "--kind", "ink", "--voices", tmp_path)[1]
    assert "judges of the kind 'digits' have no option --power" in run(*place, "--kind", "digits", "--power", "1")[1]
    assert "no judge is called 'ears'" in run(*place, "--kind", "ears")[1]
