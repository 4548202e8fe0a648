"""Submissions as a hostile or unlucky user hands them in: every output gets a status, every table a message."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_hostile import refused
from tests.cli.test_scoring import xmbench
from tests.making import submit, wav
from xmbench.errors import DocumentError, SubmissionError
from xmbench.evaluator import output_table
from xmbench.evaluator.check import check
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.output_table import MOST_LISTED
from xmbench.formats.dataset import Dataset
from xmbench.media import audio

LENGTH, RATE = 18140, 22050
CLIP = np.random.default_rng(7).uniform(-0.3, 0.3, LENGTH)
Write = Callable[[Path], object]


def riff(declared: int, data: int) -> bytes:
    """A wav file whose two sizes are wrong."""
    file = bytearray(wav(CLIP))
    at = file.index(b"data") + 4
    file[4:8], file[at : at + 4] = struct.pack("<I", declared), struct.pack("<I", data)
    return bytes(file)


def flac(samples: int) -> bytes:
    """A flac file whose header claims so many samples."""
    file = bytearray(audio.encode_flac(audio.to_int16(CLIP), RATE))
    file[21] = (file[21] & 0xF0) | (samples >> 32)
    file[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(file)


def npy(header: str | bytes, data: bytes = bytes(64), version: int = 1) -> bytes:
    text = header.encode() if isinstance(header, str) else header
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def field(descr: str = "'<f4'", order: str = "False", shape: str = "(16,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_a_pipe(path: Path) -> None:
    pipe(path.parent / "p")
    path.symlink_to("p")


def listening(path: Path) -> None:
    """A socket; the name of one may have 107 characters, so that it is made where the path is short."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    path.write_bytes(wav(CLIP))
    os.truncate(path, 10**10)


def content(data: bytes, suffix: str = ".wav") -> Write:
    return lambda path: path.with_suffix(suffix).write_bytes(data)


