"""MT-Net: image -> waveform of the spoken class.

H. Ning, X. Zheng, Y. Yuan, X. Lu, "Audio description from image by modal translation network",
Neurocomputing 423 (2021). Equations, tables and figures below are the paper's. There is no public code; where
the paper is silent, the choice and its reason are given at the line and in `baselines/mtnet.toml`.

Two phases (Algorithm 1): an autoencoder learns audio features phi^A of the training clips and is frozen; then
image features phi^I, the mapping phi = f(phi^I) and the waveform generator are trained together.

Shape letters: B batch, C channels, H W pixels, T samples of a clip, K classes, D width of the code.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, PhaseProgress, Run, Task
from xmbench.networks.images import standardise
from xmbench.networks.initial import truncated_normal
from xmbench.training import (
    Optimiser,
    OptimiserName,
    Phase,
    Precision,
    Schedule,
    Tensors,
    Update,
    autocast,
    mean_losses,
    parts,
    place,
    plan_steps,
    seed_everything,
    train,
)

Losses = dict[str, Tensor]

JOINT_COST = (
    6.0  # a joint step takes about as long as so many of the autoencoder: measured with --preset lite, one core
)


class Config(Part):
    """Every constant. The defaults are the paper's network; `[config]` of the TOML repeats them."""

    # Image features (Table 1)
    widths: tuple[int, ...] = (32, 128, 256, 512, 1024)
    strides: tuple[int, ...] = (1, 1, 1, 1, 1)
    dilation: int = Field(default=2, ge=1)
    # Audio features (Table 2): widths between T and T; the middle one is D
    autoencoder_widths: tuple[int, ...] = (4096, 2048, 1024, 2048, 4096)
    # Generator (Fig. 4)
    code_shape: tuple[int, int] = (32, 32)
    generator_hidden: int = Field(default=4096, ge=1)
    generator_blocks: int = Field(default=3, ge=0)
    decoder: Literal["generator", "ae"] = "generator"
    # Losses (eqs. 4, 7, 9, 11)
    use_per: bool = True
    use_rep: bool = True
    rep_norm: Literal["batch", "sample"] = "batch"
    eta_per: float = 0.5
    eta_rep: float = 1.0
    eta_gen: float = 1.0
    eta_l2: float = 0.8
    l2: float = 0.0005
    # Training (section 4.3)
    optimiser: OptimiserName = "rmsprop-tf"
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    clip_norm: float | None = None
    precision: Precision = "float32"
    channels_last: bool = False
    autoencoder_lr: float = Field(default=1e-4, gt=0)
    autoencoder_epochs: int = Field(default=50, ge=1)
    autoencoder_min_steps: int = Field(default=1, ge=1)
    autoencoder_warmup: float = Field(default=0.02, ge=0, le=1)
    autoencoder_batch: int = Field(default=64, ge=1)
    joint_lr: float = Field(default=1e-4, gt=0)
    joint_epochs: int = Field(default=60, ge=1)
    joint_min_steps: int = Field(default=1, ge=1)
    joint_warmup: float = Field(default=0.02, ge=0, le=1)
    joint_batch: int = Field(default=64, ge=2)
    validate_every: int = Field(default=1, ge=1, description="epochs between validations of the joint phase")
    patience: int = Field(default=0, ge=0, description="validations without an improvement that end it; 0: none")

    @property
    def code(self) -> int:
        """D, the width of the codes phi^I, phi^A and phi."""
        return self.autoencoder_widths[len(self.autoencoder_widths) // 2]

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if len(self.widths) != len(self.strides):
            raise ValueError(f"{len(self.widths)} widths and {len(self.strides)} strides")
        if len(self.autoencoder_widths) % 2 == 0:
            raise ValueError("autoencoder_widths needs an odd number of widths: the middle one is the code")
        if math.prod(self.code_shape) != self.code:
            raise ValueError(f"code_shape {self.code_shape} does not hold the code of {self.code} values")
        return self


# ------------------------------------------------------------------------------- image features (3.1.1)
class Residual2d(nn.Module):
    """Eq. 3: two dilated 3x3 convolutions and the identity. BN and ReLU placed as in ResNet (our choice)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + x)


class Trunk(nn.Sequential):
    """Table 1: per stage a 1x1 transition (eq. 2) and a residual block.

    The paper has no pooling and no stride: a 3x32x32 image becomes 1024x32x32. A stride (preset lite) is in
    the transition, before the costly 3x3 convolutions.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], strides: tuple[int, ...], dilation: int) -> None:
        stages: list[nn.Module] = []
        for width, stride in zip(widths, strides, strict=True):
            transition = nn.Conv2d(channels, width, 1, stride=stride)
            stages += [transition, nn.BatchNorm2d(width), nn.ReLU(), Residual2d(width, dilation)]
            channels = width
        super().__init__(*stages)


