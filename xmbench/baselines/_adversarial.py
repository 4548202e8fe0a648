"""What the adversarial baselines share: spectrograms of the training clips, encoders, noise, two ways to a waveform.

Chen et al. (2017) score spectrograms; the boards score waveforms. Ning et al. (2021), who compared both systems on
spoken words, trained a network for the last step. It and Griffin-Lim are always shown beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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

Width = Literal["native", "np-resize"]
Waveform = Literal["spec2wav", "griffin-lim"]


class Spectrograms:
    """Scaled log-mel spectrograms, 128 x 34 in -1..1, of the distinct training clips and of other waveforms.

    "native" computes 34 frames; "np-resize" computes those of a hop of 512 samples and wraps them to 34, as printed.
    """

    def __init__(self, examples: Examples, task: Task, width: Width, device: str) -> None:
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


def square(images: Tensor) -> Tensor:
    """Images uint8 (B, H, W, C) -> float32 (B, 3, 64, 64) in -1..1: bilinear, grey copied to three channels."""
    pixels = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    resized = nn.functional.interpolate(pixels, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", antialias=True)
    return resized.expand(-1, 3, -1, -1)


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


@dataclass(frozen=True, slots=True)
class Supervised:
    """How a classifier or spec2wav is trained: Adam at a constant rate."""

    epochs: int
    least_steps: int
    learning_rate: float
    batch: int
    precision: Precision = "float32"
    l2: float = 0.0

    def train(
        self,
        name: str,
        net: nn.Module,
        losses: Callable[[Tensor], Mapping[str, Tensor]],
        rows: Tensor,
        held_out: Tensor,
        validation_ids: tuple[str, ...],
        run: Run,
    ) -> None:
        """Minimises "loss" of `losses(rows)`; the lowest "selection" on the held-out rows is kept."""

        def validate() -> Mapping[str, float]:
            return {"selection": mean_losses(losses, held_out)["selection"]}

        batch, epoch, steps = plan_steps(len(rows), self.batch, self.epochs, self.least_steps)
        run.progress(f"{name}: {len(rows)} items, batch {batch}, {steps} steps")
        adam = Optimiser("adam", self.learning_rate, schedule="constant")
        phase = Phase(
            name=name,
            module=net,
            items=len(rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(net, adam, lambda positions: losses(rows[positions])),),
            validate=validate if len(held_out) else None,
            validate_every=max(epoch, steps // 10),
            precision=self.precision,
            validation_ids=validation_ids,
        )
        train(phase, run)


def train_classifier(
    name: str,
    net: ImageClassifier | SoundClassifier,
    inputs: Callable[[Tensor], Tensor],
    data: Tensors,
    plan: Supervised,
    run: Run,
) -> None:
    """Cross-entropy of the class, and a penalty on the FC layers; `inputs(rows)` gives the items of a batch."""

    def losses(rows: Tensor) -> Mapping[str, Tensor]:
        entropy = nn.functional.cross_entropy(net(inputs(rows)).float(), data.labels[rows].to(run.device))
        return {"loss": entropy + plan.l2 * net.penalty() if plan.l2 else entropy, "selection": entropy}

    place(net, run.device)
    plan.train(name, net, losses, data.rows, data.held_out, data.validation_ids, run)


def known_and_unseen(data: Tensors) -> tuple[Tensor, Tensor]:
    """Distinct clips to train on, and those that only held-out items have (none in single-take data)."""
    known = np.unique(data.clip_index[data.rows].numpy())
    unseen = np.setdiff1d(data.clip_index[data.held_out].numpy(), known)
    return torch.from_numpy(known), torch.from_numpy(unseen)


def train_spec2wav(net: Spec2Wav, spectrograms: Spectrograms, data: Tensors, plan: Supervised, run: Run) -> None:
    """On real spectrograms and their waveforms: generated ones belong to no waveform. Each distinct clip once."""

    def losses(clips: Tensor) -> Mapping[str, Tensor]:
        loss = waveform_loss(net(spectrograms.of_clips(clips)), data.waveforms(clips))
        return {"loss": loss, "selection": loss}

    known, unseen = known_and_unseen(data)
    place(net, run.device)
    plan.train("spec2wav", net, losses, known, unseen if len(unseen) else known, data.validation_ids, run)


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


@torch.no_grad()
def in_parts(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """A function of rows, in parts that fit into memory."""
    return torch.cat([function(part) for part in parts(rows)])


def new_classifier(kind: Callable[[], nn.Module], run: Run, name: str) -> Any:
    """A network with its own seeded weights."""
    seed_everything(run.seed, name, "weights")
    return kind()
