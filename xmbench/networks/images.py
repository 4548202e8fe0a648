"""Front ends of networks that take images."""

from __future__ import annotations

import math

import torch
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


def make_classifier(channels: int, classes: int, width: int) -> nn.Sequential:
    """Standardised images (B, C, H, W) -> logits (B, K): three strided convolutions, global average pooling."""
    layers: list[nn.Module] = []
    for out in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        layers += [nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
