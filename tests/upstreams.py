"""Upstream files of a source in memory, for tests that read a source without a build."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from xmbench.interfaces import Link, Rejected


class Memory:
    """The files that a test gives, by name. To ask for another file, or for a place on disk, fails the test."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self.files = dict(files or {})

    def names(self) -> tuple[str, ...]:
        return tuple(self.files)

    def read(self, name: str) -> bytes:
        if name not in self.files:
            raise AssertionError(f"not among the files of this test: {name}")
        return self.files[name]

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self.read(name))

    def path(self, name: str) -> Path:
        raise AssertionError(f"a path of {name} was asked for")

    def item(self, url: str) -> Path | Rejected:
        raise AssertionError(f"an item was asked for: {url}")

    def recordings(self, links: Sequence[Link]) -> list[Path | Rejected]:
        raise AssertionError(f"recordings were asked for: {links}")
