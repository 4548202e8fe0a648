"""What the adversarial baselines share: spectrograms of the training clips, encoders, noise, two ways to a waveform.

Chen et al. (2017) score spectrograms; the boards score waveforms. Ning et al. (2021), who compared both systems on
spoken words, trained a network for the last step. It and Griffin-Lim are always shown beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.formats.document import Part
from xmbench.interfaces import Examples, Run, Task, item_rng
from xmbench.media.audio import to_float
from xmbench.networks.class_encoders import ImageClassifier, SoundClassifier
from xmbench.networks.dcgan import IMAGE_SIZE, NOISE, SPECTROGRAM_SIZE
from xmbench.networks.mel_decibels import LITERAL_HOP, LmsScale, MelDecibels, native_hop, numpy_resized
from xmbench.networks.spec2wav import Spec2Wav, waveform_loss
from xmbench.training import (
    Optimiser,
    Phase,
    Precision,
    Tensors,
    Update,
    mean_losses,
    parts,
    place,
    plan_steps,
    prepared,
    seed_everything,
    train,
)

Losses = Mapping[str, Tensor]


class AdversarialConfig(Part):
    """The settings that the adversarial baselines share; the defaults are the papers' networks."""

    # Spectrograms and the way to a waveform
    waveform: Literal["spec2wav", "griffin-lim"] = "spec2wav"
    width: Literal["native", "np-resize"] = "native"
    iterations: int = Field(default=32, ge=1, description="of Griffin-Lim")
    # Classifiers (Chen et al., sections 3.3 and 3.4, figs. 4 and 5)
    image_widths: tuple[int, ...] = (32, 64, 128)
    image_hidden: int = Field(default=1024, ge=1)
    sound_widths: tuple[int, ...] = (32, 64, 128, 256)
    sound_hidden: int = Field(default=512, ge=1)
    sound_l2: float = Field(default=0.015, ge=0)
    classifier_lr: float = Field(default=1e-4, gt=0)
    classifier_epochs: int = Field(default=30, ge=1)
    classifier_min_steps: int = Field(default=600, ge=1)
    classifier_batch: int = Field(default=64, ge=2)
    # Generators and discriminator (section 3.1)
    generator_width: int = Field(default=128, ge=4)
    discriminator_width: int = Field(default=64, ge=4)
    # Adversarial training (section 3.2; GAN-CLS)
    lr: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    halve_every: int = Field(default=100, ge=1, description="epochs")
    epochs: int = Field(default=60, ge=1)
    min_steps: int = Field(default=1000, ge=1)
    batch: int = Field(default=64, ge=2)
    validate_every: int = Field(default=5, ge=1, description="epochs; more often in a training of few")
    average: float = Field(default=0.0, ge=0, lt=1, description="decay of a running mean of the weights; 0: none")
    precision: Precision = "float32"
    channels_last: bool = False
    # Spectrogram -> waveform (Ning et al., section 4.5)
    spec2wav_channels: tuple[int, int, int] = (32, 64, 128)
    spec2wav_hidden: tuple[int, int] = (2048, 4096)
    spec2wav_lr: float = Field(default=2e-4, gt=0)
    spec2wav_epochs: int = Field(default=50, ge=1)
    spec2wav_min_steps: int = Field(default=1000, ge=1)
    spec2wav_batch: int = Field(default=64, ge=2)


class Spectrograms:
    """Scaled log-mel spectrograms, 128 x 34 in -1..1, of the distinct training clips and of other waveforms.

    "native" computes 34 frames; "np-resize" computes those of a hop of 512 samples and wraps them to 34, as printed.
    """

    def __init__(self, examples: Examples, task: Task, width: Literal["native", "np-resize"], device: str) -> None:
        hop = native_hop(task.audio.samples) if width == "native" else LITERAL_HOP
        self.mel, self._device = MelDecibels(task.audio, hop, device), device

        def decibels(clips: NDArray[Any]) -> NDArray[np.float32]:
            waveforms = torch.from_numpy(to_float(clips)).to(device)
            found: NDArray[np.float32] = self.mel.decibels(waveforms).cpu().numpy()
            return found

        name = f"lms-2048-{hop}-{task.audio.sample_rate_hz}"
        self._decibels = torch.from_numpy(prepared(examples, name, decibels, of="clips"))
        self._scale = LmsScale(float(self._decibels.max()))

    def of_clips(self, clips: Tensor) -> Tensor:
        """Distinct clips by number, int64 (B,) -> (B, 1, 128, 34) on the device."""
        return self._fitted(self._decibels[clips].to(self._device))

    def of_waveforms(self, waveforms: Tensor) -> Tensor:
        """(B, T) in -1..1 -> (B, 1, 128, 34)."""
        return self._fitted(self.mel.decibels(waveforms))

    def decibels(self, scaled: Tensor) -> Tensor:
        """(B, 1, 128, 34) in -1..1 -> decibels (B, 128, F) of as many frames as a clip has."""
        found = self._scale.decibels(scaled.float().squeeze(1))
        return found if self.mel.frames == SPECTROGRAM_SIZE[1] else numpy_resized(found, self.mel.frames)

    def _fitted(self, decibels: Tensor) -> Tensor:
        scaled = self._scale.scaled(decibels)
        return (scaled if scaled.shape[2] == SPECTROGRAM_SIZE[1] else numpy_resized(scaled, 34)).unsqueeze(1)


