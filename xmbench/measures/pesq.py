"""PESQ through the `pesq` package, with every known failure turned into a status.

ITU-T P.862 (raw score), P.862.1 (narrow band, MOS-LQO) and P.862.2 (wide band, MOS-LQO), at 16 kHz. The
package gives MOS-LQO alone; papers that report "PESQ" below 1 mean the raw score, which is rebuilt here from
the narrow-band one.

The C code keeps its state in globals: use processes, never threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xmbench.errors import PrerequisiteError

SAMPLE_RATE_HZ = 16_000
MIN_SAMPLES = SAMPLE_RATE_HZ // 4
RAW_BOUNDS = (-0.5, 4.5)

# Return codes of the C code, as in the class PesqError of the package.
_BUFFER_TOO_SHORT = -6
_NO_UTTERANCES = -7

Floats = NDArray[np.float64]
Mode = Literal["nb", "wb"]
Status = Literal["ok", "non-finite", "silent", "too-short", "reference-unscorable", "metric-error"]


@dataclass(frozen=True, slots=True)
class PesqScore:
    """One score, or the reason why there is none.

    Attributes:
        value: finite, higher is better; None unless status is `ok`.
        status: `ok`; `non-finite` or `silent` (the output); `too-short` (below 0.25 s);
            `reference-unscorable` (no speech found in the reference, even against itself); `metric-error`
            (anything else).
        detail: one sentence for `reference-unscorable` and `metric-error`, otherwise empty.
    """

    value: float | None
    status: Status
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PesqScores:
    """The scores of one pair; None for a mode that was not requested.

    Attributes:
        nb: MOS-LQO of P.862.1, in [0.999, 4.549].
        wb: MOS-LQO of P.862.2, in [0.999, 4.644].
        raw: P.862, in [-0.5, 4.5], from `nb`.
    """

    nb: PesqScore | None
    wb: PesqScore | None
    raw: PesqScore | None


def raw_from_lqo(lqo: float) -> float:
    """The raw P.862 score behind a narrow-band MOS-LQO: the inverse of P.862.1, equation 1.

    Args:
        lqo: between 0.999 and 4.999, both excluded.

    Returns:
        (4.6607 - ln(4 / (lqo - 0.999) - 1)) / 1.4945. Not clamped.

    Raises:
        ValueError: no raw score has this MOS-LQO.
    """
    if not 0.999 < lqo < 4.999:
        raise ValueError(f"expected a MOS-LQO between 0.999 and 4.999, got {lqo}")
    return (4.6607 - math.log(4.0 / (lqo - 0.999) - 1.0)) / 1.4945


def pesq_scores(
    reference16k: ArrayLike, output16k: ArrayLike, *, narrow_band: bool = True, wide_band: bool = True
) -> PesqScores:
    """PESQ of an output against a reference.

    Args:
        reference16k: (T,) clean speech at 16 kHz, float or int16; the level does not matter.
        output16k: (T,) the speech to judge.
        narrow_band: compute `nb` and `raw`.
        wide_band: compute `wb`; each mode costs one run of the C code.

    Returns:
        Scores or statuses; never a negative code, a NaN or an exception for bad audio.

    Raises:
        ValueError: the shapes differ or are not (T,).
        PrerequisiteError: the package `pesq` is not installed.
    """
    x, y = np.asarray(reference16k, dtype=np.float64), np.asarray(output16k, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"expected two waveforms (T,) of one length, got {x.shape} and {y.shape}")
    package = _package()
    failure = _unfit(x, y)
    nb = (failure or _score(package, x, y, "nb")) if narrow_band else None
    wb = (failure or _score(package, x, y, "wb")) if wide_band else None
    return PesqScores(nb, wb, None if nb is None else _raw(nb))


def _package() -> Any:
    # Imported on use: it is built from source, and everything but PESQ works without it.
    try:
        import pesq
    except ImportError as error:
        raise PrerequisiteError(
            "PESQ needs the package `pesq`, which cannot be imported",
            where=error,
            expected="pesq 0.0.4 or later; it has no wheels, is built from source and needs a C compiler",
            todo="install a C compiler and the Python headers, then `pip install pesq`",
        ) from error
    return pesq


def _unfit(x: Floats, y: Floats) -> PesqScore | None:
    """Failures that are found without running the C code, which would return a NaN for some of them."""
    if not np.isfinite(x).all():
        return PesqScore(None, "reference-unscorable", "the reference has a NaN or an infinity")
    if not np.isfinite(y).all():
        return PesqScore(None, "non-finite")
    if len(x) < MIN_SAMPLES:
        return PesqScore(None, "too-short")
    if not x.any():
        return PesqScore(None, "reference-unscorable", "the reference is silent")
    if not y.any():
        return PesqScore(None, "silent")
    return None


def _score(package: Any, x: Floats, y: Floats, mode: Mode) -> PesqScore:
    try:
        value = _run(package, x, y, mode)
        if value == _NO_UTTERANCES and _run(package, x, x, mode) == _NO_UTTERANCES:
            return PesqScore(None, "reference-unscorable", "PESQ finds no utterance in the reference")
    except (RuntimeError, ValueError) as error:
        return PesqScore(None, "metric-error", f"{type(error).__name__}: {error}")
    if value == _BUFFER_TOO_SHORT:
        return PesqScore(None, "too-short")
    if value == _NO_UTTERANCES:
        return PesqScore(None, "metric-error", "PESQ finds no utterance that both signals share")
    if math.isnan(value):
        return PesqScore(None, "metric-error", "PESQ is not a number: the output is too quiet to be heard")
    if not 0.999 <= value <= 4.999:
        return PesqScore(None, "metric-error", f"PESQ returned {value}")
    return PesqScore(value, "ok")


def _run(package: Any, x: Floats, y: Floats, mode: Mode) -> float:
    # With RAISE_EXCEPTION a NaN ends in a ValueError of the package's own error handling.
    return float(package.pesq(SAMPLE_RATE_HZ, x, y, mode, on_error=package.PesqError.RETURN_VALUES))


def _raw(nb: PesqScore) -> PesqScore:
    if nb.value is None:
        return nb
    low, high = RAW_BOUNDS
    # The C code works in single precision: a perfect score is 4.50000004.
    raw = low if nb.value <= 0.999 else raw_from_lqo(min(nb.value, 4.998))
    return PesqScore(min(high, max(low, raw)), "ok")
