"""STOI and ESTOI, with a rule for clips that are too short for the 30-frame segments of the papers.

STOI: Taal, Hendriks, Heusdens, Jensen, "An Algorithm for Intelligibility Prediction of Time-Frequency
Weighted Noisy Speech" (IEEE Trans. Audio, Speech, Lang. Process. 19(7), 2011). ESTOI: Jensen and Taal, "An
Algorithm for Predicting the Intelligibility of Speech Masked by Modulated Noise Maskers" (24(11), 2016).

Resampling, removal of silent frames, spectra and third-octave bands are those of `pystoi`. What differs:

- Segments have N = min(30, J) frames, J = frames left after the removal of silence. From J = 30 on (about
  0.41 s of speech) that is the published measure; below it `pystoi` gives the sentinel 1e-5.
- ESTOI adds no random numbers against division by zero: a row or column without variation counts as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from pystoi import utils

RATE_HZ = 10_000
SEGMENT_FRAMES = 30
MIN_FRAMES = 8

_FRAME = 256  # 25.6 ms, half overlapping
_FFT = 512
_DYNAMIC_RANGE_DB = 40
_BANDS = 15
_LOWEST_BAND_HZ = 150
_CLIP = 1 + 10 ** (15 / 20)  # signal-to-distortion ratio bounded at -15 dB
_EPS = float(np.finfo(np.float64).eps)

Floats = NDArray[np.float64]
Status = Literal["ok", "non-finite", "silent", "too-short", "reference-unscorable"]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A waveform at 10 kHz; prepare a reference once when many outputs are compared with it.

    Attributes:
        waveform: (T',) at 10 kHz; zeros where the input was not finite.
        samples: length of the input.
        sample_rate_hz: rate of the input.
        finite: False when the input had a NaN or an infinity.
    """

    waveform: Floats
    samples: int
    sample_rate_hz: int
    finite: bool

    @property
    def silent(self) -> bool:
        """Every sample is zero."""
        return not self.waveform.any()


@dataclass(frozen=True, slots=True)
class StoiScores:
    """STOI and ESTOI of one pair.

    Attributes:
        frames: J, frames of the reference left after the removal of silence. Known even for a failed output.
        stoi: in [-1, 1], higher is better, 1 for identity. Not clamped at 0, because the published measure
            is not: against another short word it fell to -0.6. None unless status is `ok`.
        estoi: the same bounds and rule.
        status: `ok`; `non-finite` or `silent` (the output); `too-short` (J < 8); `reference-unscorable` (a
            silent or non-finite reference).
    """

    frames: int
    stoi: float | None
    estoi: float | None
    status: Status

    @property
    def strict(self) -> bool:
        """Whether the published measure covers this clip (J >= 30)."""
        return self.frames >= SEGMENT_FRAMES


