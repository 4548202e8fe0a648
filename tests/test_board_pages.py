"""The pages of the boards: what they say, sorting and filtering in a browser, and the pages of earlier protocols."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.browsing import Browser, in_browser, runs_only_its_own
from tests.conftest import ROOT
from tests.made_boards import Made
from tests.test_boards import ALONE, GATE, IDENTITY, N, near, seeds, share, with_bounds
from xmbench import leaderboard
from xmbench.errors import CheckError, DocumentError
from xmbench.leaderboard import history, markdown, site

HISTORY = ROOT / "leaderboards" / "history"


def boards() -> list[leaderboard.Board]:
    """One with everything that a board can have, one of two speakers, one without the row of its gate."""
    made = with_bounds(track="one/i2a", smallest=0.005)
    fine = {"corr2d-best5": near(0.8), "pesq": near(1.2)}
    made.add_seeds("better net", seeds(0.8), others=fine, threads=1, hardware="2 cores", uses_judges=False)
    made.add_seeds("nearly as good", [share(0.79, 9 + k) for k in range(3)], others=fine, training_data="open")
    made.add_seeds("worse net", seeds(0.5), others={"corr2d-best5": near(0.8), "pesq": near(1.9)})
    made.add("one seed", share(0.75, 5), others=fine)
    made.add_seeds("noise", seeds(0.969), others={"corr2d-best5": near(0.136)}, uses_judges=True)
    made.add("stored clips", share(0.95), others={"corr2d-best5": near(0.8), "pesq": near(3.5)}, kind="retrieval")
    made.add("a claim", share(0.999), others=fine, verified=False)
    human = Made(tuple(f"speaker {i % 2}" for i in range(N)), track="two/i2a")
    human.add_seeds("a net", seeds(0.7))
    human.add_seeds("another net", seeds(0.6))
    bare = Made(ALONE, gates=(GATE,), track="two/a2i")
    bare.add_seeds("a net", seeds(0.7), others=fine)
    results = [*made.results, *human.results, *bare.results]
    return leaderboard.boards(results, {**made.columns, **human.columns, **bare.columns})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "index.html").write_text(site.front_page(boards(), [], folder))
    return folder / "index.html"


def test_the_page_says_what_a_row_is_and_what_nobody_checked(page: Path) -> None:
    text = page.read_text()
    runs_only_its_own(text)
    for said in (
        "400 items of the test split in 400 groups",
        "smallest difference 0.005",
        "95 % intervals: Student&#x27;s t over groups (400 groups)",
        "[not estimable: 2 groups]",
        "Differences are not estimable with so few groups: all systems tie.",
        "Gate: corr2d-best5 at least 0.7202: the lower end of “Random training clip”.",
        "not ranked: corr2d-best5 is 0.1360, and must be at least 0.7202",
        "not ranked: 1 seed: a generator is ranked with 3 or more",
        "not ranked: the board has no verified row of random-clip",
        "nothing is ranked until it is added (xmbench leaderboard anchors DATA) and verified",
        "Retrieval: stored clips or images, ranked among themselves",
        "verified; stated: open training data, judges in the system: not stated",
        "verified; stated: closed training data, judges in the system: yes",
        "self-reported; stated: closed training data",
        "<dd>verified at commit aaaaaaaaaaaa, today</dd>",
        "<dd>0 · 2 cores · 1 thread</dd>",
        "<th scope=row>accuracy on real recordings</th><td class=n>0.904</td>",
        "<th scope=row>takes near-homophones for one of its classes</th><td class=n>0.120</td>",
        "<th scope=row>calibration error</th><td class=n>0.021</td>",
        "As the submitter states it: not checked",
    ):
        assert said in text, said


def test_the_markdown_pages_say_the_same() -> None:
    found = boards()
    text = "".join(markdown.page(board.track, [board], []) for board in found)
    for said in (
        "400 items of the test split in 400 groups",
        "Gate: corr2d-best5 at least 0.7202",
        "[not estimable: 2 groups]",
        "Takes for one of its classes: 0.031 of other words, 0.120 of near-homophones, 0.000 of music.",
        "Calibration error 0.021.",
        "### Self-reported: not scored again by the maintainers, not ranked",
        "| noise; not ranked: corr2d-best5 is 0.1360",
        "closed training data; judges in the system: no; 2 cores; 1 thread |",
        "verified at commit aaaaaaaaaaaa",
    ):
        assert said in text, said
    index = markdown.index(found, sorted({board.track for board in found}))
    assert "| [one/i2a](one-i2a.md) | 9 | 4 |" in index
    assert "**judges in the system**" in index


@pytest.mark.slow
def test_sorting_filtering_and_folding_in_a_browser(page: Path, tmp_path: Path) -> None:
    text = in_browser(page, "sort=pesq&recipe=one&open=r0-1", tmp_path / "profile")
    assert re.search(r'<output id="shown"[^>]*>1 board, 9 rows<', text)
    assert 'data-k="pesq" data-better="high" aria-sort="descending"' in text
    assert text.count('aria-expanded="true"') == 1
    order = re.findall(r'<th scope="row">([^<]*) <span class="links"', text)
    # Sorted block by block: stored items and claims never move among the generators.
    assert order[0] == "worse net"
    assert order[5:9] == ["stored clips", "Identity", "Random training clip", "a claim"]
    text = in_browser(page, "kind=retrieval", tmp_path / "other")
    assert re.search(r'<output id="shown"[^>]*>1 board, 1 row<', text)
    assert text.count('<tbody class="block" hidden=""') + text.count('<tbody class="block">') == 6


@pytest.mark.slow
def test_nothing_is_wider_than_a_phone(page: Path, tmp_path: Path) -> None:
    shutil.copytree(HISTORY, tmp_path / "boards" / "history")
    leaderboard.build(tmp_path / "boards")
    browser = Browser(tmp_path / "profile")
    try:
        browser.phone()
        for path in (page, tmp_path / "boards" / history.PAGE):
            for state in ("", "open=r0-0,r0-3"):
                browser.open(path, state)
                wide = browser.value("document.documentElement.scrollWidth")
                assert wide <= browser.value("innerWidth") == 390
        assert browser.complaints == []
    finally:
        browser.close()


# ------------------------------------------------------------------------------------------------- earlier protocols
def test_results_of_the_first_protocol_are_on_a_page_of_their_own_and_on_no_board(tmp_path: Path) -> None:
    root = tmp_path / "boards"
    shutil.copytree(HISTORY, root / "history")
    assert {path.name for path in leaderboard.build(root)} == {"README.md", "index.html", history.PAGE}
    leaderboard.check(root)
    assert leaderboard.load(root).results == ()
    text = (root / history.PAGE).read_text()
    runs_only_its_own(text)
    assert text.count("<section>") == 5
    assert "MT-Net lite" in text
    assert f"href={history.PAGE}" in (root / "index.html").read_text()
    assert f"[a page]({history.PAGE})" in (root / "README.md").read_text()
    (root / history.PAGE).write_text("edited")
    with pytest.raises(CheckError, match="out of date"):
        leaderboard.check(root)


def test_earlier_results_have_the_ranks_that_they_had(tmp_path: Path) -> None:
    shutil.copytree(HISTORY, tmp_path / "history")
    found = {(one.track, one.limit): one for one in history.kept(tmp_path)}
    ranked = {key: [r.submission.kind for rank, r in one.rows if rank is not None] for key, one in found.items()}
    assert ranked["mnist-ad/i2a", 2000] == ["reference", "learned"]
    assert [rank for rank, _ in found["mnist-ad/i2a", 2000].rows if rank] == [1, 2]
    pairs = tmp_path / "history" / "protocol-1" / "mnist-ad" / "i2a" / "pairs.json"
    data = json.loads(pairs.read_text())
    for pair in data["pairs"]:
        pair.update(low=-1.0, high=1.0)
    pairs.write_text(json.dumps(data))
    again = {(one.track, one.limit): one for one in history.kept(tmp_path)}
    assert [rank for rank, _ in again["mnist-ad/i2a", 2000].rows if rank] == [1, 1]


def test_damaged_files_of_the_history_are_named(tmp_path: Path) -> None:
    shutil.copytree(HISTORY, tmp_path / "history")
    folder = tmp_path / "history" / "protocol-1" / "digits-ad"
    (folder / "i2a" / "silence.json").write_text("{}")
    (folder / "i2a" / "pairs.json").write_text("[]")
    (folder / "i2a" / "white-noise.json").rename(folder / "a2i" / "white-noise.json")
    with pytest.raises(DocumentError, match="history has invalid files") as caught:
        leaderboard.build(tmp_path)
    assert len(caught.value.problems) == 3


def test_without_a_history_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert {path.name for path in leaderboard.build(tmp_path)} == {"README.md", "index.html"}
    assert "protocol" not in (tmp_path / "README.md").read_text()


def test_an_identity_that_the_judge_hears_worse_than_a_system_is_told_on_the_page(tmp_path: Path) -> None:
    made = Made(ALONE)
    made.add("Identity", share(0.80), **IDENTITY)
    made.add_seeds("well heard", seeds(0.99))
    made.add_seeds("heard", seeds(0.90))
    assert site.front_page([made.board()], [], tmp_path).count("above the reference itself: tie") == 2
