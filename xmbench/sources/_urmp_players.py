"""Musicians that the project draws and plays itself: four instruments that look and sound different.

They are caricatures. A sound is a sum of harmonics with an envelope; a player is a few shapes that move while there is
sound. Everything follows from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def played(rng: np.random.Generator, instrument: str, notes: Sequence[Note], seconds: float, rate_hz: int) -> NDArray[np.float64]:
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
    return samples * (0.5 / max(1e-9, np.abs(samples).max()))


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


def draw_body(picture: Image.Image, player: Player, left_px: float, width_px: float) -> None:
    """What does not move: head, trunk, legs."""
    draw, at, unit = _placed(picture, left_px, width_px)
    draw.rounded_rectangle((*at(-0.17, 0.36), *at(0.17, 0.74)), radius=0.05 * unit, fill=player.clothes)
    for side in (-0.09, 0.09):
        draw.rectangle((*at(side - 0.06, 0.72), *at(side + 0.06, 0.94)), fill=player.clothes)
    draw.ellipse((*at(-0.085, 0.165), *at(0.085, 0.345)), fill=player.skin)
    draw.pieslice((*at(-0.09, 0.15), *at(0.09, 0.33)), 180, 360, fill=player.hair)


def draw_playing(picture: Image.Image, player: Player, time_s: float, left_px: float, width_px: float) -> None:
    """The instrument and the arms, as they are at a time."""
    draw, at, unit = _placed(picture, left_px, width_px)
    note = next((n for n in player.notes if n.start_s <= time_s < n.start_s + n.length_s), None)
    sway = np.sin(2 * np.pi * (time_s - note.start_s) / (2 * note.length_s)) if note else 0.0
    _DRAWN[player.instrument](draw, at, unit, player, float(sway), note is not None)


def _placed(picture: Image.Image, left_px: float, width_px: float):  # type: ignore[no-untyped-def]
    """A pen, and points: x in heights from the middle of the player's column, y in heights from the top."""
    unit = picture.height * min(1.0, width_px / (0.62 * picture.height))
    middle, floor = left_px + width_px / 2, 0.94 * picture.height

    def at(x: float, y: float) -> Point:
        return middle + x * unit, floor - (0.94 - y) * unit

    return ImageDraw.Draw(picture), at, unit


def _arm(draw, at, unit, player, hand: Point, side: float) -> None:  # type: ignore[no-untyped-def]
    width = max(1, round(0.05 * unit))
    elbow = (0.6 * side + 0.4 * hand[0], 0.55)
    draw.line([at(side, 0.41), at(*elbow), at(*hand)], fill=player.clothes, width=width, joint="curve")
    x, y = at(*hand)
    draw.ellipse((x - width * 0.6, y - width * 0.6, x + width * 0.6, y + width * 0.6), fill=player.skin)


def _violin(draw, at, unit, player, sway, sounding) -> None:  # type: ignore[no-untyped-def]
    draw.line([at(0.08, 0.37), at(0.30, 0.41)], fill=(60, 34, 20), width=max(1, round(0.02 * unit)))
    draw.ellipse((*at(-0.04, 0.325), *at(0.14, 0.42)), fill=(150, 74, 30))
    _arm(draw, at, unit, player, (0.28, 0.42), 0.15)
    hand = (-0.16 + 0.10 * sway, 0.44 - 0.03 * sway)
    _arm(draw, at, unit, player, hand, -0.15)
    tip = (hand[0] + 0.36, hand[1] - 0.16)
    draw.line([at(*hand), at(*tip)], fill=(240, 236, 220), width=max(1, round(0.012 * unit)))


def _cello(draw, at, unit, player, sway, sounding) -> None:  # type: ignore[no-untyped-def]
    draw.rectangle((*at(-0.02, 0.30), *at(0.02, 0.60)), fill=(50, 28, 16))
    draw.ellipse((*at(-0.14, 0.48), *at(0.14, 0.70)), fill=(134, 58, 22))
    draw.ellipse((*at(-0.18, 0.62), *at(0.18, 0.90)), fill=(134, 58, 22))
    draw.line([at(0, 0.90), at(0, 0.96)], fill=(200, 200, 200), width=max(1, round(0.01 * unit)))
    _arm(draw, at, unit, player, (0.03, 0.40), 0.15)
    hand = (-0.22 + 0.08 * sway, 0.66)
    _arm(draw, at, unit, player, hand, -0.15)
    draw.line([at(*hand), at(hand[0] + 0.42, 0.64)], fill=(240, 236, 220), width=max(1, round(0.012 * unit)))


def _flute(draw, at, unit, player, sway, sounding) -> None:  # type: ignore[no-untyped-def]
    lift = 0.01 * sway
    draw.line([at(0.04, 0.305 + lift), at(-0.30, 0.315 + lift)], fill=(228, 232, 240), width=max(2, round(0.026 * unit)))
    _arm(draw, at, unit, player, (-0.24, 0.34 + lift), -0.15)
    _arm(draw, at, unit, player, (-0.12, 0.34 - lift), 0.15)


def _trumpet(draw, at, unit, player, sway, sounding) -> None:  # type: ignore[no-untyped-def]
    gold, down = (226, 178, 40), 0.03 if not sounding else 0.008 * sway
    draw.rectangle((*at(-0.02, 0.295 + down), *at(0.16, 0.315 + down)), fill=gold)
    draw.rounded_rectangle((*at(0.03, 0.30 + down), *at(0.16, 0.37 + down)), radius=0.03 * unit, outline=gold, width=max(2, round(0.016 * unit)))
    draw.polygon([at(0.15, 0.30 + down), at(0.30, 0.24 + down), at(0.30, 0.40 + down), at(0.15, 0.325 + down)], fill=gold)
    for valve in (0.06, 0.09, 0.12):
        draw.rectangle((*at(valve - 0.008, 0.27 + down + 0.01 * abs(sway)), *at(valve + 0.008, 0.32 + down)), fill=(180, 140, 30))
    _arm(draw, at, unit, player, (0.09, 0.36 + down), 0.15)
    _arm(draw, at, unit, player, (0.04, 0.38 + down), -0.15)


_DRAWN = {"violin": _violin, "cello": _cello, "flute": _flute, "trumpet": _trumpet}
