"""Generators and discriminators of pairs, for images 3x64x64 and spectrograms 1x128x34.

S. Reed, Z. Akata, X. Yan, L. Logeswaran, B. Schiele, H. Lee, "Generative adversarial text to image synthesis" (ICML
2016): 4x4 convolutions with stride 2, three-convolution residual blocks, a condition that is compressed and joined.
L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep cross-modal audio-visual generation" (Thematic Workshops of ACM
Multimedia 2017) extends it: a condition of 64 values, and for spectrograms two layers with stride 2x1 between
32x32 and 128x34. Convolutions have no bias: Reed et al. set it to zero at every step.

Shape letters: B batch, C channels, H W height and width, D width of an encoding, Z width of the noise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NOISE = 100  # values of z (Reed et al.)
COMPRESSED = 64  # values of a compressed condition (Chen et al., section 3.1)
IMAGE_SIZE = 64  # pixels
SPECTROGRAM_SIZE = (128, 34)  # mel bands, frames
_SLOPE = 0.2


class Residual(nn.Module):
    """Three convolutions (1x1 and 3x3 of a quarter of the channels, 3x3 of all) and the identity (Reed et al.)."""

    def __init__(self, channels: int, slope: float = 0.0) -> None:
        super().__init__()
        inner = channels // 4
        self.body = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.LeakyReLU(slope),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.LeakyReLU(slope),
            nn.Conv2d(inner, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return nn.functional.leaky_relu(self.body(x) + x, self.slope)


class Compress(nn.Sequential):
    """Encoding (B, D) -> condition (B, 64): one FC layer and a leaky ReLU."""

    def __init__(self, encoding: int) -> None:
        super().__init__(nn.Linear(encoding, COMPRESSED), nn.LeakyReLU(_SLOPE))


def _larger(before: int, after: int, *, rectangular: bool = False) -> nn.Module:
    """H x W -> 2H x 2W; rectangular: 32x32 -> 64x33 -> 128x34."""
    stride = (2, 1) if rectangular else (2, 2)
    return nn.ConvTranspose2d(before, after, 4, stride, 1, bias=False)


def _smaller(before: int, after: int, *, rectangular: bool = False) -> nn.Module:
    """The shapes of `_larger`, backwards."""
    stride = (2, 1) if rectangular else (2, 2)
    return nn.Conv2d(before, after, 4, stride, 1, bias=False)


def _up(before: int, after: int) -> list[nn.Module]:
    return [_larger(before, after), nn.BatchNorm2d(after)]


class _GeneratorStem(nn.Module):
    """Encoding and noise -> (B, width, 32, 32)."""

    def __init__(self, encoding: int, width: int, noise: int) -> None:
        super().__init__()
        self.condition = Compress(encoding)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(COMPRESSED + noise, 8 * width, 4, bias=False),
            nn.BatchNorm2d(8 * width),
            Residual(8 * width),  # (B, 8 width, 4, 4)
            *_up(8 * width, 4 * width),
            Residual(4 * width),  # (B, 4 width, 8, 8)
            *_up(4 * width, 2 * width),
            nn.ReLU(),  # (B, 2 width, 16, 16)
            *_up(2 * width, width),
            nn.ReLU(),
        )

    def forward(self, encoding: Tensor, noise: Tensor) -> Tensor:
        joined = torch.cat([self.condition(encoding), noise], dim=1)  # (B, 64 + Z)
        found: Tensor = self.layers(joined[:, :, None, None])
        return found


class ImageGenerator(nn.Module):
    """Encoding (B, D) and noise (B, Z) -> images (B, 3, 64, 64) in -1..1; `width` 128 is the paper's."""

    def __init__(self, encoding: int, width: int = 128, noise: int = NOISE) -> None:
        super().__init__()
        self.stem = _GeneratorStem(encoding, width, noise)
        self.last = nn.Sequential(_larger(width, 3), nn.Tanh())

    def forward(self, encoding: Tensor, noise: Tensor) -> Tensor:
        """See the class."""
        images: Tensor = self.last(self.stem(encoding, noise))
        return images


