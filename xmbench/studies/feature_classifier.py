"""One classifier of sounds: one of the five pictures of a sound, three or four convolutions, a seed.

L. Chen et al., "Deep cross-modal audio-visual generation" (2017), section 3.3, fig. 4: convolutions and three FC
layers, a penalty of 0.015 on the weights of these, dropout. The paper does not say how values are scaled; here all
values of a picture get one mean and one deviation of the training items, so that amplitudes stay amplitudes.

Shape letters: B batch, T samples, F rows and N frames of a picture, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.errors import UnsuitableDatasetError
from xmbench.formats.document import Part
from xmbench.interfaces import Examples, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.class_encoders import SoundClassifier
from xmbench.networks.sound_features import WINDOW, features, size
from xmbench.training import (
    Optimiser,
    Phase,
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

KEPT_BYTES = 4 * 2**30  # pictures of a training set up to this size are kept; others are made for each batch
MEASURED = 2048  # training clips that the scale is taken from, at most


class Settings(Part):
    """The network and its training; the defaults are the paper's where it states them, else those of `dcmavg-i2s`."""

    widths: tuple[int, ...] = Field(default=(32, 64, 128, 256), min_length=1, description="as many as are used")
    hidden: int = Field(default=512, ge=1)
    l2: float = Field(default=0.015, ge=0)
    learning_rate: float = Field(default=1e-4, gt=0)
    epochs: int = Field(default=30, ge=1)
    min_steps: int = Field(default=600, ge=1)
    batch: int = Field(default=64, ge=2)


class Pictures:
    """Pictures of clips, scaled to zero mean and unit variance over the values of the training items."""

    def __init__(self, name: str, examples: Examples, data: Tensors, task: Task, device: str) -> None:
        """Of one kind, for the clips of a task.

        Raises:
            UnsuitableDatasetError: clips are too short, or their rate is too low.
        """
        rate, samples = task.audio.sample_rate_hz, task.audio.samples
        if samples <= WINDOW:
            raise UnsuitableDatasetError(
                f"clips of {samples} samples are too short for windows of {WINDOW}", expected=f"more than {WINDOW}"
            )
        try:
            self._front = features(name, rate).to(device)
        except ValueError as error:
            raise UnsuitableDatasetError(str(error), todo="leave these features out (--features)") from error
        self.size, self._data, self._device = size(name, samples), data, device
        self._kept: Tensor | None = None
        if 4 * math.prod(self.size) * len(examples.clips) <= KEPT_BYTES:

            def of(clips: NDArray[np.int16]) -> NDArray[np.float32]:
                found: NDArray[np.float32] = self._of(torch.from_numpy(to_float(clips)).to(device)).cpu().numpy()
                return found

            self._kept = torch.from_numpy(prepared(examples, f"sound-{name}-{rate}", of, "clips"))
        clips = data.clip_index[data.rows].unique()  # type: ignore[no-untyped-call]
        some = clips[torch.linspace(0, len(clips) - 1, min(MEASURED, len(clips))).long()]
        sums = torch.zeros(3, dtype=torch.float64)
        for part in parts(some):
            found = self._taken(part).double()
            sums += torch.tensor([found.numel(), float(found.sum()), float(found.square().sum())])
        self.mean = float(sums[1] / sums[0])
        self.deviation = math.sqrt(max(float(sums[2] / sums[0]) - self.mean**2, 1e-12))

    def of_clips(self, clips: Tensor) -> Tensor:
        """Distinct training clips by number, int64 (B,) -> (B, 1, F, N) on the device."""
        return self._scaled(self._taken(clips).to(self._device))

    def of_waveforms(self, waveforms: Tensor) -> Tensor:
        """(B, T) in -1..1 on the device -> (B, 1, F, N)."""
        return self._scaled(self._of(waveforms))

    @torch.no_grad()
    def _of(self, waveforms: Tensor) -> Tensor:
        found: Tensor = self._front(waveforms)
        return found

    def _taken(self, clips: Tensor) -> Tensor:
        if self._kept is None:
            return self._of(self._data.waveforms(clips))
        found: Tensor = self._kept[clips]
        return found

    def _scaled(self, pictures: Tensor) -> Tensor:
        return ((pictures - self.mean) / self.deviation).unsqueeze(1)


def trained(
    name: str, convolutions: int, pictures: Pictures, data: Tensors, task: Task, settings: Settings, run: Run
) -> SoundClassifier:
    """Trains a classifier, or loads its checkpoint; of its weights those are kept that held-out takes choose.

    Raises:
        UnsuitableDatasetError: the pictures are smaller than what so many convolutions halve.
    """
    if min(pictures.size) < 2**convolutions:
        rows, frames = pictures.size
        what = f"'{name}' of such clips has {rows} rows and {frames} frames: {convolutions} convolutions leave none"
        raise UnsuitableDatasetError(what, expected=f"at least {2**convolutions} of both")
    seed_everything(run.seed, f"{name}-{convolutions}", "weights")
    widths = settings.widths[:convolutions]
    net = place(SoundClassifier(len(task.class_names), widths, settings.hidden, pictures.size), run.device)

    def losses(rows: Tensor) -> Mapping[str, Tensor]:
        logits = net(pictures.of_clips(data.clip_index[rows])).float()
        entropy = nn.functional.cross_entropy(logits, data.labels[rows].to(run.device))
        return {"loss": entropy + settings.l2 * net.penalty(), "selection": entropy}

    batch, epoch, steps = plan_steps(len(data.rows), settings.batch, settings.epochs, settings.min_steps)
    phase = Phase(
        name=f"{name}-{convolutions}",
        module=net,
        items=len(data.rows),
        steps=steps,
        batch_size=batch,
        updates=(
            Update(
                net,
                Optimiser("adam", settings.learning_rate, schedule="constant"),
                lambda positions: losses(data.rows[positions]),
            ),
        ),
        validate=(lambda: {"selection": mean_losses(losses, data.held_out)["selection"]})
        if len(data.held_out)
        else None,
        validate_every=max(epoch, steps // 10),
        validation_ids=data.validation_ids,
    )
    train(phase, run)
    return net


@torch.no_grad()
def recognised(net: SoundClassifier, pictures: Pictures, clips: NDArray[np.int16], device: str) -> NDArray[np.int64]:
    """The classes that a classifier finds in clips (N, T), int64 (N,)."""
    net.eval()
    found = []
    for rows in parts(torch.arange(len(clips))):
        waveforms = torch.from_numpy(to_float(clips[rows.numpy()])).to(device)
        found.append(net(pictures.of_waveforms(waveforms)).argmax(dim=1).cpu())
    classes: NDArray[np.int64] = torch.cat(found).numpy()
    return classes
