"""The preview page: self-contained, complete, small, and its filter works in a browser."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.browsing import Browser, Elements, asks_for_nothing
from tests.builder.conftest import Corpus, write_corpus
from xmbench.builder.build import build
from xmbench.errors import OutputError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.ledger import LedgerRow
from xmbench.views.preview import Previewed, write_preview


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("upstream") / "strokes")


@pytest.fixture(scope="module")
def many(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("preview") / "many"
    build(corpus.many, folder, source=corpus.folder, workers=1)
    return open_dataset(folder)


def test_every_take_of_a_single_take_set_is_shown_once(digits: Dataset, tmp_path: Path) -> None:
    shown = write_preview(digits, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = Elements(text)
    assert shown == Previewed(clips=10, images=80)
    assert len(page.of("audio")) == len({audio["src"] for audio in page.of("audio")}) == 10
    assert len(page.of("img")) == 10 + 80
    assert digits.digest in text
    assert "CC-BY-4.0" in text
    assert "Nothing was left out" in text
    assert "of 80 rows and 10 distinct takes" in text


def test_the_page_asks_for_nothing_and_can_be_read_without_sight(many: Dataset, tmp_path: Path) -> None:
    write_preview(many, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = asks_for_nothing(text)
    assert len(re.findall(r"<label>[^<]+<select", text)) == 2
    assert {article["data-class"] for article in page.of("article")} == {"0", "1", "2"}
    assert {item["data-split"] for item in page.of("li") if "data-split" in item} == {"train", "test"}


def test_as_many_clips_as_asked_for(many: Dataset, tmp_path: Path) -> None:
    assert write_preview(many, tmp_path / "page.html", clips=5).clips == 5
    page = Elements((tmp_path / "page.html").read_text())
    assert len(page.of("article")) == 5
    # Each class and split in turn: all six before any comes twice.
    assert {article["data-class"] for article in page.of("article")} == {"0", "1", "2"}


def test_what_was_left_out_with_examples_and_nothing_unescaped(many: Dataset, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(many.folder, tmp_path / "copy"))
    rows = [
        LedgerRow("item", f"x{i}", "train", "zero", "read", "broken <b>file</b>", False, i > 1, "a & b")
        for i in range(6)
    ]
    ledger.write(copy / "ledger.parquet", rows)
    path = open_dataset(copy).shards("train")[0]
    table = pq.read_table(path)
    texts = pa.array(["<script>"] * table.num_rows)
    pq.write_table(table.set_column(table.schema.names.index("text"), "text", texts), path)
    write_preview(Dataset(copy, many.manifest), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    Elements(text)
    assert "broken &lt;b&gt;file&lt;/b&gt;" in text
    assert "x0: a &amp; b<br>x1: a &amp; b" in text
    assert "failed, can be retried (read)" in text
    assert "“&lt;script&gt;”" in text
    (copy / "ledger.parquet").unlink()
    write_preview(Dataset(copy, many.manifest), tmp_path / "page.html")
    assert "the ledger cannot be read" in (tmp_path / "page.html").read_text()


def test_a_page_is_small_for_any_data_set(many: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write_preview(many, tmp_path / "page.html")
    everything = (tmp_path / "page.html").stat().st_size
    monkeypatch.setattr("xmbench.views.preview._BUDGET", 100_000)
    part = write_preview(many, tmp_path / "page.html")
    assert 0 < part.clips < whole.clips
    assert (tmp_path / "page.html").stat().st_size < min(everything, 130_000)


def test_a_place_that_cannot_be_written(many: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_preview(many, tmp_path / "file" / "page.html")


def test_the_filter_in_a_browser(many: Dataset, tmp_path: Path) -> None:
    write_preview(many, tmp_path / "page.html")
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(tmp_path / "page.html")
        browser.value("c.value='1';s.value='test';c.dispatchEvent(new Event('change',{bubbles:true}))")
        text = str(browser.value("document.documentElement.outerHTML"))
        counts = browser.value("document.querySelector('output').value")
    finally:
        browser.close()
    articles = [attributes for attributes in Elements(text).of("article") if "hidden" not in attributes]
    assert articles
    assert {attributes["data-class"] for attributes in articles} == {"1"}
    assert all("hidden" not in form for form in Elements(text).of("form"))
    assert counts.startswith(f"{len(articles)} clips, ")
