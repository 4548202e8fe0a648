"""The first blocks of MobileNetV2, a network that others trained on the photographs of ImageNet; here it is frozen.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR
2018 (arXiv 1801.04381). Weights are the 8-bit integers of Google's quantised network, with one scale and one zero point
a layer, computed in float32. `pretrained/mobilenet-v2-first-blocks.json` has licence and origin.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from xmbench.errors import DocumentError, PrerequisiteError
from xmbench.storage.files import read_bytes

WEIGHTS = Path(__file__).parent / "pretrained" / "mobilenet-v2-first-blocks.safetensors"
BLOCKS = 11  # of 17: two thirds of its depth, an eighth of its weights
_LARGEST = 4 << 20  # bytes of the file
# Expansion, channels, blocks, stride of the first block: table 2 of the paper.
_GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_FIRST = 32  # channels


@functools.cache
def block_shapes() -> tuple[tuple[int, int, int, int], ...]:
    """Channels in, within and out, and the stride of each block."""
    found, inputs = [], _FIRST
    for expansion, outputs, count, stride in _GROUPS:
        for number in range(count):
            found.append((inputs, inputs * expansion, outputs, stride if number == 0 else 1))
            inputs = outputs
    return tuple(found)


class Convolution(nn.Module):
    """A convolution with TensorFlow's padding: the odd pixel is added at the bottom and on the right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.layer = nn.Conv2d(inputs, outputs, kernel, stride, 0, groups=groups)

    def forward(self, images: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H / stride, W / stride), both rounded up."""
        kernel, stride = self.layer.kernel_size[0], self.layer.stride[0]
        if kernel > 1:
            missing = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in images.shape[:1:-1]]
            images = F.pad(images, [side for gap in missing for side in (gap // 2, gap - gap // 2)])
        found: Tensor = self.layer(images)
        return found


class Block(nn.Module):
    """An inverted residual: wider, one convolution a channel, narrower, added to the input where shapes agree."""

    def __init__(self, inputs: int, within: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.expand = Convolution(inputs, within, 1) if within != inputs else None
        self.depthwise = Convolution(within, within, 3, stride, groups=within)
        self.project = Convolution(within, outputs, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """(B, I, H, W) -> (B, O, H / stride, W / stride)."""
        wide = images if self.expand is None else F.relu6(self.expand(images))
        found: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return images + found if self.adds else found


class PhotoFeatures(nn.Module):
    """RGB (B, 3, H, W) in -1..1 -> one map per block that is asked for."""

    def __init__(self, blocks: int) -> None:
        """A network of so many blocks, 1 to 17; the file has `BLOCKS`."""
        super().__init__()
        self.conv_in = Convolution(3, _FIRST, 3, 2)
        self.blocks = nn.ModuleList(Block(*shape) for shape in block_shapes()[:blocks])

    def forward(self, images: Tensor, taken: tuple[int, ...]) -> list[Tensor]:
        """The outputs of the blocks `taken`, (B, C, h, w) each, in their order."""
        h, found = F.relu6(self.conv_in(images)), []
        for number, block in enumerate(self.blocks):
            h = block(h)
            if number in taken:
                found.append(h)
        return found


@functools.cache
def digest() -> str:
    """Sha256 of the stored weights: judges name it."""
    return hashlib.sha256(_stored()).hexdigest()


@functools.cache
def photo_features(device: str = "cpu") -> PhotoFeatures:
    """The network with its stored weights, computing in float32, in evaluation mode.

    Raises:
        PrerequisiteError: the file is missing or damaged.
    """
    network = PhotoFeatures(BLOCKS)
    try:
        stored = load(_stored())
        for name, module in network.named_modules():
            if isinstance(module, Convolution):
                integers = stored[f"{name}.integers"].float() - stored[f"{name}.zero"].float()
                module.layer.load_state_dict(
                    {"weight": integers * stored[f"{name}.scale"], "bias": stored[f"{name}.bias"]}
                )
    except Exception as error:  # any damage to the file
        raise _broken() from error
    return network.requires_grad_(False).eval().to(device)


def _stored() -> bytes:
    try:
        return read_bytes(WEIGHTS, _LARGEST)
    except DocumentError as error:
        raise _broken() from error


def _broken() -> PrerequisiteError:
    return PrerequisiteError(
        "the photo features cannot be read",
        where=WEIGHTS,
        expected="the file that ships with xmbench",
        todo="install xmbench again",
    )
