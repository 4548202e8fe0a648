"""Judges of instrument sounds as one kind: which weights they read, which data they fit.

Networks are imported on use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmbench.interfaces import FitOption, FittedJudge, Judge, Modality, Task
from xmbench.judges.instruments import OPTIONS, are_instruments

NETWORKS = ("convolutional", "recurrent")


@dataclass(frozen=True, slots=True)
class InstrumentSoundJudges:
    """Attributes as in `xmbench.interfaces.JudgeKind` and `FittableKind`."""

    name: str = "instrument-sounds"
    modality: Modality = "audio"
    formats: tuple[str, ...] = ("xmbench/instrument-sound-judge/1",)
    weights: Path | None = Path(__file__).parent / "weights"
    needs: str = "sounds of musical instruments, one instrument per class"
    options: tuple[FitOption, ...] = (
        *OPTIONS,
        FitOption("network", "Of instrument sounds; recurrent makes a second judge.", choices=NETWORKS),
    )

    def fits(self, task: Task) -> bool:
        """Whether the classes are instruments, and nothing is spoken."""
        return not task.words and are_instruments(task.class_names)

    def load(self, weights: bytes, device: str = "cpu") -> Judge:
        """Reads weights; raises PrerequisiteError."""
        from xmbench.judges.instrument_sounds.judging import InstrumentSoundJudge

        return InstrumentSoundJudge.from_bytes(weights, device)

    def fit(
        self,
        datasets: Sequence[Any],
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[str], None],
        options: Mapping[str, Any],
    ) -> FittedJudge:
        """Trains a judge; see `instrument_sounds.fit.fit_instrument_sounds`."""
        from xmbench.judges.instrument_sounds.fit import fit_instrument_sounds

        return fit_instrument_sounds(datasets, seed=seed, steps=steps, progress=progress, **options)
