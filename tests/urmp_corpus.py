"""A corpus in the layout of URMP, made from real frames and real notes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import shared
from xmbench.media.video_writer import SoundTrack, write_video

REAL = {"15_Surprise": ("trumpet", "trombone"), "24_Pirates": ("violin", "viola"), "25_Pirates": ("viola", "oboe")}


def real_corpus(root: Path) -> None:
    """Three duos in the layout: real photographs of players in the columns, real notes as their parts.

    Skips the test where the material is missing.
    """
    photos, notes = shared("data", "suburmp_pairs", "img"), shared("data", "instrument_sounds")
    short = {"trumpet": "tpt", "trombone": "tbn", "violin": "vn", "viola": "va", "oboe": "ob"}
    for title, cast in REAL.items():
        folder = root / "_".join([title, *(short[name] for name in cast)])
        folder.mkdir(parents=True)
        tracks, columns = [], []
        for part, name in enumerate(cast, 1):
            found = [soundfile.read(path, dtype="float32")[0] for path in sorted((notes / name).glob("*.ogg"))[:3]]
            track = np.concatenate([np.zeros(30_000, np.float32), *(8 * found)])[:88_200]
            named = "tpt" if name == "trombone" else short[name]  # as the file of one piece of the archive is named
            soundfile.write(folder / f"AuSep_{part}_{named}_{title}.wav", track, 44_100, subtype="PCM_24")
            tracks.append(track)
            columns.append(photograph(photos / name, 128))
        frame = np.concatenate(columns, axis=1)
        frames = [(Fraction(i, 10), frame) for i in range(20)]
        sound = SoundTrack(np.mean(tracks, axis=0), 44_100)
        write_video(folder / f"Vid_{folder.name}.mp4", frames, (128, 256), [sound])


def photograph(folder: Path, side: int) -> NDArray[np.uint8]:
    with Image.open(sorted(folder.iterdir())[0]) as picture:
        return np.asarray(picture.convert("RGB").resize((side, side)))