def prepare(waveform: ArrayLike, sample_rate_hz: int) -> Prepared:
    """Resample to 10 kHz as `pystoi` does.

    Args:
        waveform: (T,) float, any level.
        sample_rate_hz: its rate.

    Raises:
        ValueError: the waveform is not one-dimensional.
    """
    x = np.asarray(waveform, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"expected samples (T,), got shape {x.shape}")
    finite = bool(np.isfinite(x).all())
    if not finite or not x.any():
        resampled = np.zeros(-(-len(x) * RATE_HZ // sample_rate_hz))
    elif sample_rate_hz == RATE_HZ:
        resampled = x.copy()
    else:
        resampled = np.asarray(utils.resample_oct(x, RATE_HZ, sample_rate_hz), dtype=np.float64)
    resampled.setflags(write=False)
    return Prepared(resampled, len(x), sample_rate_hz, finite)


def stoi_scores(reference: ArrayLike | Prepared, output: ArrayLike | Prepared, sample_rate_hz: int) -> StoiScores:
    """STOI and ESTOI of an output from one shared pass.

    Args:
        reference: (T,) clean speech, or what `prepare` made of it.
        output: (T,) the speech to judge, or what `prepare` made of it.
        sample_rate_hz: rate of both.

    Returns:
        The scores or the reason why there are none; never a NaN, a sentinel or a warning. An output that is
        silent only where the reference speaks scores 0.

    Raises:
        ValueError: lengths or rates differ, or a waveform is not one-dimensional.
    """
    x = reference if isinstance(reference, Prepared) else prepare(reference, sample_rate_hz)
    y = output if isinstance(output, Prepared) else prepare(output, sample_rate_hz)
    if {x.sample_rate_hz, y.sample_rate_hz} != {sample_rate_hz}:
        raise ValueError(f"prepared at {x.sample_rate_hz} and {y.sample_rate_hz} Hz, not {sample_rate_hz} Hz")
    if x.samples != y.samples:
        raise ValueError(f"expected one length, got {x.samples} and {y.samples} samples")
    if x.silent:
        return StoiScores(0, None, None, "reference-unscorable")
    x_bands, y_bands = _speech_bands(x.waveform, y.waveform)
    frames = x_bands.shape[1]
    if not y.finite:
        return StoiScores(frames, None, None, "non-finite")
    if frames < MIN_FRAMES:
        return StoiScores(frames, None, None, "too-short")
    if y.silent:
        return StoiScores(frames, None, None, "silent")
    length = min(SEGMENT_FRAMES, frames)
    x_segments = sliding_window_view(x_bands, length, axis=1).swapaxes(0, 1)  # (segments, bands, length)
    y_segments = sliding_window_view(y_bands, length, axis=1).swapaxes(0, 1)
    return StoiScores(frames, _stoi(x_segments, y_segments), _estoi(x_segments, y_segments), "ok")


def _speech_bands(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Third-octave magnitudes of both, (15, J), in the frames where the reference is not silent."""
    none = np.zeros((_BANDS, 0))
    if len(x) <= _FRAME:
        return none, none
    x, y = utils.remove_silent_frames(x, y, _DYNAMIC_RANGE_DB, _FRAME, _FRAME // 2)
    if len(x) <= _FRAME:
        return none, none
    bands, _ = utils.thirdoct(RATE_HZ, _FFT, _BANDS, _LOWEST_BAND_HZ)
    powers = [np.square(np.abs(utils.stft(signal, _FRAME, _FFT, overlap=2))) for signal in (x, y)]
    x_bands, y_bands = (np.sqrt(bands @ power.T) for power in powers)
    return x_bands, y_bands


def _stoi(x: Floats, y: Floats) -> float:
    """Mean correlation of band envelopes (Taal et al. 2011, equations 2 to 6).

    Args:
        x: (segments, bands, frames) of the reference.
        y: the same of the output.
    """
    y = y * (_norm(x, 2) / (_norm(y, 2) + _EPS))
    y = np.minimum(y, x * _CLIP)
    y = y - y.mean(axis=2, keepdims=True)
    x = x - x.mean(axis=2, keepdims=True)
    correlations = np.sum(x / (_norm(x, 2) + _EPS) * (y / (_norm(y, 2) + _EPS)), axis=2)
    return _bounded(float(correlations.mean()))


def _estoi(x: Floats, y: Floats) -> float:
    """Mean correlation of spectra, rows and columns normalised (Jensen and Taal 2016, equations 4 to 8)."""
    x, y = (_standardise(_standardise(bands, 2), 1) for bands in (x, y))
    return _bounded(float(np.sum(x * y, axis=1).mean()))


def _standardise(bands: Floats, axis: int) -> Floats:
    """Mean 0 and norm 1 along an axis; 0 where there is nothing but rounding."""
    centred = bands - bands.mean(axis=axis, keepdims=True)
    norm = _norm(centred, axis)
    varies = norm > 1e-13 * _norm(bands, axis)
    return np.asarray(np.where(varies, centred / np.where(varies, norm, 1.0), 0.0), dtype=np.float64)


def _norm(values: Floats, axis: int) -> Floats:
    return np.asarray(np.sqrt(np.sum(np.square(values), axis=axis, keepdims=True)), dtype=np.float64)


def _bounded(value: float) -> float:
    """Correlations, less the last bit of rounding."""
    return min(1.0, max(-1.0, value))
