"""Conditional adversarial networks of P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros, "Image-to-image translation with
conditional adversarial networks" (CVPR 2017), and features laid out as images.

The generator is the authors' `unet_128` (smaller sizes have fewer layers), the discriminator their PatchGAN with a
receptive field of 70 x 70. Sizes, norms, dropout and losses are those of their published Torch code.

Shape letters: B batch, C channels, S side of a plane, D = (S / 2)^2 features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

L1_WEIGHT = 100.0
_SLOPE, _DROPOUT, _DROPPED_LAYERS = 0.2, 0.5, 3


def depth_of(size: int) -> int:
    """How many times a plane is halved on its way to 1 x 1."""
    depth = size.bit_length() - 1
    if size != 1 << depth or depth < 3:
        raise ValueError(f"a side of {size} pixels; a power of two from 8 on is needed")
    return depth


class UNet(nn.Module):
    """Planes (B, inside, S, S) -> planes (B, outside, S, S) in -1..1.

    Convolutions 4x4 with stride 2 halve a plane down to 1x1, transposed ones double it; every level is joined with its
    mirror image. Batch normalisation everywhere but after the first, the innermost and the last convolution; dropout in
    the three innermost layers of the way back, those that have a norm.
    """

    def __init__(self, inside: int, outside: int, size: int = 128, width: int = 64) -> None:
        """Makes the network.

        Args:
            inside: channels of the condition.
            outside: channels of the output.
            size: S, a power of two; 128 is `unet_128`, seven layers each way.
            width: channels after the first convolution; later ones have up to eight times as many.
        """
        super().__init__()
        depth = depth_of(size)
        channels = [width * min(2**level, 8) for level in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, after in enumerate(channels):
            convolution = nn.Conv2d(channels[level - 1] if level else inside, after, 4, 2, 1)
            normed = 0 < level < depth - 1
            before: list[nn.Module] = [nn.LeakyReLU(_SLOPE)] if level else []
            self.down.append(nn.Sequential(*before, convolution, *([nn.BatchNorm2d(after)] if normed else [])))
        for level in reversed(range(depth)):
            given = channels[level] * (1 if level == depth - 1 else 2)
            after = channels[level - 1] if level else outside
            layers: list[nn.Module] = [nn.ReLU(), nn.ConvTranspose2d(given, after, 4, 2, 1)]
            layers += [nn.BatchNorm2d(after)] if level else [nn.Tanh()]
            if level and depth - 1 - level < _DROPPED_LAYERS:
                layers.append(nn.Dropout(_DROPOUT))
            self.up.append(nn.Sequential(*layers))

    def forward(self, condition: Tensor) -> Tensor:
        """See the class."""
        levels = self.encoded(condition)
        x: Tensor = self.up[0](levels.pop())
        for layer in list(self.up)[1:]:
            x = layer(torch.cat([x, levels.pop()], dim=1))
        return x

    def encoded(self, condition: Tensor) -> list[Tensor]:
        """The planes of every level on the way down; the last one is (B, C, 1, 1)."""
        levels = []
        for layer in self.down:
            condition = layer(condition)
            levels.append(condition)
        return levels


class PatchDiscriminator(nn.Sequential):
    """Condition and output joined, (B, inside, S, S) -> logits (B, 1, S', S'), one for each patch of 70 x 70 pixels."""

    def __init__(self, inside: int, width: int = 64) -> None:
        layers: list[nn.Module] = [nn.Conv2d(inside, width, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        before = width
        for times, stride in ((2, 2), (4, 2), (8, 1)):
            layers += [nn.Conv2d(before, times * width, 4, stride, 1), nn.BatchNorm2d(times * width)]
            layers.append(nn.LeakyReLU(_SLOPE))
            before = times * width
        super().__init__(*layers, nn.Conv2d(before, 1, 4, 1, 1))


def pix2pix_weights(module: nn.Module) -> None:
    """Convolutions from N(0, 0.02) with biases 0; scales of norms from N(1, 0.02), shifts 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0 if isinstance(layer, nn.BatchNorm2d) else 0.0, 0.02)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def discriminator_loss(real: Tensor, fake: Tensor, scale: float = 1.0) -> Tensor:
    """Half of -log D(real) - log(1 - D(fake)) of logits of any shape, means over patches and batch; times `scale`.

    A scale of 0.001 is the penalty that section 5.4 of Lyu et al. puts on it. Adam divides it out again, all but its
    epsilon.
    """
    softplus = nn.functional.softplus
    return scale * 0.5 * (softplus(-real.float()).mean() + softplus(fake.float()).mean())


def generator_losses(fake: Tensor, made: Tensor, real: Tensor) -> dict[str, Tensor]:
    """-log D(fake) of logits, and 100 times the mean absolute error; "loss" is their sum."""
    adversarial = nn.functional.softplus(-fake.float()).mean()
    error = (made.float() - real).abs().mean()
    return {"loss": adversarial + L1_WEIGHT * error, "adversarial": adversarial, "error": error}


# ------------------------------------------------------------------------------------- features as planes
CUT = 3.0  # deviations


def to_plane(standardised: Tensor) -> Tensor:
    """Standardised features (B, D) -> planes (B, 1, S, S) in -1..1: cut at 3 deviations, each value on 2x2 pixels.

    Neighbours in the plane have nothing to do with each other; the paper enlarges it "for the ensemble effect".
    """
    side = math.isqrt(standardised.shape[1])
    plane = (standardised.clamp(-CUT, CUT) / CUT).view(-1, 1, side, side)
    return nn.functional.interpolate(plane, scale_factor=2.0, mode="nearest")


def from_plane(plane: Tensor) -> Tensor:
    """Planes (B, 1, S, S) in -1..1 -> standardised features (B, D): the mean of the 2x2 pixels of each value."""
    return CUT * nn.functional.avg_pool2d(plane.float(), 2).flatten(1)
