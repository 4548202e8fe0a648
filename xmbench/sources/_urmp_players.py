"""Musicians that the project draws and plays itself: four instruments that look and sound different.

They are caricatures. A sound is a sum of harmonics with an envelope; a player is a few shapes that move while there is
sound. Everything follows from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
_SCALE = (0, 2, 4, 5, 7, 9, 11, 12)  # semitones of a major scale


@dataclass(frozen=True, slots=True)
class Timbre:
    """How an instrument sounds: lowest note in Hz, strength of its harmonics, attack and decay, vibrato, breath."""

    lowest_hz: float
    harmonics: tuple[float, ...]
    attack_s: float
    decay_s: float
    vibrato: float
    breath: float


@dataclass(frozen=True, slots=True)
class Note:
    """One note: start and length in seconds, pitch in Hz."""

    start_s: float
    length_s: float
    pitch_hz: float


TIMBRES = {
    "violin": Timbre(392.0, (1.0, 0.8, 0.7, 0.55, 0.5, 0.35, 0.3, 0.2, 0.15, 0.1), 0.06, 3.0, 0.006, 0.004),
    "cello": Timbre(98.0, (1.0, 0.9, 0.5, 0.6, 0.3, 0.3, 0.2, 0.15, 0.1, 0.05), 0.09, 2.5, 0.004, 0.003),
    "flute": Timbre(523.3, (1.0, 0.25, 0.12, 0.03), 0.05, 8.0, 0.004, 0.03),
    "trumpet": Timbre(233.1, (0.5, 0.8, 1.0, 0.9, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1), 0.02, 5.0, 0.001, 0.002),
}
_SKIN: tuple[Colour, ...] = ((236, 200, 170), (198, 150, 112), (141, 94, 64), (92, 60, 44))
_CLOTHES: tuple[Colour, ...] = ((40, 40, 48), (70, 30, 40), (30, 50, 80), (90, 90, 96), (36, 70, 52))
_DARK_WOOD, _BOW, _BRASS = (50, 28, 16), (240, 236, 220), (226, 178, 40)
_HAIR: tuple[Colour, ...] = ((30, 24, 20), (110, 70, 30), (190, 160, 90), (120, 120, 120))


def melody(rng: np.random.Generator, instrument: str, enters_s: float, seconds: float) -> list[Note]:
    """Notes of a scale, one after the other, from `enters_s` to a little before the end."""
    notes, time = [], enters_s
    while time < seconds - 0.3:
        length = float(rng.choice([0.25, 0.35, 0.5]))
        semitones = int(rng.choice(_SCALE))
        notes.append(Note(time, min(length, seconds - time), TIMBRES[instrument].lowest_hz * 2 ** (semitones / 12)))
        time += length
    return notes


def played(
    rng: np.random.Generator, instrument: str, notes: Sequence[Note], seconds: float, rate_hz: int
) -> NDArray[np.float64]:
    """Samples (T,) of the notes, peak 0.5; exactly zero before the first."""
    timbre, samples = TIMBRES[instrument], np.zeros(round(seconds * rate_hz))
    for note in notes:
        start, length = round(note.start_s * rate_hz), round(note.length_s * rate_hz)
        length = min(length, len(samples) - start)
        time = np.arange(length) / rate_hz
        phase = 2 * np.pi * note.pitch_hz * (time + timbre.vibrato / 35 * np.sin(2 * np.pi * 5.5 * time))
        tone = np.zeros(length)
        for number, strength in enumerate(timbre.harmonics, 1):
            if number * note.pitch_hz < 0.45 * rate_hz:
                tone += strength * np.sin(number * phase)
        tone += timbre.breath * len(timbre.harmonics) * rng.standard_normal(length)
        envelope = np.minimum(1.0, time / timbre.attack_s) * np.exp(-time / timbre.decay_s)
        envelope *= np.minimum(1.0, (length / rate_hz - time) / 0.03)
        samples[start : start + length] += envelope * tone
    loudest = max(1e-9, float(np.abs(samples).max()))
    return np.asarray(samples * (0.5 / loudest))


@dataclass(frozen=True, slots=True)
class Player:
    """One player: instrument, looks, notes."""

    instrument: str
    skin: Colour
    clothes: Colour
    hair: Colour
    notes: tuple[Note, ...]


def dressed(rng: np.random.Generator, instrument: str, notes: Sequence[Note]) -> Player:
    """A player with looks of their own."""
    looks = (_SKIN, _CLOTHES, _HAIR)
    skin, clothes, hair = (options[int(rng.integers(len(options)))] for options in looks)
    return Player(instrument, skin, clothes, hair, tuple(notes))


def stage(height_px: int, width_px: int) -> Image.Image:
    """An empty stage."""
    picture = Image.new("RGB", (width_px, height_px), (150, 148, 144))
    ImageDraw.Draw(picture).rectangle((0, round(0.86 * height_px), width_px, height_px), fill=(96, 72, 52))
    return picture


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws one player: x in heights from the middle of the player's column, y in heights from the top."""

    draw: ImageDraw.ImageDraw
    middle_px: float
    floor_px: float
    unit_px: float

    def at(self, x: float, y: float) -> Point:
        return self.middle_px + x * self.unit_px, self.floor_px - (0.94 - y) * self.unit_px

    def box(self, left: float, top: float, right: float, bottom: float) -> tuple[Point, Point]:
        return self.at(left, top), self.at(right, bottom)

    def wide(self, heights: float) -> int:
        return max(1, round(heights * self.unit_px))

    def line(self, points: Sequence[Point], colour: Colour, heights: float) -> None:
        self.draw.line([self.at(*point) for point in points], fill=colour, width=self.wide(heights), joint="curve")

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        self.draw.polygon([self.at(*point) for point in points], fill=colour)

    def oval(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.draw.ellipse(self.box(left, top, right, bottom), fill=colour)

    def block(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.draw.rectangle(self.box(left, top, right, bottom), fill=colour)

    def arm(self, player: Player, shoulder: float, hand: Point) -> None:
        self.line([(shoulder, 0.41), (0.6 * shoulder + 0.4 * hand[0], 0.55), hand], player.clothes, 0.05)
        x, y = hand
        self.oval(x - 0.03, y - 0.03, x + 0.03, y + 0.03, player.skin)


def _pen(picture: Image.Image, left_px: float, width_px: float) -> _Pen:
    unit = picture.height * min(1.0, width_px / (0.62 * picture.height))
    return _Pen(ImageDraw.Draw(picture), left_px + width_px / 2, 0.94 * picture.height, unit)


def draw_body(picture: Image.Image, player: Player, left_px: float, width_px: float) -> None:
    """What does not move: head, trunk, legs."""
    pen = _pen(picture, left_px, width_px)
    pen.draw.rounded_rectangle(pen.box(-0.17, 0.36, 0.17, 0.74), radius=pen.wide(0.05), fill=player.clothes)
    for side in (-0.09, 0.09):
        pen.block(side - 0.06, 0.72, side + 0.06, 0.94, player.clothes)
    pen.oval(-0.085, 0.165, 0.085, 0.345, player.skin)
    pen.draw.pieslice(pen.box(-0.09, 0.15, 0.09, 0.33), 180, 360, fill=player.hair)


def draw_playing(picture: Image.Image, player: Player, time_s: float, left_px: float, width_px: float) -> None:
    """The instrument and the arms, as they are at a time."""
    note = next((n for n in player.notes if n.start_s <= time_s < n.start_s + n.length_s), None)
    sway = float(np.sin(np.pi * (time_s - note.start_s) / note.length_s)) if note else 0.0
    _DRAWN[player.instrument](_pen(picture, left_px, width_px), player, sway)


def _violin(pen: _Pen, player: Player, sway: float) -> None:
    pen.line([(0.08, 0.37), (0.30, 0.41)], _DARK_WOOD, 0.02)
    pen.oval(-0.04, 0.325, 0.14, 0.42, (150, 74, 30))
    pen.arm(player, 0.15, (0.28, 0.42))
    x, y = -0.16 + 0.10 * sway, 0.44 - 0.03 * sway
    pen.arm(player, -0.15, (x, y))
    pen.line([(x, y), (x + 0.36, y - 0.16)], _BOW, 0.012)


def _cello(pen: _Pen, player: Player, sway: float) -> None:
    pen.block(-0.02, 0.30, 0.02, 0.60, _DARK_WOOD)
    pen.oval(-0.14, 0.48, 0.14, 0.70, (134, 58, 22))
    pen.oval(-0.18, 0.62, 0.18, 0.90, (134, 58, 22))
    pen.line([(0, 0.90), (0, 0.96)], (200, 200, 200), 0.01)
    pen.arm(player, 0.15, (0.03, 0.40))
    x = -0.22 + 0.08 * sway
    pen.arm(player, -0.15, (x, 0.66))
    pen.line([(x, 0.66), (x + 0.42, 0.64)], _BOW, 0.012)


def _flute(pen: _Pen, player: Player, sway: float) -> None:
    lift = 0.01 * sway
    pen.line([(0.04, 0.305 + lift), (-0.30, 0.315 + lift)], (228, 232, 240), 0.026)
    pen.arm(player, -0.15, (-0.24, 0.34 + lift))
    pen.arm(player, 0.15, (-0.12, 0.34 - lift))


def _trumpet(pen: _Pen, player: Player, sway: float) -> None:
    y = 0.03 - 0.03 * sway  # raised while it sounds
    pen.block(-0.02, 0.295 + y, 0.16, 0.315 + y, _BRASS)
    bow = pen.box(0.03, 0.30 + y, 0.16, 0.37 + y)
    pen.draw.rounded_rectangle(bow, radius=pen.wide(0.03), outline=_BRASS, width=pen.wide(0.016))
    pen.shape([(0.15, 0.30 + y), (0.30, 0.24 + y), (0.30, 0.40 + y), (0.15, 0.325 + y)], _BRASS)
    for x in (0.06, 0.09, 0.12):
        pen.block(x - 0.008, 0.27 + y + 0.01 * sway, x + 0.008, 0.32 + y, (180, 140, 30))
    pen.arm(player, 0.15, (0.09, 0.36 + y))
    pen.arm(player, -0.15, (0.04, 0.38 + y))


_DRAWN: dict[str, Callable[[_Pen, Player, float], None]] = {
    "violin": _violin,
    "cello": _cello,
    "flute": _flute,
    "trumpet": _trumpet,
}
