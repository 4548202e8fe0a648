"""Front ends of networks that take images.

Shape letters: B batch, C channels, H W pixels.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def standardise(images: Tensor, channels_last: bool = False) -> Tensor:
    """uint8 (B, H, W, C) -> float32 (B, C, H, W), zero mean and unit variance per image.

    As tf.image.per_image_standardization: the deviation is at least 1 / sqrt(H * W * C), so that a constant image
    becomes zeros. `channels_last` chooses the memory format in which convolutions are fastest.
    """
    pixels = images.permute(0, 3, 1, 2).float()
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    deviation = pixels.std(dim=(1, 2, 3), keepdim=True, correction=0)
    form = torch.channels_last if channels_last else torch.contiguous_format
    return ((pixels - mean) / deviation.clamp_min(1.0 / math.sqrt(pixels[0].numel()))).contiguous(memory_format=form)


def moved(pixels: Tensor, degrees: float, scale: float, shift: float) -> Tensor:
    """Images uint8 (B, H, W, C), each turned, scaled and shifted at random -> float32, the same shape.

    Args:
        pixels: the images.
        degrees: most that one is turned, either way.
        scale: most that it grows or shrinks, as a share.
        shift: most that it moves along each side, as a share of the side.
    """
    count, device = len(pixels), pixels.device
    images = pixels.permute(0, 3, 1, 2).float()
    if not (degrees or scale or shift):
        return pixels.float()
    uniform = 2.0 * torch.rand(count, 4, device=device) - 1.0  # (B, 4) in -1..1
    angle = uniform[:, 0] * math.radians(degrees)
    size = 1.0 + uniform[:, 1] * scale
    offset = uniform[:, 2:] * 2.0 * shift  # the grid runs from -1 to 1
    rows = [
        torch.stack([size * angle.cos(), -size * angle.sin(), offset[:, 0]], dim=1),
        torch.stack([size * angle.sin(), size * angle.cos(), offset[:, 1]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    edge: Literal["border"] = "border"
    return F.grid_sample(images, grid, padding_mode=edge, align_corners=False).permute(0, 2, 3, 1)


def coloured(pixels: Tensor, amount: float) -> Tensor:
    """Images (B, H, W, C) in 0..255, each channel of each brighter or darker at random, the same shape and range.

    Args:
        pixels: the images.
        amount: most that a channel's gain differs from 1, and its offset from 0 as a share of 128.
    """
    if not amount:
        return pixels
    uniform = 2.0 * torch.rand(2, len(pixels), 1, 1, pixels.shape[3], device=pixels.device) - 1.0
    gain, offset = 1.0 + amount * uniform[0], 128.0 * amount * uniform[1]
    return (pixels.float() * gain + offset).clamp(0.0, 255.0)


def make_classifier(channels: int, classes: int, width: int, cells: int = 1) -> nn.Sequential:
    """Standardised images (B, C, H, W) -> logits (B, K): three strided convolutions, means of cells x cells parts.

    One cell is global average pooling: it knows what is in an image and not where, and takes a coat for an instrument.
    """
    layers: list[nn.Module] = []
    for out in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        layers += [nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(cells), nn.Flatten(), nn.Linear(channels * cells**2, classes))


def space_to_batch(x: Tensor, parts: int) -> Tensor:
    """(B, C, H, W) -> (parts * parts * B, C, H / parts, W / parts): every `parts`-th pixel, from each first pixel.

    A convolution with dilation `parts` sees the pixels of one such image alone: on these images it is a dense one, with
    the same zeros beyond the edges.
    """
    b, c, h, w = x.shape
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    divided = x.reshape(b, c, h // parts, parts, w // parts, parts).permute(3, 5, 0, 1, 2, 4)
    divided = divided.reshape(parts * parts * b, c, h // parts, w // parts)
    return divided.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def batch_to_space(x: Tensor, parts: int) -> Tensor:
    """The inverse of `space_to_batch`: (parts * parts * B, C, H, W) -> (B, C, parts * H, parts * W)."""
    b, c, h, w = x.shape[0] // (parts * parts), *x.shape[1:]
    return x.reshape(parts, parts, b, c, h, w).permute(2, 3, 4, 0, 5, 1).reshape(b, c, h * parts, w * parts)


class Residual2d(nn.Module):
    """MT-Net, eq. 3: two dilated 3x3 convolutions and the identity. BN and ReLU placed as in ResNet (our choice)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, dense: bool = False) -> Tensor:
        """(B, C, H, W) -> the same shape; `dense` leaves out the holes, for what `space_to_batch` gives."""
        y = F.relu(self.first_norm(_convolve(self.first, x, dense)))
        return F.relu(self.second_norm(_convolve(self.second, y, dense)) + x)


def _convolve(layer: nn.Conv2d, x: Tensor, dense: bool) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, padding=1) if dense else layer(x)


class Transition(nn.Conv2d):
    """MT-Net, eq. 2: a 1x1 convolution; with a stride, of the mean of stride x stride pixels.

    A 1x1 convolution with stride 2 would read one of four pixels and never see the others.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__(channels, width, 1)
        self.pool = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H / stride, W / stride), rounded up: no row or column is lost."""
        return super().forward(F.avg_pool2d(x, self.pool, ceil_mode=True) if self.pool > 1 else x)

    def extra_repr(self) -> str:
        """As of a convolution, and the stride."""
        return f"{super().extra_repr()}, pool={self.pool}"  # type: ignore[no-untyped-call]


class Trunk(nn.Sequential):
    """MT-Net, Table 1: per stage a 1x1 transition (eq. 2) and a residual block.

    The paper has no pooling and no stride: a 3x32x32 image becomes 1024x32x32. Dilation d in every stage and no stride
    make it one network on d * d images of every d-th pixel, whose features are averaged in the end. It is computed
    so: dense convolutions are faster, and values, gradients and statistics of batch normalisation are the same.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], strides: tuple[int, ...], dilation: int) -> None:
        stages: list[nn.Module] = []
        for width, stride in zip(widths, strides, strict=True):
            stages += [Transition(channels, width, stride), nn.BatchNorm2d(width), nn.ReLU()]
            stages += [Residual2d(width, dilation)]
            channels = width
        super().__init__(*stages)
        self.parts = dilation if set(strides) == {1} else 1

    def forward(self, x: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) -> feature maps (B, widths[-1], H, W), smaller by the strides."""
        parts = self._parts_of(x)
        return batch_to_space(self._stages(space_to_batch(x, parts), True), parts) if parts > 1 else self._stages(x)

    def pooled(self, x: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) -> means of their feature maps (B, widths[-1])."""
        parts = self._parts_of(x)
        if parts == 1:
            return self._stages(x).mean(dim=(2, 3))
        means = self._stages(space_to_batch(x, parts), True).mean(dim=(2, 3))  # (parts * parts * B, widths[-1])
        return means.view(parts * parts, len(x), -1).mean(dim=0)

    def _parts_of(self, x: Tensor) -> int:
        """Into how many parts each side is divided; one where they would not be of one size."""
        return self.parts if x.shape[2] % self.parts == 0 and x.shape[3] % self.parts == 0 else 1

    def _stages(self, x: Tensor, dense: bool = False) -> Tensor:
        for layer in self:
            x = layer(x, dense) if isinstance(layer, Residual2d) else layer(x)
        return x
