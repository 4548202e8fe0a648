"""A pack -> the data set directory that it was made of. The manifest is written last."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.builder.shard_writer import open_writer
from xmbench.errors import DatasetError, OutputError
from xmbench.execution.progress import Progress, silent
from xmbench.formats.dataset import Dataset, Manifest, ShardRecord, dataset_digest, open_dataset
from xmbench.formats.document import load_json
from xmbench.formats.layout import CARD_FILE, DATA_FOLDER, LEDGER_FILE, MANIFEST_FILE, SHARD_NAME
from xmbench.packing.clips import UnpackedClips
from xmbench.packing.parts import extract, find_parts
from xmbench.packing.rows import UnpackedShard, open_packed, require_content, unpack_groups
from xmbench.packing.strips import require_webp
from xmbench.storage.files import make_folder, replacing, write_text, writing
from xmbench.storage.locks import locked

WORK_FOLDER = ".unpacking"
_LOCK_FILE = ".unpacking.lock"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was unpacked, and how many images have other PNG bytes (and the same pixels) than where they were packed."""

    dataset: Dataset
    changed: int


def unpack(sources: Sequence[Path], out: Path, progress: Progress = silent) -> Unpacked:
    """Restores a data set from all parts of its pack.

    Args:
        sources: the directory of the pack, or its files.
        out: directory of the data set; new or empty, or one where this was interrupted.
        progress: called with lines of progress.

    Raises:
        PrerequisiteError: Pillow without WebP.
        DatasetError: parts that are missing or damaged, all of them named; or rows that are not the packed ones.
        OutputError: `out` has other files, or cannot be written.
    """
    require_webp()
    index, parts = find_parts(sources)
    if (out / MANIFEST_FILE).is_file() and (there := open_dataset(out)).digest == index.dataset_digest:
        progress(f"{out}: already unpacked")
        return Unpacked(there, 0)
    own = (WORK_FOLDER, _LOCK_FILE)
    others = [path.name for path in out.iterdir() if path.name not in own] if out.is_dir() else []
    if others and (MANIFEST_FILE in others or not (out / WORK_FOLDER).is_dir()):
        raise OutputError("the directory has other files", where=out, todo="choose another directory")
    work = make_folder(out) / WORK_FOLDER
    with locked(out / _LOCK_FILE):
        shutil.rmtree(work, ignore_errors=True)
        make_folder(work)
        with writing(out):
            extract(parts, work)
        manifest = _manifest(work, index.dataset_digest)
        make_folder(out / DATA_FOLDER)
        clips, changed = UnpackedClips(work), 0
        records, rows = [], list[tuple[str, str, str]]()
        for number, shard in enumerate(manifest.shards):
            record, opened = _shard(manifest, number, work, out, clips)
            records.append(record)
            rows += opened.digests.rows
            changed += opened.changed
            progress(f"  {shard.path}: {number + 1} of {len(manifest.shards)} shards")
        if dataset_digest(rows) != index.dataset_digest:
            raise _another(work)
        _remove_others(out, manifest)
        for name in (CARD_FILE, LEDGER_FILE):
            (work / name).replace(out / name)
        if tuple(records) == manifest.shards:  # the usual case: every file is the packed one, byte for byte
            (work / MANIFEST_FILE).replace(out / MANIFEST_FILE)
        else:
            write_text(out / MANIFEST_FILE, manifest.model_copy(update={"shards": tuple(records)}).to_json())
        shutil.rmtree(work)
    (out / _LOCK_FILE).unlink(missing_ok=True)
    return Unpacked(open_dataset(out), changed)


def _manifest(work: Path, digest: str) -> Manifest:
    manifest = load_json(work / MANIFEST_FILE, Manifest)
    wrong = [
        shard.path for shard in manifest.shards if not SHARD_NAME.match(shard.path.removeprefix(f"{DATA_FOLDER}/"))
    ]
    missing = [name for name in (CARD_FILE, LEDGER_FILE) if not (work / name).is_file()]
    if manifest.dataset_digest != digest or wrong or missing:
        raise _another(work, (*wrong, *missing))
    return manifest


def _another(work: Path, problems: Sequence[str] = ()) -> DatasetError:
    return DatasetError(
        "the pack does not hold the data set that its index names",
        where=work / MANIFEST_FILE,
        problems=problems,
        todo="pack the data set again",
    )


def _remove_others(out: Path, manifest: Manifest) -> None:
    """Removes the shards that an interrupted unpacking of another data set has left."""
    own = {Path(shard.path).name for shard in manifest.shards}
    for path in (out / DATA_FOLDER).iterdir():
        if SHARD_NAME.match(path.name) and path.name not in own:
            path.unlink()


def _shard(
    manifest: Manifest, number: int, work: Path, out: Path, clips: UnpackedClips
) -> tuple[ShardRecord, UnpackedShard]:
    """Writes a shard, and checks its content; returns its record, and what was read."""
    shard, recipe = manifest.shards[number], manifest.recipe
    opened = open_packed(work, number, shard.split)
    path = out / shard.path
    takes = 0 if recipe.pairing.joint else opened.takes
    with replacing(path) as temporary, open_writer(temporary, opened.columns, recipe, takes) as writer:
        for rows in unpack_groups(opened, work, number, recipe, clips):
            writer.write_table(rows, row_group_size=len(rows))
        require_content(opened.digests, shard, path, "pack the data set again: its files were changed")
    return shard.model_copy(update={"bytes": path.stat().st_size}), opened
