"""Classify the image, play a stored clip of that class: the trivial baseline that a learned system has to beat.

The classifier is a small convolutional network, trained in seconds on a CPU. The clip is the medoid of its
class: the training clip that is on average most similar to the others of its class.
"""

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
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng
from xmbench.media.audio import to_float
from xmbench.networks.images import make_classifier, standardise
from xmbench.training import Optimiser, Phase, Tensors, Update, mean_losses, place, plan_steps, seed_everything, train

FRAME = 512  # samples of a spectrogram frame: 23 ms at 22,050 Hz


class Config(Part):
    """The classifier and its training; the defaults reach 0.98 on the embedded digits in seconds."""

    width: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    epochs: int = Field(default=2, ge=1)
    min_steps: int = Field(default=240, ge=1)
    batch: int = Field(default=64, ge=2)
    medoid_clips: int = Field(default=64, ge=1, description="clips per class among which the medoid is sought")


def spectrum(clip: NDArray[np.int16]) -> NDArray[np.float64]:
    """Cube-root magnitude spectrogram of a clip (T,), flat and of unit length: the cube root approximates loudness."""
    samples = np.pad(clip / 32768.0, (0, -len(clip) % FRAME))
    frames = samples.reshape(-1, FRAME) * np.hanning(FRAME)
    flat = np.cbrt(np.abs(np.fft.rfft(frames, axis=1))).ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-12))


def class_medoids(examples: Examples, classes: int, most: int, seed: int) -> NDArray[np.int64]:
    """Index of each class's medoid clip, shape (K,): highest mean cosine to the class's other clips.

    If a class has more than `most` distinct clips, a seeded sample of them is compared. A class without a training
    item gets the first clip; the classifier never predicts it.
    """
    chosen = np.zeros(classes, dtype=np.int64)
    for label in range(classes):
        clips = np.unique(examples.clip_index[examples.labels == label])
        if len(clips) > most:
            clips = np.sort(item_rng(seed, f"medoid-{label}").choice(clips, most, replace=False))
        if len(clips):
            spectra = np.stack([spectrum(examples.clips[clip]) for clip in clips])
            chosen[label] = clips[np.argmax((spectra @ spectra.T).sum(axis=1))]
    return chosen


class _NearestClassClip:
    def __init__(self, classifier: nn.Module, stored: NDArray[np.int16], device: str) -> None:
        self._classifier, self._stored, self._device = classifier.eval(), stored, device

    @torch.no_grad()
    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The classifier's class, (B,)."""
        images = torch.from_numpy(np.ascontiguousarray(conditions.inputs)).to(self._device)
        classes: NDArray[np.int64] = self._classifier(standardise(images)).argmax(dim=1).cpu().numpy()
        return classes

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The stored clip of the predicted class, float32 (B, T)."""
        return to_float(self._stored[self.predict(conditions)])


class _NearestClassClipModel:
    """See the module."""

    name = "nearest-class-clip"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifier, finds the medoids."""
        classes, data = len(task.class_names), Tensors(examples, run)
        seed_everything(run.seed, "classifier", "weights")
        classifier = place(make_classifier(task.image.channels, classes, config.width), run.device)

        def losses(rows: Tensor) -> dict[str, Tensor]:
            logits = classifier(standardise(data.pixels(rows)))
            return {"loss": F.cross_entropy(logits, data.labels[rows].to(run.device))}

        batch, epoch, steps = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)

        def validate() -> Mapping[str, float]:
            return {"selection": mean_losses(losses, data.held_out)["loss"]}

        optimiser = Optimiser("adam", config.learning_rate, warmup_steps=steps // 20)
        train(
            Phase(
                name="classifier",
                module=classifier,
                items=len(data.rows),
                steps=steps,
                batch_size=batch,
                updates=(Update(classifier, optimiser, lambda positions: losses(data.rows[positions])),),
                validate=validate if len(data.held_out) else None,
                validate_every=max(epoch, steps // 10),
                validation_ids=data.validation_ids,
                ahead=lambda positions: data.ahead(data.rows[positions]),
                batch_setting="batch",
            ),
            run,
        )
        medoids = class_medoids(examples, classes, config.medoid_clips, run.seed)
        return _NearestClassClip(classifier, examples.clips[medoids], run.device)


MODEL = _NearestClassClipModel()
