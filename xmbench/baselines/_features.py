"""Features of images and sounds by networks for classes: VGG-16 fc6 and SoundNet-8 pool5.

J. Lyu et al., "Generating images from sounds using multi-modal features and GANs" (2018, under review), section 4. Both
networks are either published ones, which others trained on other data, or trained here on the labels of the training
items: phases "image-features" and "sound-features".

Shape letters: B batch, N items, M distinct clips, T samples, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.formats.document import Part
from xmbench.interfaces import Examples, Run, Task
from xmbench.media import audio
from xmbench.networks import published, soundnet
from xmbench.networks.vgg import Vgg16, VggClassifier
from xmbench.training import (
    Optimiser,
    Phase,
    Precision,
    Tensors,
    Update,
    autocast,
    mean_losses,
    parts,
    place,
    plan_steps,
    prepared,
    seed_everything,
    train,
)

Losses = Mapping[str, Tensor]
POOL5 = 5  # layers of SoundNet-8 up to pool5
IMAGES = 64  # of 224 x 224 pixels, that are computed at once
_SHA256 = r"^([0-9a-f]{64})?$"


class FeaturesConfig(Part):
    """The features; the defaults are the papers' networks, trained on the labels of the set."""

    # Features (section 4)
    image_weights: str = Field(default="", pattern=_SHA256, description="sha256 of published weights; empty: none")
    sound_weights: str = Field(default="", pattern=_SHA256, description="sha256 of published weights; empty: none")
    feature_side: int = Field(default=64, ge=4, le=64, description="fc6 and the hidden layer have its square")
    image_size: int = Field(default=224, ge=32, multiple_of=32, description="pixels of VGG-16's input")
    image_width: int = Field(default=64, ge=1)
    sound_width: int = Field(default=16, ge=1)
    sound_seconds: float = Field(default=5.0, ge=0.5, le=60.0)
    feature_lr: float = Field(default=1e-3, gt=0)
    feature_epochs: int = Field(default=30, ge=1)
    feature_min_steps: int = Field(default=600, ge=1)
    feature_batch: int = Field(default=64, ge=2)
    precision: Precision = "float32"
    channels_last: bool = False

    @property
    def features(self) -> int:
        """D of fc6, and H."""
        return self.feature_side**2

    @property
    def training_data(self) -> str:
        """Whether others trained a network on other data: "open", else "closed"."""
        return "open" if self.image_weights or self.sound_weights else "closed"


