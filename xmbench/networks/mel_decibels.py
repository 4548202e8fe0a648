"""The log-amplitude mel spectrogram (LMS) of Chen et al. (2017), section 3.3, and its way back to a waveform.

An STFT with a window of 2,048 samples, linear amplitudes, 128 mel bands, a logarithm. Scaled to -1..1 for a generator
that ends in tanh; the scale is inverted exactly down to its floor, 80 dB below the loudest training value.

Shape letters: B batch, T samples, F frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from xmbench.errors import DatasetError
from xmbench.interfaces import AudioFormat
from xmbench.networks.dcgan import SPECTROGRAM_SIZE
from xmbench.networks.spectra import LogMel, frames_of, griffin_lim, initial_phases

WINDOW = 2048
LITERAL_HOP = 512  # printed; 44 frames of half a second at 44.1 kHz
ENCODED_FRAMES = 44  # printed, of what a sound encoder reads
RANGE_DB = 80.0
_DB = 20.0 / math.log(10.0)  # of a natural logarithm of an amplitude
_QUIETEST = 1e-10  # amplitude, below any floor


def native_hop(samples: int) -> int:
    """The hop with which a clip has exactly 34 frames: 668 for half a second at 44.1 kHz, 549 for 18,140 samples.

    Raises:
        DatasetError: the clips are too short, or so long that windows would not overlap by half.
    """
    hop = samples // (SPECTROGRAM_SIZE[1] - 1)
    longest = WINDOW // 2 * (SPECTROGRAM_SIZE[1] - 1) + SPECTROGRAM_SIZE[1] - 2
    if not WINDOW <= samples <= longest:
        raise DatasetError(
            f"clips of {samples} samples do not fit a spectrogram of {SPECTROGRAM_SIZE[1]} frames",
            expected=f"{WINDOW} to {longest} samples",
        )
    return hop


class EncodedMel:
    """Mel spectrograms in dB with 44 frames, of clips of any length, for encoders: there is no way back.

    The hop is a 43rd of the clip: the printed 512 samples for half a second at 44.1 kHz. A clip of less than one window
    is continued by silence; of one so long that windows would not overlap by half, the hop is half a window and frames
    are averaged to 44.
    """

    def __init__(self, audio: AudioFormat, device: str) -> None:
        self._short = max(WINDOW - audio.samples, 0)
        samples = audio.samples + self._short
        self.hop = min(samples // (ENCODED_FRAMES - 1), WINDOW // 2)
        self._mel = MelDecibels(replace(audio, samples=samples), self.hop, device)

    def decibels(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, T) in -1..1 -> 20 log10 of mel amplitudes, (B, 128, 44)."""
        found = self._mel.decibels(nn.functional.pad(waveforms, (0, self._short)))
        return nn.functional.adaptive_avg_pool1d(found, ENCODED_FRAMES)


class MelDecibels:
    """Waveforms -> mel spectrograms in dB, and back by the pseudo-inverse of the bands and fast Griffin-Lim."""

    def __init__(self, audio: AudioFormat, hop: int, device: str) -> None:
        self._samples, self._hop = audio.samples, hop
        rate, bands = audio.sample_rate_hz, SPECTROGRAM_SIZE[0]
        self._mel = LogMel(rate, WINDOW, hop, bands, 0.0, rate / 2, _QUIETEST).to(device)

    @property
    def frames(self) -> int:
        """F, of a whole clip."""
        return frames_of(self._samples, self._hop)

    def decibels(self, waveforms: Tensor) -> Tensor:
        """Waveforms (B, T) in -1..1 -> 20 log10 of mel amplitudes, (B, 128, F)."""
        found: Tensor = self._mel(waveforms) * _DB
        return found

    def waveforms(self, decibels: Tensor, seed: int, ids: Sequence[str], iterations: int = 32) -> Tensor:
        """(B, 128, F) in dB -> waveforms (B, T) in -1..1; the first phases depend on the seed and the item's id."""
        magnitudes = self._mel.invert(decibels.float() / _DB)
        phases = initial_phases(seed, ids, WINDOW // 2 + 1, self.frames).to(magnitudes.device)
        found = griffin_lim(magnitudes, phases, WINDOW, self._hop, self._samples, iterations)
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
