"""A board with four results on real speech, of which each test gets a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.admission.edits import noisy, ran, scored
from xmbench import leaderboard
from xmbench.formats.dataset import Dataset


@pytest.fixture(scope="session")
def results(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("admission")
    made = {name: ran(name, digits, folder / name) for name in ("random-clip", "oracle-class", "silence")}
    made["honest"] = scored(digits, folder / "honest", noisy(0.05), system="Honest Net")
    return made


@pytest.fixture(scope="session")
def board(digits: Dataset, results: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("boards") / "leaderboards"
    for path in results.values():
        leaderboard.add(root, path, dataset=digits)
    return root


@pytest.fixture
def root(board: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(board, tmp_path / "leaderboards"))
