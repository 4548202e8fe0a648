"""An adversarial pair with two optimisers: one training, tones from pictures and pictures from tones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Run, Task
from xmbench.training import Optimiser, Phase, Tensors, Update, place, seed_everything, train


class Config(Part):
    """What can be set."""

    width: int = Field(default=48, ge=1)
    steps: int = Field(default=160, ge=1)
    adversarial: float = 0.01


class Net(nn.Module):
    """Both generators and the discriminator of pairs."""

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        self.shape = (task.image.height_px, task.image.width_px, task.image.channels)
        pixels, samples = int(np.prod(self.shape)), task.audio.samples
        time_s, hertz = torch.arange(samples) / task.audio.sample_rate_hz, torch.arange(100.0, 2000.0, 50.0)
        self.register_buffer("sines", torch.sin(2 * torch.pi * hertz[:, None] * time_s))  # (F, T)
        self.loud = nn.Sequential(nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, len(hertz)), nn.Softmax(1))
        self.paint = nn.Sequential(nn.Linear(samples, width), nn.Tanh(), nn.Linear(width, pixels), nn.Sigmoid())
        self.discriminate = nn.Sequential(nn.Linear(pixels + samples, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def sing(self, images: Tensor) -> Tensor:
        """Pixels in 0..1, (B, H * W * C) -> sums of sines (B, T)."""
        sounds: Tensor = 0.4 * self.loud(images) @ self.get_buffer("sines")
        return sounds


class Trained:
    """Ready to generate."""

    def __init__(self, net: Net, device: str) -> None:
        self.net, self.device = net.eval(), device

    @torch.no_grad()
    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """Float32 (B, T), or uint8 (B, H, W, C)."""
        given = torch.from_numpy(np.asarray(conditions.inputs)).to(self.device).float()
        if direction == "i2a":
            sounds: NDArray[Any] = self.net.sing(given.flatten(1) / 255).cpu().numpy()
            return sounds
        pictures: NDArray[Any] = (self.net.paint(_even(given / 32768)) * 255).round().to(torch.uint8).cpu().numpy()
        return pictures.reshape(-1, *self.net.shape)


def _even(sounds: Tensor) -> Tensor:
    """What does not depend on the phase: magnitudes of the spectrum, (B, T), zeros behind them."""
    found = torch.fft.rfft(sounds).abs()[:, : sounds.shape[1] // 2] / 100
    return F.pad(found, (0, sounds.shape[1] - found.shape[1]))


def _steps(sounds: Tensor) -> Tensor:
    """Energy in steps of 100 Hz, (B, 40)."""
    return torch.fft.rfft(sounds).abs()[:, :2000].unflatten(1, (40, 50)).square().sum(2).sqrt() / 100


class ToneGAN:
    """The model."""

    name = "tone-gan"
    directions: tuple[Direction, ...] = ("i2a", "a2i")
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Config, run: Run) -> Trained:
        """Trains both generators against one discriminator."""
        data = Tensors(examples, run)
        seed_everything(run.seed, "weights")
        net: Net = place(Net(task, config.width), run.device)
        generators = nn.ModuleList([net.loud, net.paint])

        def batch(positions: Tensor) -> tuple[Tensor, Tensor]:
            rows = data.rows[positions]
            return data.pixels(rows).float().flatten(1) / 255, data.waveforms(data.clip_index[rows])

        def pairs(images: Tensor, sounds: Tensor) -> tuple[Tensor, Tensor]:
            return (
                net.discriminate(torch.cat([images, net.sing(images)], 1)),
                net.discriminate(torch.cat([net.paint(_even(sounds)), sounds], 1)),
            )

        def told_apart(positions: Tensor) -> Mapping[str, Tensor]:
            images, sounds = batch(positions)
            real, made = net.discriminate(torch.cat([images, sounds], 1)), pairs(images, sounds)
            return {"loss": F.softplus(-real).mean() + sum(F.softplus(one).mean() for one in made)}

        def fooled(positions: Tensor) -> Mapping[str, Tensor]:
            images, sounds = batch(positions)
            # Tones are out of tune: spectra are compared in steps of 100 Hz.
            near = F.mse_loss(net.paint(_even(sounds)), images) + F.l1_loss(_steps(net.sing(images)), _steps(sounds))
            fool = sum(F.softplus(-one).mean() for one in pairs(images, sounds))
            return {"loss": near + config.adversarial * fool}

        adam = Optimiser("adam", 2e-3, betas=(0.5, 0.999), schedule="constant")
        updates = (
            Update(net.discriminate, adam, told_apart, "discriminator", every=2),
            Update(generators, adam, fooled, "generators"),
        )
        train(Phase("pair", net, len(data.rows), config.steps, 16, updates), run)
        return Trained(net, run.device)


MODEL = ToneGAN()
