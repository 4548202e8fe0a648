"""The evolution of generated images over an adversarial training (Chen et al., 2017, fig. 9), from its snapshots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.baselines._adversarial import PairConfig, noise_of, pixels_of
from xmbench.interfaces import ImageFormat, Run, Task
from xmbench.networks.dcgan import IMAGE_SIZE
from xmbench.training import Evolution, Moment, Tensors, moments_of, plan_steps

TRAINING_ITEMS = 512  # of the accuracy on training items
CLASSES = 16  # with a picture


def evolution_of(
    phase: str,
    module: nn.Module,
    settle: Callable[[], None],
    scores: Callable[[Tensors], Mapping[str, float]],
    drawn: Callable[[Tensor, Tensor], Tensor],
    data: Tensors,
    task: Task,
    config: PairConfig,
    run: Run,
) -> Evolution:
    """Accuracy on held-out and on 512 training items at each snapshot, and pictures of one item of each class.

    Args:
        phase: name of the finished phase.
        module: of the phase; has its selected weights before and after.
        settle: takes the statistics of the batch norms anew.
        scores: with "accuracy", of what is generated for the held-out items of its argument.
        drawn: training items by row, int64 (B,), and noise (B, Z) -> images (B, 3, 64, 64) in -1..1.
        data: items of the phase.
        task: names of the classes.
        config: of the model.
        run: of the model.
    """
    random = torch.Generator().manual_seed(run.seed)
    some = data.rows[torch.randperm(len(data.rows), generator=random)[:TRAINING_ITEMS]]
    training = data.chosen(data.rows, some)
    shown = data.chosen(data.rows, _one_of_each_class(data))

    def look(step: int) -> Moment:
        settle()
        held_out = scores(data)["accuracy"] if len(data.held_out) else None
        return Moment(step, held_out, scores(training)["accuracy"], pictures())

    def pictures() -> NDArray[np.uint8]:
        images = drawn(shown.held_out, noise_of(run.seed, shown.validation_ids, run.device))
        return pixels_of(images, replace(task, image=ImageFormat(IMAGE_SIZE, IMAGE_SIZE, 3)))

    names = tuple(task.class_names[label] for label in data.labels[shown.held_out].tolist())
    epoch = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)[1]
    return Evolution(phase, epoch, names, tuple(moments_of(phase, module, look, run)))


def _one_of_each_class(data: Tensors) -> Tensor:
    """The first held-out item of each class, or the first training item where none is held out: int64 (R,)."""
    found: dict[int, int] = {}
    for row in [*data.held_out.tolist(), *data.rows.tolist()]:
        found.setdefault(int(data.labels[row]), row)
    return torch.tensor([found[label] for label in sorted(found)[:CLASSES]], dtype=torch.int64)
