"""Candidates as columns: two million of them fit into a few hundred megabytes, sorted by id, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from xmbench.printable import hyphenated

_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a file are.

    Attributes:
        file: path below the user's directory, an absolute path, an http(s) address; "" for a file that is missing.
        at: where it begins in an archive; -1 for the whole file.
        size: bytes in the archive.
    """

    file: str
    at: int = -1
    size: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A frame and a few seconds of sound, not read yet.

    Attributes:
        id: unique, matches `^[a-z0-9-]+$`.
        group: the video; what must not cross splits.
        source: the name that the list or the directory gives it.
        image, sound: where they are; the same place for a video.
        start_s: of the sound in its file; of a video it is decided by its length.
        part, parts: of a video: which of so many parts, counted in its middle.
    """

    id: str
    group: str
    source: str
    image: Place
    sound: Place
    start_s: float = 0.0
    part: int = 0
    parts: int = 1

    @property
    def is_video(self) -> bool:
        """Whether frame and sound come from one file."""
        return self.image == self.sound


_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "group": pa.string(),
        "source": pa.string(),
        "image_file": pa.string(),
        "image_at": pa.int64(),
        "image_size": pa.int64(),
        "sound_file": pa.string(),
        "sound_at": pa.int64(),
        "sound_size": pa.int64(),
        "start_s": pa.float64(),
        "part": pa.int32(),
        "parts": pa.int32(),
    }
)
_DIGESTED = ("id", "group", "source", "image_size", "sound_size", "start_s", "part", "parts")


@dataclass(frozen=True)
class Candidates:
    """All candidates of a harvest.

    Attributes:
        table: sorted by id.
        duplicates: how many named a candidate again; they are left out.
        notes: what was wrong with lists and archives as a whole.
    """

    table: pa.Table
    duplicates: int = 0
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def part(self, start: int, length: int) -> tuple[Candidate, ...]:
        """Some of them, in order."""
        return tuple(map(_of, self.table.slice(start, length).to_pylist()))

    def digest(self) -> str:
        """sha256 of what the candidates are; not of where the user keeps them."""
        total = hashlib.sha256()
        for name in _DIGESTED:
            for start in range(0, len(self), _CHUNK):
                total.update(_content(self.table.column(name).slice(start, _CHUNK)))
        return total.hexdigest()


def _content(values: pa.ChunkedArray) -> bytes:
    """Values as bytes, whatever the chunks: of text its lengths and its characters."""
    if not pa.types.is_string(values.type):
        return bytes(values.to_numpy().tobytes())
    lengths = pc.binary_length(values).to_numpy().astype("<i4")
    return bytes(lengths.tobytes()) + "".join(values.to_pylist()).encode()


def collected(found: Iterable[Candidate], notes: Iterable[str] = ()) -> Candidates:
    """Sorts candidates; those of one source count once, different ones of one id get ids of their own."""
    batches = []
    rows = iter(found)
    while chunk := list(islice(rows, _CHUNK)):
        batches.append(_batch(chunk))
    told = tuple(notes)  # after the candidates: notes may be made while they are found
    if not batches:
        return Candidates(_SCHEMA.empty_table(), 0, told)
    table = pa.Table.from_batches(batches, _SCHEMA)
    before = table.num_rows
    table = _sorted(table)
    same = _as_before(table, ("id", "source", "part"))
    table = table.filter(pc.invert(same))
    clash = _clashes(table)
    if pc.any(clash).as_py():
        ids = pc.if_else(clash, pa.array(_apart(table, clash)), table.column("id"))
        table = _sorted(table.set_column(0, "id", ids))
    return Candidates(table.combine_chunks(), before - table.num_rows, told)


def made_id(*names: str) -> str:
    """An id out of names of files."""
    return hyphenated("-".join(names)) or "x"


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pc.sort_indices(table, [("id", "ascending"), ("source", "ascending"), ("part", "ascending")]))


def _as_before(table: pa.Table, columns: Iterable[str]) -> pa.Array:
    """Whether each row has the values of the row before it."""
    found = pa.array([True] * max(0, table.num_rows - 1), pa.bool_())
    for name in columns:
        values = table.column(name).combine_chunks()
        found = pc.and_(found, pc.equal(values[1:], values[:-1]))
    return pa.concat_arrays([pa.array([False] * min(1, table.num_rows), pa.bool_()), found])


def _clashes(table: pa.Table) -> pa.Array:
    """Whether a row shares its id with a neighbour."""
    first = _as_before(table, ("id",))
    return pc.or_(first, pa.concat_arrays([first[1:], pa.array([False])]))


def _apart(table: pa.Table, clash: pa.Array) -> list[str | None]:
    """For rows that share an id: the id with the beginning of a digest of their source."""
    rows = zip(clash.to_pylist(), table.column("id").to_pylist(), table.column("source").to_pylist(), strict=True)
    return [
        f"{name}-{hashlib.sha256(source.encode(errors='surrogateescape')).hexdigest()[:8]}" if shared else None
        for shared, name, source in rows
    ]


def _batch(rows: list[Candidate]) -> pa.RecordBatch:
    flat = [(c.id, c.group, c.source, *_flat(c.image), *_flat(c.sound), c.start_s, c.part, c.parts) for c in rows]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, kind.type) for values, kind in zip(zip(*flat, strict=True), _SCHEMA, strict=True)],
        schema=_SCHEMA,
    )


def _flat(place: Place) -> tuple[str, int, int]:
    return place.file, place.at, place.size


def _of(row: dict[str, object]) -> Candidate:
    values = iter(row.values())
    first = [next(values) for _ in range(3)]
    places = [Place(*(next(values) for _ in range(3))) for _ in range(2)]  # type: ignore[arg-type]
    return Candidate(*first, *places, *values)  # type: ignore[arg-type]
