"""The two loops that NumPy cannot express, as machine code: compiled by numba on first use, then cached on disk.

Import this module inside the function that needs it: numba takes a fifth of a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

LANES = 136  # values per row: one per filter, padded with zeros to full vectors of eight
STEP = 4  # samples that the states advance at a time: coefficients are loaded once for all of them
TAPS = 2  # rows of states advanced at a time, for the same reason
FADED = 1e-300  # in long silence states would decay into subnormal numbers, a hundred times slower on some processors

Floats = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(*fastmath: str, **options: Any) -> Callable[[Function], Function]:
    """Decorator: machine code with the given freedoms in floating-point arithmetic."""

    def compiled(function: Function) -> Function:
        options.update(nogil=True, fastmath=set(fastmath))
        try:
            dispatcher: Function = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # neither the package's directory nor the user's cache is writable: cache nothing
            dispatcher = numba.njit(**options)(function)
        return dispatcher

    return compiled


def aligned(rows: int) -> Floats:
    """Zeros (rows * LANES,) that start on a cache line: vectors across two lines cost twice the time."""
    spare = np.zeros(rows * LANES + 8)
    start = -(spare.ctypes.data // 8) % 8
    return spare[start : start + rows * LANES]


# Rows are kept in flat arrays: the compiler knows LANES, and so that rows do not overlap.
@_compiled("contract", inline="always")
def _filter(x: tuple[float, ...], b: Floats, a: Floats, s: Floats, y: Floats) -> None:
    """Outputs y (STEP rows) of all filters at the next STEP samples, from the states s."""
    for c in range(LANES):
        c1, c2, c3 = c + LANES, c + 2 * LANES, c + 3 * LANES
        y0 = s[c] + b[c] * x[0]
        y1 = s[c1] + b[c1] * x[0] + b[c] * x[1] + a[c1] * y0
        y2 = s[c2] + b[c2] * x[0] + b[c1] * x[1] + b[c] * x[2] + a[c2] * y0 + a[c1] * y1
        y3 = s[c3] + b[c3] * x[0] + b[c2] * x[1] + b[c1] * x[2] + b[c] * x[3] + a[c3] * y0 + a[c2] * y1 + a[c1] * y2
        y[c], y[c1], y[c2], y[c3] = y0, y1, y2, y3


@_compiled("contract", inline="always")
def _advance(x: tuple[float, ...], b: Floats, a: Floats, s: Floats, y: Floats, row: int, width: int) -> None:
    """Advances TAPS rows of states by STEP samples, in the first `width` lanes."""
    for c in range(width):
        y0, y1, y2, y3 = y[c], y[c + LANES], y[c + 2 * LANES], y[c + 3 * LANES]
        k = row * LANES + c
        k1, k2, k3, k4, k5 = k + LANES, k + 2 * LANES, k + 3 * LANES, k + 4 * LANES, k + 5 * LANES
        s0 = s[k4] + b[k4] * x[0] + a[k4] * y0 + b[k3] * x[1] + a[k3] * y1
        s1 = s[k5] + b[k5] * x[0] + a[k5] * y0 + b[k4] * x[1] + a[k4] * y1
        s[k] = s0 + b[k2] * x[2] + a[k2] * y2 + b[k1] * x[3] + a[k1] * y3
        s[k1] = s1 + b[k3] * x[2] + a[k3] * y2 + b[k2] * x[3] + a[k2] * y3


@_compiled("contract")
def cochlear_frames(
    waveform: Floats, b: Floats, a: Floats, widths: NDArray[np.int64], decay: float, s: Floats, y: Floats, out: Floats
) -> None:
    """Filters, differences, rectification and leaky integration; the last sample of every frame.

    Args:
        waveform: (frames * frame length,); the frame length is a multiple of STEP.
        b: numerators, row k for z^-k, from `aligned`; zeros beyond each filter's order, STEP rows more than states.
        a: negated denominators (feedback), in the same rows; row 0 is not used.
        widths: lanes in which the rows k * TAPS and following have any coefficient.
        decay: of the integration, per sample.
        s: buffer for the states (transposed direct form II), as many rows as `b`, zeros.
        y: buffer for STEP rows of outputs.
        out: (frames, channels), written.
    """
    frames, channels = out.shape
    length = len(waveform) // frames
    smooth = np.zeros(channels)
    for frame in range(frames):
        for n in range(frame * length, (frame + 1) * length, STEP):
            x = (waveform[n], waveform[n + 1], waveform[n + 2], waveform[n + 3])
            _filter(x, b, a, s, y)
            for pair in range(len(widths)):
                _advance(x, b, a, s, y, pair * TAPS, widths[pair])
            for row in range(0, STEP * LANES, LANES):
                for c in range(channels):
                    smooth[c] = smooth[c] * decay + max(y[row + c] - y[row + c + 1], 0.0)
        out[frame] = smooth
        for k in range(len(s)):
            s[k] = s[k] if abs(s[k]) >= FADED else 0.0


@_compiled("contract", "reassoc")
def polyphase(padded: Floats, taps: Floats, first: int, down: int, out: Floats) -> None:
    """Resampling by an FIR filter: out[i] = sum over k of taps[phase, k] * padded[start + k].

    Args:
        padded: K - 1 zeros, the samples, and zeros up to where the last output reads.
        taps: (up, K), row p holds the filter's taps p, p + up, p + 2 up ... in reverse.
        first: position of out[0] in the filter's time, `up` steps to a sample.
        down: steps from one output to the next.
        out: written.
    """
    up, count = taps.shape
    for i in range(len(out)):
        start, phase = divmod(first + i * down, up)
        row, around = taps[phase], padded[start : start + count]
        total = 0.0
        for k in range(count):
            total += row[k] * around[k]
        out[i] = total
