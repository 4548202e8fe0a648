"""Classifiers whose last hidden layer encodes an item: the image and the sound encoder of Chen et al. (2017).

L. Chen et al., "Deep cross-modal audio-visual generation", sections 3.3 and 3.4, figs. 4 and 5: six 3x3 convolutions
and three FC layers for images, four and three for spectrograms, encodings of 128 values. Channels are ours: the
figures cannot be read.
"""

from __future__ import annotations

from torch import Tensor, nn

from xmbench.networks.dcgan import IMAGE_SIZE, SPECTROGRAM_SIZE

ENCODING = 128


class _Classifier(nn.Module):
    def __init__(self, convolutions: nn.Sequential, features: nn.Sequential, classes: int) -> None:
        super().__init__()
        self.convolutions, self.features = convolutions, features
        self.head = nn.Linear(ENCODING, classes)

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> encodings (B, 128), not negative."""
        found: Tensor = self.features(self.convolutions(x))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> logits (B, K)."""
        logits: Tensor = self.head(self.encode(x))
        return logits

    def penalty(self) -> Tensor:
        """Half the sum of the squared weights of the FC layers."""
        layers = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        return sum((0.5 * layer.weight.square().sum() for layer in layers), start=self.head.weight.new_zeros(()))


class ImageClassifier(_Classifier):
    """Images (B, 3, 64, 64) in -1..1 -> logits (B, K). Pairs of convolutions, each followed by maximum pooling."""

    def __init__(self, classes: int, widths: tuple[int, ...] = (32, 64, 128), hidden: int = 1024) -> None:
        layers: list[nn.Module] = []
        before, size = 3, IMAGE_SIZE
        for width in widths:
            for channels in (before, width):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            before, size = width, size // 2
        first, second = nn.Linear(before * size * size, hidden), nn.Linear(hidden, ENCODING)
        features = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU())
        super().__init__(nn.Sequential(*layers), features, classes)


class SoundClassifier(_Classifier):
    """Spectrograms (B, 1, *size) -> logits (B, K); `size` is 128 x 34, in -1..1, where it encodes.

    Dropout after the last two hidden layers: the printed 0.7 and 0.8 are taken as shares that are kept, as TensorFlow
    had them in 2017.
    """

    def __init__(
        self,
        classes: int,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        hidden: int = 512,
        size: tuple[int, int] = SPECTROGRAM_SIZE,
    ) -> None:
        layers: list[nn.Module] = []
        before, (height, width) = 1, size
        for channels in widths:
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            before, height, width = channels, height // 2, width // 2
        first, second = nn.Linear(before * height * width, hidden), nn.Linear(hidden, ENCODING)
        dropped = nn.Dropout(0.3), nn.Dropout(0.2)
        features = nn.Sequential(nn.Flatten(), first, nn.ReLU(), dropped[0], second, nn.ReLU(), dropped[1])
        super().__init__(nn.Sequential(*layers), features, classes)