FILES: dict[str, tuple[Write, str, str]] = {
    "pipe": (pipe, "unreadable", "a pipe, not a file"),
    "link to a pipe": (link_to_a_pipe, "unreadable", "a pipe, not a file"),
    "link to a device": (lambda p: p.symlink_to("/dev/zero"), "unreadable", "a link out of the submission"),
    "link out": (lambda p: p.symlink_to("/etc/passwd"), "unreadable", "a link out of the submission"),
    "link up": (lambda p: p.symlink_to("../../../secret.wav"), "unreadable", "a link out of the submission"),
    "link to itself": (lambda p: p.symlink_to(p.name), "unreadable", "cannot be read"),
    "socket": (listening, "unreadable", "a socket, not a file"),
    "directory": (lambda p: p.mkdir(), "unreadable", "a directory, not a file"),
    "sparse": (sparse, "unreadable", "10,000,000,000 bytes"),
    "empty": (content(b""), "unreadable", "empty file"),
    "riff says 0": (content(riff(0, 2 * LENGTH)), "ok", ""),
    "all sizes are the largest": (content(riff(2**32 - 1, 2**32 - 1)), "ok", ""),
    "more data than said": (content(riff(36 + 2 * LENGTH, 2 * LENGTH) + bytes(5000)), "ok", ""),
    "half the data said": (content(riff(36 + LENGTH, LENGTH)), "length", "9070 samples"),
    "31 times too long": (content(wav(np.tile(CLIP, 31))), "too-long", "562340 samples"),
    "99 times too long": (content(wav(np.tile(CLIP, 99))), "unreadable", "the header claims 1,795,860 samples"),
    "31 times too long, silent": (content(wav(np.pad(CLIP, (0, 30 * LENGTH)))), "length", "562340 samples"),
    "no samples": (content(wav(CLIP[:0])), "silent", "zero"),
    "flac of 2^36 samples": (content(flac(2**36 - 1), ".flac"), "unreadable", "68,719,476,735 samples"),
    "flac of unknown length": (content(flac(0), ".flac"), "unreadable", "does not give the number of samples"),
    "a thousand channels": (content(wav(np.zeros((40, 1000)))), "unreadable", "1000 channels"),
    "npy of brackets": (content(npy("(" * 9000), ".npy"), "unreadable", "its header is not"),
    "npy of signs": (content(npy("-" * 9000 + "1"), ".npy"), "unreadable", "its header is not"),
    "npy that calls": (content(npy(field("__import__('os')")), ".npy"), "unreadable", "its header is not"),
    "npy of objects": (content(npy(field("'|O'")), ".npy"), "unreadable", "not a readable array"),
    "npy of records": (content(npy(field("[('a', '<f4')]")), ".npy"), "unreadable", "its header is not"),
    "npy of texts": (content(npy(field("'<U4'", shape="(4,)")), ".npy"), "unreadable", "not an array of numbers"),
    "npy of complex numbers": (
        content(npy(field("'<c8'", shape="(8,)")), ".npy"),
        "unreadable",
        "not an array of numbers",
    ),
    "npy of no type": (content(npy(field("'<z4'")), ".npy"), "unreadable", "not a readable array"),
    "npy of a huge shape": (content(npy(field(shape=f"({10**30},)")), ".npy"), "unreadable", "the header claims"),
    "npy of nothing times all": (content(npy(field(shape=f"(0, {10**30})")), ".npy"), "unreadable", "not a readable"),
    "npy of a number of digits": (
        content(npy(field(shape=f"({'9' * 9000},)")), ".npy"),
        "unreadable",
        "not a readable",
    ),
    "npy of a negative shape": (content(npy(field(shape="(-1,)")), ".npy"), "unreadable", "its header is not"),
    "npy of many dimensions": (content(npy(field(shape="(" + "1," * 99 + ")")), ".npy"), "unreadable", "99 dimensions"),
    "npy of a header beyond the file": (
        content(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(9), ".npy"),
        "unreadable",
        "",
    ),
    "npy of version 9": (content(npy(field(), version=9), ".npy"), "unreadable", "version 9"),
    "npy of version 3": (content(npy(field(), bytes(60) + b"\0\0\0?", 3), ".npy"), "length", "16 samples"),
    "npy in the other order": (
        content(npy(field(order="True", shape="(16, 1)"), bytes(60) + b"\0\0\0?"), ".npy"),
        "length",
        "16 samples",
    ),
    "upper case": (content(wav(CLIP), ".WAV"), "ok", ""),
}


def ids_of(dataset: Dataset) -> list[str]:
    return [str(i) for i in dataset.table("test", []).column("id").to_pylist()]


