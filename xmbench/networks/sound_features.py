"""The five pictures of a sound that Chen et al. compare (2017, section 3.3 and table 1), with the values of librosa.

- `stft`: amplitudes of the short-time Fourier transform, a window of 2,048 samples every 512;
- `mel` (the paper's MS): 128 mel bands of these amplitudes;
- `log-mel` (LMS): the same bands in dB, 20 log10 of the amplitude;
- `mfcc`: the first 20 mel-frequency cepstral coefficients, of mel bands of power in dB;
- `cqt`: amplitudes of the constant-Q transform, 84 semitones from C1 (32.7 Hz).

The paper prints the window, the hop and the size of LMS, 128 x 44 for half a second at 44.1 kHz. All else is ours: the
defaults of librosa, and amplitudes rather than decibels wherever the paper does not say logarithm. Frames are centred
on multiples of the hop; a clip is mirrored at its ends, for `cqt` continued by silence.

Shape letters: B batch, T samples, F rows of a picture, N = 1 + T // 512 frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torchaudio.functional import create_dct

from xmbench.networks.spectra import LogMel, frames_of, magnitudes_of

WINDOW, HOP, BANDS = 2048, 512, 128
COEFFICIENTS = 20
SEMITONES, OCTAVE = 84, 12
LOWEST_HZ = 440.0 * 2.0 ** (-45 / 12)  # C1
_QUIETEST = 1e-10  # of an amplitude (log-mel) or a power (mfcc), before the logarithm
_MFCC_RANGE_DB = 80.0  # what is further below a clip's peak counts as that
_DB = 10.0 / math.log(10.0)  # of a natural logarithm of a power


class Stft(nn.Module):
    """Amplitudes of the short-time Fourier transform."""

    rows = WINDOW // 2 + 1

    def __init__(self, rate: int) -> None:
        """The rate makes no difference."""
        super().__init__()

    def forward(self, waves: Tensor) -> Tensor:
        """(B, T) in -1..1 -> (B, 1025, N), at least 0."""
        return magnitudes_of(waves, WINDOW, HOP)


class Mel(nn.Module):
    """Mel bands of amplitudes: Slaney's scale, bands of equal area."""

    rows = BANDS

    def __init__(self, rate: int) -> None:
        """For sounds of `rate` samples per second."""
        super().__init__()
        self.bands = LogMel(rate, WINDOW, HOP, BANDS, 0.0, rate / 2, _QUIETEST)

    def forward(self, waves: Tensor) -> Tensor:
        """(B, T) in -1..1 -> (B, 128, N), at least 0."""
        return torch.matmul(self.bands.bank, magnitudes_of(waves, WINDOW, HOP))


class MelInDecibels(nn.Module):
    """Mel bands of amplitudes in dB; silence is -200 dB."""

    rows = BANDS

    def __init__(self, rate: int) -> None:
        """For sounds of `rate` samples per second."""
        super().__init__()
        self.bands = LogMel(rate, WINDOW, HOP, BANDS, 0.0, rate / 2, _QUIETEST)

    def forward(self, waves: Tensor) -> Tensor:
        """(B, T) in -1..1 -> (B, 128, N), at least -200."""
        found: Tensor = self.bands(waves) * (2.0 * _DB)
        return found


