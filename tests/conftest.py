"""What every test may use: real data where it is there, and a small data set built from embedded digits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from xmbench import content
from xmbench.builder.build import build
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Started in the background, a process inherits an ignored Ctrl-C and so would every program that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def shared(*parts: str) -> Path:
    """A path of real data, or a skip that says what is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data not here: {Path(*parts)}")
    return path


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """`digits-ad` with 40 items per split: real handwriting, really spoken."""
    folder = tmp_path_factory.mktemp("digits") / "digits-ad"
    recipe = load_toml(content.find("recipes", "digits-ad"), Recipe)
    build(recipe, folder, limit=40, workers=1)
    return open_dataset(folder)
