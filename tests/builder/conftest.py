"""A cache of its own for every run of these tests, and a small corpus in MNIST's file format."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from xmbench.builder.plan import load_recipe
from xmbench.formats.recipe import Recipe
from xmbench.sources.mnist import FILES

settings.register_profile("busy-machine", deadline=None)
settings.load_profile("busy-machine")

WORDS = ("zero", "one", "two")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(cache))


@dataclass(frozen=True)
class Corpus:
    """Upstream files in a folder, and recipes that use them."""

    folder: Path
    single: Recipe
    many: Recipe


def idx(values: np.ndarray) -> bytes:
    """An idx file of unsigned bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def write_corpus(folder: Path, train: int = 120, test: int = 30) -> Corpus:
    """Strokes of three classes as idx files (.gz), with a single-take and a multi-take recipe."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    files: list[dict[str, Any]] = []
    for (split, names), count in zip(FILES.items(), (train, test), strict=True):
        labels = np.arange(count) % 3
        images = rng.integers(0, 60, (count, 28, 28))
        images[np.arange(count), 5 + 8 * labels, :] = 255
        for name, values in zip(names, (images, labels), strict=True):
            data = idx(values)
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
            files.append({"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "split": split})
    raw = load_recipe("mnist-ad").model_dump(mode="json", by_alias=True)
    raw |= {"name": "strokes", "classes": {"names": list(WORDS), "words": list(WORDS)}}
    raw["sources"]["mnist"]["files"] = files
    single = Recipe.model_validate(raw)
    raw |= {"name": "strokes-voices", "regime": "multi-take"}
    raw["sources"]["speech"]["options"] = {
        "train_voices": ["en-us", "en-us+m1"],
        "test_voices": ["en-us+m2"],
        "rates": [120, 130],
    }
    return Corpus(folder, single, Recipe.model_validate(raw))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("upstream") / "strokes")
