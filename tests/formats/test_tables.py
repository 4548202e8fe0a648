"""Parquet files that claim too little or too much: what the reader would allocate is known before it reads."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmbench.errors import DocumentError
from xmbench.formats.tables import Bound, open_table, read_schema

ALL = Bound(10**9)


def written(path: Path, table: pa.Table, **options: object) -> Path:
    pq.write_table(table, path, **options)
    return path


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    values=st.lists(st.one_of(st.none(), st.binary(max_size=200)), max_size=50),
    options=st.fixed_dictionaries(
        {
            "use_dictionary": st.booleans(),
            "compression": st.sampled_from(["none", "snappy", "zstd", "gzip"]),
            "data_page_version": st.sampled_from(["1.0", "2.0"]),
            "data_page_size": st.sampled_from([1, 100, 10**6]),
            "row_group_size": st.integers(1, 60),
            "write_statistics": st.booleans(),
            "write_page_index": st.booleans(),
            "write_page_checksum": st.booleans(),
        }
    ),
)
def test_whatever_a_writer_chooses_is_read(tmp_path: Path, values: list[bytes | None], options: dict[str, Any]) -> None:
    table = pa.table({"a": pa.array(values, pa.binary()), "n": pa.array(range(len(values)), pa.int64())})
    path = written(tmp_path / "t.parquet", table, **options)
    opened = open_table(path, {"a": ALL, "n": ALL}, len(values))
    assert opened.read(10**9).equals(table)
    assert opened.largest_page >= max((len(value) for value in values if value), default=0)


def test_a_page_is_known_by_its_header(tmp_path: Path) -> None:
    """Ten thousand bytes that unpack to ten million."""
    path = written(tmp_path / "t.parquet", pa.table({"a": [bytes(10**7)]}), compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 10_000
    assert open_table(path, {"a": ALL}, 1).largest_page > 10**7
    for bound in (Bound(10**6), Bound(10**9, 10**6)):
        with pytest.raises(DocumentError, match="column a comes to more than 1,000,000 bytes"):
            open_table(path, {"a": bound}, 1)


def test_the_variable_allows_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "t.parquet", pa.table({"a": [bytes(10**7)]}))
    monkeypatch.setenv("XMBENCH_MAX_BYTES", "100000000")
    assert open_table(path, {"a": Bound(10**6)}, 1).read(10**6).num_rows == 1


def test_a_dictionary_is_not_laid_out_beyond_its_bound(tmp_path: Path) -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 100_000]))
    path = written(tmp_path / "t.parquet", pa.table({"a": values}), store_schema=False)
    with pytest.raises(DocumentError, match="come to more than 5,000,000 bytes"):
        open_table(path, {"a": ALL}, 1000).read(5_000_000)


def test_texts_that_are_not_utf8_are_no_texts(tmp_path: Path) -> None:
    column = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<2i", 0, 2)), pa.py_buffer(b"\xff\xfe")]
    )
    path = written(tmp_path / "t.parquet", pa.table({"a": column}))
    with pytest.raises(DocumentError, match="UTF8"):
        open_table(path, {"a": ALL}, 1).read(1000)


def test_rows_and_columns_are_counted_first(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", pa.table({"a": pa.nulls(1000, pa.string())}))
    with pytest.raises(DocumentError, match="the table has 1,000 rows"):
        open_table(path, {"a": ALL}, 999)
    with pytest.raises(DocumentError, match="without the column"):
        open_table(path, {"b": ALL}, 1000)


@pytest.mark.parametrize("seed", range(6))
def test_any_byte_may_be_wrong(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pa.table({"a": [rng.bytes(50) for _ in range(30)], "b": [str(i) for i in range(30)]})
    data = written(tmp_path / "t.parquet", table).read_bytes()
    for at in rng.integers(0, len(data), 60):
        (tmp_path / "t.parquet").write_bytes(data[:at] + rng.bytes(2) + data[at + 2 :])
        with suppress(DocumentError):
            read_schema(tmp_path / "t.parquet")
            open_table(tmp_path / "t.parquet", {"a": ALL, "b": ALL}, 30).read(10**6)