class SpectrogramGenerator(nn.Module):
    """Encoding (B, D) and noise (B, Z) -> spectrograms (B, 1, 128, 34) in -1..1; `width` 128 is the paper's."""

    def __init__(self, encoding: int, width: int = 128, noise: int = NOISE) -> None:
        super().__init__()
        self.stem = _GeneratorStem(encoding, width, noise)
        self.last = nn.Sequential(
            _larger(width, width // 2, rectangular=True),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),  # (B, width / 2, 64, 33)
            _larger(width // 2, 1, rectangular=True),
            nn.Tanh(),
        )

    def forward(self, encoding: Tensor, noise: Tensor) -> Tensor:
        """See the class."""
        spectrograms: Tensor = self.last(self.stem(encoding, noise))
        return spectrograms


def _down(before: int, after: int, norm: bool = True, rectangular: bool = False) -> list[nn.Module]:
    layers = [_smaller(before, after, rectangular=rectangular)]
    if norm:
        layers.append(nn.BatchNorm2d(after))
    return [*layers, nn.LeakyReLU(_SLOPE)]


def _ended(layers: list[nn.Module], channels: int, blocks: int) -> list[nn.Module]:
    """With residual blocks, none of which wants a rectified input, or with the last leaky ReLU."""
    return [*layers[:-1], *(Residual(channels, _SLOPE) for _ in range(blocks))] if blocks else layers


class ImageTrunk(nn.Sequential):
    """Images (B, 3, 64, 64) -> (B, 8 width, 4, 4); `width` 64 and one residual block are Reed et al.'s."""

    def __init__(self, width: int = 64, blocks: int = 1) -> None:
        layers = [
            *_down(3, width, norm=False),
            *_down(width, 2 * width),
            *_down(2 * width, 4 * width),
            *_down(4 * width, 8 * width),
        ]
        super().__init__(*_ended(layers, 8 * width, blocks))


class SpectrogramTrunk(nn.Sequential):
    """Spectrograms (B, 1, 128, 34) -> (B, 8 width, 4, 4).

    Two convolutions with stride 2x1 to 32x32, as printed; four residual blocks are our reading of "12 layers".
    """

    def __init__(self, width: int = 64, blocks: int = 4) -> None:
        layers = [
            *_down(1, width // 2, norm=False, rectangular=True),
            *_down(width // 2, width, rectangular=True),  # (B, width, 32, 32)
            *_down(width, 2 * width),
            *_down(2 * width, 4 * width),
            *_down(4 * width, 8 * width),
        ]
        super().__init__(*_ended(layers, 8 * width, blocks))


class Decision(nn.Sequential):
    """Joined maps (B, C, 4, 4) -> logits (B,) that the pair is real; the sigmoid is in the loss."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, 8 * width, 1, bias=False),
            nn.BatchNorm2d(8 * width),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(8 * width, 1, 4, bias=False),
            nn.Flatten(0),
        )


class ConditionDiscriminator(nn.Module):
    """An item and the encoding (B, D) of its other side -> logits (B,): real and belonging together, or not."""

    def __init__(self, trunk: nn.Module, encoding: int, width: int = 64) -> None:
        super().__init__()
        self.trunk, self.condition = trunk, Compress(encoding)
        self.decision = Decision(8 * width + COMPRESSED, width)

    def forward(self, items: Tensor, encoding: Tensor) -> Tensor:
        """See the class."""
        tiled = self.condition(encoding)[:, :, None, None].expand(-1, -1, 4, 4)
        logits: Tensor = self.decision(torch.cat([self.trunk(items), tiled], dim=1))
        return logits


class PairDiscriminator(nn.Module):
    """Images (B, 3, 64, 64) and spectrograms (B, 1, 128, 34) -> logits (B,) that both are real and one pair."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.image, self.spectrogram = ImageTrunk(width), SpectrogramTrunk(width)
        self.decision = Decision(16 * width, width)

    def forward(self, images: Tensor, spectrograms: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.decision(torch.cat([self.image(images), self.spectrogram(spectrograms)], dim=1))
        return logits


def dcgan_weights(module: nn.Module) -> None:
    """Convolutions from N(0, 0.02), scales of norms from N(1, 0.02), shifts zero; FC layers stay as they are."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)


def match_discriminator_loss(real: Tensor, wrong: Tensor | None, fake: Tensor, wrong_weight: float = 0.5) -> Tensor:
    """Chen et al., eq. 4, negated: -log S_r - w log(1 - S_w) - (1 - w) log(1 - S_f), mean over the batch.

    Args:
        real: logits of S_r, (B,): true pairs.
        wrong: logits of S_w, (B,): real items of different pairs; None without them, w is then 0.
        fake: logits of S_f, (B,): a generated item with its condition.
        wrong_weight: w; 0.5 as printed, 0 without wrong pairs.
    """
    softplus = nn.functional.softplus
    if wrong is None:
        return softplus(-real.float()).mean() + softplus(fake.float()).mean()
    loss = softplus(-real.float()).mean() + (1.0 - wrong_weight) * softplus(fake.float()).mean()
    return loss + wrong_weight * softplus(wrong.float()).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Chen et al., eq. 3, negated: -log S_f of logits (B,), mean over the batch."""
    return nn.functional.softplus(-fake.float()).mean()
