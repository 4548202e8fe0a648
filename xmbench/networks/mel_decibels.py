"""The log-amplitude mel spectrogram (LMS) of Chen et al. (2017), section 3.3, and its way back to a waveform.

An STFT with a window of 2,048 samples, linear amplitudes, 128 mel bands, a logarithm. Scaled to -1..1 for a generator
that ends in tanh; the scale is inverted exactly down to its floor, 80 dB below the loudest training value.

Shape letters: B batch, T samples, F frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchaudio.functional import griffinlim, melscale_fbanks

from xmbench.errors import DatasetError
from xmbench.interfaces import AudioFormat
from xmbench.networks.dcgan import SPECTROGRAM_SIZE

WINDOW = 2048
LITERAL_HOP = 512  # printed; 44 frames of half a second at 44.1 kHz
RANGE_DB = 80.0
_QUIETEST = 1e-10  # amplitude, below any floor


def native_hop(samples: int) -> int:
    """The hop with which a clip has exactly 34 frames: 668 for half a second at 44.1 kHz, 549 for 18,140 samples.

    Raises:
        DatasetError: the clips are too short.
    """
    hop = samples // (SPECTROGRAM_SIZE[1] - 1)
    if samples < WINDOW or 1 + samples // hop != SPECTROGRAM_SIZE[1]:
        raise DatasetError(f"clips of {samples} samples are too short", expected=f"at least {WINDOW} samples")
    if hop > WINDOW // 2:
        raise DatasetError(
            f"clips of {samples} samples are too long: windows would not overlap by half",
            expected=f"at most {WINDOW // 2 * SPECTROGRAM_SIZE[1] - 1} samples",
        )
    return hop


class MelDecibels:
    """Waveforms -> mel spectrograms in dB, and back.

    Bands are librosa's (Slaney's scale and norm). The way back is the pseudo-inverse of the bands and fast
    Griffin-Lim (Perraudin et al. 2013) from phase zero: without chance, so an output depends on its item alone.
    """

    def __init__(self, audio: AudioFormat, hop: int) -> None:
        self._samples, self._hop = audio.samples, hop
        nyquist, rate = audio.sample_rate_hz / 2, audio.sample_rate_hz
        bands = melscale_fbanks(WINDOW // 2 + 1, 0.0, nyquist, SPECTROGRAM_SIZE[0], rate, "slaney", "slaney")
        self._bands, self._inverse = bands.T, torch.linalg.pinv(bands.T)  # (128, bins), (bins, 128)
        self._window = torch.hann_window(WINDOW)

    @property
    def frames(self) -> int:
        """F, of a whole clip."""
        return 1 + self._samples // self._hop

    def decibels(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, T) in -1..1 -> 20 log10 of mel amplitudes, (B, 128, F)."""
        window = self._window.to(waveforms.device)
        stft = torch.stft(waveforms, WINDOW, self._hop, window=window, pad_mode="constant", return_complex=True)
        return 20.0 * torch.log10((self._bands.to(waveforms.device) @ stft.abs()).clamp_min(_QUIETEST))

    def waveforms(self, decibels: Tensor, iterations: int = 32) -> Tensor:
        """(B, 128, F) in dB -> waveforms (B, T) in -1..1, whose phase is estimated."""
        amplitudes = 10.0 ** (decibels.float() / 20.0)
        spectra = (self._inverse.to(amplitudes.device) @ amplitudes).clamp_min(0.0)
        window = self._window.to(amplitudes.device)
        length, momentum = self._samples, 0.99
        found = griffinlim(
            spectra, window, WINDOW, self._hop, WINDOW, 1.0, iterations, momentum, length, rand_init=False
        )
        return found.clamp(-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class LmsScale:
    """Decibels <-> -1..1. `peak` is the loudest value of the training clips: a peak per clip would lose its level."""

    peak: float

    def scaled(self, decibels: Tensor) -> Tensor:
        """Decibels -> -1..1; what is more than 80 dB below the peak becomes -1."""
        return (decibels - self.peak).clamp(-RANGE_DB, 0.0) * (2.0 / RANGE_DB) + 1.0

    def decibels(self, scaled: Tensor) -> Tensor:
        """-1..1 -> decibels."""
        return (scaled - 1.0) * (RANGE_DB / 2.0) + self.peak


def numpy_resized(spectrograms: Tensor, frames: int) -> Tensor:
    """`numpy.resize` of each spectrogram (B, H, F) to (B, H, frames), as Chen et al. printed it.

    It does not interpolate: the flattened values are cut, or repeated from the start. Fewer frames shear the picture
    and lose the top bands; going back restores the lower bands exactly and fills the top with copies of the lowest.
    """
    batch, height, before = spectrograms.shape
    wrapped = torch.arange(height * frames, device=spectrograms.device) % (height * before)
    return spectrograms.reshape(batch, -1)[:, wrapped].reshape(batch, height, frames)
