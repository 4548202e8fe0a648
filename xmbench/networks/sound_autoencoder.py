"""A stacked autoencoder of log-mel spectrograms, one stack trained after the other: the sound encoder of S2I-A.

L. Chen et al., "Deep cross-modal audio-visual generation", section 5.1: four stacks of convolution and deconvolution,
the last one an FC layer from a map of 120x36 to 128 values. Between 128x44 and 120x36 valid convolutions with stride 1
lose eight rows and columns: of odd kernels only one of 5x5 and two of 3x3 do. Their order, one channel, tanh: ours.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from xmbench.networks.class_encoders import ENCODING
from xmbench.networks.dcgan import SPECTROGRAM_SIZE
from xmbench.networks.mel_decibels import ENCODED_FRAMES

KERNELS = (5, 3, 3)
MAP = (SPECTROGRAM_SIZE[0] - 8, ENCODED_FRAMES - 8)  # 120 x 36


class Stack(nn.Module):
    """One encoder and its decoder."""

    def __init__(self, encode: nn.Module, decode: nn.Module) -> None:
        super().__init__()
        self.encode, self.decode = encode, decode

    def forward(self, x: Tensor) -> Tensor:
        """What the decoder makes of the encoding: the shape of x."""
        found: Tensor = self.decode(self.encode(x))
        return found


class SoundAutoencoder(nn.Module):
    """Spectrograms (B, 1, 128, 44) in -1..1 -> encodings (B, 128)."""

    def __init__(self) -> None:
        super().__init__()
        values = MAP[0] * MAP[1]
        rectangular = [
            Stack(
                nn.Sequential(nn.Conv2d(1, 1, kernel), nn.Tanh()),
                nn.Sequential(nn.ConvTranspose2d(1, 1, kernel), nn.Tanh()),
            )
            for kernel in KERNELS
        ]
        flat = Stack(
            nn.Sequential(nn.Flatten(), nn.Linear(values, ENCODING)),
            nn.Sequential(nn.Linear(ENCODING, values), nn.Tanh(), nn.Unflatten(1, (1, *MAP))),
        )
        self.stacks = nn.ModuleList([*rectangular, flat])

    def stack(self, number: int) -> Stack:
        """One of the four, 0..3."""
        return cast(Stack, self.stacks[number])

    def before(self, x: Tensor, number: int) -> Tensor:
        """What the stacks before a stack make of spectrograms (B, 1, 128, 44): its input, (B, 1, H, W)."""
        for place in range(number):
            x = self.stack(place).encode(x)
        return x

    def encode(self, x: Tensor) -> Tensor:
        """Spectrograms (B, 1, 128, 44) -> (B, 128)."""
        return self.before(x, len(self.stacks))