def squared(images: Tensor) -> Tensor:
    """Images (B, C, H, W) -> float32 (B, 3, 64, 64): bilinear, grey copied to three channels."""
    resized = nn.functional.interpolate(images, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)
    return resized.expand(-1, 3, -1, -1)


def square(images: Tensor) -> Tensor:
    """Images uint8 (B, H, W, C) -> float32 (B, 3, 64, 64) in -1..1."""
    return squared(images.permute(0, 3, 1, 2).float() / 127.5 - 1.0)


class Squared(nn.Module):
    """A network for images of 64x64 pixels, for images of any size: (B, C, H, W) -> what the network gives."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.network(squared(images))
        return found


def pixels_of(images: Tensor, task: Task) -> NDArray[np.uint8]:
    """(B, 3, 64, 64) in -1..1 -> uint8 (B, H, W, C) in the size of the data set; grey is the mean of the channels."""
    size = task.image.height_px, task.image.width_px
    resized = nn.functional.interpolate(images.float(), size, mode="bilinear", antialias=True)
    if task.image.channels == 1:
        resized = resized.mean(dim=1, keepdim=True)
    scaled = ((resized + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    found: NDArray[np.uint8] = scaled.permute(0, 2, 3, 1).cpu().numpy()
    return np.ascontiguousarray(found)


def noise_of(seed: int, ids: Sequence[str], device: str) -> Tensor:
    """One z per item, float32 (B, 100): the same in every batch."""
    drawn = [item_rng(seed, item).standard_normal(NOISE, dtype=np.float32) for item in ids]
    return torch.from_numpy(np.stack(drawn)).to(device)


# ----------------------------------------------------------------------------------------- supervised phases
def train_image_classifier(data: Tensors, task: Task, config: AdversarialConfig, run: Run) -> ImageClassifier:
    """Image -> class."""
    seed_everything(run.seed, "image-classifier", "weights")
    net = ImageClassifier(len(task.class_names), config.image_widths, config.image_hidden)
    _train_classifier("image-classifier", net, lambda rows: square(data.pixels(rows)), 0.0, data, config, run)
    return net


def train_sound_classifier(
    spectrograms: Spectrograms, data: Tensors, task: Task, config: AdversarialConfig, run: Run
) -> SoundClassifier:
    """Spectrogram -> class, with a penalty on the FC layers."""
    seed_everything(run.seed, "sound-classifier", "weights")
    net = SoundClassifier(len(task.class_names), config.sound_widths, config.sound_hidden)

    def inputs(rows: Tensor) -> Tensor:
        return spectrograms.of_clips(data.clip_index[rows])

    _train_classifier("sound-classifier", net, inputs, config.sound_l2, data, config, run)
    return net


def _train_classifier(
    name: str,
    net: ImageClassifier | SoundClassifier,
    inputs: Callable[[Tensor], Tensor],
    l2: float,
    data: Tensors,
    config: AdversarialConfig,
    run: Run,
) -> None:
    """Cross-entropy; the lowest on held-out items is kept."""

    def losses(rows: Tensor) -> Losses:
        entropy = nn.functional.cross_entropy(net(inputs(rows)).float(), data.labels[rows].to(run.device))
        return {"loss": entropy + l2 * net.penalty() if l2 else entropy, "selection": entropy}

    plan = plan_steps(len(data.rows), config.classifier_batch, config.classifier_epochs, config.classifier_min_steps)
    _train_supervised(
        name, net, losses, (data.rows, data.held_out, data.validation_ids), plan, config.classifier_lr, config, run
    )


def train_spec2wav(
    spectrograms: Spectrograms, data: Tensors, task: Task, config: AdversarialConfig, run: Run
) -> Spec2Wav | None:
    """On real spectrograms and their waveforms: generated ones belong to no waveform. None for Griffin-Lim.

    Each distinct clip once per epoch. Clips that only held-out items have select the weights; if there are none
    (single-take data), the training clips do.
    """
    if config.waveform != "spec2wav":
        return None
    seed_everything(run.seed, "spec2wav", "weights")
    net = Spec2Wav(task.audio.samples, config.spec2wav_channels, config.spec2wav_hidden)

    def losses(clips: Tensor) -> Losses:
        loss = waveform_loss(net(spectrograms.of_clips(clips)), data.waveforms(clips))
        return {"loss": loss, "selection": loss}

    known = np.unique(data.clip_index[data.rows].numpy())
    unseen = np.setdiff1d(data.clip_index[data.held_out].numpy(), known)
    checked = torch.from_numpy(unseen if len(unseen) else known)
    plan = plan_steps(len(known), config.spec2wav_batch, config.spec2wav_epochs, config.spec2wav_min_steps)
    items = torch.from_numpy(known), checked, data.validation_ids
    _train_supervised("spec2wav", net, losses, items, plan, config.spec2wav_lr, config, run)
    return net


def _train_supervised(
    name: str,
    net: nn.Module,
    losses: Callable[[Tensor], Losses],
    items: tuple[Tensor, Tensor, tuple[str, ...]],
    plan: tuple[int, int, int],
    rate: float,
    config: AdversarialConfig,
    run: Run,
) -> None:
    """Adam at a constant rate; `items` are those to train on, those that select, and the ids of the latter."""
    (rows, checked, ids), (batch, epoch, steps) = items, plan
    place(net, run.device, channels_last=config.channels_last)
    run.progress(f"{name}: {len(rows)} items, batch {batch}, {steps} steps")
    adam = Optimiser("adam", rate, schedule="constant")
    phase = Phase(
        name=name,
        module=net,
        items=len(rows),
        steps=steps,
        batch_size=batch,
        updates=(Update(net, adam, lambda positions: losses(rows[positions])),),
        validate=(lambda: {"selection": mean_losses(losses, checked)["selection"]}) if len(checked) else None,
        validate_every=max(epoch, steps // 10),
        precision=config.precision,
        validation_ids=ids,
    )
    train(phase, run)


# ---------------------------------------------------------------------------------------- adversarial phase
def train_adversaries(
    pair: nn.Module,
    updates: Sequence[tuple[str, nn.Module, Callable[[Tensor], Losses]]],
    validate: Callable[[], Mapping[str, float]],
    data: Tensors,
    config: AdversarialConfig,
    run: Run,
) -> None:
    """Each update once per batch, in order: the discriminator, then the generator. The lowest "selection" is kept.

    Args:
        pair: all weights of the phase.
        updates: name, module whose weights change, and loss of a batch.
        validate: values on the held-out items.
        data: training examples.
        config: of the model.
        run: of the model.
    """
    place(pair, run.device, channels_last=config.channels_last)
    batch, epoch, steps = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)
    run.progress(f"adversaries: {len(data.rows)} items, {len(data.held_out)} held out, batch {batch}, {steps} steps")
    halved, betas = (config.halve_every * epoch,), (config.beta1, 0.999)
    adam = Optimiser("adam", config.lr, schedule="step", betas=betas, decay_steps=halved, decay_rate=0.5)
    phase = Phase(
        name="adversaries",
        module=pair,
        items=len(data.rows),
        steps=steps,
        batch_size=batch,
        updates=tuple(Update(module, adam, loss, name) for name, module, loss in updates),
        validate=validate if len(data.held_out) else None,
        validate_every=min(config.validate_every * epoch, max(steps // 10, 1)),  # an epoch may be the whole training
        precision=config.precision,
        validation_ids=data.validation_ids,
        average=config.average,
        batch_setting="batch",
    )
    train(phase, run)


@torch.no_grad()
def in_parts(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """A function of rows, in parts that fit into memory."""
    return torch.cat([function(part) for part in parts(rows)])


class Synthesis:
    """Spectrograms -> waveforms: by spec2wav where there is one, else by Griffin-Lim."""

    def __init__(self, spectrograms: Spectrograms, net: Spec2Wav | None, iterations: int, seed: int) -> None:
        self._spectrograms, self._net, self._iterations, self._seed = spectrograms, net, iterations, seed

    def __call__(self, scaled: Tensor, ids: Sequence[str]) -> NDArray[np.float32]:
        """(B, 1, 128, 34) in -1..1 of some items -> float32 (B, T) in -1..1."""
        if self._net is not None:
            found = self._net(scaled)
        else:
            with torch.autocast(scaled.device.type, enabled=False):
                decibels = self._spectrograms.decibels(scaled)
                found = self._spectrograms.mel.waveforms(decibels, self._seed, ids, self._iterations)
        waveforms: NDArray[np.float32] = found.float().cpu().numpy()
        return waveforms
