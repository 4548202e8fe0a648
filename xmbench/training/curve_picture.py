"""A picture of the curves of a training: one panel a phase, losses and validation by step, the selected step marked."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Row = tuple[str, float, str, float]  # phase, step (or epoch), name, value
Points = NDArray[np.float64]  # (N, 2): step, value

LARGEST = 1e30  # what a diverged training reaches would flatten the rest
SMALLEST = 1e-12  # of a logarithmic axis
SCALE = 2  # drawn so many times larger, then reduced: smooth lines
WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 960, 300, 80, 250, 40, 44  # pixels of the finished picture
LOG_RANGE = 20.0  # a panel whose values differ by a larger factor gets a logarithmic axis
INK, PALE, SELECTED = "#222222", "#d9d9d9", "#666666"
# Okabe and Ito's colours, told apart with every kind of colour vision; names also differ by their marks.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
VALIDATION = "validation-"


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to pixels: linear, or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def draw_curves(rows: Sequence[Row], selected: Mapping[str, float], across: str = "step", share: bool = False) -> bytes:
    """Draws the table of curves.

    Args:
        rows: phase, step, name of a loss (or "validation-" and a name), value; values beyond +-1e30 are left out.
        selected: the step whose weights are kept, by phase.
        across: what the second values of the rows, and those of `selected`, count.
        share: values are shares: the axis goes from 0 to 1.

    Returns:
        A PNG file, 960 pixels wide, 300 high for each phase. A point is the mean of the values in its pixel column.
    """
    phases = list(dict.fromkeys(row[0] for row in rows)) or [""]
    image = Image.new("RGB", (WIDTH * SCALE, PANEL * len(phases) * SCALE), "white")
    draw = ImageDraw.Draw(image)
    for number, phase in enumerate(phases):
        lines = _lines(row for row in rows if row[0] == phase)
        _panel(draw, number * PANEL, phase, lines, selected.get(phase), across, share)
    stream = io.BytesIO()
    image.resize((WIDTH, PANEL * len(phases)), Image.Resampling.LANCZOS).save(stream, format="PNG")
    return stream.getvalue()


def _lines(rows: Iterable[Row]) -> dict[str, Points]:
    """Points (N, 2) by name; the value that selects is left out where another one of the validation is the same."""
    found: dict[str, list[tuple[float, float]]] = {}
    for _, step, name, value in rows:
        if abs(value) <= LARGEST:  # not NaN either
            found.setdefault(name, []).append((step, value))
    lines = {name: np.array(sorted(points), dtype=np.float64) for name, points in found.items()}
    selection = lines.pop(f"{VALIDATION}selection", None)
    if selection is not None and not any(np.array_equal(points, selection) for points in lines.values()):
        lines[f"{VALIDATION}selection"] = selection
    return lines


def _panel(
    draw: ImageDraw.ImageDraw,
    top: int,
    phase: str,
    lines: Mapping[str, Points],
    selected: float | None,
    counted: str,
    share: bool,
) -> None:
    _text(draw, (LEFT, top + 10), phase, size=16)
    if not lines:
        _text(draw, (LEFT, top + TOP), "no values yet")
        return
    across, up = _axes(top, np.concatenate(list(lines.values())))
    if share:
        up = _Axis(0.0, 1.0, up.start, up.end)
    for value in _ticks(up):
        y = up.at(value)
        _line(draw, [(LEFT, y), (WIDTH - RIGHT, y)], PALE)
        _text(draw, (LEFT - 6, y), f"{value:g}", anchor="rm")
    for value in _ticks(across):
        _text(draw, (across.at(value), up.start + 5), f"{value:g}", anchor="mt")
    _text(draw, ((across.start + across.end) / 2, up.start + 22), counted, anchor="mt")
    _line(draw, [(across.start, up.end), (across.start, up.start), (across.end, up.start)], INK)
    colours = _colours(lines)
    for name, points in lines.items():
        _curve(draw, _pixels(points, across, up), colours[name], name.startswith(VALIDATION))
    legend = [(name.removeprefix(VALIDATION), name) for name in lines]
    height = min(20.0, (PANEL - TOP - 30) / (len(legend) + 1))
    for place, (own, name) in enumerate(legend):
        y, checked = top + TOP + 10 + height * place, name.startswith(VALIDATION)
        _curve(draw, [(WIDTH - RIGHT + 20, y), (WIDTH - RIGHT + 48, y)], colours[name], checked)
        _text(draw, (WIDTH - RIGHT + 58, y), f"{own}, validation" if checked else own, anchor="lm")
    if selected is not None and across.low <= selected <= across.high:
        x, y = across.at(selected), top + TOP + 10 + height * len(legend)
        _dashed(draw, (x, up.end), (x, up.start))
        _dashed(draw, (WIDTH - RIGHT + 20, y), (WIDTH - RIGHT + 48, y))
        _text(draw, (WIDTH - RIGHT + 58, y), f"selected: {counted} {selected:g}", anchor="lm")


def _axes(top: int, points: Points) -> tuple[_Axis, _Axis]:
    values = points[:, 1]
    low, high = float(values.min()), float(values.max())
    log = low > SMALLEST and high / low > LOG_RANGE
    room = 0.05 * (high - low) or abs(high) or 1.0
    low, high = (low / 1.2, high * 1.2) if log else (low - room, high + room)
    last = max(float(points[:, 0].max()), 1.0)
    return _Axis(0.0, last, LEFT, WIDTH - RIGHT), _Axis(low, high, top + PANEL - BOTTOM, top + TOP, log)


def _ticks(axis: _Axis) -> list[float]:
    """Three to eight round numbers within an axis."""
    if axis.log:
        powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
        every = max(1, len(powers) // 6)
        factors = (1, 2, 5) if len(powers) <= 4 else (1,)
        found = [factor * 10.0**power for power in powers[::every] for factor in factors]
    else:
        rough = (axis.high - axis.low) / 6
        unit = 10.0 ** math.floor(math.log10(rough))
        width = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough)
        found = [round(width * n, 12) for n in range(math.ceil(axis.low / width), math.floor(axis.high / width) + 1)]
    return [value for value in found if axis.low <= value <= axis.high]


def _colours(lines: Mapping[str, Points]) -> dict[str, str]:
    """A validation has the colour of the loss of the same name."""
    own = dict.fromkeys(name.removeprefix(VALIDATION) for name in lines)
    known = dict(zip(own, itertools.cycle(COLOURS)))
    return {name: known[name.removeprefix(VALIDATION)] for name in lines}


def _pixels(points: Points, across: _Axis, up: _Axis) -> list[tuple[float, float]]:
    """Means of the values of each pixel column, as places in the picture."""
    columns = np.array([round(across.at(step)) for step in points[:, 0]])
    found = []
    for column in np.unique(columns):
        inside = points[columns == column]
        found.append((across.at(float(inside[:, 0].mean())), up.at(float(inside[:, 1].mean()))))
    return found


def _curve(draw: ImageDraw.ImageDraw, places: Sequence[tuple[float, float]], colour: str, marked: bool) -> None:
    _line(draw, places, colour, width=1 if marked else 2)
    if marked or len(places) == 1:
        for x, y in places:
            box = [(x - 3) * SCALE, (y - 3) * SCALE, (x + 3) * SCALE, (y + 3) * SCALE]
            draw.ellipse(box, fill="white", outline=colour, width=SCALE)


def _line(draw: ImageDraw.ImageDraw, places: Sequence[tuple[float, float]], colour: str, width: int = 1) -> None:
    draw.line([(x * SCALE, y * SCALE) for x, y in places], fill=colour, width=width * SCALE, joint="curve")


def _dashed(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]) -> None:
    length = math.dist(start, end)
    for begin in np.arange(0.0, length, 8.0):
        ends = [(begin / length), min(begin + 5.0, length) / length]
        _line(draw, [(start[0] + f * (end[0] - start[0]), start[1] + f * (end[1] - start[1])) for f in ends], SELECTED)


def _text(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, anchor: str = "la", size: int = 12) -> None:
    x, y = place
    draw.text((x * SCALE, y * SCALE), text, INK, ImageFont.load_default(size * SCALE), anchor=anchor)
