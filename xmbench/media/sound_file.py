"""The sound of any file that FFmpeg reads, as a flac file that every reader of the project reads."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from xmbench.errors import OutputError
from xmbench.media import audio, video


def to_flac(path: Path, target: Path, longest_s: float) -> float:
    """Writes the first sound stream of a file as mono 16-bit flac, at its own rate, a chunk at a time in memory.

    Args:
        path: of a sound file, or of a video with sound.
        target: the file to write; a part of it is left behind by an error.
        longest_s: what follows is not written.

    Returns:
        Seconds written.

    Raises:
        VideoError: no sound, or damaged.
        OutputError: the target cannot be written.
    """
    try:
        with closing(video.whole_sound(path)) as chunks:
            first, rate = next(chunks)
            with soundfile.SoundFile(target, "w", rate, 1, "PCM_16", format="FLAC") as file:
                return (
                    _written(file, chain([first], (samples for samples, _ in chunks)), round(longest_s * rate)) / rate
                )
    except soundfile.LibsndfileError as error:  # it does not say why
        raise OutputError(
            f"a sound cannot be written ({error.error_string})", where=target.parent, todo="free some space on the disk"
        ) from error


def _written(file: soundfile.SoundFile, chunks: Iterable[NDArray[np.float32]], most: int) -> int:
    """Writes at most so many samples; returns how many."""
    written = 0
    for samples in chunks:
        part = samples[: most - written]
        file.write(audio.to_int16(part))
        written += len(part)
        if written >= most:
            break
    return written
