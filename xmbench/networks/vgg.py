"""VGG-16 up to fc6: an image -> 4,096 features with little place and much class in them.

K. Simonyan, A. Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
configuration D: thirteen 3x3 convolutions in five groups, each group followed by 2x2 maximum pooling, then the FC layer
fc6. Names of the weights are torchvision's (`features.0.weight` ... `classifier.0.weight`), so that its file fits.

Shape letters: B batch, H W height and width, S side of the input, D features, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUPS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))  # channels of each convolution, times the width
SIZE, FEATURES, WIDTH = 224, 4096, 64  # of the published network
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels, for pixels in 0..1


class Vgg16(nn.Module):
    """Images uint8 (B, H, W, C) -> fc6 (B, D), before its ReLU.

    Grey images are copied to three channels; images of another size are resized, so that every pixel counts.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int = WIDTH, size: int = SIZE, features: int = FEATURES, normed: bool = False) -> None:
        """Makes the network.

        Args:
            width: channels of the first convolution.
            size: S, a multiple of 32.
            features: D.
            normed: batch normalisation after each convolution and of fc6, for a training from nothing.
        """
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for group in GROUPS:
            for times in group:
                layers.append(nn.Conv2d(before, times * width, 3, padding=1))
                layers += [nn.BatchNorm2d(times * width)] if normed else []
                layers.append(nn.ReLU(inplace=True))
                before = times * width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        fc6: list[nn.Module] = [nn.Linear(before * (size // 32) ** 2, features)]
        self.classifier = nn.Sequential(*fc6, *([nn.BatchNorm1d(features)] if normed else []))
        self.size = size
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        features: Tensor = self.classifier(self.features(self.prepared(images)).flatten(1))
        return features

    def prepared(self, images: Tensor) -> Tensor:
        """Images uint8 (B, H, W, C) -> float32 (B, 3, S, S), normalised as for ImageNet."""
        pixels = images.permute(0, 3, 1, 2).float() / 255.0
        if pixels.shape[2:] != (self.size, self.size):
            pixels = nn.functional.interpolate(pixels, (self.size, self.size), mode="bilinear", antialias=True)
        return (pixels.expand(-1, 3, -1, -1) - self.mean) / self.deviation


class VggClassifier(nn.Module):
    """VGG-16 with batch normalisation and a head on fc6, for a training from nothing."""

    def __init__(self, classes: int, width: int, size: int, features: int) -> None:
        super().__init__()
        self.body = Vgg16(width, size, features, normed=True)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Linear(features, classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Images uint8 (B, H, W, C) -> logits (B, K)."""
        logits: Tensor = self.head(self.body(images))
        return logits