class ImageFeatures(nn.Module):
    """Trunk, global average pooling, FC1, FC2: phi^I, linear (activation unspecified; our choice)."""

    def __init__(self, channels: int, config: Config) -> None:
        super().__init__()
        self.trunk = Trunk(channels, config.widths, config.strides, config.dilation)
        self.fc1 = nn.Linear(config.widths[-1], config.code)
        self.fc2 = nn.Linear(config.code, config.code)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised images (B, C, H, W) -> phi^I (B, D)."""
        pooled = self.trunk(x).mean(dim=(2, 3))  # (B, widths[-1])
        features: Tensor = self.fc2(F.relu(self.fc1(pooled)))  # (B, D)
        return features


# ------------------------------------------------------------------------------- audio features (3.1.2)
class AudioAutoencoder(nn.Module):
    """Table 2, eq. 5: fully connected, tanh after every layer, the last one included."""

    def __init__(self, samples: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        middle = len(widths) // 2 + 1
        sizes = [samples, *widths, samples]
        layers = [nn.Sequential(nn.Linear(before, after), nn.Tanh()) for before, after in itertools.pairwise(sizes)]
        self.encoder = nn.Sequential(*layers[:middle])
        self.decoder = nn.Sequential(*layers[middle:])

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T) -> reconstructions (B, T)."""
        reconstructed: Tensor = self.decoder(self.encoder(clips))
        return reconstructed


# --------------------------------------------------------------------------- mapping and generator (3.2, 3.3)
class Residual1d(nn.Module):
    """Eq. 8: tanh(E + G(E)). G: dilated 1x3 convolution, gated unit (ref. 56), 1x1 convolution.

    The 1x1 output projection is WaveNet's, no batch normalisation: the paper names only the gate (our choice).
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.gated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.project = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> the same shape."""
        value, gate = self.gated(x).chunk(2, dim=1)
        return torch.tanh(self.project(torch.tanh(value) * torch.sigmoid(gate)) + x)


class AudioGenerator(nn.Module):
    """Fig. 4: the code as a (C, L) sequence, three residual blocks, two FC layers."""

    def __init__(self, samples: int, config: Config) -> None:
        super().__init__()
        self.shape = config.code_shape
        blocks = [Residual1d(self.shape[0], config.dilation) for _ in range(config.generator_blocks)]
        self.blocks = nn.Sequential(*blocks)
        self.fc1 = nn.Linear(config.code, config.generator_hidden)
        self.fc2 = nn.Linear(config.generator_hidden, samples)

    def forward(self, code: Tensor) -> Tensor:
        """Phi (B, D) -> waveforms (B, T) in -1..1."""
        sequence = self.blocks(code.view(-1, *self.shape))  # (B, C, L)
        return torch.tanh(self.fc2(torch.tanh(self.fc1(sequence.flatten(1)))))  # (B, T)


