"""I2T2A: image -> text -> audio. A classifier finds the word, a speech engine says it.

The second comparison of H. Ning, X. Zheng, Y. Yuan, X. Lu, "Audio description from image by modal translation network",
Neurocomputing 423 (2021): there a captioning model (Liu et al., ICCV 2019) and the web page "Reading Woman". For
descriptions of one word a captioner is a classifier of the vocabulary; the paper calls it "the classification manner".

The classifier is MT-Net's own trunk and head, trained with L_per (eq. 4) alone, or ResNet-18 as it is used on 32 x 32
images: K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition" (CVPR 2016), section 4.2, in the
widths of its Table 1. The words are spoken before the training, so that a missing engine is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from xmbench.baselines._classify import ClassPlayer, takes_of
from xmbench.errors import PrerequisiteError
from xmbench.formats.document import Part
from xmbench.interfaces import Direction, Examples, Generator, Run, SpokenWords, Task, Voice
from xmbench.media.audio import FULL_SCALE, fit_length, to_float
from xmbench.networks.images import standardise
from xmbench.networks.initial import truncated_normal
from xmbench.networks.modal_translation import ImageFeatures
from xmbench.networks.residual import ResNet18
from xmbench.training import (
    Optimiser,
    OptimiserName,
    Phase,
    Precision,
    Schedule,
    Tensors,
    Update,
    mean_losses,
    place,
    plan_steps,
    seed_everything,
    train,
)

CROP_PADDING = 4  # pixels on each side, black


class Config(Part):
    """The voice, and the two classifiers; only the settings of the chosen one have an effect."""

    classifier: Literal["mtnet", "resnet-18"] = "mtnet"
    # The voice; "" for that of the training clips, whose settings the recipe has
    voice: str = "en+anika"
    engine: str = "espeak-ng"
    rate: int = Field(default=175, ge=1, description="words per minute")
    pitch: int = Field(default=50, ge=0, le=100)
    # MT-Net's image features (its Table 1) and training
    widths: tuple[int, ...] = (32, 128, 256, 512, 1024)
    strides: tuple[int, ...] = (1, 1, 1, 1, 1)
    dilation: int = Field(default=2, ge=1)
    code: int = Field(default=1024, ge=1, description="width of FC1 and FC2")
    optimiser: OptimiserName = "rmsprop-tf"
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    learning_rate: float = Field(default=1e-4, gt=0)
    l2: float = Field(default=0.0004, ge=0)
    warmup: float = Field(default=0.02, ge=0, le=1)
    epochs: int = Field(default=20, ge=1)
    min_steps: int = Field(default=1000, ge=1)
    batch: int = Field(default=64, ge=2)
    # ResNet-18
    resnet_widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    resnet_learning_rate: float = Field(default=0.1, gt=0)
    resnet_momentum: float = 0.9
    resnet_l2: float = Field(default=5e-4, ge=0)
    resnet_warmup: float = Field(default=0.05, ge=0, le=1)
    resnet_epochs: int = Field(default=10, ge=1)
    resnet_min_steps: int = Field(default=1000, ge=1)
    resnet_batch: int = Field(default=128, ge=2)
    augment: bool = Field(default=False, description="crops and mirrors images: photographs, never digits")
    # Both
    precision: Precision = "float32"
    channels_last: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if len(self.widths) != len(self.strides):
            raise ValueError(f"{len(self.widths)} widths and {len(self.strides)} strides")
        return self


# ------------------------------------------------------------------------------------------------ classifiers
class TrunkClassifier(nn.Module):
    """MT-Net's image features and softmax head, without its mapping and generator."""

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__()
        channels, code = task.image.channels, config.code
        self.features = ImageFeatures(channels, config.widths, config.strides, config.dilation, code)
        self.head = nn.Linear(code, len(task.class_names))
        truncated_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) -> logits (B, K)."""
        logits: Tensor = self.head(self.features(x))
        return logits


class ResNetClassifier(nn.Sequential):
    """ResNet-18 for small images and a layer of the classes; its convolutions start as its authors' do."""

    def __init__(self, channels: int, classes: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__(*ResNet18(channels, widths), nn.Linear(widths[-1], classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def cropped_and_mirrored(images: Tensor) -> Tensor:
    """Each image uint8 (B, H, W, C) padded by four black pixels, cut back at a random place, mirrored or not."""
    size, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, CROP_PADDING, CROP_PADDING, CROP_PADDING, CROP_PADDING))
    top, left = torch.randint(2 * CROP_PADDING + 1, (2, size, 1))  # on the host: the same on every device
    columns = torch.where(torch.rand(size, 1) < 0.5, torch.arange(width), torch.arange(width - 1, -1, -1))  # (B, W)
    y, x = (top + torch.arange(height)).to(images.device), (left + columns).to(images.device)
    return padded[torch.arange(size, device=images.device)[:, None, None], y[:, :, None], x[:, None, :]]


# ------------------------------------------------------------------------------------------------- training
def make_network(task: Task, config: Config) -> nn.Module:
    """The chosen classifier, untrained: standardised images (B, C, H, W) -> logits (B, K)."""
    if config.classifier == "mtnet":
        return TrunkClassifier(task, config)
    return ResNetClassifier(task.image.channels, len(task.class_names), config.resnet_widths)


def _plan(config: Config, items: int) -> tuple[Optimiser, int, int, int]:
    """How the weights change, items per step, steps per epoch, number of steps."""
    if config.classifier == "mtnet":
        batch, epoch, steps = plan_steps(items, config.batch, config.epochs, config.min_steps)
        warmup = round(config.warmup * steps)
        rate, momentum, schedule = config.learning_rate, config.momentum, config.schedule
        return Optimiser(config.optimiser, rate, config.l2, momentum, warmup, schedule), batch, epoch, steps
    batch, epoch, steps = plan_steps(items, config.resnet_batch, config.resnet_epochs, config.resnet_min_steps)
    warmup = round(config.resnet_warmup * steps)
    rate, momentum = config.resnet_learning_rate, config.resnet_momentum
    return Optimiser("sgd", rate, config.resnet_l2, momentum, warmup), batch, epoch, steps


def _train(net: nn.Module, data: Tensors, config: Config, run: Run) -> None:
    """Cross-entropy on the labels (L_per, eq. 4), selected by the same loss on held-out items."""
    augment = config.augment and config.classifier == "resnet-18"

    def losses(rows: Tensor) -> dict[str, Tensor]:
        images = data.pixels(rows)
        if augment and net.training:
            images = cropped_and_mirrored(images)
        logits = net(standardise(images, config.channels_last))
        return {"loss": F.cross_entropy(logits.float(), data.labels[rows].to(logits.device))}

    def validate() -> Mapping[str, float]:
        return {"selection": mean_losses(losses, data.held_out)["loss"]}

    optimiser, batch, epoch, steps = _plan(config, len(data.rows))
    run.progress(f"classifier: {len(data.rows)} items, {len(data.held_out)} held out, batch {batch}, {steps} steps")
    train(
        Phase(
            name="classifier",
            module=net,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(net, optimiser, lambda positions: losses(data.rows[positions])),),
            validate=validate if len(data.held_out) else None,
            validate_every=max(epoch, steps // 20),
            precision=config.precision,
            validation_ids=data.validation_ids,
            ahead=lambda positions: data.ahead(data.rows[positions]),
            batch_setting="batch" if config.classifier == "mtnet" else "resnet_batch",
        ),
        run,
    )


# -------------------------------------------------------------------------------------------------- speech
def level(clip: NDArray[np.int16]) -> float:
    """Root mean square of a clip (T,) from its first to its last sample other than zero, 0..1; padding is no part."""
    sounding = np.flatnonzero(clip)
    if len(sounding) == 0:
        return 0.0
    part = clip[sounding[0] : sounding[-1] + 1] / FULL_SCALE
    return float(np.sqrt(np.square(part).mean()))


def fitted(spoken: SpokenWords, examples: Examples, task: Task) -> NDArray[np.float32]:
    """The words at the median level of the training takes and of the data set's length, float32 (K, T).

    One gain for all words: their levels among each other are the voice's. It is at most what keeps every sample within
    -1..1. Nothing is moved in time: an alignment would need the references.
    """
    takes = takes_of(examples)
    wanted = float(np.median([level(clip) for _, clips in takes.blocks(examples) for clip in clips]))
    own = float(np.median([level(clip) for clip in spoken.clips]))
    peak = max(float(np.abs(to_float(clip)).max(initial=0.0)) for clip in spoken.clips)
    gain = min(wanted / max(own, 1e-9), 1.0 / max(peak, 1e-9))
    words = np.stack([fit_length(clip, task.audio.samples) for clip in spoken.clips])
    return np.asarray(words * (gain / FULL_SCALE), dtype=np.float32)


class _I2T2AModel:
    """See the module."""

    name = "i2t2a"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def image_network(self, task: Task, config: Any) -> nn.Module:
        """The classifier before its training: standardised images (B, C, H, W) -> logits (B, K)."""
        return make_network(task, config)

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Speaks the words, then trains the classifier or loads its checkpoint."""
        if run.speech is None:
            raise PrerequisiteError("this run has no speech engine", todo="run it with xmbench run-baseline i2t2a")
        voice = Voice(config.engine, config.voice, config.rate, config.pitch) if config.voice else None
        spoken = run.speech.speak(voice)
        run.progress(f"speech: {spoken.description}")
        words = fitted(spoken, examples, task)
        data = Tensors(examples, run)
        seed_everything(run.seed, "classifier", "weights")
        net = place(make_network(task, config), run.device, channels_last=config.channels_last)
        _train(net, data, config, run)
        return ClassPlayer(net, words, run.device)


MODEL = _I2T2AModel()
