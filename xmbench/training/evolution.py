"""How generated images develop over a training, after Chen et al. (2017), fig. 9: accuracy by epoch, and pictures.

::

    RUN.folder/evolution.json   accuracy by epoch, of each phase
    RUN.folder/evolution.png    the same as curves, with pictures of the same items along the way
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from xmbench.interfaces import Run
from xmbench.storage.files import write_bytes, write_text
from xmbench.training.checkpoints import load_weights
from xmbench.training.curve_picture import LEFT, WIDTH, Row, draw_curves

SCHEMA = "xmbench/evolution/1"
WHAT = (
    "share of generated images in which a classifier of real training images recognises the class of the sound; "
    "held-out items are training items that no network was trained on, not test items"
)
SHOWN, TILE, HEADING = 12, 64, 20  # moments in a picture, pixels of an image and of the line above


@dataclass(frozen=True, slots=True)
class Moment:
    """What a network generated at one step.

    Attributes:
        step: of the phase.
        held_out: accuracy on held-out training items, 0..1; None where no item is held out.
        training: accuracy on training items, 0..1.
        pictures: of a few items, the same at each moment, uint8 (R, H, W, 3).
    """

    step: int
    held_out: float | None
    training: float
    pictures: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Evolution:
    """The moments of a phase.

    Attributes:
        phase: its name.
        epoch_steps: steps per pass over the training items.
        names: of the items whose pictures are shown, one for each row of them.
        moments: in the order of the steps.
    """

    phase: str
    epoch_steps: int
    names: tuple[str, ...]
    moments: tuple[Moment, ...]


@torch.no_grad()
def moments_of(phase: str, module: nn.Module, look: Callable[[int], Moment], run: Run) -> Iterator[Moment]:
    """Looks at each snapshot of a finished phase; the module has its own weights again afterwards.

    Args:
        phase: name of a phase that was trained with snapshots.
        module: of the phase.
        look: step -> what the module, which then has the weights of this step, generates.
        run: of the phase.

    Raises:
        OutputError: a snapshot cannot be read, or is of another training.
    """
    pattern = re.compile(re.escape(phase) + r"-(\d+)\.safetensors")
    found = {}
    for path in (run.folder / "checkpoints").iterdir():
        if match := pattern.fullmatch(path.name):
            found[int(match[1])] = path
    own = {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}
    try:
        for step in sorted(found):
            load_weights(found[step], module, run)
            yield look(step)
    finally:
        module.load_state_dict(own)
        module.eval()


def write_evolution(evolutions: Sequence[Evolution], run: Run) -> None:
    """Writes the JSON and the picture.

    Raises:
        OutputError: the directory cannot be written.
    """
    selected = {one.phase: run.phases[one.phase].selected or 0 for one in evolutions}
    document = {
        "schema": SCHEMA,
        "what": WHAT,
        "phases": [
            {
                "name": one.phase,
                "epoch_steps": one.epoch_steps,
                "selected_step": selected[one.phase],
                "moments": [
                    {
                        "step": moment.step,
                        "epoch": moment.step / one.epoch_steps,
                        "held_out_accuracy": moment.held_out,
                        "training_accuracy": moment.training,
                    }
                    for moment in one.moments
                ],
            }
            for one in evolutions
        ],
    }
    write_text(run.folder / "evolution.json", json.dumps(document, indent=1) + "\n")
    write_bytes(run.folder / "evolution.png", _picture(evolutions, selected))


def _picture(evolutions: Sequence[Evolution], selected: dict[str, int]) -> bytes:
    """For each phase a panel of curves, and below it a column of pictures for each of at most twelve moments."""
    parts = []
    for one in evolutions:
        title = f"{one.phase}: recognised by a classifier of real training images"
        rows: list[Row] = []
        for moment in one.moments:
            epoch = moment.step / one.epoch_steps
            if moment.held_out is not None:
                rows += [(title, epoch, "held-out training items", moment.held_out)]
            rows += [(title, epoch, "training items", moment.training)]
        curves = draw_curves(rows, {title: selected[one.phase] / one.epoch_steps}, across="epoch", share=True)
        parts += [Image.open(io.BytesIO(curves)), _strip(one)]
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    stream = io.BytesIO()
    whole.save(stream, format="PNG")
    return stream.getvalue()


def _strip(one: Evolution) -> Image.Image:
    rows = len(one.names)
    strip = Image.new("RGB", (WIDTH, (TILE + 2) * rows + 2 * HEADING), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(12)
    for row, name in enumerate(one.names):
        draw.text((LEFT - 6, HEADING + (TILE + 2) * row + TILE // 2), name[:12], "black", font, anchor="rm")
    last = max(len(one.moments) - 1, 0)
    places = sorted({round(place) for place in np.linspace(0, last, SHOWN)}) if one.moments else []
    for column, place in enumerate(places):
        moment, x = one.moments[place], LEFT + column * (TILE + 6)
        draw.text((x + TILE // 2, 2), f"epoch {moment.step / one.epoch_steps:.3g}", "black", font, anchor="mt")
        for row, picture in enumerate(moment.pictures):
            tile = Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.BILINEAR)
            strip.paste(tile, (x, HEADING + (TILE + 2) * row))
    return strip
