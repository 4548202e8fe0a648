"""A data set directory -> a pack. An interrupted packing is resumed; the index is written last."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from xmbench.errors import DocumentError, MediaError, OutputError
from xmbench.execution.progress import Progress, silent
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.layout import CARD_FILE, LEDGER_FILE, MANIFEST_FILE
from xmbench.packing.clips import PackedClips
from xmbench.packing.parts import INDEX_FILE, SMALLEST_PART, PackIndex, part_problem, write_parts
from xmbench.packing.rows import pack_shard, rows_file
from xmbench.packing.strips import require_webp
from xmbench.storage.files import make_folder, write_bytes, write_text, writing
from xmbench.storage.locks import locked

WORK_FOLDER = ".packing"
DOCUMENTS = (MANIFEST_FILE, CARD_FILE, LEDGER_FILE)
_KEY_FILE = "of.json"
_VERSION = "1"  # of the files in the work directory


def pack(dataset: Dataset, out: Path, part_bytes: int, progress: Progress = silent) -> PackIndex:
    """Packs a data set: documents, rows, images and clips; judges and what is derived from it stay behind.

    Args:
        dataset: what to pack; every row is checked against the manifest.
        out: directory of the pack; new or empty, or with a packing of the same data set.
        part_bytes: largest size of a part.
        progress: called with lines of progress.

    Raises:
        PrerequisiteError: Pillow without WebP.
        DocumentError: parts that are too small.
        DatasetError: the data set is damaged.
        OutputError: `out` has other files, or cannot be written.
    """
    if part_bytes < SMALLEST_PART:
        raise DocumentError(f"parts of {part_bytes:,} bytes", where="--parts", expected=f"at least {SMALLEST_PART:,}")
    require_webp()
    if (done := _complete(dataset, out, part_bytes)) is not None:
        progress(f"{out}: already packed")
        return done
    work = make_folder(out) / WORK_FOLDER
    with locked(work / ".lock"):
        _start(dataset, work)
        for stale in (*out.glob("part-*.pack"), *out.glob(".part-*.tmp"), out / INDEX_FILE):
            stale.unlink(missing_ok=True)
        members = _members(dataset, work, progress)
        with writing(out):
            parts = write_parts(members, out, part_bytes)
        index = PackIndex(
            recipe=dataset.recipe.name,
            dataset_digest=dataset.digest,
            xmbench_version=version("xmbench"),
            part_bytes=part_bytes,
            parts=tuple(parts),
        )
        write_text(out / INDEX_FILE, index.to_json())
        shutil.rmtree(work)
    return index


def _complete(dataset: Dataset, out: Path, part_bytes: int) -> PackIndex | None:
    """The index of a finished packing of this data set with these parts; None where there is work to do.

    Raises:
        OutputError: the directory has other files, or the pack of another data set.
    """
    if not out.exists():
        return None
    make_folder(out)
    names = {path.name for path in out.iterdir()}
    others = {name for name in names if not (name == INDEX_FILE or name.startswith(("part-", ".")))}
    if others:
        raise OutputError(
            "the directory has other files than those of a pack",
            where=out,
            problems=sorted(others)[:5],
            todo="choose another directory with --out",
        )
    if INDEX_FILE not in names:
        return None
    index = load_json(out / INDEX_FILE, PackIndex)
    if index.dataset_digest != dataset.digest:
        raise OutputError(
            f"the directory has the pack of another data set ({index.recipe}, {index.dataset_digest[:12]})",
            where=out,
            todo="choose another directory with --out",
        )
    damaged = any(part_problem(out / part.name, part) for part in index.parts)
    return None if damaged or index.part_bytes != part_bytes else index


def _start(dataset: Dataset, work: Path) -> None:
    """Keeps what an interrupted packing of the same data set has written, and nothing else."""
    key = json.dumps([_VERSION, dataset.digest, [[s.path, s.bytes] for s in dataset.manifest.shards]])
    path = work / _KEY_FILE
    if not path.is_file() or path.read_text() != key:
        for stale in work.iterdir():
            if stale.name != ".lock":
                stale.unlink()
        write_text(path, key)


def _members(dataset: Dataset, work: Path, progress: Progress) -> list[Path]:
    """Writes what is missing of the files of a pack; returns them in the order of the pack."""
    for name in DOCUMENTS:
        write_bytes(work / name, (dataset.folder / name).read_bytes())
    clips, shards = PackedClips(work), dataset.manifest.shards
    for number, shard in enumerate(shards):
        if not (work / rows_file(number)).is_file():
            try:
                pack_shard(dataset, number, work, clips)
            except MediaError as error:
                raise DocumentError(
                    f"an item cannot be decoded: {error.what}",
                    where=dataset.folder / shard.path,
                    todo="run `xmbench validate`",
                ) from error
        progress(f"  {shard.path}: {number + 1} of {len(shards)} shards")
    found = [work / name for name in DOCUMENTS]
    for pattern in ("clips-*", "rows-*", "strip-*"):
        found += sorted(work.glob(pattern))
    return found
