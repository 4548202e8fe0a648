"""All stages on embedded data: build `digits-ad`, train MT-Net (lite), score it with reference rows.

Everything runs offline on a CPU in minutes. Finished work is not repeated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmbench import content
from xmbench.builder.build import build
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe
from xmbench.leaderboard import Board, boards, item_columns
from xmbench.runner import run
from xmbench.views.gallery import Shown, write_gallery

RECIPE = "digits-ad"
SYSTEMS: tuple[tuple[str, str | None], ...] = (
    ("silence", None),
    ("white-noise", None),
    ("random-clip", None),
    ("mean-audio", None),
    ("nearest-class-clip", None),
    ("mtnet", "lite"),
    ("oracle-class", None),
)
SHORTENED: dict[str, dict[str, Any]] = {"mtnet": {"joint_min_steps": 600}}  # a third of the row's training


@dataclass(frozen=True, slots=True)
class Demo:
    """Results of the demonstration: a board to print and a page to open."""

    board: Board
    page: Path


def run_demo(out: Path, *, progress: Callable[[str], None]) -> Demo:
    """Builds the data set, runs and scores the systems, and writes the page.

    Args:
        out: directory for the data set, the runs and the page.
        progress: called with a line of progress.

    Raises:
        XmbenchError: a stage failed; finished work is kept.
    """
    started = time.monotonic()

    def log(text: str) -> None:
        progress(f"[{time.monotonic() - started:5.0f} s] {text}")

    recipe = load_toml(content.find("recipes", RECIPE), Recipe)
    log(f"building {recipe.name}")
    build(recipe, out / "data" / RECIPE, progress=log)
    dataset = open_dataset(out / "data" / RECIPE)
    shown = [_system(name, preset, dataset, out / "runs", log) for name, preset in SYSTEMS]
    known = item_columns.from_tables([(system.result, system.items) for system in shown])
    (board,) = boards([system.result for system in shown], known, scored_here=True)
    page = write_gallery(dataset, shown, out / "index.html")
    log("done")
    return Demo(board, page)


def _system(name: str, preset: str | None, dataset: Dataset, runs: Path, log: Callable[[str], None]) -> Shown:
    baseline = load_toml(content.find("baselines", name), Baseline)
    folder = runs / (f"{name}-{preset}" if preset else name)
    log(f"running {name}{f' ({preset})' if preset else ''}")
    run(baseline, dataset, folder, preset=preset, overrides=SHORTENED.get(name, {}), resume=True, progress=log)
    log(f"scoring {name}")
    result = folder / "result.json"
    score_and_save(
        folder / "submission", dataset, result, workers=os.cpu_count() or 1, command=f"xmbench demo ({name})"
    )
    loaded, items = load_scored(result)
    return Shown(folder / "submission", loaded, items)
