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

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

RATE_HZ = 10_000
SEGMENT_FRAMES = 30
MIN_FRAMES = 8

_FRAME = 256  # 25.6 ms
_HOP = 128
_FFT = 512
_DYNAMIC_RANGE_DB = 40
_BANDS = 15
_LOWEST_BAND_HZ = 150
_CLIP = 1 + 10 ** (15 / 20)  # signal-to-distortion ratio bounded at -15 dB
_EPS = float(np.finfo(np.float64).eps)

Floats = NDArray[np.float64]
Status = Literal["ok", "non-finite", "silent", "too-short", "reference-unscorable"]


@dataclass(frozen=True, eq=False)
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

    @functools.cached_property
    def speech(self) -> NDArray[np.bool_]:
        """Which frames are not silent."""
        return _speech(self.waveform)

    @functools.cached_property
    def bands(self) -> Floats:
        """Third-octave magnitudes (15, J) of the frames that are not silent."""
        return _third_octaves(self.waveform, self.speech)


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
        resampled = _resample(x, sample_rate_hz)
    resampled.setflags(write=False)
    return Prepared(resampled, len(x), sample_rate_hz, finite)


def stoi_scores(reference: ArrayLike | Prepared, output: ArrayLike | Prepared, sample_rate_hz: int) -> StoiScores:
    """STOI and ESTOI of an output from one shared pass.

    Args:
        reference: (T,) clean speech, or what `prepare` made of it.
        output: (T,) the speech to score, or what `prepare` made of it.
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
    x_bands = x.bands
    frames = x_bands.shape[1]
    if not y.finite:
        return StoiScores(frames, None, None, "non-finite")
    if frames < MIN_FRAMES:
        return StoiScores(frames, None, None, "too-short")
    if y.silent:
        return StoiScores(frames, None, None, "silent")
    length = min(SEGMENT_FRAMES, frames)
    y_bands = _third_octaves(y.waveform, x.speech)
    x_segments = sliding_window_view(x_bands, length, axis=1).swapaxes(0, 1)  # (segments, bands, length)
    y_segments = sliding_window_view(y_bands, length, axis=1).swapaxes(0, 1)
    return StoiScores(frames, _stoi(x_segments, y_segments), _estoi(x_segments, y_segments), "ok")


@functools.cache
def _resampling_filter(up: int, down: int) -> Floats:
    """A Kaiser-windowed sinc, rejection 60 dB, as `auditory_kernels.polyphase` takes it: (up, taps), each row reversed.

    Args:
        up: output rate, both rates divided by their greatest common divisor.
        down: input rate.
    """
    cutoff = 1.0 / (2 * max(up, down))
    half = math.ceil((60.0 - 8.0) / (28.714 * cutoff / 10))
    times = np.arange(-half, half + 1)
    taps = np.kaiser(len(times), 0.1102 * (60.0 - 8.7)) * np.sinc(2 * cutoff * times)
    padded = np.zeros(-(-len(taps) // up) * up)
    padded[: len(taps)] = up * taps / taps.sum()
    return np.ascontiguousarray(padded.reshape(-1, up)[::-1].T)


def _resample(x: Floats, sample_rate_hz: int) -> Floats:
    from xmbench.measures import auditory_kernels

    common = math.gcd(RATE_HZ, sample_rate_hz)
    up, down = RATE_HZ // common, sample_rate_hz // common
    taps = _resampling_filter(up, down)
    reach = taps.shape[1]
    half = math.ceil((60.0 - 8.0) / (28.714 / (2 * max(up, down)) / 10))
    out = np.empty(-(-len(x) * up // down))
    padded = np.zeros(reach + max(len(x), (half + len(out) * down) // up))
    padded[reach - 1 : reach - 1 + len(x)] = x
    auditory_kernels.polyphase(padded, taps, half, down, out)
    return out


@functools.cache
def _window() -> Floats:
    return np.hanning(_FRAME + 2)[1:-1]


@functools.cache
def _band_edges() -> tuple[NDArray[np.int64], int]:
    """First bin of each third-octave band, and the bin after the last band."""
    bins = np.linspace(0, RATE_HZ, _FFT + 1)[: _FFT // 2 + 1]
    edges = _LOWEST_BAND_HZ * 2.0 ** ((2 * np.arange(_BANDS + 1) - 1) / 6)
    nearest = np.abs(bins - edges[:, None]).argmin(axis=1)
    return nearest[:-1], int(nearest[-1])


def _frames(x: Floats) -> Floats:
    """Windowed frames, half overlapping, (frames, 256); as in the published code, a last full frame is left out."""
    count = max(0, -(-(len(x) - _FRAME) // _HOP))
    if not count:
        return np.zeros((0, _FRAME))
    return sliding_window_view(x, _FRAME)[: count * _HOP : _HOP] * _window()


def _speech(x: Floats) -> NDArray[np.bool_]:
    """Which frames are less than 40 dB below the loudest."""
    frames = _frames(x)
    if not len(frames):
        return np.zeros(0, dtype=np.bool_)
    levels = 20 * np.log10(np.linalg.norm(frames, axis=1) + _EPS)
    return np.asarray(levels > levels.max() - _DYNAMIC_RANGE_DB)


def _third_octaves(x: Floats, speech: NDArray[np.bool_]) -> Floats:
    """Magnitudes in third-octave bands, (15, J), of what overlap-adding the frames of speech gives."""
    kept = _frames(x)[speech]
    joined = np.zeros((len(kept) + 1, _HOP))
    joined[:-1] += kept[:, :_HOP]
    joined[1:] += kept[:, _HOP:]
    spectra = np.fft.rfft(_frames(joined.ravel()), _FFT, axis=1)
    first, end = _band_edges()
    powers = np.square(spectra.real[:, :end]) + np.square(spectra.imag[:, :end])
    return np.sqrt(np.add.reduceat(powers, first, axis=1)).T if len(powers) else np.zeros((_BANDS, 0))


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