class Mfcc(nn.Module):
    """Mel-frequency cepstral coefficients: the orthonormal DCT-II of mel bands of power in dB."""

    rows = COEFFICIENTS
    cosines: Tensor

    def __init__(self, rate: int) -> None:
        """For sounds of `rate` samples per second."""
        super().__init__()
        self.bands = LogMel(rate, WINDOW, HOP, BANDS, 0.0, rate / 2, _QUIETEST, power=2.0)
        self.register_buffer("cosines", create_dct(COEFFICIENTS, BANDS, "ortho").T.contiguous(), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """(B, T) in -1..1 -> (B, 20, N)."""
        decibels = self.bands(waves) * _DB
        decibels = torch.maximum(decibels, decibels.amax(dim=(1, 2), keepdim=True) - _MFCC_RANGE_DB)
        return torch.matmul(self.cosines, decibels)


class ConstantQ(nn.Module):
    """Amplitudes of the constant-Q transform, sqrt(L) |sum_n x(t + n) a(n)|, each atom in the time domain.

    J. Brown, "Calculation of a constant Q spectral transform", JASA 89(1), 1991, with the atoms of C. Schörkhuber,
    A. Klapuri, "Constant-Q transform toolbox for music processing", SMC 2010, as librosa has them: a(n) is a Hann
    window on a complex sinusoid of L = Q rate / f samples, divided by the sum of its sizes; 1 / Q = (r^2 - 1) /
    (r^2 + 1), r a semitone. librosa halves the rate for each lower octave, and drops the smallest hundredth of each
    atom's spectrum; here neither is done, so values differ by about a thousandth of the peak.
    """

    rows = SEMITONES

    def __init__(self, rate: int) -> None:
        """For sounds of `rate` samples per second.

        Raises:
            ValueError: the highest semitone, 3,951 Hz, is too near to half of the rate.
        """
        super().__init__()
        ratio = 2.0 ** (2 / OCTAVE)
        quality = (ratio + 1) / (ratio - 1)
        hertz = [LOWEST_HZ * 2.0 ** (k / OCTAVE) for k in range(SEMITONES)]
        if hertz[-1] * (1 + 0.75 / quality) > rate / 2:  # 1.5 bins: the width of Hann's window
            raise ValueError(f"no constant-Q transform up to {hertz[-1]:.0f} Hz of sounds of {rate} Hz")
        lengths = [quality * rate / f for f in hertz]
        self.octaves = SEMITONES // OCTAVE
        for octave in range(self.octaves):
            part = slice(octave * OCTAVE, (octave + 1) * OCTAVE)
            atoms = _atoms(hertz[part], lengths[part], rate)
            self.register_buffer(f"atoms_{octave}", atoms, persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """(B, T) in -1..1 -> (B, 84, N), at least 0."""
        found = []
        for octave in range(self.octaves):
            atoms: Tensor = getattr(self, f"atoms_{octave}")  # (2 x 12, 1, an odd length)
            parts = nn.functional.conv1d(waves[:, None], atoms, stride=HOP, padding=atoms.shape[2] // 2)
            found.append(torch.hypot(*parts.chunk(2, dim=1)))
        return torch.cat(found, dim=1)


def _atoms(hertz: list[float], lengths: list[float], rate: int) -> Tensor:
    """Atoms of an octave, centred: float32 (2 x 12, 1, L) of odd L, the real parts first."""
    half = max(math.floor(length / 2) for length in lengths) + 1
    real, imaginary = [], []
    for f, length in zip(hertz, lengths, strict=True):
        n = torch.arange(math.floor(-length / 2), math.floor(length / 2), dtype=torch.float64)
        window = torch.hann_window(len(n), dtype=torch.float64)
        window *= math.sqrt(length) / window.sum()
        turns = 2.0 * math.pi * f / rate * n
        before = half + int(n[0])
        padding = (before, 2 * half + 1 - before - len(n))
        real.append(nn.functional.pad(window * turns.cos(), padding))
        imaginary.append(nn.functional.pad(window * turns.sin(), padding))
    return torch.stack(real + imaginary).float()[:, None]


FEATURES: dict[str, type[Stft | Mel | MelInDecibels | Mfcc | ConstantQ]] = {
    "stft": Stft,
    "cqt": ConstantQ,
    "mfcc": Mfcc,
    "mel": Mel,
    "log-mel": MelInDecibels,
}


def features(name: str, rate: int) -> Stft | Mel | MelInDecibels | Mfcc | ConstantQ:
    """One of the five, by name; a module without weights, so that `to(device)` moves its tables.

    Args:
        name: one of `FEATURES`.
        rate: samples per second.

    Raises:
        ValueError: another name, or a rate at which it does not exist.
    """
    if name not in FEATURES:
        raise ValueError(f"no features '{name}', expected one of {', '.join(FEATURES)}")
    return FEATURES[name](rate)


def size(name: str, samples: int) -> tuple[int, int]:
    """Rows and frames of a clip's picture: (128, 44) for `log-mel` of 22,050 samples."""
    return FEATURES[name].rows, frames_of(samples, HOP)
