"""The output directory: locking, checking its content, and moving the finished parts into place.

Everything is written under `DIR/.build/` and renamed at the end, `manifest.json` last: a directory with a manifest is
complete. A killed build leaves `.build/plan.json` and its finished shards, which the same command resumes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from xmbench.errors import DatasetError, DocumentError, OutputError
from xmbench.formats.dataset import Manifest
from xmbench.formats.document import load_json
from xmbench.formats.extremes import json_of
from xmbench.formats.layout import (
    CARD_FILE,
    DATA_FOLDER,
    DECODED_FOLDER,
    LEDGER_FILE,
    MANIFEST_FILE,
    SHARD_NAME,
    WORK_FOLDER,
)
from xmbench.formats.tables import open_pages
from xmbench.storage.files import make_folder, read_bytes, write_text, writing
from xmbench.storage.locks import locked

_PLAN_FILE = "plan.json"
_REPLACING_FILE = "replacing.json"
_LOCK_FILE = "lock"
_CHECKED_ROWS = 64
_CLIPS_FOLDER = "clips"
_START_OVER = "the same command with --rebuild builds the data set again in this directory"


class Workspace:
    """One output directory, locked by this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / WORK_FOLDER
        self.data = self.work / DATA_FOLDER
        self.reports = self.work / "reports"
        self.clips = self.work / _CLIPS_FOLDER

    def claim(self, identity: Mapping[str, str], shards: Collection[str]) -> None:
        """Resumes a build that was interrupted, or starts one.

        Args:
            identity: of the plan.
            shards: names of the files that it writes; other files among the data are removed.

        Raises:
            DatasetError: the directory holds another unfinished build.
        """
        refuse_started_by_other(self.folder, identity)
        begun, finished = self.folder / DATA_FOLDER, (self.folder / MANIFEST_FILE).exists()
        with writing(self.folder):
            if not finished and begun.exists() and not self.data.exists():
                begun.rename(self.data)  # killed between the rename of the data and the manifest
        make_folder(self.data)
        make_folder(self.reports)
        with writing(self.folder):
            for path in self.data.iterdir():
                if path.name not in shards:
                    path.unlink()  # a temporary file of a killed worker
        write_text(self.work / _PLAN_FILE, json.dumps(dict(identity), indent=1, sort_keys=True))

    def publish_data(self) -> None:
        """Moves the data of a first build into place."""
        with writing(self.folder):
            self.data.rename(self.folder / DATA_FOLDER)

    def publish_shards(self, names: Collection[str]) -> None:
        """Moves single shards of a repaired build into place."""
        with writing(self.folder):
            (self.folder / DATA_FOLDER).mkdir(exist_ok=True)
            for name in names:
                (self.data / name).replace(self.folder / DATA_FOLDER / name)

    def replace(self, names: Collection[str]) -> None:
        """Replaces the content of a finished data set: completely, even if interrupted.

        Shards and documents are ready in the work directory. Once their list is written, the next process that opens
        the directory finishes the move.
        """
        write_text(self.work / _REPLACING_FILE, json.dumps(sorted(names)))
        self.finish_replacing()

    def finish_replacing(self) -> None:
        """Finishes an interrupted `replace`, if there is one."""
        if (self.work / _REPLACING_FILE).is_file():
            names = _to_replace(self.work / _REPLACING_FILE)
            self.publish_shards([name for name in names if (self.data / name).exists()])
            self.publish_documents()

    def publish_documents(self) -> None:
        """Moves card, ledger and, last, the manifest into place, then removes the work directory."""
        with writing(self.folder):
            for name in (CARD_FILE, LEDGER_FILE, MANIFEST_FILE):
                if (self.work / name).exists():
                    (self.work / name).replace(self.folder / name)
        self.clean()

    def clean(self) -> None:
        """Removes the work directory, the list of a replacement first."""
        (self.work / _REPLACING_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)


def _to_replace(path: Path) -> list[str]:
    """Names of the shards that an interrupted `replace` has to move.

    Raises:
        OutputError: the list was cut or edited.
    """
    try:
        names = json_of(read_bytes(path))
    except (ValueError, RecursionError):
        names = None
    if not (isinstance(names, list) and all(isinstance(name, str) and SHARD_NAME.match(name) for name in names)):
        raise OutputError(
            "not a list of shards: it was cut or edited since an interrupted `retry`",
            where=path,
            todo="remove this file and run `xmbench build` of this data set again: it checks every shard",
        )
    return names


def _refuse_links(space: Workspace) -> None:
    """Refuses directories that are links: a build would write and remove files elsewhere.

    Raises:
        OutputError: one of the directories of a build is a link.
    """
    linked = [path for path in (space.folder / DATA_FOLDER, space.work, space.data, space.reports) if path.is_symlink()]
    if linked:
        raise OutputError(
            f"{linked[0].relative_to(space.folder)} is a link: xmbench does not write or remove files elsewhere",
            where=space.folder,
            expected="real directories (only the data set directory itself may be a link)",
            todo="remove the link, or choose another directory with --out",
        )


