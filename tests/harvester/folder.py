"""Files of a directory as the upstream of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from xmbench.interfaces import Rejected


@dataclass(frozen=True)
class Folder:
    """Every file of `candidates/` below a directory."""

    root: Path

    def names(self) -> tuple[str, ...]:
        files = sorted((self.root / "candidates").iterdir())
        return tuple(f"candidates/{file.name}" for file in files)

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        return self.path(name).open("rb")

    def path(self, name: str) -> Path:
        return self.root / name

    def item(self, url: str) -> Path | Rejected:
        raise AssertionError(f"an item was asked for: {url}")
