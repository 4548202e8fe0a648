"""Makes training images of instruments: other crops, light, hues, sharpness; and images that show no instrument.

Images are mirrored only where that is asked for: players hold their instruments on one side.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xmbench.judges.instrument_images.network import SIZE

NONE_SHARE = 0.2
_ANGLE = 7 * math.pi / 180
_SCALE = 0.2  # of the logarithm of the zoom, at most
_SHIFT = 0.12  # of half an image
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Draws:
    """Draws training examples.

    Args:
        images: uint8 (3, 64, 64) each.
        labels: class of each; K is none.
        groups: of each; every group of a class is drawn equally often.
        classes: K.
        mirrored: whether half of the images are mirrored.
        seed: of everything random.
    """

    def __init__(
        self,
        images: Sequence[NDArray[np.uint8]],
        labels: Sequence[int],
        groups: Sequence[str],
        classes: int,
        *,
        mirrored: bool,
        seed: int,
    ) -> None:
        self.images = torch.from_numpy(np.stack(images))
        self.classes, self.mirrored = classes, mirrored
        self.rng = np.random.default_rng([seed, 59])
        self.generator = torch.Generator().manual_seed(seed)
        found: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, (label, group) in enumerate(zip(labels, groups, strict=True)):
            found[label][group].append(number)
        self.places = {label: list(by_group.values()) for label, by_group in found.items()}

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Images (size, 3, 64, 64) of 0..255 and labels (size,)."""
        shown, labels = [], []
        for _ in range(size):
            none = self.rng.random() < NONE_SHARE
            label = self.classes if none else int(self.rng.integers(self.classes))
            shown.append(self._none() if none else self._one(label))
            labels.append(label)
        return self._taken(torch.stack(shown)), torch.tensor(labels)

    def _one(self, label: int) -> Tensor:
        """An image of a class, (3, 64, 64) of 0..1."""
        groups = self.places[label]
        numbers = groups[self.rng.integers(len(groups))]
        return self.images[numbers[self.rng.integers(len(numbers))]].float() / 255

    # ------------------------------------------------------------------------------------------ photography
    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def _spread(self, rows: int, width: float) -> Tensor:
        return (self._uniform(rows) * 2 - 1) * width

    def _taken(self, images: Tensor) -> Tensor:
        """As if it had been photographed again: moved, in other light and colours, blurred, noisy, in 8 bits."""
        rows = len(images)
        images = self._coloured(self._moved(images))
        soft = self._uniform(rows) < 0.25
        size = int(torch.randint(20, 56, (1,), generator=self.generator))
        coarse = F.interpolate(F.interpolate(images, (size, size), mode="area"), (SIZE, SIZE), mode="bilinear")
        images = torch.where(soft[:, None, None, None], coarse, images)
        level = 0.08 * self._uniform(rows) ** 2 * (self._uniform(rows) < 0.5)
        images = images + torch.randn(images.shape, generator=self.generator) * level[:, None, None, None]
        return (images.clamp(0, 1) * 255).round()

    def _moved(self, images: Tensor) -> Tensor:
        rows = len(images)
        angle = self._spread(rows, _ANGLE)
        zoom = torch.exp(self._spread(rows, _SCALE) - 0.05)
        across = zoom * torch.exp(self._spread(rows, 0.08))
        if self.mirrored:
            across = across * torch.where(self._uniform(rows) < 0.5, -1.0, 1.0)
        cos, sin = torch.cos(angle), torch.sin(angle)
        first = torch.stack([cos * across, -sin * zoom, self._spread(rows, _SHIFT)], 1)
        second = torch.stack([sin * across, cos * zoom, self._spread(rows, _SHIFT)], 1)
        grid = F.affine_grid(torch.stack([first, second], 1), [rows, 3, SIZE, SIZE], align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _coloured(self, images: Tensor) -> Tensor:
        """Another hue and saturation, brightness, contrast; a few grey, a few with their colours exchanged."""
        rows = len(images)
        grey = torch.einsum("nchw,c->nhw", images, torch.tensor(_LUMA))[:, None]
        hued = torch.einsum("nchw,ndc->ndhw", images - grey, self._turns(rows))
        saturation = torch.exp(self._spread(rows, 0.6)) * (self._uniform(rows) > 0.08)
        images = grey + hued * saturation[:, None, None, None]
        contrast, light = torch.exp(self._spread(rows, 0.35)), self._spread(rows, 0.15)
        mean = images.mean((1, 2, 3), keepdim=True)
        return (images - mean) * contrast[:, None, None, None] + mean + light[:, None, None, None]

    def _turns(self, rows: int) -> Tensor:
        """Rotations about the grey axis, (rows, 3, 3): small ones, and any for a fifth of the rows."""
        angle = torch.where(self._uniform(rows) < 0.2, self._spread(rows, math.pi), self._spread(rows, 0.25))
        cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
        third = torch.full((3, 3), 1 / 3)
        cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
        return cos * torch.eye(3) + (1 - cos) * third + sin * cross

    # ------------------------------------------------------------------------------------------- no instrument
    def _none(self) -> Tensor:
        kind = self.rng.random()
        if kind < 0.45 and self.classes in self.places:
            return self._one(self.classes)
        if kind < 0.65:
            return self._blend()
        if kind < 0.75:
            return self._cut_up()
        return self._blobs() if kind < 0.9 else self._noise()

    def _any(self) -> Tensor:
        return self._one(int(self.rng.integers(self.classes)))

    def _blend(self) -> Tensor:
        """The mean of two to forty images of different classes: what a model that ignores its input learns."""
        several = int(self.rng.choice([2, 2, 3, 4, 8, 16, 40]))
        labels = self.rng.choice(self.classes, several, replace=several > self.classes)
        return torch.stack([self._one(int(label)) for label in labels]).mean(0)

    def _cut_up(self) -> Tensor:
        """Patches of 8 or 16 pixels of one image in another order."""
        edge = int(self.rng.choice([8, 16]))
        side = SIZE // edge
        patches = self._any().reshape(3, side, edge, side, edge).permute(1, 3, 0, 2, 4).reshape(-1, 3, edge, edge)
        patches = patches[torch.from_numpy(self.rng.permutation(side * side))]
        return patches.reshape(side, side, 3, edge, edge).permute(2, 0, 3, 1, 4).reshape(3, SIZE, SIZE)

    def _blobs(self) -> Tensor:
        """Smooth noise in colours, or a plain colour."""
        size = int(self.rng.integers(1, 14))
        coarse = torch.rand(1, 3, size, size, generator=self.generator)
        return F.interpolate(coarse, (SIZE, SIZE), mode="bilinear")[0]

    def _noise(self) -> Tensor:
        level, width = self._uniform(3, 1, 1), float(self._uniform(1)) * 0.5
        return (level + width * torch.randn(3, SIZE, SIZE, generator=self.generator)).clamp(0, 1)