@contextmanager
def opened(folder: Path) -> Iterator[Workspace]:
    """Locks an output directory; removes empty directories of a build that did not start.

    Raises:
        OutputError: it cannot be written, or another process is working in it.
    """
    existed = folder.is_dir()
    make_folder(folder)
    space = Workspace(folder)
    _refuse_links(space)
    make_folder(space.work)
    with locked(space.work / _LOCK_FILE):
        try:
            yield space
        finally:
            if space.work.is_dir() and {path.name for path in space.work.iterdir()} <= {_LOCK_FILE, _CLIPS_FOLDER}:
                space.clean()
            if not existed and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def manifest_of(folder: Path) -> Manifest | None:
    """The manifest of a finished build, None where there is no build.

    Raises:
        OutputError: the directory holds files with names of a build that were not built by xmbench.
    """
    try:
        return load_json(folder / MANIFEST_FILE, Manifest) if (folder / MANIFEST_FILE).exists() else None
    except DocumentError as error:
        raise OutputError(
            f"the directory holds a {MANIFEST_FILE} that is not a dataset manifest",
            where=folder,
            problems=error.problems or (error.what,),
            todo=_START_OVER if _is_orphan(folder) else "choose another directory with --out",
        ) from error


def refuse_foreign(folder: Path) -> None:
    """Refuses a directory whose files a build would overwrite.

    Raises:
        OutputError: it holds files with names of a build that were not built by xmbench.
    """
    if _started(folder) is not None or (folder / MANIFEST_FILE).exists():
        return
    if _is_orphan(folder):
        raise OutputError(f"the data set in this directory lacks its {MANIFEST_FILE}", where=folder, todo=_START_OVER)
    there = [name for name in (CARD_FILE, LEDGER_FILE, DATA_FOLDER) if (folder / name).exists()]
    if there:
        raise OutputError(
            "the directory holds files that were not built by xmbench",
            where=folder,
            problems=there,
            expected="a new or empty directory, or one of an earlier build",
            todo="choose another directory with --out",
        )


def refuse_other(folder: Path, there: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuses to mix two builds; compares the keys that both have.

    Raises:
        DatasetError: something differs; each difference is listed.
    """
    problems = [
        f"{key}: {there[key]} there, {wanted[key]} now"
        for key in sorted(there.keys() & wanted.keys())
        if there[key] != wanted[key]
    ]
    if problems:
        raise DatasetError(
            "the directory belongs to another build",
            where=folder,
            problems=problems,
            todo="choose another directory with --out, or start over in this one with --rebuild",
        )


def refuse_started_by_other(folder: Path, wanted: Mapping[str, str]) -> None:
    """As `refuse_other`, for an interrupted build, if there is one."""
    started = _started(folder)
    if started is not None:
        refuse_other(folder, started, wanted)


def remove_build(space: Workspace) -> None:
    """Removes the files of a build, and nothing else.

    Raises:
        OutputError: the directory holds files with names of a build that were not built by xmbench.
    """
    if not _is_orphan(space.folder):
        refuse_foreign(space.folder)
        manifest_of(space.folder)
    data = space.folder / DATA_FOLDER
    others = [path.name for path in data.iterdir() if not SHARD_NAME.match(path.name)] if data.is_dir() else []
    if others:
        raise OutputError(
            "the data directory holds files that were not built by xmbench",
            where=data,
            problems=sorted(others),
            todo="move them away, or choose another directory with --out",
        )
    # Marks the rest as ours in case of an interruption; removed last.
    write_text(space.work / _PLAN_FILE, json.dumps({"removing": "yes"}))
    with writing(space.folder):
        for name in (MANIFEST_FILE, CARD_FILE, LEDGER_FILE):
            (space.folder / name).unlink(missing_ok=True)
        for path in (data, space.data, space.reports, space.clips, space.folder / DECODED_FOLDER):
            if path.is_dir():
                shutil.rmtree(path)
        for path in space.work.iterdir():
            if path.name not in (_LOCK_FILE, _PLAN_FILE):
                path.unlink()
        (space.work / _PLAN_FILE).unlink()


def _is_orphan(folder: Path) -> bool:
    """Whether a build wrote the files here, although its manifest is missing or damaged: its card says so, and every
    file has a name of a build.
    """
    try:
        card = (folder / CARD_FILE).read_text(encoding="utf-8", errors="replace")
        names = [path.name for path in (folder / DATA_FOLDER).iterdir()]
    except OSError:
        return False
    header = card.split("\n---", 1)[0]
    return header.startswith("---") and "\n- xmbench" in header and all(SHARD_NAME.match(name) for name in names)


def damaged_shards(folder: Path, manifest: Manifest) -> list[str]:
    """Names of shards that are missing, of another size than the manifest says, or that cannot be decompressed."""
    damaged = []
    for shard in manifest.shards:
        path = folder / shard.path
        if not path.is_file() or path.stat().st_size != shard.bytes or not readable(path):
            damaged.append(path.name)
    return damaged


def readable(path: Path) -> bool:
    """Whether every page of a parquet file can be read."""
    try:
        with open_pages(path) as file:
            for _ in file.iter_batches(batch_size=_CHECKED_ROWS, use_threads=False):
                pass
    except (OSError, pa.ArrowException, ValueError):
        return False
    return True


def _started(folder: Path) -> dict[str, str] | None:
    """The identity of an interrupted build in this directory."""
    try:
        found = json_of(read_bytes(folder / WORK_FOLDER / _PLAN_FILE))
    except (DocumentError, OSError, ValueError, RecursionError):
        return None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else None
