"""Whether the rows of a split are those that the manifest names: a file of the right size can hold other content."""

from __future__ import annotations

import hashlib
from typing import Any

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


def require_intact(dataset: Dataset, split: str) -> None:
    """Decodes every row of a split and compares the sha256 of each shard's content with the manifest's.

    Each take is decoded once for each distinct file: a split where clips repeat costs little more than its images.

    Raises:
        DatasetError: shards with other content, all of them named.
    """
    known: dict[bytes, bytes] = {}
    shards = [shard for shard in dataset.manifest.shards if shard.split == split]
    wrong = [f"{shard.path}: {problem}" for shard in shards if (problem := _problem(dataset, shard, known))]
    if wrong:
        raise DatasetError(
            "the data set is damaged or was changed: shards do not hold what its manifest says",
            where=dataset.folder,
            problems=wrong,
            todo="remove these files and run the same `xmbench build` again: only they are rebuilt",
        )


def _problem(dataset: Dataset, shard: ShardRecord, known: dict[bytes, bytes]) -> str:
    """What is wrong with a shard, or ""."""
    rows: list[tuple[str, str, str]] = []
    try:
        for batch in dataset.open_shard(shard, _COLUMNS).batches(batch_rows(dataset.recipe)):
            rows += [(shard.split, str(row["id"]), _digest(shard.split, row, known)) for row in batch.to_pylist()]
    except (DocumentError, MediaError) as error:
        return error.what
    except (ValueError, TypeError) as error:  # text that is not UTF-8, a row without an image or a clip
        return f"a row cannot be read ({shown(str(error), 200)})"
    found = dataset_digest(rows)
    return "" if found == shard.digest else f"its content has the sha256 {found[:12]}, expected {shard.digest[:12]}"


def _digest(split: str, row: dict[str, Any], known: dict[bytes, bytes]) -> str:
    picture = content_digest(image.decode(row["image"]["bytes"]))
    clip: bytes = row["audio"]["bytes"]
    key = hashlib.sha256(clip).digest()
    if key not in known:
        known[key] = samples_digest(*audio.decode_mono_int16(clip))
    return row_digest(split, str(row["id"]), row["label"], picture, known[key])
