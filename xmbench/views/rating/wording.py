"""What a rater reads: the task, and the meaning of each score."""

from __future__ import annotations

from collections.abc import Mapping

from xmbench.interfaces import SIDES, Direction, Modality

NAMES: Mapping[Modality, str] = {"image": "image", "audio": "sound"}
PLURALS: Mapping[Modality, str] = {"image": "images", "audio": "sounds"}

# After table 4 of Chen et al. (2017), which is about images of instruments and says "instrument" for {noun}.
_IMAGES = (
    "Unrealistic image",
    "Fair image: a player or a place can be made out, the {noun} cannot",
    "Realistic image, but it does not match the {noun}",
    "Realistic image, and it matches the {noun}",
)
# Ours: the paper has no human evaluation of sounds.
_SOUNDS = (
    "Unrealistic sound: noise, or nothing",
    "Fair sound: something can be made out, the {noun} cannot",
    "Realistic sound, but it does not match the {noun}",
    "Realistic sound, and it matches the {noun}",
)


def meanings(direction: Direction, noun: str) -> tuple[str, ...]:
    """The meaning of the scores 0, 1, 2, 3.

    Args:
        direction: of the track.
        noun: what a class is called: "instrument", "word", "digit".
    """
    lines = _IMAGES if SIDES[direction].output == "image" else _SOUNDS
    return tuple(line.format(noun=noun) for line in lines)


def title(direction: Direction) -> str:
    """Of the page."""
    sides = SIDES[direction]
    return f"Rate {PLURALS[sides.output]} that were made from {PLURALS[sides.condition]}"


def task(direction: Direction, noun: str) -> tuple[str, ...]:
    """What to do, in a few sentences; no HTML."""
    sides = SIDES[direction]
    one, many, given = NAMES[sides.output], PLURALS[sides.output], NAMES[sides.condition]
    sense = "look at" if sides.output == "image" else "listen to"
    return (
        f"Each screen names its {noun} and has one {given}; below it are several {many} that were made from it. "
        "One of them may be real and not made; you are not told which.",
        f"Please {sense} each {one} and give it the score whose meaning fits best. Score each for itself: several may "
        "have the same score. There is no right answer, and no time limit.",
        "Some screens come a second time. Score them as you see or hear them then. Sounds differ in loudness: begin "
        "with a low volume.",
    )
