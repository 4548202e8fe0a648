"""Settings of flow-speech, its spectra, and the networks that they describe (`flow_speech.py` trains them).

Shape letters: B batch, M mel bands, N frames, D condition.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from xmbench.formats.document import Part
from xmbench.interfaces import Examples, Task
from xmbench.networks.condition_encoders import ConditionEncoder, EncoderKind
from xmbench.networks.denoisers import GROUPS, FrameNet, UNet
from xmbench.networks.spectra import LogMel, frames_of, require_overlap, word_level
from xmbench.training import Precision, Tensors, parts, prepared


class Config(Part):
    """Every constant. The defaults are the full-width system; `[config]` of the TOML repeats them."""

    # Spectra, in samples and Hz
    window: int = Field(default=1024, ge=16)
    hop: int = Field(default=256, ge=1)
    bands: int = Field(default=80, ge=1)
    f_min: float = Field(default=30.0, ge=0)
    f_max: float = Field(default=8000.0, gt=0)
    floor: float = Field(default=1e-3, gt=0)
    level: float = Field(default=0.1, gt=0, description="root mean square of a word before its spectrum is taken")
    # Image encoder
    encoder: EncoderKind = "resnet18"
    encoder_width: int = Field(default=64, ge=1)
    encoder_cells: int = Field(default=1, ge=1, description="of a classifier: parts of each side averaged apart")
    label_weight: float = Field(default=0.0, ge=0, description="of the head's cross-entropy, in a joint encoder")
    encoder_lr: float = Field(default=2e-3, gt=0)
    encoder_epochs: int = Field(default=4, ge=1)
    encoder_min_steps: int = Field(default=300, ge=1)
    encoder_batch: int = Field(default=128, ge=2)
    rotate_degrees: float = Field(default=0.0, ge=0)
    scale: float = Field(default=0.0, ge=0, lt=1)
    shift: float = Field(default=0.0, ge=0, lt=1, description="share of the image")
    colours: float = Field(default=0.0, ge=0, lt=1, description="gain and offset of the channels")
    # Denoiser
    denoiser: Literal["unet-2d", "frames-1d"] = "unet-2d"
    channels: int = Field(default=64, ge=GROUPS, multiple_of=GROUPS)
    multipliers: tuple[int, ...] = Field(default=(1, 2, 4), min_length=1, description="of unet-2d")
    blocks: int = Field(default=8, ge=1, description="of frames-1d")
    together: int = Field(default=2, ge=1, description="frames per step of frames-1d")
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
    drop: float = Field(default=0.1, ge=0, lt=1, description="share of conditions left out")
    least_left: float = Field(default=0.1, gt=0, le=1, description="smallest 1 - t by which an error is divided")
    average: float = Field(default=0.999, ge=0, lt=1)
    precision: Precision = "bf16"
    # Listener: a classifier of training spectra that chooses among candidates; trained only where there are several
    listener_width: int = Field(default=64, ge=GROUPS, multiple_of=GROUPS)
    listener_lr: float = Field(default=2e-3, gt=0)
    listener_epochs: int = Field(default=4, ge=1)
    listener_min_steps: int = Field(default=400, ge=1)
    listener_batch: int = Field(default=64, ge=2)
    # Generation
    candidates: int = Field(default=1, ge=1, le=64, description="spectra per item, of which the listener takes one")
    steps: int = Field(default=25, ge=1)
    guidance: float = Field(default=2.0, ge=0)
    invert_steps: int = Field(default=0, ge=0)
    vocoder_iterations: int = Field(default=32, ge=1)
    vocoder_momentum: float = Field(default=0.99, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Config:
        require_overlap(self.window, self.hop)
        if self.f_min >= self.f_max:
            raise ValueError(f"f_min {self.f_min} is not below f_max {self.f_max}")
        return self


# What a trained run may change: its checkpoints do not depend on it.
GENERATION = ("candidates", "steps", "guidance", "invert_steps", "vocoder_iterations", "vocoder_momentum")


def training_digest(config: Config, task: Task) -> str:
    """Digest of what the weights depend on: the task, and all settings but those of the generation."""
    stated = config.model_dump_json(exclude=set(GENERATION))
    return hashlib.sha256(f"{task}\0{stated}".encode()).hexdigest()


def encoder_of(task: Task, config: Config) -> ConditionEncoder:
    """The untrained encoder."""
    channels, classes = task.image.channels, len(task.class_names)
    width, cells = config.encoder_width, config.encoder_cells
    return ConditionEncoder(config.encoder, channels, classes, width, config.label_weight, cells)


def mel_of(task: Task, config: Config) -> LogMel:
    """What takes clips of the task to log-mel spectra, and back to magnitudes."""
    rate = task.audio.sample_rate_hz
    top = min(config.f_max, rate / 2)
    return LogMel(rate, config.window, config.hop, config.bands, config.f_min, top, config.floor)


class Spectra:
    """Log-mel spectra of the distinct training clips, and what takes them to zero mean and unit variance.

    Attributes:
        mean, deviation: of each band over the clips of the training items, float32 (M, 1).
        level: median level of those clips: that of the outputs.
    """

    KEPT = 4096  # clips that mean, deviation and level are taken from, if there are more

    def __init__(self, examples: Examples, data: Tensors, task: Task, config: Config) -> None:
        mel = mel_of(task, config)

        def of(clips: NDArray[np.int16]) -> NDArray[np.float32]:
            waves = torch.from_numpy(np.asarray(clips)).float() / 32768.0
            found: NDArray[np.float32] = mel(waves * (config.level / word_level(waves))[:, None]).numpy()
            return found

        facts = (config.window, config.hop, config.bands, config.f_min, config.f_max, config.floor, config.level)
        name = "log-mel-" + "-".join(f"{fact:g}" for fact in facts)
        self._rows = torch.from_numpy(prepared(examples, name, of, "clips"))
        known = data.clip_index[data.rows].unique().numpy()  # type: ignore[no-untyped-call]
        some = torch.from_numpy(known[np.unique(np.linspace(0, len(known) - 1, self.KEPT).astype(np.int64))])
        seen = self._rows[some]
        self.mean = seen.mean(dim=(0, 2))[:, None]
        self.deviation = seen.std(dim=(0, 2)).clamp_min(1e-3)[:, None]
        self.level = torch.cat([word_level(data.waveforms(part)) for part in parts(some)]).median().cpu()

    def take(self, clips: Tensor, device: str) -> Tensor:
        """Some distinct clips, int64 (B,) -> spectra float32 (B, M, N), not yet normalised, on the device."""
        return self._rows[clips].to(device)


class Flow(nn.Module):
    """The denoiser, and the encoder where they learn together; also the scale of its spectra, kept with its weights."""

    mean: Tensor
    deviation: Tensor
    level: Tensor

    def __init__(self, task: Task, config: Config, encoder: ConditionEncoder | None, size: int) -> None:
        super().__init__()
        frames = frames_of(task.audio.samples, config.hop)
        self.encoder = encoder
        self.denoiser: nn.Module = UNet(1, config.channels, config.multipliers, size, config.description)
        if config.denoiser == "frames-1d":
            self.denoiser = FrameNet(
                config.bands, frames, config.together, config.channels, config.blocks, size, config.description
            )
        self.register_buffer("mean", torch.zeros(config.bands, 1))
        self.register_buffer("deviation", torch.ones(config.bands, 1))
        self.register_buffer("level", torch.tensor(config.level))

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor, dropped: Tensor) -> Tensor:
        """Spectra (B, M, N), times (B,), conditions (B, D), left out bool (B,) -> clean spectra (B, M, N)."""
        if isinstance(self.denoiser, UNet):
            planes: Tensor = self.denoiser(noisy[:, None], time, condition, dropped)
            return planes[:, 0]
        found: Tensor = self.denoiser(noisy, time, condition, dropped)
        return found
