"""The rating page: blind, offline, complete, the same again; and used from start to finish in a browser."""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.browsing import Browser, asks_for_nothing, runs_only_its_own
from tests.made_ratings import rater_file
from tests.making import submit
from tests.views.test_hostile_pages import PAYLOADS
from xmbench import html
from xmbench.cli import app
from xmbench.errors import OutputError, SubmissionError
from xmbench.evaluator.correlate import correlate
from xmbench.evaluator.rated_systems import open_rated
from xmbench.evaluator.rater_files import read_raters
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.items import pick_rows, read_clip, read_image
from xmbench.formats.rating_kit import RatedSet, RatingKey
from xmbench.formats.ratings import Scale
from xmbench.formats.submission import Submission
from xmbench.media import audio, image
from xmbench.views.rating import Options, write_rating_page

NAMES = ("an unmistakable name", "Zweitname 7")
TWO = Options(per_class=2)


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
    """Two submissions of images: the reference turned round, and its negative."""
    root = tmp_path_factory.mktemp("rating-images")
    for number, name in enumerate(NAMES):
        outputs = root / str(number) / "outputs"
        outputs.mkdir(parents=True)
        for row in digits.rows("test", ["image"]):
            pixels = read_image(row, digits)
            made = 255 - pixels if number else np.ascontiguousarray(pixels[::-1])
            (outputs / f"{row['id']}.png").write_bytes(image.encode_png(made))
        made_for = Submission(track="digits-ad/a2i", dataset_digest=digits.digest, system=name)
        (outputs.parent / "submission.json").write_text(made_for.to_json())
    return [root / "0", root / "1"]


def written(folder: Path, paths: list[Path], digits: Dataset, options: Options = TWO) -> RatingKey:
    """Writes `page.html` and `key.json`."""
    rated, dataset = open_rated(paths, digits.folder)
    return write_rating_page(rated, dataset, folder / "page.html", folder / "key.json", options).key


def contents(text: str) -> dict[str, bytes]:
    """Output -> the file that the page has for it."""
    found = re.findall(r'<fieldset data-output=(o\d+) .*?src="data:[^,]*,([^"]*)"', text)
    return {name: base64.b64decode(data) for name, data in found}


# ------------------------------------------------------------------------------------------------ the page
def test_the_page_shows_exactly_what_the_key_says(digits: Dataset, images: list[Path], tmp_path: Path) -> None:
    key = written(tmp_path, images, digits)
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


# ------------------------------------------------------------------------------------------------ in a browser
def rated_by_keys(browser: Browser, whose: dict[str, int], screens: int) -> None:
    """Scores some screens with the keyboard alone: 0, 1 or 3 for the first and second system and the ground truth."""
    for _ in range(screens):
        for output in browser.value("state.showings[at].outputs"):
            browser.press("013"[whose[output]])
        assert browser.value("document.activeElement.id") == "next"
        browser.press("Enter")


def begin(browser: Browser, name: str) -> None:
    while browser.value("document.activeElement.id") != "rater":
        browser.press("Tab")
    for letter in name:
        browser.press(letter)
    browser.press("Enter")


def saved(browser: Browser, button: str, folder: Path, count: int) -> Path:
    """Presses a button that saves a file; the newest file of the directory, once there are so many."""
    browser.value(f"document.getElementById('{button}').click()")
    for _ in range(100):
        found = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        if len(found) == count and json.loads(found[-1].read_text() or "{}"):
            return found[-1]
        time.sleep(0.1)
    raise AssertionError(f"{count} files were expected in {folder}")