# ------------------------------------------------------------------------------------------------- features
class Sounds:
    """Clips as SoundNet takes them: 22,050 Hz, -256..256, repeated as a whole or cut to one length."""

    def __init__(self, task: Task, config: FeaturesConfig) -> None:
        self._rate = task.audio.sample_rate_hz
        self._samples = round(config.sound_seconds * soundnet.SAMPLE_RATE_HZ)

    def resampled(self, clips: NDArray[np.int16]) -> NDArray[np.float32]:
        """Clips int16 (B, T) -> float32 (B, T') in -1..1 at 22,050 Hz, cut but not repeated."""
        rate = soundnet.SAMPLE_RATE_HZ
        waves = [audio.resample(audio.to_float(clip), self._rate, rate)[: self._samples] for clip in clips]
        return np.clip(np.stack(waves), -1.0, 1.0).astype(np.float32)  # resampling overshoots

    def repeated(self, waves: Tensor) -> Tensor:
        """(B, T') in -1..1 -> (B, samples of the length) in -256..256."""
        times = -(-self._samples // waves.shape[1])
        return soundnet.scaled(waves).repeat(1, times)[:, : self._samples]

    def of(self, examples: Examples) -> Tensor:
        """The distinct training clips (M, T'), computed once."""
        name = f"waves-{soundnet.SAMPLE_RATE_HZ}-{self._samples}"
        return torch.from_numpy(prepared(examples, name, self.resampled, of="clips"))

    @property
    def values(self) -> int:
        """Time steps of pool5."""
        return soundnet.steps(self._samples, POOL5)


class Features:
    """Both feature networks, ready: fc6 before its ReLU, and pool5, flat.

    Attributes:
        image_size: D of images.
        sound_size: D of sounds: channels of pool5 times its time steps.
    """

    def __init__(
        self, image: Vgg16 | None, sound: soundnet.SoundNetLayers | None, task: Task, config: FeaturesConfig, run: Run
    ) -> None:
        self._image = None if image is None else image.eval().requires_grad_(False)
        self._sound = None if sound is None else sound.eval().requires_grad_(False)
        self._sounds, self._device, self._precision = Sounds(task, config), run.device, config.precision
        self.image_size = config.features
        self.sound_size = 0 if sound is None else pool5_channels(sound) * self._sounds.values

    @torch.no_grad()
    def of_images(self, images: Tensor) -> Tensor:
        """Images uint8 (B, H, W, C) on the device -> (B, D)."""
        assert self._image is not None
        with autocast(self._device, self._precision):
            features: Tensor = self._image(images)
        return features.float()

    @torch.no_grad()
    def of_waves(self, waves: Tensor) -> Tensor:
        """Waves (B, T') of `Sounds.resampled` -> (B, D)."""
        assert self._sound is not None
        with autocast(self._device, self._precision):
            features = self._sound.features(self._sounds.repeated(waves.to(self._device)), POOL5)
        return features.float().flatten(1)

    def of_clips(self, clips: NDArray[np.int16]) -> Tensor:
        """Clips int16 (B, T) -> (B, D)."""
        return self.of_waves(torch.from_numpy(self._sounds.resampled(np.asarray(clips))))

    def of_training_images(self, data: Tensors) -> Tensor:
        """Every training item, (N, D), on the host."""
        every = torch.arange(len(data.labels))
        return torch.cat([self.of_images(data.pixels(rows)).cpu() for rows in torch.split(every, IMAGES)])

    def of_training_clips(self, examples: Examples) -> Tensor:
        """Every distinct training clip, (M, D), on the host."""
        waves = self._sounds.of(examples)
        return torch.cat([self.of_waves(waves[rows]).cpu() for rows in parts(torch.arange(len(waves)))])


def pool5_channels(network: soundnet.SoundNetLayers) -> int:
    """Channels of pool5."""
    convolution = network.get_submodule(f"conv{POOL5}")
    assert isinstance(convolution, nn.Conv1d)
    return convolution.out_channels


def image_features(data: Tensors, task: Task, config: FeaturesConfig, run: Run) -> Vgg16:
    """VGG-16 up to fc6: published weights, or a classifier of the training images without its head."""
    size = config.image_width, config.image_size, config.features
    if config.image_weights:
        network = Vgg16(*size)
        published.load_vgg_16(network, config.image_weights)
        return place(network, run.device, channels_last=config.channels_last)
    seed_everything(run.seed, "image-features", "weights")
    classifier = VggClassifier(len(task.class_names), *size)
    _train_features("image-features", classifier, lambda rows: classifier(data.pixels(rows)), data, config, run)
    return classifier.body


def sound_features(
    data: Tensors, examples: Examples, task: Task, config: FeaturesConfig, run: Run
) -> soundnet.SoundNetLayers:
    """SoundNet-8: published weights, or a classifier of the training sounds."""
    if config.sound_weights:
        network = soundnet.SoundNetLayers(config.sound_width, POOL5)
        published.load_soundnet_8(network, config.sound_weights)
        return place(network, run.device)
    seed_everything(run.seed, "sound-features", "weights")
    classifier, sounds = soundnet.SoundNetClassifier(len(task.class_names), config.sound_width), Sounds(task, config)
    waves = sounds.of(examples)

    def logits(rows: Tensor) -> Tensor:
        found: Tensor = classifier(sounds.repeated(waves[data.clip_index[rows]].to(run.device)))
        return found

    _train_features("sound-features", classifier, logits, data, config, run)
    return classifier


def _train_features(
    name: str, net: nn.Module, logits: Callable[[Tensor], Tensor], data: Tensors, config: FeaturesConfig, run: Run
) -> None:
    """Cross-entropy of the classes; the lowest on held-out items is kept."""

    def losses(rows: Tensor) -> Losses:
        loss = nn.functional.cross_entropy(logits(rows).float(), data.labels[rows].to(run.device))
        return {"loss": loss, "selection": loss}

    plan = config.feature_batch, config.feature_epochs, config.feature_min_steps
    train_supervised(name, net, losses, plan, config.feature_lr, data, config, run, "feature_batch")


def train_supervised(
    name: str,
    net: nn.Module,
    losses: Callable[[Tensor], Losses],
    plan: tuple[int, int, int],
    rate: float,
    data: Tensors,
    config: FeaturesConfig,
    run: Run,
    batch_setting: str,
    more: Callable[[], Mapping[str, float]] = dict,
) -> None:
    """Adam with a cosine; the lowest mean loss on held-out items is kept.

    Args:
        name: of the phase.
        net: to train.
        losses: of some training items, int64 (B,).
        plan: items per step, epochs, fewest steps.
        rate: the learning rate.
        data: training examples.
        config: of the model.
        run: of the model.
        batch_setting: name of the setting that states the items per step.
        more: further values of a validation.
    """
    place(net, run.device, channels_last=config.channels_last and name == "image-features")
    batch, epoch, steps = plan_steps(len(data.rows), *plan)
    run.progress(f"{name}: {len(data.rows)} items, {len(data.held_out)} held out, batch {batch}, {steps} steps")

    def validate() -> Mapping[str, float]:
        return {"selection": mean_losses(losses, data.held_out)["loss"], **more()}

    phase = Phase(
        name=name,
        module=net,
        items=len(data.rows),
        steps=steps,
        batch_size=batch,
        updates=(Update(net, Optimiser("adam", rate, warmup_steps=steps // 20), lambda at: losses(data.rows[at])),),
        validate=validate if len(data.held_out) else None,
        validate_every=max(epoch, steps // 10),
        precision=config.precision,
        validation_ids=data.validation_ids,
        batch_setting=batch_setting,
    )
    train(phase, run)
