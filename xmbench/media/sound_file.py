"""The sound of any file that FFmpeg reads, as a flac file that every reader of the project reads."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import soundfile

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
    chunks = video.whole_sound(path)
    first, rate = next(chunks)
    most, written = round(longest_s * rate), 0
    try:
        with soundfile.SoundFile(target, "w", rate, 1, "PCM_16", format="FLAC") as file:
            for samples in chain([first], (part for part, _ in chunks)):
                part = samples[: most - written]
                file.write(audio.to_int16(part))
                written += len(part)
                if written >= most:
                    break
    except soundfile.LibsndfileError as error:  # it does not say why
        raise OutputError(
            f"a sound cannot be written ({error.error_string})", where=target.parent, todo="free some space on the disk"
        ) from error
    return written / rate
