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


class SoundNet8(nn.Module):
    """The network; `conv1` to `conv7` with `norm1` to `norm7`, then `objects` and `scenes`."""

    def __init__(self) -> None:
        super().__init__()
        for number, layer in enumerate(LAYERS, 1):
            self.add_module(
                f"conv{number}", nn.Conv1d(layer.inside, layer.outside, layer.kernel, layer.stride, layer.padding)
            )
            self.add_module(f"norm{number}", nn.BatchNorm1d(layer.outside, eps=1e-5))
        self.objects = nn.Conv1d(HEAD.inside, OBJECTS, HEAD.kernel, HEAD.stride)
        self.scenes = nn.Conv1d(HEAD.inside, SCENES, HEAD.kernel, HEAD.stride)

    def features(self, samples: Tensor, last: int = len(LAYERS)) -> Tensor:
        """Feature maps (B, C, T') after layer `last` and its pool; 5 for pool5.

        Args:
            samples: (B, T), -256..256.
            last: number of a layer, 1 to 7.
        """
        x = samples[:, None]
        for number, layer in enumerate(LAYERS[:last], 1):
            x = self.get_submodule(f"norm{number}")(self.get_submodule(f"conv{number}")(x)).relu()
            x = functional.max_pool1d(x, layer.pool) if layer.pool > 1 else x
        return x

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of objects (B, 1000, T') and scenes (B, 401, T'); raises ValueError under 10 s."""
        if samples.shape[1] < LEAST_SAMPLES:
            raise ValueError(f"{samples.shape[1]:,} samples, at least {LEAST_SAMPLES:,} are needed")
        x = self.features(samples)
        return self.objects(x).softmax(1), self.scenes(x).softmax(1)


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
