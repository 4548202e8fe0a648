"""One submitted output -> a sound or picture in the data set's format, or the reason why not.

Rate and channels must be the recipe's; the length is cut or zero-padded at the end (the protocol's length
policy); float samples beyond -1..1 are clipped, as a player would. What is cut must be silence: a sound that
continues after the fixed length is scored on what is kept, and is a problem of the submission ("too-long"). A file
that is far too large (`largest_output`) is unreadable: its header is enough to refuse it. An image must have the
recipe's size and channels in 8 bits: nothing is resized, rescaled or converted. An image of a single colour is a valid
output: it is judged, with a note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import MediaError
from xmbench.evaluator.outputs import RawOutput, largest_output
from xmbench.interfaces import SIDES, AudioFormat, Direction, ImageFormat, Modality, Status, Task
from xmbench.media import audio, image
from xmbench.media.array import decode_npy
from xmbench.media.signal import Media, Picture, Sound

SILENT_BELOW_DB = -60.0  # of the peak that is kept: softer than this, what is cut counts as silence
SMALLEST_STEP = 1 / 32768  # of 16-bit samples: rounding and dither after the end are silence too


@dataclass(frozen=True, slots=True)
class Note:
    """A finding that does not fail an item: its kind, and one sentence."""

    kind: Literal["length", "clipped", "even"]
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """An output in memory, or a status that is not usable, with its notes.

    With the status "too-long" there is an output in memory: what the fixed length keeps of it.
    """

    status: Status
    media: Media | None = None
    detail: str = ""
    notes: tuple[Note, ...] = ()


def decode_output(raw: RawOutput, task: Task, direction: Direction) -> Decoded:
    """Decodes one output for a track's direction."""
    if raw.fault:
        return Decoded("unreadable", None, raw.fault)
    try:
        return _DECODERS[SIDES[direction].output](raw, task)
    except MediaError as error:
        detail = f"{error.what}; expected {error.expected}" if error.expected else error.what
        return Decoded("unreadable", None, detail)


def neutral_output(task: Task, direction: Direction) -> Media:
    """What replaces a missing output where a number needs one: silence, or a black image."""
    if SIDES[direction].output == "audio":
        return Sound(np.zeros(task.audio.samples, dtype=np.float32), task.audio.sample_rate_hz)
    size = (task.image.height_px, task.image.width_px, task.image.channels)
    return Picture(np.zeros(size, dtype=np.uint8))


def _sound(raw: RawOutput, wanted: AudioFormat, largest: int) -> Decoded:
    if raw.suffix == ".npy":
        samples, rate = decode_npy(raw.data), wanted.sample_rate_hz
        samples = samples[:, None] if samples.ndim == 1 else samples
        if samples.ndim != 2:
            raise MediaError(f"array of shape {samples.shape}", expected="shape (T,)")
    else:
        samples, rate = audio.decode(raw.data, largest)
    if samples.shape[1] != 1:
        raise MediaError(f"{samples.shape[1]} channels", expected="1 (mono)")
    if rate != wanted.sample_rate_hz:
        raise MediaError(f"{rate} Hz", expected=f"{wanted.sample_rate_hz} Hz")
    with np.errstate(over="ignore", invalid="ignore"):  # overflow becomes infinite, and is reported
        mono = np.ascontiguousarray(samples[:, 0], dtype=np.float32)
    if not np.isfinite(mono).all():
        return Decoded("non-finite", None, f"{int((~np.isfinite(mono)).sum())} samples are NaN or infinite")
    notes = []
    fitted = np.asarray(audio.fit_length(mono, wanted.samples), dtype=np.float32)
    if np.abs(fitted).max(initial=0.0) > 1.0:
        notes.append(Note("clipped", "samples beyond -1..1 were clipped"))
        fitted = np.clip(fitted, -1.0, 1.0)
    length = f"{len(mono)} samples, expected {wanted.samples}"
    hidden = _beyond(mono, fitted)
    if len(mono) != wanted.samples and not hidden:
        notes.insert(0, Note("length", f"{length}: cut or zero-padded at the end"))
    if not fitted.any():
        return Decoded("silent", None, "; ".join(filter(None, ["every sample is zero", hidden])), tuple(notes))
    sound = Sound(fitted, wanted.sample_rate_hz)
    if hidden:
        return Decoded("too-long", sound, f"{length}: cut at the end, but {hidden}", tuple(notes))
    return Decoded("ok", sound, "", tuple(notes))


def _beyond(mono: NDArray[np.float32], kept: NDArray[np.float32]) -> str:
    """What is cut off, if it is not silence; else ""."""
    peak = float(np.abs(kept).max(initial=0.0))
    cut = float(np.abs(mono[len(kept) :]).max(initial=0.0))
    if cut <= max(peak * 10 ** (SILENT_BELOW_DB / 20), SMALLEST_STEP):
        return ""
    return f"the sound continues: a sample of {min(cut, 1.0):.2g} after the end, {peak:.2g} is the largest before it"


def _picture(raw: RawOutput, wanted: ImageFormat) -> Decoded:
    if raw.suffix == ".npy":
        pixels = decode_npy(raw.data)
        if pixels.dtype != np.uint8:
            raise MediaError(f"pixels of type {pixels.dtype}", expected="uint8, 0..255")
    else:
        pixels = image.decode(raw.data, size_px=(wanted.height_px, wanted.width_px), formats=("PNG",))
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    expected = (wanted.height_px, wanted.width_px, wanted.channels)
    if pixels.shape != expected:
        raise MediaError(f"image of shape {pixels.shape}", expected=f"shape {expected} (height, width, channels)")
    flat = pixels.reshape(-1, wanted.channels)
    even = bool((flat == flat[0]).all())
    notes = (Note("even", f"every pixel is the same: {flat[0].tolist()}"),) if even else ()
    return Decoded("ok", Picture(np.ascontiguousarray(pixels)), "", notes)


_DECODERS: dict[Modality, Callable[[RawOutput, Task], Decoded]] = {
    "audio": lambda raw, task: _sound(raw, task.audio, largest_output(task, "audio")),
    "image": lambda raw, task: _picture(raw, task.image),
}
