"""Single pairs: the reference-based speech metrics of two waveforms or two files, at any sample rate."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmbench import registry
from xmbench.errors import MediaError, SubmissionError
from xmbench.evaluator.measure import prepare
from xmbench.interfaces import AudioFormat, ImageFormat, ItemState, Pair, ScoringContext, Status, Task
from xmbench.media import audio
from xmbench.media.signal import Sound

_RATES = (4_000, 384_000)
METRICS = ("corr2d", "corr2d-linear", "pesq", "pesq-nb", "pesq-wb", "stoi", "stoi-strict", "estoi")


def score_pair(reference: ArrayLike, output: ArrayLike, sample_rate_hz: int) -> dict[str, Any]:
    """Scores one output against its reference with every reference-based speech metric.

    Args:
        reference: float (T,) in -1..1, or int16.
        output: the same at the same rate; cut or zero-padded at the end to the reference's length.
        sample_rate_hz: rate of both. Metrics resample by themselves (soxr HQ to 16 kHz; pystoi's to 10 kHz).

    Returns:
        One value or None per metric; `status`: "ok", or the first reason why a metric has no value (a clip
        too short for `stoi-strict` alone is "ok"); `statuses`: the reasons by metric.

    Raises:
        MediaError: not one-dimensional, or no number at all.
    """
    known, made = _waveform(reference, "reference"), _waveform(output, "output")
    fitted = np.asarray(audio.fit_length(made, len(known)), dtype=np.float32)
    failure = _unusable(known, fitted)
    if failure:
        return _answer(dict.fromkeys(METRICS, failure))
    pair = Pair("", 0, Sound(fitted, sample_rate_hz), Sound(known, sample_rate_hz))
    return _answer({name: prepare(name, [pair], _context(sample_rate_hz, len(known)))[0] for name in METRICS})


def score_files(reference: Path, output: Path) -> dict[str, Any]:
    """The same for two files; an output at another rate is resampled to the reference's (soxr HQ).

    Raises:
        MediaError: a file is missing, unreadable, or not mono.
    """
    known, rate = _read(reference)
    made, output_rate = _read(output)
    finite = bool(np.isfinite(made).all())
    return score_pair(known, audio.resample(made, output_rate, rate) if finite else made, rate)


def score_listed(reference: Path, output: Path) -> dict[str, Any]:
    """The same for one line of a list: a file that cannot be used is a status with its reason, not an exception."""
    try:
        return score_files(reference, output)
    except MediaError as error:
        wrong_reference = str(error.where) == str(reference)
        status: Status = "reference-unscorable" if wrong_reference else "unreadable"
        return {**_answer(dict.fromkeys(METRICS, ItemState(status))), "detail": f"{error.where}: {error.what}"}


def read_list(path: Path) -> list[tuple[str, Path, Path]]:
    """Reads a CSV with columns id, reference, output; paths are relative to it or to the current folder.

    Raises:
        SubmissionError: no such file, missing columns, rows that name files that are not there, an id twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            rows, heads = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SubmissionError(f"the list cannot be read ({error})", where=path) from error
    missing = [name for name in ("id", "reference", "output") if name not in heads]
    if missing:
        raise SubmissionError(
            f"column {', '.join(missing)} missing", where=path, expected="a CSV with the columns id,reference,output"
        )
    jobs: list[tuple[str, Path, Path]] = []
    counted = Counter(str(row["id"]) for row in rows)
    problems = [f"the id {item!r} stands there {number} times" for item, number in counted.items() if number > 1]
    for number, row in enumerate(rows, start=2):
        pair = [_resolve(path, row[name] or "") for name in ("reference", "output")]
        problems += [
            f"line {number}: no file {_short(row[n])}"
            for n, p in zip(("reference", "output"), pair, strict=True)
            if p is None
        ]
        if pair[0] and pair[1]:
            jobs.append((str(row["id"]), pair[0], pair[1]))
    if not rows:
        raise SubmissionError("the list has no rows", where=path, expected="one pair per line below the heads")
    if problems:
        raise SubmissionError(
            "the list names files that are not there, or an id twice",
            where=path,
            problems=problems,
            expected="paths relative to the list or to the current folder",
            todo="mend these lines; nothing was scored",
        )
    return jobs


def _short(name: str | None) -> str:
    """A name as it stands in the list, cut where it would fill the screen."""
    return repr(name if not name or len(name) <= 120 else f"{name[:120]}...")


def _resolve(listing: Path, name: str) -> Path | None:
    try:
        return next((p for p in (listing.parent / name, Path(name)) if name and p.is_file()), None)
    except (OSError, ValueError):  # a name that no file can have
        return None


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        samples, rate = audio.decode(path.read_bytes())
    except OSError as error:
        raise MediaError(f"the file cannot be read ({error.strerror})", where=path) from error
    except MediaError as error:
        raise MediaError(error.what, where=path, expected=error.expected) from error
    if not len(samples):
        raise MediaError("no samples", where=path, expected="a clip that is not empty")
    if samples.shape[1] != 1:
        raise MediaError(f"{samples.shape[1]} channels", where=path, expected="1 channel (mono)")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise MediaError(f"{rate} Hz", where=path, expected=f"a sample rate of {_RATES[0]} to {_RATES[1]} Hz")
    return samples[:, 0], rate


def _waveform(values: ArrayLike, name: str) -> NDArray[np.float32]:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "fiu":
        raise MediaError(f"the {name} has shape {array.shape} and type {array.dtype}", expected="numbers of shape (T,)")
    if array.dtype == np.int16:
        return audio.to_float(array)
    return array.astype(np.float32)


def _unusable(known: NDArray[np.float32], made: NDArray[np.float32]) -> ItemState | None:
    if not np.isfinite(known).all() or not known.any():
        return ItemState("reference-unscorable", None, "the reference is silent or not finite")
    if not np.isfinite(made).all():
        return ItemState("non-finite")
    if not made.any():
        return ItemState("silent")
    return None


def _answer(states: dict[str, ItemState]) -> dict[str, Any]:
    values = {name: None if s.state is None else float(s.state[0]) for name, s in states.items()}
    reasons = {name: s.status for name, s in states.items() if s.status != "ok"}
    telling = [r for name, r in reasons.items() if r not in registry.metric(name).left_out]
    return {**values, "status": telling[0] if telling else "ok", "statuses": reasons}


def _context(sample_rate_hz: int, samples: int) -> ScoringContext:
    task = Task((), (), ImageFormat(0, 0, 0), AudioFormat(sample_rate_hz, samples, 0.0, samples / sample_rate_hz))
    return ScoringContext(task)
