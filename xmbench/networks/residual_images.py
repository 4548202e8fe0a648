"""A feature vector -> an image by residual blocks, and a discriminator with spectral norms.

The layers are facts of the first author's later network (multimodal-net, `sound2image_v2`): blocks that double the
plane, from 1 x 1, with 512, 256, 128, 64, 64, 32, 32 and 16 channels for 256 pixels; squeeze and excitation and
self-attention at 32 x 32; spectral norms in both networks (T. Miyato et al., ICLR 2018), batch norms in the generator
alone; the hinge loss. Smaller images have fewer blocks.

Shape letters: B batch, C channels, S side of an image, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from xmbench.networks.pix2pix import depth_of

UP = (32, 16, 8, 4, 4, 2, 2, 1)  # channels of each block, times the width
DOWN = (1, 2, 4, 8, 16, 32, 32, 32)
WIDTH, DISCRIMINATOR_WIDTH = 16, 8  # of multimodal-net
MIXED = 32  # side of the planes with self-attention


def _convolution(before: int, after: int, kernel: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, kernel, padding=kernel // 2))


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole plane shows: (B, C, S, S) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 4, 1)
        self.weigh = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        weights: Tensor = self.weigh(x.mean(dim=(2, 3)))
        return x * weights[:, :, None, None]


class SelfAttention(nn.Module):
    """Every place looks at every other one, (B, C, S, S) -> the same shape; at first it changes nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 8, 1)
        self.query, self.key = _convolution(channels, inner, 1), _convolution(channels, inner, 1)
        self.value = _convolution(channels, channels, 1)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        query, key, value = (layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        return x + self.share * seen.transpose(1, 2).reshape(x.shape)


class Larger(nn.Module):
    """A residual block: (B, C, S, S) -> (B, C', 2S, 2S)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.convolutions = nn.ModuleList([_convolution(before, after, 3), _convolution(after, after, 3)])
        self.shortcut = _convolution(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = self.convolutions[0](_doubled(self.first(x).relu()))
        y = self.convolutions[1](self.second(y).relu())
        found: Tensor = y + _doubled(self.shortcut(x))
        return found


class Smaller(nn.Module):
    """A residual block without norms: (B, C, S, S) -> (B, C', S/2, S/2), the mean of 2x2."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.LeakyReLU(0.2), _convolution(before, after, 3), nn.LeakyReLU(0.2), _convolution(after, after, 3)
        )
        self.shortcut = _convolution(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = nn.functional.avg_pool2d(self.convolutions(x) + self.shortcut(x), 2)
        return found


def _doubled(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


class FeatureDecoder(nn.Module):
    """Features (B, D) -> images (B, 3, S, S) in -1..1."""

    def __init__(self, features: int, size: int, width: int = WIDTH) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        before = features
        for number, times in enumerate(UP[: depth_of(size)], 1):
            blocks.append(Larger(before, times * width))
            before = times * width
            if 2**number == MIXED:
                blocks += [SqueezeExcitation(before), SelfAttention(before)]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), _convolution(before, 3, 1), nn.Tanh())

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        images: Tensor = self.last(self.blocks(features[:, :, None, None]))
        return images


class ImageDiscriminator(nn.Module):
    """Images (B, 3, S, S) -> values (B,) for the hinge loss: above 1 real, below -1 generated."""

    def __init__(self, size: int, width: int = DISCRIMINATOR_WIDTH) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        before, side = 3, size
        for times in DOWN[: depth_of(size) - 2]:
            blocks.append(Smaller(before, times * width))
            before, side = times * width, side // 2
            if side == MIXED:
                blocks.append(SelfAttention(before))
        self.blocks = nn.Sequential(*blocks)
        self.last = spectral_norm(nn.Linear(before, 1))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        planes = nn.functional.leaky_relu(self.blocks(images), 0.2)
        values: Tensor = self.last(planes.mean(dim=(2, 3))).squeeze(1)
        return values


class Translator(nn.Module):
    """Vectors (B, D) -> vectors (B, D): two residual FC blocks; at first it changes nothing."""

    def __init__(self, size: int, blocks: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(size), nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size))
            for _ in range(blocks)
        )
        for block in self.blocks:
            assert isinstance(block, nn.Sequential)
            last = block[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for block in self.blocks:
            x = x + block(x)
        return x


def hinge_discriminator_loss(real: Tensor, fakes: tuple[Tensor, ...]) -> Tensor:
    """max(0, 1 - real) + the mean over the kinds of fakes of max(0, 1 + fake); values (B,), means over the batch."""
    relu = nn.functional.relu
    others = torch.stack([relu(1.0 + fake.float()).mean() for fake in fakes])
    return relu(1.0 - real.float()).mean() + others.mean()
