"""Whether rows are those that a manifest names: a file of the right size can hold other content."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError, DocumentError, MediaError
from xmbench.formats.dataset import (
    Dataset,
    ShardRecord,
    batch_rows,
    content_digest,
    dataset_digest,
    row_digest,
    samples_digest,
)
from xmbench.media import audio, image
from xmbench.printable import shown

_COLUMNS = ("id", "image", "audio", "label")


@dataclass(slots=True)
class ContentDigests:
    """Digests of the decoded content of a shard's rows; each distinct clip is decoded once.

    Attributes:
        split: of the shard.
        clips: digests of the samples of the clips that are known, by what tells clips apart.
        rows: split, id and digest of each row.
    """

    split: str
    clips: dict[Hashable, bytes] = field(default_factory=dict)
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, row: dict[str, Any], pixels: NDArray[np.uint8], sound: bytes, clip: Hashable) -> None:
        """Adds a row with its decoded image and the file of its clip; `clip` tells this file from others."""
        if clip not in self.clips:
            self.clips[clip] = samples_digest(*audio.decode_mono_int16(sound))
        digest = row_digest(self.split, str(row["id"]), row["label"], content_digest(pixels), self.clips[clip])
        self.rows.append((self.split, str(row["id"]), digest))

    def problem(self, shard: ShardRecord) -> str:
        """How the content differs from what the manifest says of the shard, or ""."""
        found = dataset_digest(self.rows)
        return "" if found == shard.digest else f"its content has the sha256 {found[:12]}, expected {shard.digest[:12]}"


def require_intact(dataset: Dataset, split: str) -> None:
    """Decodes every row of a split and compares the sha256 of each shard's content with the manifest's.

    Each take is decoded once for each distinct file: a split where clips repeat costs little more than its images.

    Raises:
        DatasetError: shards with other content, all of them named.
    """
    known: dict[Hashable, bytes] = {}
    shards = [shard for shard in dataset.manifest.shards if shard.split == split]
    wrong = [f"{shard.path}: {problem}" for shard in shards if (problem := _problem(dataset, shard, known))]
    if wrong:
        raise DatasetError(
            "the data set is damaged or was changed: shards do not hold what its manifest says",
            where=dataset.folder,
            problems=wrong,
            todo="remove these files and run the same `xmbench build` again: only they are rebuilt",
        )


def _problem(dataset: Dataset, shard: ShardRecord, known: dict[Hashable, bytes]) -> str:
    """What is wrong with a shard, or ""."""
    digests = ContentDigests(shard.split, known)
    try:
        for batch in dataset.open_shard(shard, _COLUMNS).batches(batch_rows(dataset.recipe)):
            for row in batch.to_pylist():
                pixels, sound = image.decode(row["image"]["bytes"]), row["audio"]["bytes"]
                digests.add(row, pixels, sound, hashlib.sha256(sound).digest())
    except (DocumentError, MediaError) as error:
        return error.what
    except (ValueError, TypeError) as error:  # text that is not UTF-8, a row without an image or a clip
        return f"a row cannot be read ({shown(str(error), 200)})"
    return digests.problem(shard)
