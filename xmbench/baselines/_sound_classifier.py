"""A classifier of sounds, for rows that hear a class and then show something of it, or compare what it hears.

It is trained on the labels of the training items and selected on held-out groups. Rows that use it with the same
settings hear the same classes, and differ in what they show alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.baselines._adversarial import Spectrograms
from xmbench.formats.document import Part
from xmbench.interfaces import Examples, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.dcgan import SPECTROGRAM_SIZE
from xmbench.networks.sound_encoder import SoundEncoder, masked
from xmbench.training import (
    Optimiser,
    Phase,
    Tensors,
    Update,
    mean_losses,
    parts,
    place,
    plan_steps,
    seed_everything,
    train,
)

Losses = dict[str, Tensor]


class SoundClassifierConfig(Part):
    """The classifier and its training."""

    encoder_widths: tuple[int, ...] = Field(default=(16, 32, 64, 64), min_length=1)
    embedding: int = Field(default=128, ge=1)
    mask: float = Field(default=0.2, ge=0, lt=1, description="share of bands and frames left out in training, at most")
    classifier_lr: float = Field(default=1e-3, gt=0)
    classifier_epochs: int = Field(default=2, ge=1)
    classifier_min_steps: int = Field(default=240, ge=1)
    classifier_batch: int = Field(default=32, ge=2)


def encoder_of(task: Task, config: SoundClassifierConfig) -> SoundEncoder:
    """The untrained network: log-mel spectrograms (B, 1, 128, 34) -> embeddings (B, D), logits (B, K)."""
    return SoundEncoder(SPECTROGRAM_SIZE, len(task.class_names), config.encoder_widths, config.embedding)


def train_classifier(
    name: str,
    net: nn.Module,
    losses: Callable[[Tensor, float], Losses],
    data: Tensors,
    config: SoundClassifierConfig,
    run: Run,
) -> None:
    """Trains a classifier of sounds or images, and freezes it.

    Args:
        name: of the phase.
        net: whose weights change.
        losses: rows int64 (B,), and the share of their sounds that is left out, -> losses; "loss" is minimised, and
            selects on the held-out items.
        data: training examples.
        config: of the training.
        run: of the model.
    """
    batch, epoch, steps = plan_steps(
        len(data.rows), config.classifier_batch, config.classifier_epochs, config.classifier_min_steps
    )

    def validate() -> Mapping[str, float]:
        return {"selection": mean_losses(lambda rows: losses(rows, 0.0), data.held_out)["loss"]}

    optimiser = Optimiser("adam", config.classifier_lr, warmup_steps=steps // 20)
    train(
        Phase(
            name=name,
            module=net,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(net, optimiser, lambda positions: losses(data.rows[positions], config.mask)),),
            validate=validate if len(data.held_out) else None,
            validate_every=max(epoch, steps // 10),
            validation_ids=data.validation_ids,
            batch_setting="classifier_batch",
        ),
        run,
    )
    net.eval().requires_grad_(False)


def entropy(logits: Tensor, data: Tensors, rows: Tensor) -> Tensor:
    """Cross-entropy of logits (B, K) with the labels of rows int64 (B,)."""
    return F.cross_entropy(logits.float(), data.labels[rows].to(logits.device))


def train_sound_classifier(
    encoder: SoundEncoder, spectrograms: Spectrograms, data: Tensors, config: SoundClassifierConfig, run: Run
) -> None:
    """Trains the head of an encoder, and what is below it, with the labels."""

    def losses(rows: Tensor, mask: float) -> Losses:
        return {"loss": entropy(encoder(masked(spectrograms.of_clips(data.clip_index[rows]), mask))[1], data, rows)}

    train_classifier("sound-classifier", encoder, losses, data, config, run)


class Hearing:
    """A trained sound classifier, and what it hears in any clips."""

    def __init__(self, examples: Examples, task: Task, config: SoundClassifierConfig, run: Run) -> None:
        """Trains it, or loads a finished training."""
        self._spectrograms, self._device = Spectrograms(examples, task, "native", run.device), run.device
        seed_everything(run.seed, "encoder", "weights")
        self._encoder = place(encoder_of(task, config), run.device)
        train_sound_classifier(self._encoder, self._spectrograms, Tensors(examples, run), config, run)

    def embeddings(self, clips: NDArray[np.int16]) -> NDArray[np.float32]:
        """Clips int16 (N, T) -> embeddings float32 (N, D)."""
        return self._answers(clips, 0)

    def classes(self, clips: NDArray[np.int16]) -> NDArray[np.int64]:
        """Clips int16 (N, T) -> classes (N,)."""
        return np.asarray(self._answers(clips, 1).argmax(axis=1), dtype=np.int64)

    @torch.no_grad()
    def _answers(self, clips: NDArray[Any], which: int) -> NDArray[np.float32]:
        found = []
        for rows in parts(torch.arange(len(clips))):
            waves = torch.from_numpy(to_float(np.ascontiguousarray(clips[rows.numpy()]))).to(self._device)
            found.append(self._encoder(self._spectrograms.of_waveforms(waves))[which].float().cpu().numpy())
        return np.concatenate(found)
