"""Files of a large tar archive by their place in it: found in one pass over its headers, and read by any process.

A compressed archive has no places; it is decompressed once, next to the harvest.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

from xmbench.errors import UpstreamError
from xmbench.execution.progress import Progress
from xmbench.harvester.candidates import Place
from xmbench.storage.files import make_folder, replacing, writing

_CHUNK = 1 << 22
_TOLD_EVERY = 1 << 30
_END_BYTES = 512  # at least one empty block ends an archive


class Tree:
    """The files below a directory or in an archive of it: `frames/`, `frames_public.tar` or `frames_public.tar.gz`.

    Args:
        root: the user's directory.
        name: of the directory.
        work: where a compressed archive is decompressed.
        progress: called with lines of progress.

    Attributes:
        notes: what is wrong with the archive as a whole.

    Raises:
        UpstreamError: neither is there.
    """

    def __init__(self, root: Path, name: str, work: Path, progress: Progress) -> None:
        self.notes: list[str] = []
        self._root, self._name = root, name
        self._places: Mapping[str, tuple[int, int]] = {}
        self._archive: Path | None = None
        if (root / name).is_dir():
            return
        plain, packed = root / f"{name}_public.tar", root / f"{name}_public.tar.gz"
        if plain.is_file():
            self._archive = plain.absolute()
        elif packed.is_file():
            self._archive = self._unpacked(packed, work, progress)
        else:
            raise UpstreamError(
                f"no {name} of SoundNet",
                where=root,
                expected=f"a directory {name}/, {plain.name} or {packed.name}, beside lists/",
                todo="fetch the archives of SoundNet's page, or choose another directory with --source",
            )

    @property
    def is_archive(self) -> bool:
        """Whether files have to be looked up before their places are known."""
        return self._archive is not None

    def find(self, wanted: Collection[str]) -> None:
        """Looks up files in the archive, if it is one."""
        if self._archive is not None:
            self._places = self._indexed(self._archive, wanted)

    def place(self, name: str) -> Place:
        """Where a file is; a directory's are not looked at before they are read."""
        if self._archive is None:
            return Place(f"{self._name}/{name}")
        found = self._places.get(name)
        return Place(str(self._archive), *found) if found else Place("")

    def _indexed(self, archive: Path, wanted: Collection[str]) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        passed = ends = 0
        try:
            with tarfile.open(archive, "r:") as tape:
                for member in tape:
                    tape.members = []  # type: ignore[attr-defined]  # otherwise it keeps every one
                    passed, ends = passed + 1, member.offset_data + member.size
                    name = member.name.removeprefix("./").removeprefix(f"{self._name}/")
                    if member.isreg() and name in wanted:
                        found[name] = member.offset_data, member.size
        except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
            self.notes.append(f"{archive.name}: cut off or damaged after {passed:,} files ({str(error)[:100]})")
        size = archive.stat().st_size
        if not self.notes and size < ends + _END_BYTES:
            self.notes.append(f"{archive.name}: cut off after {passed:,} files")
        return {name: (at, length) for name, (at, length) in found.items() if at + length <= size}

    def _unpacked(self, packed: Path, work: Path, progress: Progress) -> Path:
        target = make_folder(work / "unpacked") / packed.name.removesuffix(".gz")
        if target.is_file():
            return target.absolute()
        progress(f"{packed.name}: decompressing, as files cannot be found in a compressed archive")
        done = told = 0
        with replacing(target) as temporary, temporary.open("wb") as out, gzip.open(packed, "rb") as source:
            try:
                while chunk := source.read(_CHUNK):
                    with writing(work):
                        out.write(chunk)
                    done += len(chunk)
                    if done - told > _TOLD_EVERY:
                        told = done
                        progress(f"{packed.name}: {done / 1e9:.1f} GB")
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                if not done:
                    raise UpstreamError("not a gzip file", where=packed, todo="fetch it again") from error
        return target.absolute()
