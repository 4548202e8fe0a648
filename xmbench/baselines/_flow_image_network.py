"""Settings of flow-image, its images, and the networks that they describe (`flow_image.py` trains them).

Shape letters: B batch, P planes (channels), H W pixels of the images that flow, D condition.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.baselines._sound_classifier import SoundClassifierConfig
from xmbench.interfaces import Task
from xmbench.networks.denoisers import GROUPS, UNet
from xmbench.networks.sound_encoder import SoundEncoder
from xmbench.training import Precision, Tensors, parts


class Config(SoundClassifierConfig):
    """Every constant. The defaults are the full-width system; `[config]` of the TOML repeats them."""

    side: int = Field(default=64, ge=4, description="pixels: a larger image is resized to this square")
    # Sound encoder
    condition: Literal["sound", "class"] = Field(default="sound", description="what the images are drawn from")
    encoder_widths: tuple[int, ...] = Field(default=(64, 128, 256, 512), min_length=1)
    embedding: int = Field(default=512, ge=1)
    labels_first: bool = Field(default=False, description="before the flow the encoder learns the classes")
    label_weight: float = Field(default=0.0, ge=0, description="of the head's cross-entropy, beside the flow's loss")
    # Classifiers: of sounds, for the condition "class"; of images, to select among the weights of the flow
    judge_width: int = Field(default=16, ge=1)
    classifier_epochs: int = Field(default=10, ge=1)
    classifier_min_steps: int = Field(default=300, ge=1)
    classifier_batch: int = Field(default=64, ge=2)
    # Denoiser
    patch: int = Field(default=1, ge=1, description="pixels along each side that become the planes of one place")
    channels: int = Field(default=64, ge=GROUPS, multiple_of=GROUPS)
    multipliers: tuple[int, ...] = Field(default=(1, 2, 4), min_length=1)
    blocks: int = Field(default=2, ge=1, description="per level")
    description: int = Field(default=256, ge=1, description="width of the vector of time and condition")
    # Training
    learning_rate: float = Field(default=2e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float | None = 1.0
    warmup: float = Field(default=0.02, ge=0, le=1)
    epochs: int = Field(default=1, ge=1)
    min_steps: int = Field(default=50_000, ge=1)
    batch: int = Field(default=128, ge=2)
    noisier: float = Field(default=0.5, description="how much the logit of the time is below 0 in the mean")
    drop: float = Field(default=0.1, ge=0, lt=1, description="share of conditions left out")
    least_left: float = Field(default=0.1, gt=0, le=1, description="smallest 1 - t by which an error is divided")
    average: float = Field(default=0.999, ge=0, lt=1)
    precision: Precision = "bf16"
    # Generation
    steps: int = Field(default=25, ge=1)
    guidance: float = Field(default=2.0, ge=0)


# What a trained run may change: its checkpoints do not depend on it.
GENERATION = ("steps", "guidance")


def training_digest(config: Config, task: Task) -> str:
    """Digest of what the weights depend on: the task, and all settings but those of the generation."""
    stated = config.model_dump_json(exclude=set(GENERATION))
    return hashlib.sha256(f"{task}\0{stated}".encode()).hexdigest()


def size_of(task: Task, config: Config) -> tuple[int, int]:
    """H and W: those of the data set, or the square of `side` if one of them is more."""
    given = task.image.height_px, task.image.width_px
    return given if max(given) <= config.side else (config.side, config.side)


class Flow(nn.Module):
    """The denoiser, and the encoder where they learn together; also the scale of its images, kept with its weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, task: Task, config: Config, encoder: SoundEncoder | None) -> None:
        super().__init__()
        self.size, self._patch = size_of(task, config), config.patch
        planes = task.image.channels * config.patch**2
        self.given = len(task.class_names) if config.condition == "class" else config.embedding  # D
        self.encoder = encoder
        self.denoiser = UNet(planes, config.channels, config.multipliers, self.given, config.description, config.blocks)
        self.register_buffer("mean", torch.zeros(task.image.channels, 1, 1))
        self.register_buffer("deviation", torch.ones(task.image.channels, 1, 1))

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor, dropped: Tensor) -> Tensor:
        """Images (B, P, H, W), times (B,), conditions (B, D), left out bool (B,) -> clean images (B, P, H, W)."""
        height, width = noisy.shape[2:]
        padded = F.pad(noisy, (0, -width % self._patch, 0, -height % self._patch))
        found = self.denoiser(F.pixel_unshuffle(padded, self._patch), time, condition, dropped)
        return F.pixel_shuffle(found, self._patch)[:, :, :height, :width]

    @torch.no_grad()
    def measure(self, data: Tensors) -> None:
        """Takes mean and deviation of each channel from the training images (of 4,096 of them, if there are more)."""
        rows = data.rows[torch.linspace(0, len(data.rows) - 1, min(len(data.rows), 4096)).long()]
        pixels = torch.cat([self._resized(data.pixels(part)).cpu() for part in parts(rows)])
        self.mean.copy_(pixels.mean(dim=(0, 2, 3))[:, None, None])
        self.deviation.copy_(pixels.std(dim=(0, 2, 3)).clamp_min(1.0)[:, None, None])

    def normalised(self, pixels: Tensor) -> Tensor:
        """Images uint8 of the data set's size (B, h, w, P) -> (B, P, H, W) of zero mean and unit variance."""
        return (self._resized(pixels) - self.mean) / self.deviation

    def pixels(self, images: Tensor, task: Task) -> NDArray[np.uint8]:
        """The inverse: (B, P, H, W) -> uint8 (B, h, w, P)."""
        found = images * self.deviation + self.mean
        given = task.image.height_px, task.image.width_px
        if given != self.size:
            found = F.interpolate(found, given, mode="bilinear", antialias=True)
        levels: NDArray[np.uint8] = found.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return np.ascontiguousarray(levels)

    def _resized(self, pixels: Tensor) -> Tensor:
        images = pixels.permute(0, 3, 1, 2).float()
        if tuple(images.shape[2:]) == self.size:
            return images
        return F.interpolate(images, self.size, mode="bilinear", antialias=True)
