"""Names, details and addresses of others on every page: shown, never run; and the page's own functions still work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, ValidationError

from tests.browsing import Browser, runs_only_its_own
from tests.making import submit
from xmbench import html
from xmbench.evaluator.evaluate import items_digest
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, Manifest
from xmbench.formats.ledger import LedgerRow
from xmbench.formats.result import ReportedResult, Result
from xmbench.leaderboard import Board, boards
from xmbench.leaderboard.site import board_page, front_page
from xmbench.views.gallery import Shown, write_gallery
from xmbench.views.preview import write_preview
from xmbench.views.report import write_report

PAYLOADS = (
    "x onmouseover=hit() onfocus=hit() autofocus tabindex=1 style=animation:x",
    "\"><script>hit()</script><img src=x onerror='hit()'><svg onload=hit()>",
    "'><svg/onload=hit()><iframe srcdoc='<script>parent.hit()</script>'>",
    "</script></style></title></textarea></option></select><script>hit()</script>",
    'javascript:hit()//" onclick=hit() `${hit()}` {{hit()}}',
    "<!--<base href=https://example.org/><meta http-equiv=refresh content='0;url=javascript:hit()'>-->",
    "</svg><style>@import'https://example.org/x';*{background:url(https://example.org/y)}</style><form action=x>",
    "\x00\u001b[31m\u202egnp.exe\u2066\u200b\ufeff\x85<details open ontoggle=hit()>",
)
ADDRESSES = (
    "javascript:hit()",
    "JaVaScRiPt:hit()",
    "data:text/html,<script>hit()</script>",
    'https://x/" onclick="hit()',
)


def hostile(kind: type[BaseModel], model: BaseModel, payload: str, keep: tuple[str, ...] = ()) -> Any:
    """The document with the payload in every text and every key that its schema lets through."""
    data = model.model_dump(mode="json", by_alias=True)

    def allowed() -> bool:
        try:
            kind.model_validate(data)
        except ValidationError:
            return False
        return True

    def walk(part: Any, path: str) -> None:
        for key in list(part) if isinstance(part, dict) else range(len(part)):
            where, value = f"{path}.{key}", part[key]
            if any(where.startswith(f".{name}") for name in keep):
                continue
            if isinstance(value, (dict, list)):
                walk(value, where)
            elif isinstance(value, str):
                part[key] = (
                    ADDRESSES[len(where) % len(ADDRESSES)]
                    if key in ("url", "homepage", "licence_url")
                    else f"{value}{payload}"
                )
                part[key] = part[key] if allowed() else value
            if isinstance(part, dict):
                part[f"{key}{payload}"] = part.pop(key)
                if not allowed():
                    part[key] = part.pop(f"{key}{payload}")

    walk(data, "")
    return kind.model_validate(data)


@pytest.fixture(scope="module")
def scored(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    submit(digits, folder / "submission", authors=("someone",), url="https://x", notes=("a note",), command="a command")
    score_and_save(folder / "submission", digits, folder / "result.json", metrics=["corr2d-floored", "word-accuracy"])
    return folder


def a_preview(digits: Dataset, scored: Path, folder: Path, payload: str) -> Path:
    copy = Path(shutil.copytree(digits.folder, folder / "data"))
    names = {split: f"{split}{payload}" for split in digits.manifest.splits}
    for path in (copy / "data").iterdir():
        table = pq.read_table(path)
        for column in ("take", "text"):  # an id like that is refused before anything is shown
            texts = pa.array([f"{value}{payload}" for value in table.column(column).to_pylist()])
            table = table.set_column(table.schema.names.index(column), column, texts)
        pq.write_table(table, path)
    row = LedgerRow("item", payload, payload, payload, payload, payload, False, False, payload)
    ledger.write(copy / "ledger.parquet", [row])
    manifest = hostile(Manifest, digits.manifest, payload, ("shards", "splits", "recipe.audio", "recipe.image"))
    manifest = manifest.model_copy(
        update={
            "splits": {names[split]: record for split, record in digits.manifest.splits.items()},
            "shards": tuple(shard.model_copy(update={"split": names[shard.split]}) for shard in manifest.shards),
        }
    )
    write_preview(Dataset(copy, manifest), folder / "page.html")
    return folder / "page.html"


def a_report(digits: Dataset, scored: Path, folder: Path, payload: str) -> Path:
    shutil.copytree(scored, folder / "run")
    result, items = load_scored(folder / "run" / "result.json")
    for column in ("class", "detail"):
        texts = pa.array([f"{value}{payload}" for value in items.column(column).to_pylist()])
        items = items.set_column(items.column_names.index(column), column, texts)
    pq.write_table(items, folder / "run" / result.items_table)
    result = hostile(
        Result, result, payload, ("items_table", "submission.track", "track", "scores.corr2d-floored.statuses")
    )
    result = result.model_copy(update={"items_digest": items_digest(items)})
    (folder / "run" / "result.json").write_text(result.to_json())
    write_report(folder / "run" / "result.json", folder / "page.html", data=digits.folder)
    return folder / "page.html"


def a_board(digits: Dataset, scored: Path, folder: Path, payload: str) -> Path:
    found, papers = hostile_boards(scored, payload)
    folder.mkdir()
    (folder / "page.html").write_text(board_page(found[0].track, found, papers, folder, (found[0].track,)))
    return folder / "page.html"


def all_boards(digits: Dataset, scored: Path, folder: Path, payload: str) -> Path:
    found, papers = hostile_boards(scored, payload)
    folder.mkdir()
    (folder / "page.html").write_text(front_page(found, papers, folder))
    return folder / "page.html"


def hostile_boards(scored: Path, payload: str) -> tuple[list[Board], list[ReportedResult]]:
    result, _ = load_scored(scored / "result.json")
    paper = ReportedResult(
        track=result.track, system="s", scores={"corr2d-floored": 0.5}, paper="p", where="w", data="d"
    )
    results = [result, hostile(Result, result, payload, ("track", "submission.track"))]
    results[1] = results[1].model_copy(update={"items_digest": "0" * 64})
    return boards(results), [hostile(ReportedResult, paper, payload, ("track",))]


def a_gallery(digits: Dataset, scored: Path, folder: Path, payload: str) -> Path:
    result, items = load_scored(scored / "result.json")
    changed = hostile(Result, result, payload, ("split", "track", "submission.track"))
    folder.mkdir()
    recipe = digits.recipe.model_copy(
        update={
            "title": payload,
            "classes": digits.recipe.classes.model_copy(
                update={"names": tuple(f"{n}{payload}" for n in digits.recipe.classes.names)}
            ),
        }
    )
    dataset = Dataset(digits.folder, digits.manifest.model_copy(update={"recipe": recipe}))
    return write_gallery(dataset, [Shown(scored / "submission", changed, items)], folder / "page.html", items=3)


PAGES: dict[str, Callable[[Dataset, Path, Path, str], Path]] = {
    "preview": a_preview,
    "report": a_report,
    "board": a_board,
    "boards": all_boards,
    "gallery": a_gallery,
}


@pytest.mark.parametrize("kind", PAGES)
def test_what_others_wrote_is_text_on_every_page(digits: Dataset, scored: Path, tmp_path: Path, kind: str) -> None:
    for number, payload in enumerate(PAYLOADS):
        text = PAGES[kind](digits, scored, tmp_path / str(number), payload).read_text()
        found = runs_only_its_own(text)
        assert html.escape(payload) in text
        assert "hit" not in "".join(f"{name}" for _, attributes in found.tags for name in attributes)
        assert not any(character in text for character in "\x00\u001b\x85\u202e\u2066\u200b\ufeff")


def test_characters_that_no_file_can_hold_are_escaped() -> None:
    text = html.document("a \ud800", html.escape("b \udfff\x00"))
    assert r"a \ud800" in text
    assert r"b \udfff\u0000" in text
    text.encode()


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_a_link_only_where_a_browser_would_open_a_page(address: str) -> None:
    found = html.link("text", address)
    assert "javascript:" not in found.lower()
    assert found == "text" or ('href="https://x/&quot; onclick=' in found and found.count('"') == 2)


# ------------------------------------------------------------------------------------------------ in a browser
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


_PROVOKE = """for(const e of document.querySelectorAll('*'))
for(const t of['mouseover','focus','blur','error','load','toggle','animationstart','pointerdown','keydown'])
e.dispatchEvent(new Event(t,{bubbles:true}))"""


@pytest.mark.parametrize("kind", PAGES)
def test_nothing_of_others_runs_in_a_browser(
    digits: Dataset, scored: Path, tmp_path: Path, kind: str, browser: Browser
) -> None:
    for number, payload in enumerate(PAYLOADS):
        written = payload.replace("hit()", "(document.title=`hit`,window.canary=1,alert(1))")
        made = PAGES[kind](digits, scored, tmp_path / str(number), written)
        browser.open(made)
        browser.value(_PROVOKE)
        assert not browser.value("!!window.canary||document.title==='hit'")
        assert (browser.dialogs, browser.complaints, browser.requests) == ([], [], [])


def test_the_policy_stops_what_escaping_would_have_missed(tmp_path: Path, browser: Browser) -> None:
    bad = "<script>canary=1</script><img alt='' src=x onerror=canary=1><p style=color:red>p<svg onload=canary=1></svg>"
    text = html.document("t", bad, script="window.own=1")
    (tmp_path / "page.html").write_text(text)
    browser.open(tmp_path / "page.html")
    assert browser.value("own===1&&typeof canary==='undefined'")
    assert browser.value("getComputedStyle(document.querySelector('p')).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in complaint for complaint in browser.complaints)
    browser.complaints.clear()
    browser.requests.clear()


def test_a_preview_works_under_the_policy(digits: Dataset, tmp_path: Path, browser: Browser) -> None:
    write_preview(digits, tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    shown = "[...document.querySelectorAll('article')].filter(a=>!a.hidden).map(a=>a.dataset.class)"
    assert len(browser.value(shown)) == 10
    assert browser.value("!document.querySelector('form').hidden")
    browser.value("c.value='3';c.dispatchEvent(new Event('change',{bubbles:true}))")
    assert browser.value(shown) == ["3"]
    assert browser.value("document.querySelector('output').value").startswith("1 clips, ")
    assert browser.value("getComputedStyle(document.querySelector('td.bar')).getPropertyValue('--p')").endswith("%")
    backs = []
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        backs.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    assert backs == ["rgb(255, 255, 255)", "rgb(20, 22, 26)"]
    assert browser.complaints == []


@pytest.mark.parametrize("kind", ["preview", "report", "gallery"])
def test_sounds_and_pictures_load_under_the_policy(
    digits: Dataset, scored: Path, tmp_path: Path, kind: str, browser: Browser
) -> None:
    browser.open(PAGES[kind](digits, scored, tmp_path / kind, "plain"))
    assert (
        browser.value(
            "Promise.all([...document.images].map(i=>i.decode().then(()=>i.naturalWidth))).then(w=>Math.min(...w))"
        )
        > 0
    )
    played = browser.value(
        "(async()=>{const[a,b]=document.querySelectorAll('audio');await a.play();const d=a.duration;"
        "await b.play();await new Promise(r=>setTimeout(r,50));return[d,a.paused]})()"
    )
    assert played[0] > 0
    assert played[1] or kind == "gallery"  # the others play one sound at a time
    assert browser.complaints == []


def test_a_board_sorts_filters_and_folds_under_the_policy(
    digits: Dataset, scored: Path, tmp_path: Path, browser: Browser
) -> None:
    browser.open(a_board(digits, scored, tmp_path / "board", "plain"))
    browser.value(
        "[...document.querySelectorAll('th[data-k] button')]"
        ".find(b=>b.textContent.startsWith('corr2d-floored')).click()"
    )
    assert browser.value("document.querySelector('th[aria-sort]').dataset.k") == "corr2d-floored"
    assert json.loads(browser.value("JSON.stringify([...new URLSearchParams(location.hash.slice(1))])")) == [
        ["sort", "corr2d-floored"]
    ]
    browser.value("document.querySelector('.fold').click()")
    assert browser.value("document.querySelectorAll('tr.more:not([hidden])').length") == 1
    browser.value("form.elements.kind.value='learned';form.dispatchEvent(new Event('change'))")
    assert browser.value("shown.value").endswith("rows")
    assert browser.complaints == []
