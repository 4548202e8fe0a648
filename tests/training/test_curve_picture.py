"""The picture of a training's curves."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch import Tensor, nn

from xmbench.interfaces import Run
from xmbench.training import Optimiser, Phase, Update, train
from xmbench.training.curve_picture import COLOURS, LEFT, PANEL, RIGHT, SELECTED, WIDTH, Row, draw_curves


def pixels(data: bytes) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(np.int64)


def near(picture: NDArray[np.int64], colour: str) -> NDArray[np.bool_]:
    """Where a picture (H, W, 3) has a colour."""
    return np.asarray(np.abs(picture - np.array(ImageColor.getrgb(colour))).max(axis=2) < 40)


def falling(phase: str, name: str, high: float) -> list[Row]:
    return [(phase, step, name, high * 0.99**step) for step in range(10, 510, 10)]


def test_each_phase_has_a_panel_and_each_name_a_colour() -> None:
    rows = [*falling("first", "loss", 60.0), *falling("second", "loss", 60.0), *falling("second", "perception", 2.0)]
    picture = pixels(draw_curves(rows, {}))
    assert picture.shape == (2 * PANEL, WIDTH, 3)
    inside = picture[:, LEFT + 2 : WIDTH - RIGHT]
    perception = near(inside, COLOURS[1])
    assert not perception[:PANEL].any()
    assert perception[PANEL:].any()
    # The lines fall, and the lower one is below.
    below = [np.nonzero(perception[:, column])[0].mean() for column in (20, 300, 580)]
    assert below == sorted(below)


def test_the_selected_step_is_marked_where_it_is() -> None:
    rows = falling("fit", "loss", 1.0)
    before, after = pixels(draw_curves(rows, {})), pixels(draw_curves(rows, {"fit": 250}))
    changed = (before != after).any(axis=(0, 2))[: WIDTH - RIGHT]
    middle = LEFT + (WIDTH - RIGHT - LEFT) * 250 / 500
    assert set(np.nonzero(changed)[0]) <= set(range(round(middle) - 4, round(middle) + 5))
    assert near(after[:, round(middle)][:, None], SELECTED).sum() > 50


def test_shares_are_drawn_between_0_and_1() -> None:
    rows: list[Row] = [("fit", step, "accuracy", 0.5) for step in range(0, 101)]
    picture = pixels(draw_curves(rows, {}, across="epoch", share=True))
    line = near(picture[:, LEFT + 10 : WIDTH - RIGHT - 10], COLOURS[0]).all(axis=1)
    top, bottom = 40, PANEL - 44
    assert abs(np.flatnonzero(line).mean() - (top + bottom) / 2) <= 1


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]), st.integers(0, 10**7), st.sampled_from(["loss", "validation-x"]), st.floats()
        ),
        max_size=30,
    )
)
def test_any_table_can_be_drawn(rows: list[Row]) -> None:
    assert pixels(draw_curves(rows, {"a": 3})).shape[1] == WIDTH


def test_a_training_draws_its_curves(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)

    def loss(positions: Tensor) -> dict[str, Tensor]:
        return {"loss": net(torch.ones(len(positions), 2)).square().mean()}

    update = Update(net, Optimiser(), loss)
    phase = Phase("fit", net, 40, 20, 8, (update,), lambda: {"selection": 1.0}, 5)
    train(phase, Run(tmp_path, 0, "cpu", False, lambda _line: None))
    assert pixels((tmp_path / "curves.png").read_bytes()).shape == (PANEL, WIDTH, 3)


@pytest.mark.parametrize("count", [1, 30])
def test_many_names_stay_within_their_panel(count: int) -> None:
    rows = [row for number in range(count) for row in falling("only", f"loss-{number}", 1.0 + number)]
    picture = pixels(draw_curves([*rows, *falling("next", "loss", 1.0)], {"only": 100}))
    assert near(picture[PANEL - 8 : PANEL, WIDTH - RIGHT + 4 :], "#ffffff").all()
