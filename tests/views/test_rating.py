"""The rating page: blind, offline, complete, the same again; and what is rated belongs together."""

from __future__ import annotations

import base64
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.browsing import asks_for_nothing, runs_only_its_own
from tests.made_ratings import NAMES, rater_file, submit_images, written
from tests.making import submit
from tests.views.test_hostile_pages import PAYLOADS
from xmbench import html
from xmbench.cli import app
from xmbench.errors import OutputError, SubmissionError
from xmbench.evaluator.correlate import correlate
from xmbench.evaluator.rated_systems import open_rated
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.items import pick_rows, read_clip, read_image
from xmbench.formats.rating_kit import RatedSet, RatingKey
from xmbench.formats.ratings import Scale
from xmbench.media import audio, image
from xmbench.views.rating import Options, write_rating_page


def softer(share: float) -> Any:
    return lambda _id, _label, reference: share * reference


@pytest.fixture(scope="module")
def sounds(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two submissions of sounds; the second lacks an item of each class, and one is silent."""
    root = tmp_path_factory.mktemp("rating")
    submit(digits, root / "first" / "submission", softer(0.5), system=NAMES[0])

    def some(item: str, label: int, reference: Any) -> Any:
        number = int(item.rsplit("-", 1)[1])
        return None if number % 7 == 0 else np.zeros(len(reference)) if number % 7 == 1 else 0.25 * reference

    submit(digits, root / "second" / "submission", some, system=NAMES[1])
    return [root / "first" / "submission", root / "second" / "submission"]


@pytest.fixture(scope="module")
def images(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return submit_images(digits, tmp_path_factory.mktemp("rating-images"))


def contents(text: str) -> dict[str, bytes]:
    """Output -> the file that the page has for it."""
    found = re.findall(r'<fieldset data-output=(o\d+) .*?src="data:[^,]*,([^"]*)"', text)
    return {name: base64.b64decode(data) for name, data in found}


# ------------------------------------------------------------------------------------------------ the page
def test_the_page_shows_exactly_what_the_key_says(digits: Dataset, images: list[Path], tmp_path: Path) -> None:
    key = written(tmp_path, images, digits, Options(per_class=2))
    text = (tmp_path / "page.html").read_text()
    runs_only_its_own(text)
    page = asks_for_nothing(text)
    assert load_json(tmp_path / "key.json", RatingKey) == key
    rows = pick_rows(digits, "test", [one.item for one in key.sets], ["image", "audio"])
    shown = contents(text)
    assert Counter(one.class_ for one in key.sets) == dict.fromkeys(digits.recipe.classes.names, 2)
    for one in key.sets:
        real = read_image(rows[one.item], digits)
        expected = [real[::-1], 255 - real, real]
        assert sorted(one.outputs.values()) == [0, 1, 2]
        for output, which in one.outputs.items():
            assert np.array_equal(image.decode(shown[output]), expected[which])
    assert len(page.of("audio")) == len(key.sets)  # the conditions
    for said in (digits.digest[:12], key.page[:12], "20 items, 2 of them twice: 22 screens, 66 images", "test split"):
        assert said in text, said


def test_sounds_are_exact_and_what_cannot_be_heard_is_told(digits: Dataset, sounds: list[Path], tmp_path: Path) -> None:
    rated, dataset = open_rated(sounds, digits.folder)
    done = write_rating_page(rated, dataset, tmp_path / "page.html", tmp_path / "key.json", Options(per_class=4))
    shown = contents((tmp_path / "page.html").read_text())
    failed = {one.item: one.failed[1] for one in done.key.sets if one.failed}
    assert set(failed.values()) == {"missing", "silent"}
    assert all(int(item.rsplit("-", 1)[1]) % 7 == (status == "silent") for item, status in failed.items())
    assert f"{NAMES[1]}: {len(failed)} outputs cannot be shown (missing, silent); they count 0" in done.notes
    rows = pick_rows(digits, "test", [one.item for one in done.key.sets], ["image", "audio"])
    for one in done.key.sets[:5]:
        real = audio.to_float(read_clip(rows[one.item], digits))
        for output, which in one.outputs.items():
            samples, _ = audio.decode_mono_int16(shown[output])
            assert np.abs(audio.to_float(samples) - [0.5, 0.25, 1.0][which] * real).max() <= 1 / 32768


def test_nothing_on_the_page_tells_systems_apart(digits: Dataset, images: list[Path], tmp_path: Path) -> None:
    key = written(tmp_path, images, digits, Options(per_class=4))
    text = (tmp_path / "page.html").read_text()
    for system in key.systems[:-1]:
        assert system.name not in text
        assert str(system.outputs_digest)[:8] not in text
    assert not re.search(r"ground.truth|reference|system\b", text.split("</style>")[1], re.IGNORECASE)
    assert not any(one.item in text for one in key.sets)
    # Neither by the names of outputs nor by the order in the page: each system has every place about as often.
    order = re.findall(r"data-output=(o\d+)", text)
    whose = {output: which for one in key.sets for output, which in one.outputs.items()}
    for names in (order, sorted(whose)):
        places = Counter((place % 3, whose[name]) for place, name in enumerate(names))
        assert all(4 <= places[place, which] <= 24 for place in range(3) for which in range(3)), places
    # Every file is encoded in one way: the same parts of a PNG, and no text in it.
    kinds = {tuple(re.findall(rb"IHDR|IDAT|IEND|tEXt|pHYs|gAMA|iCCP", data)) for data in contents(text).values()}
    assert kinds == {(b"IHDR", b"IDAT", b"IEND")}


def test_the_same_again_and_another_seed(digits: Dataset, images: list[Path], tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        written(tmp_path / name, images, digits, Options(per_class=1, seed=seed))
    files = {name: [(tmp_path / name / one).read_bytes() for one in ("page.html", "key.json")] for name in "abc"}
    assert files["a"] == files["b"] != files["c"]
    written(tmp_path / "a", images, digits, Options(per_class=1, seed=1))  # the same key may be written again
    with pytest.raises(OutputError, match="the key of another page"):
        written(tmp_path / "a", images, digits, Options(per_class=1, seed=2))
    assert [(tmp_path / "a" / one).read_bytes() for one in ("page.html", "key.json")] == files["a"]


def test_what_others_wrote_is_text(digits: Dataset, images: list[Path], tmp_path: Path) -> None:
    for number, payload in enumerate(PAYLOADS):
        names = tuple(f"{name}{payload}" for name in digits.recipe.classes.names)
        classes = digits.recipe.classes.model_copy(update={"names": names})
        recipe = digits.recipe.model_copy(update={"title": payload, "classes": classes})
        rated, _ = open_rated(images, digits.folder)
        dataset = Dataset(digits.folder, digits.manifest.model_copy(update={"recipe": recipe}))
        folder = tmp_path / str(number)
        write_rating_page(rated, dataset, folder / "page.html", folder / "key.json", Options(1, noun=payload))
        text = (folder / "page.html").read_text()
        found = runs_only_its_own(text)
        assert html.escape(payload) in text
        assert "hit" not in "".join(f"{name}" for _, attributes in found.tags for name in attributes)


def test_systems_that_do_not_belong_together_are_refused(
    digits: Dataset, images: list[Path], sounds: list[Path]
) -> None:
    with pytest.raises(SubmissionError, match="on digits-ad/i2a, but the first one is on digits-ad/a2i"):
        open_rated([images[0], sounds[0]], digits.folder)
    with pytest.raises(SubmissionError, match="the same outputs as"):
        open_rated([images[0], images[0]], digits.folder)


def test_from_a_result_to_the_correlation_of_its_metrics(digits: Dataset, tmp_path: Path) -> None:
    result = tmp_path / "run" / "result.json"
    rng = np.random.default_rng(0)
    submit(digits, result.parent / "submission", lambda _i, _l, x: 0.5 * x + rng.normal(0, rng.uniform(0, 0.1), len(x)))
    score_and_save(result.parent / "submission", digits, result, metrics=["corr2d"], workers=1)
    key = written(tmp_path, [result], digits, Options(per_class=3))
    corr2d = {row["id"]: row["corr2d"] for row in load_scored(result)[1].to_pylist()}
    middle = float(np.median([corr2d[one.item] for one in key.sets]))

    def score(one: RatedSet, which: int, again: bool) -> int:
        return 3 if which == 1 or corr2d[one.item] > middle else 1

    for rater in ("ann", "bob"):
        rater_file(tmp_path / "files", key, rater, score)
    words = ["rate", "--summarise", str(tmp_path / "files"), "--key", str(tmp_path / "key.json")]
    assert CliRunner().invoke(app, words).exit_code == 0
    (aspect,) = correlate([result], tmp_path / "files" / "summary" / "ratings", Scale(0, 3)).aspects
    assert (aspect.raters, aspect.items, aspect.alpha) == (2, len(key.sets), 1.0)
    assert (aspect.metrics[0].by_item["spearman"].value or 0) > 0.8
    next((result.parent / "submission" / "outputs").iterdir()).unlink()
    with pytest.raises(SubmissionError, match="not those that the result was scored from"):
        open_rated([result], digits.folder)


def test_the_command_writes_both_files(digits: Dataset, sounds: list[Path], tmp_path: Path) -> None:
    words = ["rate", *map(str, sounds), "--data", str(digits.folder), "--out", str(tmp_path / "p.html")]
    done = CliRunner().invoke(app, [*words, "--noun", "digit", "--per-class", "1", "--twice", "3"])
    assert done.exit_code == 0, done.output
    key = load_json(tmp_path / "p.key.json", RatingKey)
    assert "10 items, 3 of them twice, 2 systems and the ground truth" in done.output
    assert sum(one.twice for one in key.sets) == 3
    assert key.meanings[3] == "Realistic sound, and it matches the digit"
    (tmp_path / "notes.html").write_text("my notes")
    done = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "notes.html")])
    assert done.exit_code == 2
    assert (tmp_path / "notes.html").read_text() == "my notes"
