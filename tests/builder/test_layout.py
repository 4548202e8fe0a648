"""Which rows stand in which shard, and how a row's image and clip are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmbench.builder import rows, shards
from xmbench.builder.rows import _Clips
from xmbench.builder.shards import Item
from xmbench.errors import OutputError
from xmbench.interfaces import Entry
from xmbench.media import image

LIMIT_ROWS = 10


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 400), st.sets(st.integers(0, 59)))
def test_shards_are_runs_of_sorted_ids_within_the_limits(groups: list[int], row_bytes: int, lost: set[int]) -> None:
    """Whatever the groups, and whichever items have no take."""
    entries = [Entry(f"g{group:02d}-{i:03d}", "train", 0, f"g{group:02d}") for i, group in enumerate(groups)]
    items = [Item(e.key, "train", 0, e, e.key) for i, e in enumerate(entries) if i not in lost]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_ROWS", LIMIT_ROWS)
        patch.setattr(shards, "SHARD_BYTES", 1000)
        made = shards.by_id(items, {"train": entries, "test": []}, row_bytes)
        complete = shards.by_id(
            [Item(e.key, "train", 0, e, e.key) for e in entries], {"train": entries, "test": []}, row_bytes
        )
    ids = [item.id for shard in made for item in shard.items]
    assert ids == sorted(item.id for item in items)
    limit = max(1, min(LIMIT_ROWS, 1000 // row_bytes))
    assert all(len(shard.items) <= limit for shard in complete)
    assert [shard.name for shard in made] == [shard.name for shard in complete]
    for part, whole in zip(made, complete, strict=True):
        assert {item.id for item in part.items} <= {item.id for item in whole.items}


def test_a_group_that_fits_is_in_one_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", LIMIT_ROWS)
    entries = [Entry(f"g{i // 4}-{i % 4}", "test", 0, f"g{i // 4}") for i in range(36)]
    made = shards.by_id([Item(e.key, "test", 0, e, e.key) for e in entries], {"train": [], "test": entries}, 1)
    for shard in made:
        assert len(shard.items) % 4 == 0


@given(st.integers(1, 80), st.integers(1, 80), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_a_png_of_any_size_holds_the_same_pixels(height: int, width: int, channels: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)
    assert (image.decode(image.encode_png(pixels)) == pixels).all()


def test_clips_that_are_used_again_stay_in_memory_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_KEPT_BYTES", 250)
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 100)
    clips = _Clips(tmp_path)
    for name in "abac":  # b was used longest ago
        assert clips.read(name) == name.encode() * 100
    for name in "abc":
        (tmp_path / name).unlink()
    assert clips.read("a") == b"a" * 100
    assert clips.read("c") == b"c" * 100
    with pytest.raises(OutputError, match="cannot be read"):
        clips.read("b")
