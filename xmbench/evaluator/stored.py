"""Outputs that are exact copies of what the data set stores: such a system plays or shows items, it generates none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from xmbench.errors import DatasetError
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip, read_image
from xmbench.interfaces import SIDES, Direction, Modality
from xmbench.media import audio
from xmbench.media.signal import Media, Picture, Sound

MOST_ROWS = 20_000  # of a split that are compared: reading more takes longer than all other checks


def content(media: Media) -> bytes:
    """sha256 of samples or pixels: the same for two files that encode the same."""
    values = media.samples if isinstance(media, Sound) else media.pixels
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()


def copies(outputs: Mapping[bytes, int], dataset: Dataset, direction: Direction, scored: str) -> dict[str, int]:
    """How many outputs are exact copies of a stored item, by split; the training split is looked at first.

    Args:
        outputs: content -> how many outputs have it; of readable outputs only.
        dataset: whose items are compared, at most `MOST_ROWS` of a split.
        direction: of the track.
        scored: name of the split that outputs are made for.
    """
    left = dict(outputs)
    found = {}
    for split in dict.fromkeys(("train", scored)):
        known = _contents(dataset, split, direction) if left and dataset.count(split) else set()
        found[split] = sum(left.pop(key) for key in known & left.keys())
    return {split: count for split, count in found.items() if count}


def _contents(dataset: Dataset, split: str, direction: Direction) -> set[bytes]:
    """Contents of a split's items; clips that several items share are decoded once.

    An item that cannot be read, or is over `$XMBENCH_MAX_BYTES`, is compared with nothing: `validate` names it.
    """
    column = SIDES[direction].output
    seen: set[bytes] = set()
    found = set()
    for row in islice(dataset.rows(split, [column]), MOST_ROWS):
        stored = hashlib.sha256((row[column] or {}).get("bytes") or b"").digest()
        if stored in seen:
            continue
        seen.add(stored)
        with suppress(DatasetError):
            found.add(content(_stored(row, dataset, column)))
    return found


def _stored(row: dict[str, Any], dataset: Dataset, column: Modality) -> Media:
    """What an item stores in a column."""
    if column == "audio":
        return Sound(audio.to_float(read_clip(row, dataset)), dataset.recipe.audio.sample_rate_hz)
    return Picture(read_image(row, dataset))
