"""MT-Net's settings, and the network of its joint phase that they describe (`mtnet.py` trains it).

Shape letters: B batch, C channels, H W pixels, T samples of a clip, V values of an output, K classes, D width of codes.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from xmbench.formats.document import Part
from xmbench.interfaces import Task
from xmbench.networks.compressed import CompressedSpectra
from xmbench.networks.modal_translation import AudioAutoencoder, AudioGenerator, ImageFeatures
from xmbench.networks.spectra import require_overlap
from xmbench.training import OptimiserName, Precision, Schedule


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
    # What is generated: samples, or |STFT| ** compression, whose phase Griffin-Lim estimates
    output: Literal["waveform", "spectrum"] = "waveform"
    window: int = Field(default=1024, ge=16, le=8192)
    hop: int = Field(default=256, ge=1)
    compression: float = Field(default=0.3, gt=0, le=1)
    griffin_lim_iterations: int = Field(default=32, ge=0)
    # Losses (eqs. 4, 7, 9, 11)
    use_per: bool = True
    use_rep: bool = True
    rep_norm: Literal["batch", "sample"] = "batch"
    eta_per: float = 0.5
    eta_rep: float = 1.0
    eta_gen: float = 1.0
    eta_l2: float = 0.8
    l2: float = 0.0005
    balanced: bool = Field(default=False, description="terms scaled to L_gen's gradient on phi^I before the first step")
    # Training (section 4.3)
    optimiser: OptimiserName = "rmsprop-tf"
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    clip_norm: float | None = None
    precision: Precision = "float32"
    channels_last: bool = False
    autoencoder_lr: float = Field(default=1e-4, gt=0)
    autoencoder_epochs: int = Field(default=50, ge=1)
    autoencoder_min_steps: int = Field(default=1000, ge=1)
    autoencoder_warmup: float = Field(default=0.02, ge=0, le=1)
    autoencoder_batch: int = Field(default=64, ge=1)
    joint_lr: float = Field(default=1e-4, gt=0)
    joint_epochs: int = Field(default=20, ge=1)
    joint_min_steps: int = Field(default=1000, ge=1)
    joint_warmup: float = Field(default=0.02, ge=0, le=1)
    joint_batch: int = Field(default=64, ge=2)
    validate_every: int = Field(default=1, ge=1, description="epochs between validations of the joint phase")
    patience: int = Field(default=0, ge=0, description="validations without an improvement that end it; 0: none")
    selection: Literal["automatic", "generation", "head", "last"] = "automatic"

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
        require_overlap(self.window, self.hop)
        if self.output == "spectrum" and self.decoder == "ae":
            raise ValueError('output = "spectrum" needs decoder = "generator": the autoencoder\'s gives waveforms')
        if self.balanced and not (self.use_per or self.use_rep):
            raise ValueError("balanced needs a second term: use_per or use_rep")
        if self.selection == "head" and not self.use_per:
            raise ValueError('selection = "head" needs the classifier: use_per')
        return self

    def spectra(self, samples: int) -> CompressedSpectra | None:
        """What is generated in place of so many samples; None where these are."""
        waveform = self.output == "waveform"
        return None if waveform else CompressedSpectra(samples, self.window, self.hop, self.compression)

    def image_features(self, channels: int) -> ImageFeatures:
        """Phi^I of images with so many channels."""
        return ImageFeatures(channels, self.widths, self.strides, self.dilation, self.code)


class MTNet(nn.Module):
    """The network of the joint phase: image features, softmax head, mapping, generator.

    Its outputs have V values: T samples, or those of `Config.spectra`. Where the terms are balanced, `term_weights`
    (generation, perception, representation) are stored with the weights.
    """

    term_weights: Tensor

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__()
        code, samples, spectra = config.code, task.audio.samples, config.spectra(task.audio.samples)
        self.features = config.image_features(task.image.channels)
        self.head = nn.Linear(code, len(task.class_names))
        # Tanh at the end, because phi^A is in (-1, 1); it also bounds phi, whose scale eq. 7 leaves open.
        self.mapping = nn.Sequential(nn.Linear(code, code), nn.ReLU(), nn.Linear(code, code), nn.Tanh())
        shape, hidden, blocks = config.code_shape, config.generator_hidden, config.generator_blocks
        values, last = (samples, torch.tanh) if spectra is None else (spectra.values, nn.Identity())
        self.generator: nn.Module = AudioGenerator(values, shape, hidden, blocks, config.dilation, last)
        if config.decoder == "ae":  # Table 3: the autoencoder's decoder, trained from scratch
            self.generator = AudioAutoencoder(samples, config.autoencoder_widths).decoder
        etas = torch.tensor([config.eta_gen, config.eta_per, config.eta_rep])
        self.register_buffer("term_weights", etas, persistent=config.balanced)

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Makes a mean output (V,) the first one: spectra are far from zero, and biases move slowly."""
        assert isinstance(self.generator, AudioGenerator)
        assert self.generator.fc2.bias is not None
        self.generator.fc2.bias.copy_(mean)

    def translate(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Phi^I (B, D) -> logits (B, K), phi (B, D), outputs (B, V)."""
        code = self.mapping(features)
        return self.head(features), code, self.generator(code)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised images (B, C, H, W) -> logits (B, K), phi (B, D), outputs (B, V)."""
        return self.translate(self.features(x))
