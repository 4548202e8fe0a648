"""How the adversarial baselines select among their weights: what is generated for held-out training items is judged.

A classifier alone is fooled: one that knows ten real spectrograms accepts outputs in which nobody hears a word. The
distance to real items alone is lower for a blurred mean than for a sharp item. Their sum is neither's optimum, and the
same rule serves data with one take of a word and with many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xmbench.training import Tensors, parts

COMPARED = 64  # real items of a class, at most
NORM_BATCHES, NORM_BATCH = 8, 64


class RealItems:
    """Distinct real training items of each class, at most 64, drawn by the seed.

    Args:
        items: numbers int64 (B,) -> items (B, ...).
        numbers: of the training items, int64 (N,); items with the same number are the same.
        labels: their classes, int64 (N,).
        seed: of the draw.
    """

    def __init__(self, items: Callable[[Tensor], Tensor], numbers: Tensor, labels: Tensor, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        self._of: dict[int, Tensor] = {}
        for label in labels.unique().tolist():  # type: ignore[no-untyped-call]
            own = numbers[labels == label].unique()  # type: ignore[no-untyped-call]
            drawn = own[torch.randperm(len(own), generator=random)[:COMPARED]]
            self._of[label] = items(drawn).float().flatten(1)

    def distances(self, made: Tensor, labels: Tensor) -> Tensor:
        """Mean absolute difference to the nearest real item of the class, (B, ...) and int64 (B,) -> (B,)."""
        flat = made.float().flatten(1)
        found = flat.new_zeros(len(flat))
        for label in labels.unique().tolist():  # type: ignore[no-untyped-call]
            own = (labels == label).to(flat.device)
            found[own] = torch.cdist(flat[own], self._of[label], p=1.0).amin(dim=1) / flat.shape[1]
        return found


def held_out_scores(
    judge: nn.Module, real: RealItems, generated: Callable[[Tensor], Tensor], data: Tensors
) -> dict[str, float]:
    """Scores of what is generated for held-out items; "selection" is distance + 1 - accuracy.

    "accuracy" is the papers' own measure of success (Chen et al., sections 5.2 and 5.4), kept away from the test
    items: the share in which a classifier of real training items recognises the class that was asked for. "distance"
    is the mean distance to the nearest real training item of that class, for items in -1..1: of ten spoken digits
    about 0.5 before a training, 0.15 where words are heard. An item of the wrong class costs more than that.

    Args:
        judge: items -> logits (B, K); a network of this training, not the judge that scores outputs.
        real: training items.
        generated: places among the held-out items, int64 (B,) -> items generated for them.
        data: training examples.
    """
    labels, right, distances = data.labels[data.held_out], [], []
    with torch.no_grad():
        for part in parts(torch.arange(len(data.held_out))):
            made = generated(part).float()
            right.append(judge(made).argmax(dim=1).cpu() == labels[part])
            distances.append(real.distances(made, labels[part]).cpu())
    accuracy, distance = float(torch.cat(right).float().mean()), float(torch.cat(distances).mean())
    return {"selection": distance + 1.0 - accuracy, "distance": distance, "accuracy": accuracy}


@torch.no_grad()
def settle_norms(
    modules: Sequence[nn.Module], generated: Callable[[Tensor, Tensor], object], noise: int, data: Tensors
) -> None:
    """Statistics of batch norms for the weights as they are: plain means over eight batches of 64 training items.

    The running statistics belong to the weights of the last steps, an average of the weights has others.

    Args:
        modules: whose statistics change; in evaluation mode afterwards.
        generated: training items by row, int64 (B,), and their z (B, `noise`), on the host; called in training mode.
        noise: values of z.
        data: training examples.
    """
    norms = [layer for module in modules for layer in module.modules() if isinstance(layer, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for module in modules:
        module.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    random = torch.Generator().manual_seed(0)  # the same items each time: values of a curve can be compared
    for _ in range(NORM_BATCHES):
        rows = data.rows[torch.randint(len(data.rows), (NORM_BATCH,), generator=random)]
        generated(rows, torch.randn(NORM_BATCH, noise, generator=random))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    for module in modules:
        module.eval()
