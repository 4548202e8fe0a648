"""SoundNet-8: waveform -> features, objects, scenes; 1-d convolutions over time.

Input: (B, T) samples at 22,050 Hz in the range -256..256. `pool5` has 256 features, 8,192
samples apart.

Source: Y. Aytar, C. Vondrick, A. Torralba, "SoundNet: learning sound representations from unlabeled video", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE_HZ = 22_050
AMPLITUDE = 256.0  # of full scale
LEAST_SAMPLES = 10 * SAMPLE_RATE_HZ  # shorter sounds are repeated for `objects` and `scenes`, as the authors do
OBJECTS, SCENES = 1000, 401


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution with batch normalisation and ReLU, and the pool after it (1: none)."""

    inside: int
    outside: int
    kernel: int
    stride: int
    padding: int
    pool: int = 1


LAYERS = (
    Layer(1, 16, 64, 2, 32, 8),
    Layer(16, 32, 32, 2, 16, 8),
    Layer(32, 64, 16, 2, 8),
    Layer(64, 128, 8, 2, 4),
    Layer(128, 256, 4, 2, 2, 4),
    Layer(256, 512, 4, 2, 2),
    Layer(512, 1024, 4, 2, 2),
)
HEAD = Layer(1024, OBJECTS, 8, 2, 0)  # scenes: the same with 401 outputs


class SoundNetLayers(nn.Module):
    """The layers below the heads: `conv1` to `conv7` with `norm1` to `norm7`, or the first of them."""

    def __init__(self, width: int = LAYERS[0].outside, last: int = len(LAYERS)) -> None:
        """Makes the layers.

        Args:
            width: channels after the first layer; 16 is the published network, and every layer is in proportion.
            last: number of the last layer, 1 to 7; 5 for a network that ends with pool5.
        """
        super().__init__()
        self.last = last
        for number, layer in enumerate(LAYERS[:last], 1):
            inside, outside = _channels(layer.inside, width), _channels(layer.outside, width)
            self.add_module(f"conv{number}", nn.Conv1d(inside, outside, layer.kernel, layer.stride, layer.padding))
            self.add_module(f"norm{number}", nn.BatchNorm1d(outside, eps=1e-5))
        self.channels = outside

    def features(self, samples: Tensor, last: int | None = None) -> Tensor:
        """Feature maps (B, C, T') after layer `last` and its pool; 5 for pool5.

        Args:
            samples: (B, T), -256..256.
            last: number of a layer, 1 to 7; None for the last one that there is.
        """
        x = samples[:, None]
        for number, layer in enumerate(LAYERS[: last or self.last], 1):
            x = self.get_submodule(f"norm{number}")(self.get_submodule(f"conv{number}")(x)).relu()
            x = functional.max_pool1d(x, layer.pool) if layer.pool > 1 else x
        return x


class SoundNet8(SoundNetLayers):
    """The published network: seven layers, then `objects` and `scenes`."""

    def __init__(self) -> None:
        super().__init__()
        self.objects = nn.Conv1d(HEAD.inside, OBJECTS, HEAD.kernel, HEAD.stride)
        self.scenes = nn.Conv1d(HEAD.inside, SCENES, HEAD.kernel, HEAD.stride)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of objects (B, 1000, T') and scenes (B, 401, T'); raises ValueError under 10 s."""
        if samples.shape[1] < LEAST_SAMPLES:
            raise ValueError(f"{samples.shape[1]:,} samples, at least {LEAST_SAMPLES:,} are needed")
        x = self.features(samples)
        return self.objects(x).softmax(1), self.scenes(x).softmax(1)


class SoundNetClassifier(SoundNetLayers):
    """Seven layers and one FC layer, for a training from nothing on sounds too short for the published heads."""

    def __init__(self, classes: int, width: int = LAYERS[0].outside) -> None:
        super().__init__(width)
        self.head = nn.Linear(self.channels, classes)

    def forward(self, samples: Tensor) -> Tensor:
        """(B, T), -256..256 -> logits (B, K): the mean of the last maps over time, then the head."""
        logits: Tensor = self.head(self.features(samples).mean(dim=2))
        return logits


def _channels(published: int, width: int) -> int:
    """Channels of a layer in proportion to `width`; the input has one in any case."""
    return published if published == 1 else published * width // LAYERS[0].outside


def scaled(samples: Tensor) -> Tensor:
    """Samples of -1..1 in the range that SoundNet was trained on.

    Raises:
        ValueError: beyond full scale: they were scaled before.
    """
    if samples.numel() and float(samples.abs().max()) > 1.0:
        raise ValueError("samples beyond -1..1: they were scaled before")
    return samples * AMPLITUDE


def repeated(samples: Tensor, least: int = LEAST_SAMPLES) -> Tensor:
    """(T,) repeated as a whole until it has at least `least` samples."""
    return samples.repeat(-(-least // max(1, len(samples)))) if len(samples) < least else samples


def steps(samples: int, last: int = len(LAYERS)) -> int:
    """T' of `features` for a number of samples."""
    for layer in LAYERS[:last]:
        samples = ((samples + 2 * layer.padding - layer.kernel) // layer.stride + 1) // layer.pool
    return samples
