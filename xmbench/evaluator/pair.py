"""Single pairs: the reference-based speech metrics of two waveforms or two files, at any sample rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmbench import registry
from xmbench.errors import DocumentError, MediaError
from xmbench.evaluator.measure import prepare
from xmbench.interfaces import AudioFormat, ImageFormat, ItemState, Pair, ScoringContext, Status, Task
from xmbench.media import audio
from xmbench.media.signal import Sound
from xmbench.storage.files import read_bytes

_RATES = (4_000, 384_000)
LARGEST_FILE = 1 << 26  # bytes, as a file and decoded: twelve minutes at 22,050 Hz
METRICS = ("corr2d", "corr2d-floored", "corr2d-linear", "pesq", "pesq-nb", "pesq-wb", "stoi", "stoi-strict", "estoi")


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
        MediaError: not one-dimensional, or not numbers.
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
        MediaError: a file is missing, unreadable, too large, or not mono.
    """
    known, rate = _read(reference)
    made, output_rate = _read(output)
    # What is cut off later is not resampled; one second is kept beyond the end, so that no sample before it changes.
    made = made[: -(-len(known) * output_rate // rate) + output_rate]
    finite = bool(np.isfinite(made).all())
    return score_pair(known, audio.resample(made, output_rate, rate) if finite else made, rate)


def score_listed(reference: Path | None, output: Path | None, fault: str = "") -> dict[str, Any]:
    """The same for one line of a list: a file that cannot be used gives a status with its reason, not an exception."""
    if reference is None or output is None:
        status: Status = "reference-unscorable" if reference is None else "unreadable"
        return {**_answer(dict.fromkeys(METRICS, ItemState(status))), "detail": fault}
    try:
        return score_files(reference, output)
    except MediaError as error:
        status = "reference-unscorable" if str(error.where) == str(reference) else "unreadable"
        return {**_answer(dict.fromkeys(METRICS, ItemState(status))), "detail": f"{error.where}: {error.what}"}


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        samples, rate = audio.decode(read_bytes(path, LARGEST_FILE), LARGEST_FILE)
    except DocumentError as error:
        raise MediaError(
            f"the file cannot be read ({error.what})", where=path, expected=error.expected, todo=error.todo
        ) from error
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
    with np.errstate(over="ignore", invalid="ignore"):  # overflow becomes infinite, and is reported
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
    counting = [r for name, r in reasons.items() if r not in registry.metric(name).left_out]
    return {**values, "status": counting[0] if counting else "ok", "statuses": reasons}


def _context(sample_rate_hz: int, samples: int) -> ScoringContext:
    task = Task((), (), ImageFormat(0, 0, 0), AudioFormat(sample_rate_hz, samples, 0.0, samples / sample_rate_hz))
    return ScoringContext(task)
