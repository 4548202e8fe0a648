"""The sound of any file that FFmpeg reads, as a flac file that every reader of the project reads."""

from __future__ import annotations

from pathlib import Path

import soundfile

from xmbench.media import audio, video
from xmbench.storage.files import writing


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
    samples, rate = next(chunks)
    left = round(longest_s * rate)
    written = 0
    with writing(target.parent), soundfile.SoundFile(target, "w", rate, 1, "PCM_16", format="FLAC") as file:
        while left > written:
            part = samples[: left - written]
            file.write(audio.to_int16(part))
            written += len(part)
            following = next(chunks, None)
            if following is None:
                break
            samples, _ = following
    return written / rate