@pytest.fixture(scope="module")
def hostile(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A submission with each of these files once, and the file of each id."""
    folder = submit(digits, tmp_path_factory.mktemp("hostile") / "s")
    victims = dict(zip(ids_of(digits), FILES, strict=False))
    assert len(victims) == len(FILES)
    for item_id, name in victims.items():
        path = folder / "outputs" / f"{item_id}.wav"
        path.unlink()
        FILES[name][0](path)
    return folder, victims


def test_every_file_has_its_status_within_seconds(digits: Dataset, hostile: tuple[Path, dict[str, str]]) -> None:
    folder, victims = hostile
    start = time.monotonic()
    tracemalloc.start()
    found = {problem.id: problem for problem in reversed(check(folder, digits).problems)}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.monotonic() - start < 20
    assert peak < 100e6
    for item_id, name in victims.items():
        _, status, said = FILES[name]
        kind, detail = (found[item_id].kind, found[item_id].detail) if item_id in found else ("ok", "")
        assert (kind, said in detail) == (status, True), f"{name}: {kind}: {detail}"
        assert len(detail) < 300, name


def test_scoring_continues_with_the_rest(digits: Dataset, hostile: tuple[Path, dict[str, str]]) -> None:
    folder, victims = hostile
    items = {row["id"]: row for row in score(folder, digits, metrics=["stoi"]).items.to_pylist()}
    assert len(items) == len(ids_of(digits))
    for item_id, name in victims.items():
        expected = "ok" if FILES[name][1] == "length" else FILES[name][1]
        assert items[item_id]["status"] == expected, name


def test_a_chosen_limit_holds(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = submit(digits, tmp_path / "s")
    monkeypatch.setenv("XMBENCH_MAX_BYTES", "30000")
    found = check(folder, digits).problems
    assert len(found) == len(ids_of(digits))
    assert all("expected at most 30,000" in problem.detail for problem in found)


def test_a_chosen_limit_that_the_stored_clips_exceed_leaves_short_outputs_readable(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = submit(digits, tmp_path / "s", lambda _id, _label, clip: clip[:7000])
    monkeypatch.setenv("XMBENCH_MAX_BYTES", "30000")
    assert {problem.kind for problem in check(folder, digits).problems} == {"length"}


NAMES = [
    *("._x.wav", "x (1).wav", ".DS_Store", "Thumbs.db", "x.wav\n", "x\n.wav", "\u00e4.wav", "a\u0308.wav", "X.wav"),
    *("\x1b[31m.wav", "\u202e.wav", ".wav", "x.tar.gz", "n" * 200 + ".txt", os.fsdecode(b"\xff\xfe.wav")),
]


def test_files_of_any_name_are_listed_once_and_can_be_printed(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    for name in NAMES:
        (folder / "outputs" / name).write_bytes(b"")
    found = check(folder, digits).problems
    assert {problem.kind for problem in found} == {"foreign"}
    assert len(found) == len(NAMES)
    assert all(str(problem).isprintable() and len(str(problem)) < 300 for problem in found)
    done = xmbench("check", folder, "--data", digits.folder)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert json.loads(xmbench("check", folder, "--data", digits.folder, "--json").stdout)["items"] == len(
        ids_of(digits)
    )


def test_very_many_files_are_a_short_list(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    for i in range(MOST_LISTED + 500):
        (folder / "outputs" / f"more-{i}.wav").touch()
        (folder / "outputs" / f"{i}.tmp").touch()
    found = check(folder, digits).problems
    assert len(found) == 2 * (MOST_LISTED + 1)
    assert [problem.detail for problem in found if problem.detail.endswith(" more")] == ["and 500 more"] * 2


@pytest.mark.parametrize("name", ["outputs", "submission.json"])
def test_a_submission_that_leads_elsewhere_is_refused(digits: Dataset, tmp_path: Path, name: str) -> None:
    folder = submit(digits, tmp_path / "s")
    shutil.move(folder / name, tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SubmissionError, match="a link out of the submission"):
        check(folder, digits)


@pytest.mark.parametrize("name", ["outputs", "outputs.parquet", "submission.json"])
def test_a_pipe_for_a_part_of_a_submission_is_a_message(digits: Dataset, tmp_path: Path, name: str) -> None:
    folder = submit(digits, tmp_path / "s")
    shutil.rmtree(folder / "outputs")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(xmbench("check", folder, "--data", digits.folder), "where:", "expected:")


# --------------------------------------------------------------------------------------------------- submission.json
TEXTS = ("system", "url", "hardware", "licence", "created", "command", "track")


@pytest.mark.parametrize("name", [*TEXTS, "authors", "notes", "unknown-\ud800"])
def test_half_a_character_is_refused_by_the_name_of_its_field(digits: Dataset, tmp_path: Path, name: str) -> None:
    folder = submit(digits, tmp_path / "s")
    told = json.loads((folder / "submission.json").read_text())
    told[name] = ["a", "b\ud800"] if name in ("authors", "notes") else "x\udfff"
    (folder / "submission.json").write_text(json.dumps(told))
    with pytest.raises(DocumentError) as caught:
        check(folder, digits)
    (problem,) = caught.value.problems
    assert problem.startswith(name[:7])
    assert problem.isprintable()
    if name == "system":
        refused(xmbench("score", folder, "--data", digits.folder, "--out", tmp_path / "r.json"), "system", "half of a")


# --------------------------------------------------------------------------------------------------------- the table
def tabled(dataset: Dataset, folder: Path) -> tuple[Path, dict[str, bytes]]:
    """A submission with a table yet to be written, and its rows."""
    submit(dataset, folder)
    rows = {path.stem: path.read_bytes() for path in sorted((folder / "outputs").iterdir())}
    shutil.rmtree(folder / "outputs")
    return folder, rows


@pytest.mark.parametrize(
    ("ids", "data"),
    [(pa.string(), pa.binary()), (pa.large_string(), pa.large_binary()), (pa.string_view(), pa.binary_view())],
)
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "data_page_version": "2.0"}])
def test_every_type_of_texts_and_bytes_is_read(
    digits: Dataset, tmp_path: Path, ids: pa.DataType, data: pa.DataType, options: dict[str, object]
) -> None:
    folder, rows = tabled(digits, tmp_path / "s")
    columns = {"id": pa.array(rows, ids), "bytes": pa.array(rows.values(), pa.binary()).cast(data)}
    pq.write_table(pa.table(columns), folder / "outputs.parquet", row_group_size=7, **options)
    assert check(folder, digits).problems == ()


def test_rows_without_a_usable_id_or_bytes_cost_only_themselves(digits: Dataset, tmp_path: Path) -> None:
    folder, rows = tabled(digits, tmp_path / "s")
    first, second, *_ = rows
    names = pa.array([*(name.encode() for name in rows), b"\xff\xfe", None, b"x" * 5000, b"a b", b"no-such"])
    values = [*(None if name == first else bytes(10**7) if name == second else rows[name] for name in rows), *[b""] * 5]
    offsets, raw = names.buffers()[1:]
    ids = pa.Array.from_buffers(pa.string(), len(names), [names.buffers()[0], offsets, raw])
    pq.write_table(pa.table({"id": ids, "bytes": values}), folder / "outputs.parquet")
    found = check(folder, digits).problems
    kinds = {problem.id: (problem.kind, problem.detail) for problem in found if problem.id}
    assert set(kinds) == {first, second, "no-such"}
    assert kinds[first] == ("unreadable", "empty file; expected a wav or flac file")
    assert kinds[second][1].startswith("10,000,000 bytes; expected at most")
    lines = [problem.detail for problem in found if problem.kind == "foreign"]
    assert len(lines) == 4
    assert "\\udcff" in lines[0]
    assert "no id" in lines[1]
    assert all(line.isprintable() and len(line) < 300 for line in lines)


def test_outputs_wait_on_the_disk_until_they_are_scored(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_table, "WAITING_BYTES", 100_000)
    folder, rows = tabled(digits, tmp_path / "s")
    order = sorted(rows, reverse=True)
    pq.write_table(pa.table({"id": order, "bytes": [rows[name] for name in order]}), folder / "outputs.parquet")
    assert check(folder, digits).problems == ()


def nulls(path: Path, rows: dict[str, bytes]) -> None:
    count = 3_000_000
    pq.write_table(pa.table({"id": pa.nulls(count, pa.string()), "bytes": pa.nulls(count, pa.binary())}), path)


def foreign_ids(path: Path, rows: dict[str, bytes]) -> None:
    pq.write_table(pa.table({"id": [f"x-{i}" for i in range(50_000)], "bytes": [b""] * 50_000}), path)


def long_ids(path: Path, rows: dict[str, bytes]) -> None:
    table = pa.table({"id": [f"{i}" + "x" * 10**6 for i in range(10)], "bytes": [b""] * 10})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


def columns_of(**columns: object) -> Callable[[Path, dict[str, bytes]], None]:
    return lambda path, rows: pq.write_table(pa.table(columns), path)


def twice(path: Path, rows: dict[str, bytes]) -> None:
    values = [pa.array(["a"]), pa.array([b"x"]), pa.array([b"y"])]
    pq.write_table(pa.Table.from_arrays(values, names=["id", "bytes", "bytes"]), path)


def whole(rows: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": list(rows), "bytes": list(rows.values())}), stream)
    return stream.getvalue()


def changed(make: Callable[[bytes], bytes]) -> Callable[[Path, dict[str, bytes]], object]:
    return lambda path, rows: path.write_bytes(make(whole(rows)))


TABLES: dict[str, tuple[Callable[[Path, dict[str, bytes]], object], str]] = {
    "3 million empty rows": (nulls, "the table has 3,000,000 rows"),
    "50,000 other ids": (foreign_ids, "the table has 50,000 rows"),
    "ids of a million letters": (long_ids, "column id comes to more than"),
    "nested": (columns_of(id=["a"], bytes=[[b"x"]]), "column bytes is of type list"),
    "records": (columns_of(id=[{"x": "a"}], bytes=[b"x"]), "column id is of type struct"),
    "of one size": (columns_of(id=["a"], bytes=pa.array([b"x"], pa.binary(1))), "fixed_size_binary"),
    "twice": (twice, "column bytes appears 2 times"),
    "encrypted": (changed(lambda data: data[:-4] + b"PARE"), "not a readable parquet file"),
    "cut": (changed(lambda data: data[:-1000]), "not a readable parquet file"),
    "a footer of 2 GB": (changed(lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1"), "not a readable parquet file"),
    "a footer of nothing": (changed(lambda data: data[:-8] + bytes(4) + b"PAR1"), "not a readable parquet file"),
    "a broken page": (changed(lambda data: data[:4] + b"\x7f" * 40 + data[44:]), "not a readable parquet file"),
    "text": (lambda path, rows: path.write_text("id,bytes\n"), "not a readable parquet file"),
    "nothing": (lambda path, rows: path.write_bytes(b""), "not a readable parquet file"),
    "a directory": (lambda path, rows: path.mkdir(), "a directory, not a file"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_cannot_be_read_is_one_message(digits: Dataset, tmp_path: Path, name: str) -> None:
    make, said = TABLES[name]
    folder, rows = tabled(digits, tmp_path / "s")
    make(folder / "outputs.parquet", rows)
    start = time.monotonic()
    with pytest.raises(SubmissionError) as caught:
        check(folder, digits)
    assert said in caught.value.what
    assert caught.value.where
    assert caught.value.expected
    assert len(str(caught.value)) < 1000
    assert time.monotonic() - start < 10


def test_a_small_table_with_a_large_dictionary_takes_little_memory(digits: Dataset, tmp_path: Path) -> None:
    """Forty values of 20 MB are one of 20 MB: none of them is an output, and they are never in memory together."""
    folder, rows = tabled(digits, tmp_path / "s")
    names = list(rows)[:40]
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), pa.array([bytes(20_000_000)]))
    table = pa.table({"id": names, "bytes": values})
    pq.write_table(
        table, folder / "outputs.parquet", compression="zstd", dictionary_pagesize_limit=1 << 27, store_schema=False
    )
    del table, values
    assert (folder / "outputs.parquet").stat().st_size < 200_000
    code = (
        "import re, sys; from pathlib import Path; from xmbench.evaluator.check import check\n"
        "from xmbench.formats.dataset import open_dataset\n"
        "found = check(Path(sys.argv[1]), open_dataset(Path(sys.argv[2]))).problems\n"
        "print(sum('20,000,000 bytes' in one.detail for one in found))\n"
        # Not getrusage: a process starts with the peak of the one that started it.
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, folder, digits.folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    refused_rows, peak_kb = map(int, done.stdout.split())
    assert refused_rows == 40
    assert peak_kb < 700_000  # laid side by side: 0.8 GB more
