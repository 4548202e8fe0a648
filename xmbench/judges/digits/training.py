"""Trains the network of a digit-image judge on real images. Seeded; minutes on one core.

Images are varied lightly, so that the judge reads what a person reads easily: rotated, scaled, sheared, shifted,
blurred by a coarser grid, fainter, noisy. A tenth of every batch shows no class: blank and uniform areas, noise of
different grain, averages over images of several classes, cut-up images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xmbench.judges.digits.network import SIZE, DigitImageJudge, DigitNet
from xmbench.judges.learning import Schedule, learned

STEPS = 2400
NONE_SHARE = 0.1
_BATCH = 96
_PEAK_LR = 6e-3
_SMOOTHING = 0.05
_AVERAGE = 0.99
_LOG_EVERY = 200
_NEAR = 1000  # neighbouring images of the training set from which an average is taken


def fit(
    images: NDArray[np.float32],
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    steps: int = STEPS,
    progress: Callable[[str], None] = print,
) -> DigitImageJudge:
    """Fits a judge.

    Args:
        images: float32 (N, 28, 28) in 0..1, as `digit_image.seen` gives them.
        labels: class of each image, 0..K-1.
        class_names: the K classes.
        weights: how often each image is drawn, relative to the others.
        seed: of initial weights, batches and augmentation.
        steps: of the training.
        progress: called with a line of progress.

    Returns:
        The judge, with weights as they are stored.
    """
    chances = np.ones(len(images)) if weights is None else np.asarray(weights, dtype=np.float64)
    drawn = Augmenter(images, labels, chances, len(class_names), seed)
    schedule = Schedule(
        steps, _PEAK_LR, smoothing=_SMOOTHING, average=_AVERAGE, channels_last=True, log_every=_LOG_EVERY
    )

    def log(step: int, loss: float) -> None:
        progress(f"step {step} of {steps}: loss {loss:.3f}")

    network = learned(lambda: DigitNet(len(class_names)), lambda: drawn.batch(_BATCH), schedule, seed, log)
    return DigitImageJudge.of(class_names, network)


class Augmenter:
    """Draws training batches.

    Args:
        images: float32 (N, 28, 28) in 0..1.
        labels: class of each.
        chances: how often each is drawn, relative to the others.
        classes: K; label K means none.
        seed: of everything random.
    """

    def __init__(
        self, images: NDArray[np.float32], labels: Sequence[int], chances: NDArray[np.float64], classes: int, seed: int
    ) -> None:
        self.images, self.labels = torch.from_numpy(images), torch.tensor(labels)
        self.classes = classes
        self.total = np.cumsum(chances / chances.sum())
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, *shape: int) -> Tensor:
        """0..1."""
        return torch.rand(*shape, generator=self.generator)

    def spread(self, rows: int, width: float) -> Tensor:
        """-width..width, shape (rows,)."""
        return (self.uniform(rows) * 2 - 1) * width

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Images (size, 28, 28) in 0..1 and labels (size,)."""
        found = np.searchsorted(self.total, self.rng.random(size)).clip(max=len(self.total) - 1)
        chosen = torch.from_numpy(found)
        plain, labels = self.images[chosen], self.labels[chosen].clone()
        images = self._coarser(self._moved(plain))
        none = max(1, int(size * NONE_SHARE))
        labels[:none] = self.classes
        images = torch.cat([torch.stack([self._nothing(plain) for _ in range(none)]), images[none:]])
        return self._lit(images), labels

    def _moved(self, images: Tensor) -> Tensor:
        """Rotated by 12 degrees, scaled by 0.85 to 1.15, sheared by 0.15 and shifted by 2 pixels at most."""
        rows = len(images)
        angle, shear = self.spread(rows, 12 * math.pi / 180), self.spread(rows, 0.15)
        across, down = torch.exp(self.spread(rows, 0.15)), torch.exp(self.spread(rows, 0.15))
        cos, sin = torch.cos(angle), torch.sin(angle)
        shift = 4.0 / SIZE  # grid units: the image is 2 wide
        first = torch.stack([cos * across, (shear * cos - sin) * down, self.spread(rows, shift)], 1)
        second = torch.stack([sin * across, (shear * sin + cos) * down, self.spread(rows, shift)], 1)
        grid = F.affine_grid(torch.stack([first, second], 1), [rows, 1, SIZE, SIZE], align_corners=False)
        return F.grid_sample(images[:, None], grid, mode="bilinear", align_corners=False)[:, 0]

    def _coarser(self, images: Tensor) -> Tensor:
        """A quarter of the rows as if they had been scanned on a grid of 8 to 20 pixels and enlarged again."""
        rows = len(images) // 4
        size = int(torch.randint(8, 21, (1,), generator=self.generator))
        small = F.interpolate(images[-rows:, None], size=(size, size), mode="area")
        soft = F.interpolate(small, size=(SIZE, SIZE), mode="bicubic", align_corners=False)[:, 0]
        return torch.cat([images[:-rows], soft.clamp(0, 1)])

    def _lit(self, images: Tensor) -> Tensor:
        """Fainter or stronger ink, a brighter background, noise on half of the rows, 8 bits."""
        rows = len(images)
        gain, lift = 0.7 + 0.5 * self.uniform(rows), 0.08 * self.uniform(rows) * (self.uniform(rows) < 0.3)
        level = 0.12 * self.uniform(rows) ** 2 * (self.uniform(rows) < 0.5)
        noise = torch.randn(images.shape, generator=self.generator) * level[:, None, None]
        lit = (images * gain[:, None, None] + lift[:, None, None] + noise).clamp(0, 1)
        return (lit * 255).round() / 255

    # ------------------------------------------------------------------------------------- no class
    def _nothing(self, plain: Tensor) -> Tensor:
        """One image (28, 28) that shows no class."""
        kinds = (self._flat, self._noise, self._blobs, self._speckles, self._average, self._average, self._cut_up)
        made: Tensor = kinds[int(torch.randint(len(kinds), (1,), generator=self.generator))](plain)
        return made

    def _flat(self, plain: Tensor) -> Tensor:
        return torch.full((SIZE, SIZE), float(self.uniform(1)) if self.uniform(1) < 0.6 else 0.0)

    def _noise(self, plain: Tensor) -> Tensor:
        width = float(self.uniform(1))
        return (float(self.uniform(1)) + width * torch.randn(SIZE, SIZE, generator=self.generator)).clamp(0, 1)

    def _blobs(self, plain: Tensor) -> Tensor:
        """Smooth noise, or its bright half."""
        size = int(torch.randint(3, 14, (1,), generator=self.generator))
        coarse = torch.randn(1, 1, size, size, generator=self.generator)
        smooth = F.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic", align_corners=False)[0, 0]
        return torch.sigmoid(smooth * float(1 + 5 * self.uniform(1)))

    def _speckles(self, plain: Tensor) -> Tensor:
        """Single bright pixels, as many as the ink of a digit or far fewer or more."""
        return (self.uniform(SIZE, SIZE) < 0.4 * float(self.uniform(1))).float()

    def _average(self, plain: Tensor) -> Tensor:
        """The mean of many images of several classes: what a model that ignores its input learns.

        They are neighbours in the training set, so that most averages are over images of one data set.
        """
        count = round(5 * 80 ** float(self.uniform(1)))  # 5 to 400
        centre = int(np.searchsorted(self.total, self.rng.random()))
        first = max(0, min(centre - _NEAR // 2, len(self.images) - _NEAR))
        others = torch.from_numpy(self.rng.integers(first, min(first + _NEAR, len(self.images)), size=count))
        return (self.images[others].mean(0) * float(1 + 0.5 * self.uniform(1))).clamp(0, 1)

    def _cut_up(self, plain: Tensor) -> Tensor:
        """Patches of 4 or 7 pixels of one image in another order."""
        image = plain[int(torch.randint(len(plain), (1,), generator=self.generator))]
        edge = 4 if self.uniform(1) < 0.5 else 7
        side = SIZE // edge
        patches = image.reshape(side, edge, side, edge).permute(0, 2, 1, 3).reshape(side * side, edge, edge)
        patches = patches[torch.randperm(side * side, generator=self.generator)]
        return patches.reshape(side, side, edge, edge).permute(0, 2, 1, 3).reshape(SIZE, SIZE)
