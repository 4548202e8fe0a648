"""Digit-image judges as one kind: which weights they read, which data they fit. Networks are imported on use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import FitOption, FittedJudge, Judge, Modality, Task
from xmbench.media.signal import Media, Picture

if TYPE_CHECKING:
    from xmbench.judges.digits.network import DigitImageJudge

LARGEST_PX = 64  # of a side: the images must be legible at 28 x 28


class DigitJudge:
    """A judge of images (`xmbench.interfaces.Judge`)."""

    modality: Modality = "image"

    def __init__(self, judge: DigitImageJudge, embedding_size: int) -> None:
        self._judge, self.class_names, self.embedding_size = judge, tuple(judge.class_names), embedding_size

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1)."""
        return self._judge.probabilities(_images(items))

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, 64)."""
        return self._judge.embed(_images(items))


@dataclass(frozen=True, slots=True)
class DigitJudges:
    """Attributes as in `xmbench.interfaces.JudgeKind` and `FittableKind`."""

    name: str = "digits"
    modality: Modality = "image"
    formats: tuple[str, ...] = ("xmbench/digit-image-judge/1",)
    weights: Path | None = Path(__file__).parent / "weights"
    needs: str = (
        f"grey images of at most {LARGEST_PX} x {LARGEST_PX} pixels, each class one handwritten digit or letter"
    )
    options: tuple[FitOption, ...] = ()

    def fits(self, task: Task) -> bool:
        """Whether the images are small, grey, and of single characters."""
        small = max(task.image.height_px, task.image.width_px) <= LARGEST_PX
        characters = all(len(name) == 1 and name.isalnum() for name in task.class_names)
        return small and task.image.channels == 1 and characters

    def load(self, weights: bytes, device: str = "cpu") -> Judge:
        """Reads weights; raises PrerequisiteError."""
        from xmbench.judges.digits.network import EMBEDDING, DigitImageJudge

        return DigitJudge(DigitImageJudge.from_bytes(weights, device), EMBEDDING)

    def fit(
        self,
        datasets: Sequence[Any],
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[str], None],
        options: Mapping[str, Any],
    ) -> FittedJudge:
        """Trains a judge; see `digits.fit.fit_image_judge`."""
        from xmbench.judges.digits.fit import fit_image_judge

        return fit_image_judge(datasets, seed=seed, steps=steps, progress=progress, **options)


def _images(items: Sequence[Media]) -> list[NDArray[np.uint8]]:
    pictures = [item for item in items if isinstance(item, Picture)]
    if len(pictures) != len(items):
        raise TypeError("a judge of images needs images")
    return [picture.pixels for picture in pictures]
