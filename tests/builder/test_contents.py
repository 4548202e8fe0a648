"""Upstream files by path, as streams and at once; what is remembered of them; and files that are not what they seem."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from xmbench.builder.upstream import contents
from xmbench.builder.upstream.archives import DamagedArchiveError, extract_file, extract_folder
from xmbench.builder.upstream.contents import WrongContentError
from xmbench.builder.upstream.folders import listed
from xmbench.builder.upstream.verified import VerifiedFiles, file_at, folder_at, located
from xmbench.errors import UpstreamError
from xmbench.formats.recipe import FileSpec

DATA = bytes(range(256)) * 8_000  # 2 MB


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))


def spec_of(data: bytes, name: str = "corpus.bin") -> FileSpec:
    return FileSpec(name=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def settled(path: Path) -> Path:
    """A file that was not written a moment ago."""
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def files(path: Path, data: bytes = DATA) -> VerifiedFiles:
    return VerifiedFiles("corpus", [file_at(path, spec_of(data))])


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_as_a_stream_by_path_or_at_once(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("corpus.bin.gz" if packed else "corpus.bin")
    path.write_bytes(gzip.compress(DATA) if packed else DATA)
    found = files(path)
    with found.open("corpus.bin") as stream:
        assert stream.read(1000) == DATA[:1000]
    assert not (tmp_path / "cache" / "unpacked").exists()
    assert found.path("corpus.bin").read_bytes() == DATA
    assert (found.path("corpus.bin") == path) == (not packed)
    assert found.read("corpus.bin") == DATA
    with pytest.raises(UpstreamError, match="does not list"):
        found.path("other.bin")


def test_what_was_unpacked_is_kept_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "corpus.bin.gz"
    path.write_bytes(gzip.compress(DATA))
    unpacked = files(path).path("corpus.bin")
    written = unpacked.stat().st_mtime_ns
    assert files(path).path("corpus.bin").stat().st_mtime_ns == written
    unpacked.write_bytes(DATA[:-1] + b"x")
    assert files(path).path("corpus.bin").read_bytes() == DATA


def test_a_file_is_hashed_once_while_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "corpus.bin"
    path.write_bytes(DATA)
    settled(path)
    reads: list[int] = []
    original = contents._next

    def counted(source: io.BufferedReader, name: str, length: int) -> bytes:
        reads.append(length)
        return original(source, name, length)

    monkeypatch.setattr(contents, "_next", counted)
    contents.check(path, spec_of(DATA))
    assert reads
    reads.clear()
    contents.check(path, spec_of(DATA))
    assert reads == []
    path.write_bytes(DATA[:-1] + b"x")  # of the same size
    with pytest.raises(WrongContentError, match="sha256"):
        contents.check(path, spec_of(DATA))


def test_a_large_file_costs_no_memory(tmp_path: Path) -> None:
    data = bytes(64_000_000)
    spec = spec_of(data)
    path = tmp_path / "corpus.bin.gz"
    path.write_bytes(gzip.compress(data, 1))
    del data
    tracemalloc.start()
    found = VerifiedFiles("corpus", [file_at(path, spec)])
    with found.open("corpus.bin") as stream:
        while stream.read(1 << 16):
            pass
    found.path("corpus.bin")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


def test_members_that_were_compressed_one_after_the_other_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "corpus.bin.gz"
    path.write_bytes(gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:]) + b"\0" * 512)
    assert files(path).read("corpus.bin") == DATA


# ------------------------------------------------------------------------------------- not what they seem
def bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(bytes(50_000_000)))


def sparse(path: Path) -> None:
    path.write_bytes(gzip.compress(DATA))
    os.truncate(path, 10_000_000_000)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize(
    ("make", "said"),
    [(sparse, "10,000,000,000 bytes"), (pipe, "a pipe"), (link, "no such file"), (bomb, "more than 2048000 bytes")],
)
def test_files_that_would_fill_memory_or_hang(
    tmp_path: Path, make: Callable[[Path], None], said: str, accept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "LARGEST_CHANGED", 1 << 24)
    path = tmp_path / "corpus.bin.gz"
    make(path)
    assert located(tmp_path, spec_of(DATA)) == path
    with pytest.raises(WrongContentError) as caught:
        file_at(path, spec_of(DATA), accept)
    assert (said if not accept or make is not bomb else "more than 16,777,216 bytes") in str(caught.value)


def test_a_size_beyond_the_limit_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "corpus.bin"
    path.write_bytes(DATA)
    monkeypatch.setenv("XMBENCH_MAX_BYTES", "1000")
    with pytest.raises(WrongContentError, match="at most 1,000"):
        contents.check(path, spec_of(DATA))


# ------------------------------------------------------------------------------------------------ folders
FOLDER = FileSpec(name="clips", kind="folder", pattern="*.bin")


def folder(tmp_path: Path, **members: bytes) -> Path:
    root = tmp_path / "clips"
    root.mkdir()
    for name, data in {"a.bin": b"1", "b.bin": b"2", **members}.items():
        (root / name).write_bytes(data)
    return root


def test_hidden_files_and_copies_are_passed_over(tmp_path: Path) -> None:
    root = folder(tmp_path)
    wanted = listed(root, FOLDER)
    for name, data in {"._a.bin": b"mac", "a (1).bin": b"1", ".DS_Store": b"x"}.items():
        (root / name).write_bytes(data)
    assert listed(root, FOLDER) == wanted
    (root / "b (1).bin").write_bytes(b"another content")  # no copy: a file of its own
    assert len(listed(root, FOLDER).members) == 3


def test_names_with_umlauts_are_the_same_on_every_system(tmp_path: Path) -> None:
    root = folder(tmp_path, **{"u\u0308ben.bin": b"3"})
    found = listed(root, FOLDER)
    (root / "u\u0308ben.bin").rename(root / "\u00fcben.bin")
    assert listed(root, FOLDER).digest == found.digest
    assert "clips/\u00fcben.bin" in {spec.name for spec in found.members}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (b"empty.bin", b"", "empty file(s): empty.bin"),
        (b"new\nline.bin", b"3", "rename or remove them"),
        (b"\xff\xfe.bin", b"3", "rename or remove them"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, name: bytes, data: bytes, said: str) -> None:
    root = folder(tmp_path)
    (root / os.fsdecode(name)).write_bytes(data)
    with pytest.raises(WrongContentError) as caught:
        folder_at(root, FOLDER, accept_changed=True)
    assert said in str(caught.value)


def test_a_directory_is_read_once_while_it_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(tmp_path, **{"c.bin": DATA})
    for path in root.iterdir():
        settled(path)
    wanted = listed(root, FOLDER)

    def unread(*arguments: object) -> None:
        raise AssertionError("it was read again")

    with monkeypatch.context() as patch:
        patch.setattr(contents, "measure", unread)
        assert listed(root, FOLDER) == wanted
    (root / "a.bin").write_bytes(b"9")
    assert listed(root, FOLDER).digest != wanted.digest


# ----------------------------------------------------------------------------------------------- archives
def zipped(path: Path, data: bytes = DATA, name: str = "corpus.bin", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.writestr(name, data)
    return path.read_bytes()


def encrypted(path: Path) -> None:
    raw = bytearray(zipped(path))
    raw[6] |= 1  # the flag in the local header and in the directory
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(raw))


def unknown(path: Path) -> None:
    raw = bytearray(zipped(path))
    at = raw.rindex(b"PK\x01\x02")
    raw[8:10] = raw[at + 10 : at + 12] = struct.pack("<H", 77)
    path.write_bytes(bytes(raw))


def short(path: Path) -> None:
    raw = zipped(path, method=zipfile.ZIP_STORED)
    path.write_bytes(raw[:500] + raw[1500:])


def lying(path: Path) -> None:
    raw = bytearray(zipped(path, DATA[:-500]))
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", len(DATA))
    path.write_bytes(bytes(raw))


def cut(path: Path) -> None:
    with tarfile.open(path, "w:gz") as tape:
        tape.addfile(_member(len(DATA)), io.BytesIO(DATA))
    path.write_bytes(path.read_bytes()[:3000])


def huge(path: Path) -> None:
    path.write_bytes(_member(1 << 45).tobuf(tarfile.GNU_FORMAT) + DATA)


def no_number(path: Path) -> None:
    member = _member(len(DATA))
    member.pax_headers = {"size": "nan"}
    path.write_bytes(member.tobuf(tarfile.PAX_FORMAT) + DATA + bytes(1024))


def negative(path: Path) -> None:
    raw = bytearray(_member(0).tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = b"\xff" * 12
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    path.write_bytes(bytes(raw) + DATA)


def _member(size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo("corpus.bin")
    member.size = size
    return member


@pytest.mark.parametrize("make", [encrypted, unknown, short, lying, cut, huge, no_number, negative])
def test_archives_that_are_damaged_or_lie(tmp_path: Path, make: Callable[[Path], None]) -> None:
    archive = tmp_path / "corpus.archive"
    make(archive)
    with pytest.raises(DamagedArchiveError, match=r"corpus\.archive"):
        extract_file(archive, spec_of(DATA), tmp_path / "out" / "corpus.bin")
    assert not list(tmp_path.glob("out/*"))


def test_an_archive_that_unpacks_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.builder.upstream.archives._FREE_BYTES", 1000)
    archive = tmp_path / "clips.zip"
    zipped(archive, bytes(30_000_000), "clips/a.bin")
    with pytest.raises(DamagedArchiveError, match="far more"):
        extract_folder(archive, FOLDER, tmp_path / "out" / "clips")


def test_what_macos_leaves_in_an_archive_is_passed_over(tmp_path: Path) -> None:
    archive = tmp_path / "clips.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("clips/a.bin", "clips/._a.bin", "__MACOSX/clips/._a.bin"):
            packed.writestr(name, b"1")
    extract_folder(archive, FOLDER, tmp_path / "out" / "clips")
    assert [path.name for path in (tmp_path / "out" / "clips").iterdir()] == ["a.bin"]
