"""ResNet-18 for small images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """The basic block of K. He et al., "Deep residual learning for image recognition" (CVPR 2016), figure 5 left."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H / stride, W / stride)."""
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class ResNet18(nn.Sequential):
    """Standardised images (B, C, H, W) -> features (B, widths[-1]).

    Eighteen layers with the last one that a user adds, at the paper's widths unless others are given. For images of 28
    and 32 pixels the first layer is a 3x3 convolution without a stride and there is no pooling behind it, as in the
    paper's CIFAR networks.
    """

    def __init__(self, channels: int, widths: tuple[int, ...] = (64, 128, 256, 512)) -> None:
        before = widths[0]
        layers: list[nn.Module] = [nn.Conv2d(channels, before, 3, padding=1, bias=False), nn.BatchNorm2d(before)]
        layers.append(nn.ReLU())
        for stage, now in enumerate(widths):
            layers += [Block(before, now, 1 if stage == 0 else 2), Block(now, now, 1)]
            before = now
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
