"""What changes nothing that is heard or seen changes no score: format, header fields, order, silence after the end."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.making import Samples, submit, wav
from xmbench.evaluator.check import Severity, check
from xmbench.evaluator.evaluate import score
from xmbench.formats.dataset import Dataset

METRICS = ("corr2d", "stoi", "pesq")
RATE = 22050
LENGTH = 18140


def heard(reference: Samples) -> Samples:
    """An output between perfect and useless, in whole steps of 16 bits, so that every format holds it exactly."""
    noise = np.random.default_rng(5).normal(0, 0.02, len(reference))
    return np.round(np.clip(0.8 * reference + noise, -0.99, 0.99) * 32768) / 32768


def flac(samples: Samples) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def npy(samples: Samples, kind: str = "<f4") -> bytes:
    stream = io.BytesIO()
    np.save(stream, samples.astype(kind))
    return stream.getvalue()


def with_sizes(data: bytes, riff: int, content: int) -> bytes:
    """A wav file whose header states other sizes than it has."""
    at = data.index(b"data") + 4
    return data[:4] + struct.pack("<I", riff) + data[8:at] + struct.pack("<I", content) + data[at + 4 :]


def with_chunk(data: bytes) -> bytes:
    """A wav file with a comment after its samples."""
    return data + b"LIST" + struct.pack("<I", 16) + b"INFOICMT" + struct.pack("<I", 4) + b"hi!\0"


FORMS: dict[str, tuple[str, Callable[[Samples], bytes]]] = {
    "wav of 24 bits": (".wav", lambda x: wav(x, subtype="PCM_24")),
    "wav of floats": (".wav", lambda x: wav(x, subtype="FLOAT")),
    "wav of doubles": (".wav", lambda x: wav(x, subtype="DOUBLE")),
    "flac": (".flac", flac),
    "npy": (".npy", npy),
    "npy of doubles": (".npy", lambda x: npy(x, "<f8")),
    "header with the largest sizes": (".wav", lambda x: with_sizes(wav(x), 2**32 - 1, 2**32 - 1)),
    "header with a wrong total": (".wav", lambda x: with_sizes(wav(x), 0, 2 * LENGTH)),
    "bytes after the samples": (".wav", lambda x: wav(x) + bytes(5000)),
    "comment after the samples": (".wav", lambda x: with_chunk(wav(x))),
    "silence after the end": (".wav", lambda x: wav(np.pad(x, (0, 30 * RATE)))),
    "dither after the end": (".wav", lambda x: wav(np.concatenate([x, np.tile([1, -1, 0], 4000) / 32768]))),
    "file name in capitals": (".WAV", wav),
}


def scores(folder: Path, dataset: Dataset) -> dict[str, float | None]:
    """Every score of a submission; none of its problems is severe enough for `score` to exit with 1."""
    scored = score(folder, dataset, metrics=METRICS)
    assert [problem for problem in scored.problems if problem.severity is Severity.error] == []
    assert {found.coverage for found in scored.result.scores.values()} == {1.0}
    return {name: found.value for name, found in scored.result.scores.items()}


@pytest.fixture(scope="module")
def plain(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float | None]:
    """The scores of 16-bit wav files of the right length."""
    found = scores(submit(digits, tmp_path_factory.mktemp("plain") / "s", lambda _i, _l, x: heard(x)), digits)
    assert 0.3 < (found["corr2d"] or 0) < 0.99
    return found


@pytest.mark.parametrize("name", FORMS)
def test_the_form_of_a_sound_changes_no_digit(
    digits: Dataset, tmp_path: Path, plain: dict[str, float | None], name: str
) -> None:
    suffix, write = FORMS[name]
    folder = submit(digits, tmp_path / "s", lambda _i, _l, x: write(heard(x)))
    for path in sorted((folder / "outputs").iterdir()):
        path.rename(path.with_suffix(suffix))
    assert scores(folder, digits) == plain
    errors = [problem for problem in check(folder, digits).problems if problem.severity is Severity.error]
    assert errors == []


def test_samples_beyond_full_scale_count_as_a_player_plays_them(digits: Dataset, tmp_path: Path) -> None:
    loud = submit(digits, tmp_path / "loud", lambda _i, _l, x: wav(5 * heard(x), subtype="FLOAT"))
    cut = submit(digits, tmp_path / "cut", lambda _i, _l, x: wav(np.clip(5 * heard(x), -1, 1), subtype="FLOAT"))
    assert scores(loud, digits) == scores(cut, digits)
    assert check(loud, digits).problems == ()


@pytest.mark.parametrize("gain", [0.5, 0.125])
def test_a_softer_voice_is_the_same_voice(
    digits: Dataset, tmp_path: Path, plain: dict[str, float | None], gain: float
) -> None:
    folder = submit(digits, tmp_path / "s", lambda _i, _l, x: wav(gain * heard(x), subtype="FLOAT"))
    found = scores(folder, digits)
    assert found["corr2d"] == pytest.approx(plain["corr2d"], abs=1e-6)
    assert found["stoi"] == pytest.approx(plain["stoi"], abs=1e-6)
    assert found["pesq"] == pytest.approx(plain["pesq"], abs=0.02)  # it aligns levels itself


def test_ids_that_the_track_has_not_are_listed_and_change_no_score(
    digits: Dataset, tmp_path: Path, plain: dict[str, float | None]
) -> None:
    folder = submit(digits, tmp_path / "s", lambda _i, _l, x: heard(x))
    (folder / "outputs" / "zzz-more.wav").write_bytes(wav(np.ones(LENGTH)))
    scored = score(folder, digits, metrics=METRICS)
    assert {name: found.value for name, found in scored.result.scores.items()} == plain
    assert [(problem.id, problem.kind) for problem in scored.problems] == [("zzz-more", "extra")]


def test_a_table_in_any_order_has_the_same_scores(
    digits: Dataset, tmp_path: Path, plain: dict[str, float | None]
) -> None:
    folder = submit(digits, tmp_path / "s", lambda _i, _l, x: flac(heard(x)))
    files = sorted((folder / "outputs").iterdir(), key=lambda path: path.name[::-1])
    table = pa.table({"id": [path.stem for path in files], "bytes": [path.read_bytes() for path in files]})
    for path in files:
        path.unlink()
    (folder / "outputs").rmdir()
    pq.write_table(table, folder / "outputs.parquet")
    assert scores(folder, digits) == plain
