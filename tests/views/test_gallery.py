"""The page: self-contained, and it shows what it should."""

from __future__ import annotations

import re
from pathlib import Path

from tests.making import submit
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.views.gallery import Shown, write_gallery


def test_the_page_has_every_sound_and_loads_nothing(digits: Dataset, tmp_path: Path) -> None:
    shown = []
    for name in ("one", "two & <three>"):
        folder = submit(digits, tmp_path / name[:3], system=name)
        out = tmp_path / f"{name[:3]}.json"
        score_and_save(folder, digits, out, metrics=["corr2d"])
        shown.append(Shown(folder, *load_scored(out)))
    page = write_gallery(digits, shown, tmp_path / "page.html", items=5).read_text()
    assert page.count("<audio") == 5 * 3
    assert page.count("data:image/png") == 5 * 4
    assert "two &amp; &lt;three&gt;" in page
    assert not re.findall(r'(?:src|href)=(?!"data:)', page)
