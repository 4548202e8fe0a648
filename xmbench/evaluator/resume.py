"""What a scoring run has measured, saved as it goes: a killed run resumes from it.

::

    <result stem>.partial/<sha256 of the content>.arrow     key, metric, status, detail, state

A part is written under a temporary name and renamed when complete; its name is the digest of its content, so a damaged
one is recognised and measured again. A value is reused only if everything that it depends on is the same: the pair, the
metric's version, the judge, the protocol, the data set, the versions of xmbench (with uncommitted changes) and its
packages, the processor. The directory is removed when the result is written.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from xmbench import registry
from xmbench.errors import DocumentError
from xmbench.evaluator.environment import numeric_environment
from xmbench.evaluator.measure import States
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import ItemState, judges_of
from xmbench.storage.files import make_folder, read_bytes, write_bytes

INTERVAL_S = 2.0  # at most this much work is lost
_MOST_PENDING = 4096
_LARGEST_PART = 1 << 28  # bytes: thousands of states of some kilobytes
_STAMP = b"xmbench"
_SCHEMA = pa.schema(
    [
        ("key", pa.binary()),
        ("metric", pa.string()),
        ("status", pa.string()),
        ("detail", pa.string()),
        ("state", pa.list_(pa.float64())),
    ]
)


@dataclass(slots=True)
class Measurements:
    """States of the distinct pairs of one run.

    Attributes:
        folder: where parts are kept; None to keep none.
        stamp: what every number depends on, apart from its pair and its metric.
        tags: metric -> name, version and judge in one text.
        states: pair -> metric -> state, of the pairs that this run has reached.
        resumed: how many of them an earlier run had measured.
        measured: how many of them are measured, by this run or an earlier one.
    """

    folder: Path | None = None
    stamp: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    states: dict[bytes, States] = field(default_factory=dict)
    resumed: int = 0
    measured: int = 0
    _earlier: dict[bytes, States] = field(default_factory=dict)
    _pending: list[tuple[bytes, str, ItemState]] = field(default_factory=list)
    _flushed: float = field(default_factory=time.monotonic)

    def resume(self, key: bytes) -> None:
        """Starts a distinct pair with what an earlier run has measured of it."""
        own = self._earlier.pop(key, {})
        self.states[key] = own
        self.resumed += bool(own)
        self.measured += bool(own)

    def lacks(self, key: bytes, metrics: Sequence[str]) -> bool:
        """Whether any of the metrics is not measured yet on a pair."""
        return any(name not in self.states[key] for name in metrics)

    def add(self, key: bytes, own: States) -> None:
        """Adds new states of a pair, and writes a part from time to time.

        Raises:
            OutputError: the directory cannot be written.
        """
        self.measured += not self.states[key]
        self.states[key].update(own)
        if self.folder is not None:
            self._pending += [(key, name, state) for name, state in own.items()]
            if len(self._pending) >= _MOST_PENDING or time.monotonic() - self._flushed >= INTERVAL_S:
                self.flush()

    def flush(self) -> None:
        """Writes what has not been written yet.

        Raises:
            OutputError: the directory cannot be written.
        """
        if self.folder is None or not self._pending:
            return
        columns = [
            [key for key, _, _ in self._pending],
            [self.tags[name] for _, name, _ in self._pending],
            [str(state.status) for _, _, state in self._pending],
            [state.detail for _, _, state in self._pending],
            [None if s.state is None else np.asarray(s.state, dtype=np.float64) for _, _, s in self._pending],
        ]
        arrays = [pa.array(values, kind.type) for values, kind in zip(columns, _SCHEMA, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=_SCHEMA.with_metadata({_STAMP: self.stamp.encode()}))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        write_bytes(make_folder(self.folder) / f"{hashlib.sha256(data).hexdigest()}.arrow", data)
        self._pending.clear()
        self._flushed = time.monotonic()

    def _read(self) -> None:
        names = {tag: name for name, tag in self.tags.items()}
        for path in sorted(self.folder.glob("*.arrow")) if self.folder else []:
            for key, name, state in _part(path, self.stamp, names):
                self._earlier.setdefault(key, {})[name] = state


def measurements(
    folder: Path | None, dataset: Dataset, metrics: Sequence[str], judge: str, protocol: str
) -> Measurements:
    """Opens what an earlier run left in a directory.

    Args:
        folder: may be absent; None to keep nothing.
        dataset: what is scored.
        metrics: names.
        judge: sha256 of the judge, or "".
        protocol: of the evaluator.
    """
    if folder is None:
        return Measurements()
    stamp = {
        "protocol": protocol,
        "dataset": dataset.digest,
        "recipe": dataset.manifest.data_digest,
        **numeric_environment(),
    }
    found = Measurements(folder, json.dumps(stamp, sort_keys=True), {name: _tag(name, judge) for name in metrics})
    found._read()
    return found


def remove(folder: Path) -> None:
    """Removes the parts, and the directory if it is empty then."""
    for path in (*folder.glob("*.arrow"), *folder.glob(".*.arrow.*.tmp")):
        if not path.is_dir():
            path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _tag(name: str, judge: str) -> str:
    metric = registry.metric(name)
    return f"{name} {metric.version} {judge if judges_of(metric) else ''}".strip()


def _part(path: Path, stamp: str, names: dict[str, str]) -> list[tuple[bytes, str, ItemState]]:
    """The states of a part; none if it is damaged or was measured in another environment."""
    try:
        data = read_bytes(path, _LARGEST_PART)
        if hashlib.sha256(data).hexdigest() != path.stem:
            return []
        with pa.ipc.open_file(pa.BufferReader(data)) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except (DocumentError, OSError, ValueError, MemoryError, pa.ArrowException):
        return []
    known = (table.schema.metadata or {}).get(_STAMP, b"")
    if known != stamp.encode() or not table.schema.equals(_SCHEMA):
        return []
    rows = zip(*(table.column(name).to_pylist() for name in _SCHEMA.names), strict=True)
    return [
        (key, names[tag], ItemState(status, None if state is None else np.asarray(state, dtype=np.float64), detail))
        for key, tag, status, detail, state in rows
        if tag in names
    ]
