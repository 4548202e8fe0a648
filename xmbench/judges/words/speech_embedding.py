"""Google's speech embedding, a network that others trained on real speech of many speakers; here it is frozen.

Lin, Kilgour, Roblek, Sharifi: Training keyword spotters with limited and synthesized speech data, ICASSP 2020
(arXiv 2002.01322). 76 frames of 32 log-mel bands give 96 values. Convolutions and poolings need no padding in time, so
that one pass over a longer clip gives the embeddings of windows 8 frames apart. `pretrained/speech-embedding.json` has
licence and origin of the weights.
"""

from __future__ import annotations

import functools
import hashlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn

from xmbench.errors import DocumentError, PrerequisiteError
from xmbench.media.audio import resample
from xmbench.storage.files import read_bytes

WEIGHTS = Path(__file__).parent / "pretrained" / "speech-embedding.safetensors"
RATE_HZ = 16_000
HOP = 160
BANDS = 32
SIZE = 96  # of an embedding
WINDOW_FRAMES, STEP_FRAMES = 76, 8
FLOOR = 1e-3  # amplitude of the white noise below every clip, where a word of 0.4 s has 0.05
_WORD_RMS, _WORD_S = 0.05, 0.4
CLIP_NORM = _WORD_RMS * math.sqrt(RATE_HZ * _WORD_S)  # square root of the energy of every clip
_FFT, _SHAPE = 512, 400
_NARROW_HZ = 8_000  # every clip loses what is above half of it, so that place and level do not depend on its rate
_LOW_HZ, _HIGH_HZ = 60.0, 3_800.0
_FULL_SCALE = 32_767.0  # the network knows samples of 16 bits
_QUIETEST, _RANGE_DB = 1e-10, 80.0
_LEAK, _LOWEST = 0.2, -0.4  # of its activation
_LARGEST = 4 << 20  # bytes of the file
# Channels and pooling (frames, bands) of its five stages; each has two pairs of convolutions, first over bands and
# then over frames; the first stage has one pair.
_STAGES = ((24, 24, (2, 2)), (24, 48, (1, 2)), (48, 72, (2, 2)), (72, 96, (1, 2)), (96, 96, (2, 2)))


# ------------------------------------------------------------------------------------------------ clips to bands
def frames_of(windows: int) -> int:
    """Frames under so many windows."""
    return WINDOW_FRAMES + STEP_FRAMES * (windows - 1)


def samples_of(windows: int) -> int:
    """Samples at RATE_HZ under so many windows."""
    return (frames_of(windows) - 1) * HOP + _FFT


