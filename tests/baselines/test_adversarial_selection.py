"""What selects the weights of adversaries: nearest real items, recognised classes, norms for the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.baselines.test_adversarial_rows import examples_of, run_in
from xmbench.baselines._adversarial_selection import RealItems, held_out_scores, settle_norms
from xmbench.training import Tensors

ITEMS = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])


def test_a_distance_is_that_to_the_nearest_real_item_of_the_class() -> None:
    numbers, labels = torch.tensor([0, 1, 1, 2, 3]), torch.tensor([0, 0, 0, 1, 1])
    real = RealItems(lambda some: ITEMS[some], numbers, labels, seed=0)
    made = torch.tensor([[-0.8, -1.0], [0.1, 0.3], [0.0, 0.0], [1.0, 0.2]])
    found = real.distances(made, torch.tensor([0, 0, 1, 1]))
    assert torch.allclose(found, torch.tensor([0.1, 0.2, 0.5, 0.1]), atol=1e-6)


def test_at_most_64_real_items_of_a_class_are_compared() -> None:
    asked: list[int] = []

    def items(some: Tensor) -> Tensor:
        asked.append(len(some))
        return some[:, None].float()

    labels = torch.tensor([0] * 500 + [1] * 20)
    real = RealItems(items, torch.arange(520), labels, seed=3)
    assert asked == [64, 20]
    again = RealItems(items, torch.arange(520), labels, seed=3)
    made, zeros = torch.arange(500)[:, None].float(), torch.zeros(500, dtype=torch.int64)
    assert torch.equal(real.distances(made, zeros), again.distances(made, zeros))


class ByFirstValue(nn.Module):
    """A classifier of two classes that knows only the first value."""

    def forward(self, items: Tensor) -> Tensor:
        return torch.stack([-items[:, 0], items[:, 0]], dim=1)


def test_what_fools_the_classifier_is_not_selected(tmp_path: Path) -> None:
    data = Tensors(examples_of(), run_in(tmp_path))
    real = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    labels = data.labels
    known = RealItems(lambda some: real[some], labels[data.rows], labels[data.rows], seed=0)
    fooling = torch.tensor([[-0.5, 0.5, 0.5], [0.5, -0.5, -0.5]])  # right by the first value alone
    blurred = torch.zeros(2, 3)

    def scores(items: Tensor) -> dict[str, float]:
        return held_out_scores(ByFirstValue(), known, lambda at: items[labels[data.held_out][at]], data)

    right = scores(real * 0.8)
    assert right == pytest.approx({"selection": 0.2, "distance": 0.2, "accuracy": 1.0}, abs=1e-6)
    assert scores(fooling) == pytest.approx({"selection": 3.5 / 3, "distance": 3.5 / 3, "accuracy": 1.0}, abs=1e-6)
    assert right["selection"] < min(scores(fooling)["selection"], scores(blurred)["selection"])
    swapped = scores(real.flip(0))
    assert swapped["accuracy"] == 0.0
    assert swapped["selection"] == pytest.approx(3.0)


def test_norms_are_settled_for_the_weights_as_they_are(tmp_path: Path) -> None:
    data = Tensors(examples_of(), run_in(tmp_path))
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    seen: list[Tensor] = []

    def generated(rows: Tensor, noise: Tensor) -> Tensor:
        assert set(rows.tolist()) <= set(data.rows.tolist())
        seen.append(net[0](noise))
        found: Tensor = net(noise)
        return found

    for _ in range(2):  # what was there before does not count
        seen.clear()
        settle_norms([net], generated, 3, data)
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    np.testing.assert_allclose(norm.running_mean, torch.stack([x.mean(0) for x in seen]).mean(0), atol=1e-6)
    np.testing.assert_allclose(norm.running_var, torch.stack([x.var(0) for x in seen]).mean(0), atol=1e-6)
    assert norm.momentum == 0.1
    assert not net.training
