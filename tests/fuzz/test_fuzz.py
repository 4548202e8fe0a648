"""Damaged files of eleven kinds: read, or refused with a message, never a traceback.

The fast tests try 50 of each; `make fuzz` tries 2,000 (XMBENCH_FUZZ) and prints the counts.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import readers
from tests.fuzz.mutations import mutated
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.errors import XmbenchError
from xmbench.formats.dataset import Dataset

INPUTS = int(os.environ.get("XMBENCH_FUZZ", "50"))
KINDS = ("idx", "pickle", "toml", "parquet", "wav", "npy", "flac", "png", "table", "video", "sound-track")
REAL = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("real-video", "real-sound-track")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build(load_recipe("digits-ad"), tmp_path_factory.mktemp("small") / "digits-ad", limit=10, workers=1)


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> readers.Reader:
    match request.param:
        case "idx":
            return readers.idx_reader()
        case "pickle":
            return readers.pickle_reader()
        case "toml":
            return readers.toml_reader(tmp_path)
        case "parquet":
            return readers.parquet_reader(request.getfixturevalue("small"), tmp_path)
        case "table":
            return readers.table_reader(request.getfixturevalue("small"), tmp_path)
        case "wav":
            return readers.wav_reader()
        case "video" | "real-video":
            return readers.video_reader(tmp_path, request.param == "real-video")
        case "sound-track" | "real-sound-track":
            return readers.sound_track_reader(tmp_path, request.param == "real-sound-track")
        case kind:
            return readers.output_reader(kind)


@pytest.mark.parametrize("reader", [*KINDS, *REAL], indirect=True)
def test_damaged_files_are_read_or_refused(reader: readers.Reader, request: pytest.FixtureRequest) -> None:
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=INPUTS, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(mutated(reader.seeds))
    def damaged(data: bytes) -> None:
        outcomes[_outcome(reader, data)] += 1

    damaged()
    tried = outcomes.total()
    kind = request.node.callspec.params["reader"]
    print(f"\n{kind}: {tried:,} inputs, {outcomes['read']:,} read, {outcomes['refused']:,} refused")
    assert tried >= INPUTS
    assert outcomes["refused"] > INPUTS // 4  # the damage reaches the reader


@pytest.mark.parametrize("reader", [*KINDS, *REAL], indirect=True)
def test_real_files_reach_the_reader(reader: readers.Reader) -> None:
    assert "read" in {_outcome(reader, seed) for seed in reader.seeds}


def _outcome(reader: readers.Reader, data: bytes) -> str:
    """Any exception but ours goes on to the test: it is a bug."""
    try:
        return "read" if reader.read(data) else "refused"
    except XmbenchError:
        return "refused"
