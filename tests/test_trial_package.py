"""A package of a third party, installed as such, goes the whole way in both directions without an edit of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT
from xmbench.formats.document import load_json
from xmbench.formats.result import Result

PACKAGE = ROOT / "tests" / "trial_package"
FLOORS = {"i2a": "random-clip", "a2i": "random-image"}
CEILINGS = {"i2a": "oracle-class", "a2i": "oracle-class-image"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed, built from its pyproject.toml."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [*pip, "--target", str(folder), str(PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


PROGRAM = """
import json, sys
from xmbench.cli import main
for arguments in json.load(sys.stdin):
    sys.argv = ["xmbench", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


def xmbench(site: Path, folder: Path, *commands: Sequence[object]) -> str:
    """Commands, one after the other, in one process that finds the package as an installed one."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", str(ROOT))])}
    given = json.dumps([[str(argument) for argument in command] for command in commands])
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, input=given, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def submission(name: str, direction: str) -> str:
    return f"runs/{name}/submission" + (f"-{direction}" if name.startswith("tone-gan") else "")


def test_it_builds_trains_scores_and_ranks_in_both_directions(site: Path, tmp_path: Path) -> None:
    data = ("--data", "data/tones")
    seeds = [f"tone-gan/seed-{seed}" for seed in range(3)]
    rows = {direction: [*seeds, FLOORS[direction], CEILINGS[direction]] for direction in FLOORS}
    bounds = [name for names in (FLOORS, CEILINGS) for name in names.values()]
    (tmp_path / "tone-gan").mkdir()
    xmbench(
        site,
        tmp_path,
        ["build", "tones"],
        ["validate", "data/tones"],
        ["run-baseline", "tone-gan", *data, "--out", "runs/tone-gan", "--seeds", "0,1,2"],
        *(["run-baseline", name, *data, "--out", f"runs/{name}"] for name in bounds),
        *(
            ["score", submission(name, way), *data, "--out", f"{name}-{way}.json", "--workers", 1]
            for way, names in rows.items()
            for name in names
        ),
        *(
            ["leaderboard", "add", *(f"{name}-{way}.json" for name in names), "--dir", "b"]
            for way, names in rows.items()
        ),
        ["leaderboard", "verify", "--all", "--data", "data", "--submissions", "runs", "--workers", 1, "--dir", "b"],
    )
    for way, names in rows.items():
        results = {name: load_json(tmp_path / f"{name}-{way}.json", Result) for name in names}
        values = {name: result.scores["tone-accuracy"].value or 0.0 for name, result in results.items()}
        assert values[CEILINGS[way]] == 1.0
        assert min(values[seed] for seed in seeds) > values[FLOORS[way]] + 0.3, values
        card = results[seeds[0]].judge
        assert card is not None
        assert card.name == {"i2a": "tones-pitch", "a2i": "tones-colour"}[way]
        board = (tmp_path / "b" / f"tones-{way}.md").read_text()
        (row,) = (line for line in board.splitlines() if "| Tone GAN |" in line)
        assert row.startswith("| 1 | Tone GAN | learned | 3 |")


def test_its_parts_are_listed_and_looked_at(site: Path, tmp_path: Path) -> None:
    kinds = ("recipes", "baselines", "sources", "metrics")
    told = xmbench(site, tmp_path, *(["list", kind] for kind in kinds), ["doctor"])
    for part in ("tones ", "tone-gan", "audio and image", "embedding-gap", "tones-pitch"):
        assert part in told, part
