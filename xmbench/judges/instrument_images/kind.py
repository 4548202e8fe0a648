"""Judges of instrument images as one kind: which weights they read, which data they fit.

Networks are imported on use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmbench.interfaces import FitOption, FittedJudge, Judge, Modality, Task
from xmbench.judges.instruments import OPTIONS, are_instruments


@dataclass(frozen=True, slots=True)
class InstrumentImageJudges:
    """Attributes as in `xmbench.interfaces.JudgeKind` and `FittableKind`."""

    name: str = "instrument-images"
    modality: Modality = "image"
    formats: tuple[str, ...] = ("xmbench/instrument-image-judge/1",)
    weights: Path | None = Path(__file__).parent / "weights"
    needs: str = "images of musical instruments or of those who play them, one instrument per class"
    options: tuple[FitOption, ...] = (
        *OPTIONS,
        FitOption("mirrored", "Whether half of the training images are mirrored (default: no).", choices=("no", "yes")),
    )

    def fits(self, task: Task) -> bool:
        """Whether the classes are instruments."""
        return are_instruments(task.class_names)

    def load(self, weights: bytes, device: str = "cpu") -> Judge:
        """Reads weights; raises PrerequisiteError."""
        from xmbench.judges.instrument_images.network import InstrumentImageJudge

        return InstrumentImageJudge.from_bytes(weights, device)

    def fit(
        self,
        datasets: Sequence[Any],
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[str], None],
        options: Mapping[str, Any],
    ) -> FittedJudge:
        """Trains a judge; see `instrument_images.fit.fit_instrument_images`."""
        from xmbench.judges.instrument_images.fit import fit_instrument_images

        return fit_instrument_images(datasets, seed=seed, steps=steps, progress=progress, **options)