def centred(clip: NDArray[np.float32], sample_rate_hz: int, windows: int, offset: int = 0) -> NDArray[np.float32]:
    """The stretch that the windows cover, float32 (`samples_of(windows)`,), at RATE_HZ and a fixed energy.

    It is centred on the energy of the loudest such stretch, so that silence around a word does not matter. Silence
    gives zeros.

    Args:
        clip: float32 (T,), any length.
        sample_rate_hz: of the clip.
        windows: how many.
        offset: samples from that centre, for a training that is to tolerate it.
    """
    narrow = resample(np.asarray(clip, dtype=np.float32), sample_rate_hz, _NARROW_HZ)
    samples = resample(narrow, _NARROW_HZ, RATE_HZ)
    size = samples_of(windows)
    padded = np.pad(samples, size).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(np.square(padded))])[: len(padded) + 1]
    inside = sums[size::HOP] - sums[: len(sums) - size : HOP]
    loudest = inside.max()
    if loudest <= 0.0:
        return np.zeros(size, np.float32)
    best = np.flatnonzero(inside >= loudest * 0.999)
    start = int(best[0] + best[-1]) // 2 * HOP
    energy = np.square(padded[start : start + size])
    middle = start + int(np.arange(size) @ energy / energy.sum())
    first = min(max(middle + offset - size // 2, 0), len(padded) - size)
    stretch = padded[first : first + size]
    norm = math.sqrt(max(float(np.square(stretch).sum()), sys.float_info.min))
    return np.asarray(stretch * (CLIP_NORM / norm), dtype=np.float32)


def log_mel(samples: Tensor, floor: float = FLOOR) -> Tensor:
    """Log-mel bands as the network knows them: (B, T) at RATE_HZ, about -1..1 -> (B, frames, BANDS).

    Args:
        samples: of clips.
        floor: amplitude of the white noise whose mean power is added to every band.
    """
    shape = torch.hann_window(_SHAPE)
    scaled = samples * _FULL_SCALE
    spectrum = torch.stft(scaled, _FFT, HOP, _SHAPE, shape, center=False, return_complex=True).abs().square()
    table = mel_table()
    noise = (floor * _FULL_SCALE) ** 2 * shape.square().sum() * table.sum(0)
    bands = torch.einsum("bft,fm->btm", spectrum, table) + noise
    level = 10.0 * torch.log10(bands.clamp_min(_QUIETEST))
    level = torch.maximum(level, level.amax((1, 2), keepdim=True) - _RANGE_DB)
    return level / 10.0 + 2.0


@functools.cache
def mel_table() -> Tensor:
    """Triangular bands on Slaney's mel scale with unit area, (257, BANDS)."""
    low, high = (_mel(hz) for hz in (_LOW_HZ, _HIGH_HZ))
    edges = np.array([_hz(mel) for mel in np.linspace(low, high, BANDS + 2)])
    hz = np.arange(_FFT // 2 + 1)[:, None] * (RATE_HZ / _FFT)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bands = np.clip(np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre)), 0.0, None)
    return torch.tensor(bands * 2.0 / (right - left), dtype=torch.float32)


def _mel(hz: float) -> float:
    return hz * 3.0 / 200.0 if hz < 1000.0 else 15.0 + 27.0 * math.log(hz / 1000.0) / math.log(6.4)


def _hz(mel: float) -> float:
    return mel * 200.0 / 3.0 if mel < 15.0 else 1000.0 * math.exp((mel - 15.0) * math.log(6.4) / 27.0)


def heard(clips: Sequence[NDArray[np.float32]], sample_rate_hz: int, windows: int) -> Tensor:
    """Clips float32 (T,) of any length -> what the network hears, (N, frames, BANDS)."""
    return log_mel(torch.from_numpy(np.stack([centred(clip, sample_rate_hz, windows) for clip in clips])))


# ------------------------------------------------------------------------------------------------------- network
class SpeechEmbedding(nn.Module):
    """Log-mel bands (B, T, 32), T >= 76 -> (B, 1 + (T - 76) // 8, 96): one embedding per window."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 24, 3, bias=False)
        self.register_buffer("scale", torch.ones(24))
        self.register_buffer("shift", torch.zeros(24))
        self.layers = nn.ModuleList()
        self.pools: dict[int, tuple[int, int]] = {}  # after that layer
        for number, (inputs, outputs, pool) in enumerate(_STAGES):
            for pair in range(1 if number == 0 else 2):
                self.layers.append(nn.Conv2d(inputs if pair == 0 else outputs, outputs, (1, 3), padding=(0, 1)))
                self.layers.append(nn.Conv2d(outputs, outputs, (3, 1)))
            self.pools[len(self.layers) - 1] = pool
        self.last = nn.Conv2d(_STAGES[-1][1], SIZE, (3, 1), bias=False)

    scale: Tensor
    shift: Tensor

    def forward(self, bands: Tensor) -> Tensor:
        """(B, T, 32) -> (B, windows, 96)."""
        h = F.relu(self.first(F.pad(bands[:, None], (1, 1))))
        h = _activated(h * self.scale[:, None, None] + self.shift[:, None, None])
        for number, layer in enumerate(self.layers):
            h = _activated(layer(h))
            if number in self.pools:
                h = F.max_pool2d(h, self.pools[number])
        found: Tensor = self.last(h).squeeze(3).transpose(1, 2)
        return found


def _activated(values: Tensor) -> Tensor:
    return F.leaky_relu(values, _LEAK).clamp_min(_LOWEST)


@functools.cache
def digest() -> str:
    """Sha256 of the stored weights: judges name it."""
    return hashlib.sha256(_stored()).hexdigest()


@functools.cache
def speech_embedding(device: str = "cpu") -> SpeechEmbedding:
    """The network with its stored weights (16 bits), computing in float32, in evaluation mode.

    Raises:
        PrerequisiteError: the file is missing or damaged.
    """
    network = SpeechEmbedding()
    try:
        network.load_state_dict({name: value.float() for name, value in load(_stored()).items()})
    except Exception as error:  # any damage to the file
        raise _broken() from error
    return network.requires_grad_(False).eval().to(device)


def _stored() -> bytes:
    try:
        return read_bytes(WEIGHTS, _LARGEST)
    except DocumentError as error:
        raise _broken() from error


def _broken() -> PrerequisiteError:
    return PrerequisiteError(
        "the speech embedding cannot be read",
        where=WEIGHTS,
        expected="the file that ships with xmbench",
        todo="install xmbench again",
    )