class MTNet(nn.Module):
    """The network of the joint phase: image features, softmax head, mapping, generator."""

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__()
        code = config.code
        self.features = ImageFeatures(task.image.channels, config)
        self.head = nn.Linear(code, len(task.class_names))
        # Tanh at the end, because phi^A is in (-1, 1); it also bounds phi, whose scale eq. 7 leaves open.
        self.mapping = nn.Sequential(nn.Linear(code, code), nn.ReLU(), nn.Linear(code, code), nn.Tanh())
        self.generator: nn.Module = AudioGenerator(task.audio.samples, config)
        if config.decoder == "ae":  # Table 3: the autoencoder's decoder, trained from scratch
            self.generator = AudioAutoencoder(task.audio.samples, config.autoencoder_widths).decoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised images (B, C, H, W) -> logits (B, K), phi (B, D), waveforms (B, T)."""
        features = self.features(x)
        code = self.mapping(features)
        return self.head(features), code, self.generator(code)


# ---------------------------------------------------------------------------------------------- losses
def reconstruction_loss(output: Tensor, clips: Tensor) -> Tensor:
    """Eq. 6 without its weight penalty: half the squared error, summed over T, mean over the batch.

    A mean over T would shrink the gradient 18,000 times below the weight penalty: the net collapses to zero.
    """
    return 0.5 * (output.float() - clips).square().sum(dim=1).mean()


def representation_loss(code: Tensor, audio_code: Tensor, norm: Literal["batch", "sample"]) -> Tensor:
    """Eq. 7 without its weight penalty: one minus a cosine, of (B, D) and (B, D).

    "batch" is the equation as printed, sums over every value of the batch; "sample" takes a cosine per row.
    """
    if norm == "batch":
        code, audio_code = code.flatten()[None], audio_code.flatten()[None]
    return 1.0 - F.cosine_similarity(code.float(), audio_code.float(), dim=1, eps=1e-8).mean()


def generation_loss(output: Tensor, clips: Tensor) -> Tensor:
    """Eqs. 9 and 10 without the weight penalty: smooth L1, summed over T, mean over the batch."""
    return F.smooth_l1_loss(output.float(), clips, reduction="none").sum(dim=1).mean()


# ---------------------------------------------------------------------------------------------- training
def _optimiser(config: Config, rate: float, decay: float, warmup: float, steps: int) -> Optimiser:
    name, momentum, schedule = config.optimiser, config.momentum, config.schedule
    return Optimiser(name, rate, decay, momentum, round(warmup * steps), schedule, config.clip_norm)


def _train_autoencoder(data: Tensors, task: Task, config: Config, run: Run) -> AudioAutoencoder:
    """First phase: each distinct training clip once per epoch.

    Deduplicated, because in single-take data 60,000 items repeat ten clips. Clips that only validation items
    have select the weights; if there are none (single-take), the training clips do.
    """
    known = data.clip_index[data.rows].unique()  # type: ignore[no-untyped-call]
    unseen = torch.from_numpy(np.setdiff1d(data.clip_index[data.held_out].numpy(), known.numpy()))
    checked = unseen if len(unseen) else known
    seed_everything(run.seed, "autoencoder", "weights")
    autoencoder = AudioAutoencoder(task.audio.samples, config.autoencoder_widths)
    truncated_normal(autoencoder)
    place(autoencoder, run.device)

    def loss(positions: Tensor) -> Mapping[str, Tensor]:
        clips = data.waveforms(known[positions])
        return {"loss": reconstruction_loss(autoencoder(clips), clips)}

    batch, epoch, steps = plan_steps(
        len(known), config.autoencoder_batch, config.autoencoder_epochs, config.autoencoder_min_steps
    )
    run.progress(f"autoencoder: {len(known)} distinct clips, batch {batch}, {steps} steps")
    optimiser = _optimiser(config, config.autoencoder_lr, config.l2, config.autoencoder_warmup, steps)
    train(
        Phase(
            name="autoencoder",
            module=autoencoder,
            items=len(known),
            steps=steps,
            batch_size=batch,
            updates=(Update(autoencoder, optimiser, loss),),
            validate=lambda: {"selection": _relative_error(autoencoder, data, checked)},
            validate_every=max(epoch, steps // 10),
            precision=config.precision,
            validation_ids=data.validation_ids,
            ahead=lambda positions: data.ahead(clips=known[positions]),
            batch_setting="autoencoder_batch",
        ),
        run,
    )
    return autoencoder


def _relative_error(autoencoder: AudioAutoencoder, data: Tensors, clips: Tensor) -> float:
    """Squared error over squared samples of some distinct clips."""
    error = energy = 0.0
    for part in parts(clips):
        waveforms = data.waveforms(part)
        error += float((autoencoder(waveforms).float() - waveforms).square().sum())
        energy += float(waveforms.square().sum())
    return error / max(energy, 1e-12)


@torch.no_grad()
def audio_codes_of(autoencoder: AudioAutoencoder, data: Tensors) -> Tensor:
    """Phi^A of every distinct clip, (M, D)."""
    every = torch.arange(int(data.clip_index.max()) + 1)
    return torch.cat([autoencoder.encoder(data.waveforms(part)) for part in parts(every)])


def _announce(data: Tensors, config: Config, run: Run) -> None:
    """Enters the steps of both phases, so that progress is about the whole training."""
    if config.use_rep:
        clips = len(data.clip_index[data.rows].unique())  # type: ignore[no-untyped-call]
        *_, steps = plan_steps(clips, config.autoencoder_batch, config.autoencoder_epochs, config.autoencoder_min_steps)
        run.phases["autoencoder"] = PhaseProgress(steps)
    *_, steps = plan_steps(len(data.rows), config.joint_batch, config.joint_epochs, config.joint_min_steps)
    run.phases["joint"] = PhaseProgress(steps, cost=JOINT_COST)


def _joint_losses(net: MTNet, audio_codes: Tensor | None, data: Tensors, config: Config, rows: Tensor) -> Losses:
    """The terms of eq. 11 for some items; `audio_codes` (M, D) is None where L_rep is off."""
    clip_index = data.clip_index[rows]
    logits, code, output = net(standardise(data.pixels(rows), config.channels_last))
    found = {"generation": generation_loss(output, data.waveforms(clip_index))}
    total = config.eta_gen * found["generation"]
    if config.use_per:
        found["perception"] = F.cross_entropy(logits.float(), data.labels[rows].to(logits.device))
        total = total + config.eta_per * found["perception"]
    if audio_codes is not None:
        found["representation"] = representation_loss(code, audio_codes[clip_index.to(code.device)], config.rep_norm)
        total = total + config.eta_rep * found["representation"]
    return {"loss": total, **found}


def _train_joint(net: MTNet, audio_codes: Tensor | None, data: Tensors, config: Config, run: Run) -> None:
    """Second phase, eq. 11. The weight penalty is the optimiser's: gradient eta_4 * lambda * W = 4e-4 W.

    Taken literally, 0.8 * sum(W^2) would collapse the network to zero; this is TensorFlow's
    l2_regularizer(0.0005), summed and weighted by eta_4. Selected by the lowest generation loss on held-out items.
    """

    def losses(rows: Tensor) -> Losses:
        return _joint_losses(net, audio_codes, data, config, rows)

    def validate() -> Mapping[str, float]:
        total = mean_losses(losses, data.held_out)
        return {"selection": total["generation"], **total}

    batch, epoch, steps = plan_steps(len(data.rows), config.joint_batch, config.joint_epochs, config.joint_min_steps)
    run.progress(f"joint: {len(data.rows)} items, {len(data.held_out)} held out, batch {batch}, {steps} steps")
    optimiser = _optimiser(config, config.joint_lr, config.eta_l2 * config.l2, config.joint_warmup, steps)
    train(
        Phase(
            name="joint",
            module=net,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(net, optimiser, lambda positions: losses(data.rows[positions])),),
            validate=validate if len(data.held_out) else None,
            validate_every=config.validate_every * epoch,
            precision=config.precision,
            validation_ids=data.validation_ids,
            ahead=lambda positions: data.ahead(data.rows[positions], data.clip_index[data.rows[positions]]),
            patience=config.patience,
            batch_setting="joint_batch",
        ),
        run,
    )


class _Trained:
    """Section 3.5: standardise, features, mapping, generator. One output per image, no randomness."""

    def __init__(self, net: MTNet, config: Config, device: str) -> None:
        self._net, self._config, self._device = net.eval(), config, device

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """Images uint8 (B, H, W, C) -> waveforms float32 (B, T)."""
        waveforms: NDArray[np.float32] = self._forward(conditions)[2].float().cpu().numpy()
        return waveforms

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The softmax head's class, (B,). The head is not part of generation, only a diagnostic."""
        if not self._config.use_per:
            return None
        classes: NDArray[np.int64] = self._forward(conditions)[0].argmax(dim=1).cpu().numpy()
        return classes

    @torch.no_grad()
    def _forward(self, conditions: Conditions) -> tuple[Tensor, Tensor, Tensor]:
        images = torch.from_numpy(np.ascontiguousarray(conditions.inputs)).to(self._device)
        with autocast(self._device, self._config.precision):
            found: tuple[Tensor, Tensor, Tensor] = self._net(standardise(images, self._config.channels_last))
        return found


class _MTNetModel:
    """See the module."""

    name = "mtnet"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains both phases, or loads their checkpoints."""
        data = Tensors(examples, run)
        _announce(data, config, run)
        audio_codes = None
        if config.use_rep:
            audio_codes = audio_codes_of(_train_autoencoder(data, task, config, run), data)
            spread = float(audio_codes.std(dim=0).mean()) if len(audio_codes) > 1 else 0.0
            run.progress(f"autoencoder: phi^A has a standard deviation of {spread:.3f} over the clips")
        seed_everything(run.seed, "joint", "weights")
        net = MTNet(task, config)
        truncated_normal(net)
        place(net, run.device, channels_last=config.channels_last)
        _train_joint(net, audio_codes, data, config, run)
        return _Trained(net, config, run.device)


MODEL = _MTNetModel()