@pytest.mark.slow  # starts a browser
def test_a_rater_from_start_to_finish(digits: Dataset, images: list[Path], tmp_path: Path) -> None:
    """By keyboard, interrupted, finished; then a second person who goes on from a file in another browser."""
    key = written(tmp_path, images, digits, Options(per_class=1, twice=2))
    whose = {output: which for one in key.sets for output, which in one.outputs.items()}
    files = tmp_path / "files"
    files.mkdir()
    browser = Browser(tmp_path / "profile")
    try:
        browser.save_to(files)
        browser.open(tmp_path / "page.html")
        begin(browser, "ann")
        browser.press("n")
        assert "Please score every image: Image A, Image B, Image C." in browser.value("document.body.innerText")
        browser.press("2")
        assert browser.value("document.activeElement.querySelector('legend').textContent") == "Image B"
        browser.value("document.querySelector('.set:not([hidden]) input').click()")  # by mouse: Image A again, a 0
        rated_by_keys_from = browser.value("state.showings[0].scores")
        assert rated_by_keys_from == [0, None, None]
        for output in browser.value("state.showings[0].outputs")[1:]:
            browser.press("013"[whose[output]])
        first = browser.value("state.showings[0].outputs[0]")
        browser.value(f"cards.get('{first}').querySelectorAll('input')[{[0, 1, 3][whose[first]]}].click()")
        browser.value("document.getElementById('next').focus()")
        browser.press("Enter")
        rated_by_keys(browser, whose, 3)
        browser.open(tmp_path / "page.html")  # interrupted
        assert browser.value("document.querySelector('#known button').textContent") == "ann: 4 of 12 screens"
        begin(browser, "ann")
        assert browser.value("document.getElementById('progress').textContent") == "Screen 5 of 12"
        browser.press("b")
        assert browser.value("document.querySelectorAll('.set:not([hidden]) input:checked').length") == 3
        browser.press("n")
        rated_by_keys(browser, whose, 8)
        assert browser.value("document.activeElement.textContent") == "Thank you"
        done = load_and_check(saved(browser, "done", files, 1), key)
        assert done["finished"] is True
        browser.value("document.getElementById('other').click()")
        begin(browser, "bob")
        rated_by_keys(browser, whose, 2)
        part = saved(browser, "save", files, 2)
        assert browser.complaints == browser.requests == browser.dialogs == []
    finally:
        browser.close()
    text = part.read_text()
    other = Browser(tmp_path / "another profile")
    try:
        other.open(tmp_path / "page.html")
        other.phone()
        for content in ("{}", text.replace(key.page, "0" * 64), text):
            other.value(
                f"(()=>{{const f=new DataTransfer();f.items.add(new File([{json.dumps(content)}],'x.json'));"
                "const i=document.getElementById('file');i.files=f.files;i.dispatchEvent(new Event('change'))})()"
            )
            other.value("new Promise(done=>setTimeout(done,200))")
        assert other.value("state.rater") == "bob"
        assert other.value("document.getElementById('progress').textContent") == "Screen 3 of 12"
        assert other.value("document.documentElement.scrollWidth <= innerWidth")
        assert other.complaints == []
    finally:
        other.close()
    raters = read_raters(files, key)
    assert raters.warnings == ("bob (" + part.name + "): unfinished, 6 of 36 scores; they count",)
    words = ["rate", "--summarise", str(files), "--key", str(tmp_path / "key.json"), "--json"]
    summary = json.loads(CliRunner().invoke(app, words).stdout)
    assert [own["mean"] for own in summary["systems"]] == [0, 1, 3]
    assert summary["alpha"] == 1
    assert summary["consistency"]["same"] == 1


def load_and_check(path: Path, key: RatingKey) -> dict[str, Any]:
    """A file that was saved: sets in another order than the page's, and second showings well after the first."""
    document: dict[str, Any] = json.loads(path.read_text())
    order = [(one["set"], one["again"]) for one in document["showings"]]
    assert [name for name, again in order if not again] != [one.name for one in key.sets]
    for one in key.sets:
        if one.twice:
            assert order.index((one.name, True)) - order.index((one.name, False)) >= 3
    assert path.name.startswith(f"rating-{key.page[:8]}-ann-")
    return document
