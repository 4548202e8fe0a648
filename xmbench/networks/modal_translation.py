"""MT-Net's image features, audio autoencoder, audio generator and losses; its trunk is in `images`.

H. Ning, X. Zheng, Y. Yuan, X. Lu, "Audio description from image by modal translation network",
Neurocomputing 423 (2021). Equations, tables and figures below are the paper's.

Shape letters: B batch, C channels, H W pixels, T samples of a clip, V values of an output, D width of the code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xmbench.networks.images import Trunk


class ImageFeatures(nn.Module):
    """Trunk, global average pooling, FC1, FC2: phi^I, linear (activation unspecified; our choice)."""

    def __init__(
        self, channels: int, widths: tuple[int, ...], strides: tuple[int, ...], dilation: int, code: int
    ) -> None:
        super().__init__()
        self.trunk = Trunk(channels, widths, strides, dilation)
        self.fc1 = nn.Linear(widths[-1], code)
        self.fc2 = nn.Linear(code, code)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) -> phi^I (B, D)."""
        pooled = self.trunk.pooled(x)  # (B, widths[-1])
        features: Tensor = self.fc2(F.relu(self.fc1(pooled)))  # (B, D)
        return features


class AudioAutoencoder(nn.Module):
    """Table 2, eq. 5: fully connected, tanh after every layer, the last one included."""

    def __init__(self, samples: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        middle = len(widths) // 2 + 1
        sizes = [samples, *widths, samples]
        layers = [nn.Sequential(nn.Linear(before, after), nn.Tanh()) for before, after in itertools.pairwise(sizes)]
        self.encoder = nn.Sequential(*layers[:middle])
        self.decoder = nn.Sequential(*layers[middle:])

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T) -> reconstructions (B, T)."""
        reconstructed: Tensor = self.decoder(self.encoder(clips))
        return reconstructed


class Residual1d(nn.Module):
    """Eq. 8: tanh(E + G(E)). G: dilated 1x3 convolution, gated unit (ref. 56), 1x1 convolution.

    The 1x1 output projection is WaveNet's, no batch normalisation: the paper names only the gate (our choice).
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.gated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.project = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> the same shape."""
        value, gate = self.gated(x).chunk(2, dim=1)
        return torch.tanh(self.project(torch.tanh(value) * torch.sigmoid(gate)) + x)


class AudioGenerator(nn.Module):
    """Fig. 4: the code as a (C, L) sequence, three residual blocks, two FC layers.

    `last` is the last activation: tanh for the samples of a waveform, in -1..1.
    """

    def __init__(
        self,
        values: int,
        code_shape: tuple[int, int],
        hidden: int,
        blocks: int,
        dilation: int,
        last: Callable[[Tensor], Tensor] = torch.tanh,
    ) -> None:
        super().__init__()
        self.shape, self.last = code_shape, last
        self.blocks = nn.Sequential(*[Residual1d(code_shape[0], dilation) for _ in range(blocks)])
        self.fc1 = nn.Linear(math.prod(code_shape), hidden)
        self.fc2 = nn.Linear(hidden, values)

    def forward(self, code: Tensor) -> Tensor:
        """Phi (B, D) -> outputs (B, V); for a waveform V = T."""
        sequence = self.blocks(code.view(-1, *self.shape))  # (B, C, L)
        return self.last(self.fc2(torch.tanh(self.fc1(sequence.flatten(1)))))


def reconstruction_loss(output: Tensor, clips: Tensor) -> Tensor:
    """Eq. 6 without its weight penalty: half the squared error, summed over T, mean over the batch.

    A mean over T would shrink the gradient 18,000 times below the weight penalty: the net collapses to zero.
    """
    return 0.5 * (output.float() - clips).square().sum(dim=1).mean()


def representation_loss(code: Tensor, audio_code: Tensor, norm: Literal["batch", "sample"]) -> Tensor:
    """Eq. 7 without its weight penalty: one minus a cosine, of (B, D) and (B, D).

    "batch" is the equation as printed, sums over every value of the batch; "sample" takes a cosine per row.
    """
    if norm == "batch":
        code, audio_code = code.flatten()[None], audio_code.flatten()[None]
    return 1.0 - F.cosine_similarity(code.float(), audio_code.float(), dim=1, eps=1e-8).mean()


def generation_loss(output: Tensor, targets: Tensor) -> Tensor:
    """Eqs. 9 and 10 without the weight penalty: smooth L1 of (B, V), summed over V, mean over the batch."""
    return F.smooth_l1_loss(output.float(), targets, reduction="none").sum(dim=1).mean()
