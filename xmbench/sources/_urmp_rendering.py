"""A small corpus in the layout of the URMP archive, made from nothing: played, drawn and filmed by the project.

It has the archive's traps: a recording that two pieces share, a file that names another instrument than its directory,
silence before each player enters, a directory of supplements. Scores and pitch tracks (`Sco_*`, `F0s_*`) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from xmbench.media.video_writer import SoundTrack, Timed, write_video
from xmbench.sources import _urmp_players as players
from xmbench.sources._urmp_players import Player

VERSION = "1"
RATE_HZ = 48_000
FRAMES_PER_S = Fraction(30_000, 1001)
_SHORT = {"violin": "vn", "cello": "vc", "flute": "fl", "trumpet": "tpt"}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a piece.

    Attributes:
        instrument: full name.
        take: seed of its notes and sound; two parts of one take are one recording.
        looks: seed of the player's looks.
        named: abbreviation in the names of its files, where that is another one than its own.
    """

    instrument: str
    take: int
    looks: int
    named: str = ""


Pieces = dict[str, tuple[Part, ...]]
PIECES: Pieces = {
    "01_Scale": (Part("violin", 1, 1), Part("cello", 2, 2)),
    "02_March": (Part("flute", 3, 3), Part("trumpet", 4, 4)),
    "03_Waltz": (Part("violin", 5, 5), Part("flute", 6, 6), Part("cello", 7, 2)),
    "04_Canon": (Part("trumpet", 8, 7), Part("flute", 9, 3)),
    "05_Air": (Part("trumpet", 10, 4), Part("violin", 11, 1), Part("cello", 7, 8)),
    "06_Round": (Part("violin", 12, 9), Part("trumpet", 13, 10), Part("flute", 14, 6, named="tpt")),
}


def render(
    folder: Path, pieces: Pieces = PIECES, seconds: float = 5.0, size_px: tuple[int, int] = (1080, 1920)
) -> None:
    """Writes a corpus: `AuMix_*`, `AuSep_*`, `Notes_*` and `Vid_*` of each piece, below `folder/Dataset`.

    Args:
        folder: is created.
        pieces: their parts by number and name.
        seconds: of each piece.
        size_px: height and width of the videos, both even.

    Raises:
        PrerequisiteError: the package av is not installed.
    """
    root = folder / "Dataset"
    (root / "Supplementary_Files").mkdir(parents=True)
    (root / "Supplementary_Files" / "readme.txt").write_text("Drawn and played by xmbench.\n", encoding="utf-8")
    for title, parts in pieces.items():
        _write_piece(root, title, parts, seconds, size_px)


def _write_piece(root: Path, title: str, parts: Sequence[Part], seconds: float, size_px: tuple[int, int]) -> None:
    code = "_".join([title, *(_SHORT[part.instrument] for part in parts)])
    folder = root / code
    folder.mkdir()
    cast, tracks = [], []
    for number, part in enumerate(parts, 1):
        rng = np.random.default_rng([20260401, part.take])
        notes = players.melody(rng, part.instrument, 0.6 + 0.1 * (part.take % 5), seconds)
        samples = players.played(rng, part.instrument, notes, seconds, RATE_HZ)
        name = f"{number}_{part.named or _SHORT[part.instrument]}_{title}"
        soundfile.write(folder / f"AuSep_{name}.wav", samples, RATE_HZ, subtype="PCM_24")
        lines = [f"{note.start_s:.3f}\t{note.pitch_hz:.3f}\t{note.length_s:.3f}" for note in notes]
        (folder / f"Notes_{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        tracks.append(samples)
        cast.append(players.dressed(np.random.default_rng([20260402, part.looks]), part.instrument, notes))
    mix = np.mean(tracks, axis=0)
    soundfile.write(folder / f"AuMix_{code}.wav", mix, RATE_HZ, subtype="PCM_24")
    sound = SoundTrack(mix.astype(np.float32), RATE_HZ)
    write_video(folder / f"Vid_{code}.mp4", _frames(cast, seconds, size_px), size_px, [sound])


def _frames(cast: Sequence[Player], seconds: float, size_px: tuple[int, int]) -> Iterator[Timed]:
    """Every frame of a piece, players side by side in equal columns."""
    height, width = size_px
    column = width / len(cast)
    empty = players.stage(height, width)
    for i, player in enumerate(cast):
        players.draw_body(empty, player, i * column, column)
    for number in range(int(seconds * FRAMES_PER_S)):
        time = number / FRAMES_PER_S
        picture = empty.copy()
        for i, player in enumerate(cast):
            players.draw_playing(picture, player, float(time), i * column, column)
        yield time, np.asarray(picture)
