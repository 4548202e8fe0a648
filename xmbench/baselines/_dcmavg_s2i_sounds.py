"""How `dcmavg-s2i` hears: log-mel spectrograms of 128x44, and their encoder, trained before the adversaries and frozen.

L. Chen et al. (2017): a classifier's hidden layer (section 3.3, fig. 4), or a stacked autoencoder (section 5.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.baselines._adversarial import Losses, train_sound_classifier, train_supervised
from xmbench.baselines._dcmavg_s2i_config import Config
from xmbench.interfaces import Examples, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.class_encoders import SoundClassifier
from xmbench.networks.mel_decibels import EncodedMel, LmsScale
from xmbench.networks.sound_autoencoder import SoundAutoencoder
from xmbench.training import Tensors, plan_steps, prepared, seed_everything

Encoder = SoundClassifier | SoundAutoencoder


class Sounds:
    """Scaled log-mel spectrograms, 128 x 44 in -1..1, of the distinct training clips and of other waveforms."""

    def __init__(self, examples: Examples, task: Task, device: str) -> None:
        self._mel, self._device = EncodedMel(task.audio, device), device

        def decibels(clips: NDArray[Any]) -> NDArray[np.float32]:
            found: NDArray[np.float32] = self._mel.decibels(self._waveforms(clips)).cpu().numpy()
            return found

        name = f"lms-44-{self._mel.hop}-{task.audio.sample_rate_hz}"
        self._decibels = torch.from_numpy(prepared(examples, name, decibels, of="clips"))
        self._scale = LmsScale(float(self._decibels.max()))

    def of_clips(self, clips: Tensor) -> Tensor:
        """Distinct clips by number, int64 (B,) -> (B, 1, 128, 44) on the device."""
        return self._scale.scaled(self._decibels[clips].to(self._device)).unsqueeze(1)

    def of_conditions(self, clips: NDArray[np.int16]) -> Tensor:
        """Int16 (B, T) -> (B, 1, 128, 44) on the device."""
        return self._scale.scaled(self._mel.decibels(self._waveforms(clips))).unsqueeze(1)

    def _waveforms(self, clips: NDArray[Any]) -> Tensor:
        return torch.from_numpy(to_float(np.ascontiguousarray(clips))).to(self._device)


def train_encoder(sounds: Sounds, data: Tensors, task: Task, config: Config, run: Run) -> Encoder:
    """The encoder of the variant, trained on all classes."""
    if config.encoder == "autoencoder":
        return _train_autoencoder(sounds, data, config, run)
    return train_sound_classifier(sounds, data, task, config, run)


def _train_autoencoder(sounds: Sounds, data: Tensors, config: Config, run: Run) -> SoundAutoencoder:
    """The stacks in order, each on what the finished ones before it give, by the mean squared error."""
    seed_everything(run.seed, "sound-autoencoder", "weights")
    net = SoundAutoencoder().to(run.device)
    known = np.unique(data.clip_index[data.rows].numpy())
    unseen = np.setdiff1d(data.clip_index[data.held_out].numpy(), known)
    items = torch.from_numpy(known), torch.from_numpy(unseen), data.validation_ids
    plan = plan_steps(len(known), config.autoencoder_batch, config.autoencoder_epochs, config.autoencoder_min_steps)
    for number in range(len(net.stacks)):

        def losses(clips: Tensor, number: int = number) -> Losses:
            with torch.no_grad():
                given = net.before(sounds.of_clips(clips), number)
            error = nn.functional.mse_loss(net.stack(number)(given).float(), given.float())
            return {"loss": error, "selection": error}

        phase = f"autoencoder-{number + 1}"
        train_supervised(phase, net.stack(number), losses, items, plan, config.autoencoder_lr, config, run)
    return net.eval()
