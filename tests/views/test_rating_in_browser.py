"""The rating page in a browser: from start to finish by keyboard, interrupted, and on from a saved file elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.browsing import Browser
from tests.made_ratings import submit_images, written
from tests.making import submit
from xmbench.cli import app
from xmbench.evaluator.rater_files import read_raters
from xmbench.formats.dataset import Dataset
from xmbench.formats.rating_kit import RatingKey
from xmbench.views.rating import Options

pytestmark = pytest.mark.slow  # each test starts a browser
FITTING = "013"  # what the raters here give to the first and the second system and to the ground truth


@pytest.fixture(scope="module")
def page(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RatingKey]:
    """Ten sets of three images, two of them twice."""
    folder = tmp_path_factory.mktemp("page")
    key = written(folder, submit_images(digits, folder), digits, Options(per_class=1, twice=2))
    return folder / "page.html", key


@pytest.fixture
def browser(page: tuple[Path, RatingKey], tmp_path: Path) -> Iterator[Browser]:
    """With the page open; files are saved into `files`."""
    found = Browser(tmp_path / "profile")
    try:
        (tmp_path / "files").mkdir()
        found.save_to(tmp_path / "files")
        found.open(page[0])
        yield found
        assert found.complaints == found.requests == found.dialogs == []
    finally:
        found.close()


def begin(browser: Browser, name: str) -> None:
    while browser.value("document.activeElement.id") != "rater":
        browser.press("Tab")
    for letter in name:
        browser.press(letter)
    browser.press("Enter")


def score(browser: Browser, key: RatingKey, screens: int) -> None:
    """Scores whole screens with the keyboard alone."""
    whose = {output: which for one in key.sets for output, which in one.outputs.items()}
    for _ in range(screens):
        for output in browser.value("state.showings[at].outputs"):
            browser.press(FITTING[whose[output]])
        assert browser.value("document.activeElement.id") == "next"
        browser.press("Enter")


def progress(browser: Browser) -> str:
    return str(browser.value("document.getElementById('progress').textContent"))


def saved(browser: Browser, button: str, folder: Path, count: int) -> Path:
    """Presses a button that saves a file; the newest file of the directory, once there are so many."""
    browser.value(f"document.getElementById('{button}').click()")
    for _ in range(100):
        found = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        if len(found) == count and found[-1].stat().st_size:
            return found[-1]
        time.sleep(0.1)
    raise AssertionError(f"{count} files were expected in {folder}")


def test_from_start_to_finish_by_keyboard(page: tuple[Path, RatingKey], browser: Browser, tmp_path: Path) -> None:
    path, key = page
    begin(browser, "ann")
    score(browser, key, 4)
    browser.open(path)  # interrupted
    assert browser.value("document.querySelector('#known button').textContent") == "ann: 4 of 12 screens"
    begin(browser, "ann")
    assert progress(browser) == "Screen 5 of 12"
    browser.press("b")
    assert browser.value("document.querySelectorAll('.set:not([hidden]) input:checked').length") == 3
    browser.press("n")
    score(browser, key, 8)
    assert browser.value("document.activeElement.textContent") == "Thank you"
    document = json.loads(saved(browser, "done", tmp_path / "files", 1).read_text())
    check_order(document, key)
    browser.value("document.getElementById('other').click()")
    begin(browser, "bob")
    score(browser, key, 2)
    part = saved(browser, "save", tmp_path / "files", 2)
    told = f"bob ({part.name}): unfinished, 6 of 36 scores; they count"
    assert read_raters(tmp_path / "files", key).warnings == (told,)
    words = ["rate", "--summarise", str(tmp_path / "files"), "--key", str(path.with_name("key.json")), "--json"]
    summary = json.loads(CliRunner().invoke(app, words).stdout)
    assert [own["mean"] for own in summary["systems"]] == [float(digit) for digit in FITTING]
    assert summary["alpha"] == summary["consistency"]["same"] == 1


def check_order(document: dict[str, Any], key: RatingKey) -> None:
    """Sets come in another order than the page's, and a second time well after the first."""
    assert document["finished"] is True
    order = [(one["set"], one["again"]) for one in document["showings"]]
    assert [name for name, again in order if not again] != [one.name for one in key.sets]
    for one in key.sets:
        if one.twice:
            assert order.index((one.name, True)) - order.index((one.name, False)) >= 3


def test_by_mouse_and_what_is_missing_is_said(browser: Browser) -> None:
    begin(browser, "ann")
    browser.press("n")
    assert "Please score every image: Image A, Image B, Image C." in browser.value("document.body.innerText")
    browser.press("2")
    marked = "document.querySelector('.marked legend').textContent"
    assert browser.value(marked) == "Image B"
    browser.value("document.querySelector('.set:not([hidden]) input').click()")  # another score for Image A
    assert browser.value("state.showings[0].scores") == [0, None, None]
    browser.value("document.querySelectorAll('.set:not([hidden]) fieldset')[2].querySelectorAll('input')[3].click()")
    browser.press("1")  # the focus is still on Image B
    assert browser.value("JSON.parse(localStorage.getItem(prefix + state.session)).showings[0].scores") == [0, 1, 3]


def test_sounds_are_played_by_keys_and_counted(digits: Dataset, browser: Browser, tmp_path: Path) -> None:
    submit(digits, tmp_path / "submission", lambda _i, _l, reference: 0.5 * reference)
    written(tmp_path, [tmp_path / "submission"], digits, Options(per_class=1))
    browser.open(tmp_path / "page.html")
    begin(browser, "ann")
    browser.press("p")
    wait_for(browser, "state.showings[0].plays.join()", "1,0")
    browser.press("3")
    browser.press("p")
    wait_for(browser, "state.showings[0].plays.join()", "1,1")
    assert browser.value("document.querySelectorAll('.set:not([hidden]) audio')[0].paused")


def wait_for(browser: Browser, expression: str, wanted: str) -> None:
    for _ in range(100):
        if browser.value(expression) == wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"{expression} is {browser.value(expression)}, expected {wanted}")


def test_on_from_a_saved_file_on_a_phone(page: tuple[Path, RatingKey], browser: Browser, tmp_path: Path) -> None:
    begin(browser, "bob")
    score(browser, page[1], 2)
    text = saved(browser, "save", tmp_path / "files", 1).read_text()
    browser.value("localStorage.clear()")
    browser.phone()
    browser.open(page[0])
    assert browser.value("document.getElementById('known').hidden")
    for content, said in (("{}", "not one that"), (text.replace(page[1].page, "0" * 64), "not one that"), (text, "")):
        browser.value(
            f"(()=>{{const f=new DataTransfer();f.items.add(new File([{json.dumps(content)}],'x.json'));"
            "const i=document.getElementById('file');i.files=f.files;i.dispatchEvent(new Event('change'))})()"
        )
        browser.value("new Promise(done=>setTimeout(done,200))")
        assert said in browser.value("document.getElementById('notice').textContent")
    assert browser.value("state.rater") == "bob"
    assert progress(browser) == "Screen 3 of 12"
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
