"""The auditory spectrogram of batches in torch: on a GPU, and differentiable, for training and large sets.

The model of `xmbench.measures.auditory_spectrogram`, which remains the definition of the metric. Here each filter is a
convolution with its impulse response as long as the clip, done by FFT: exact for a causal filter, since later taps
never reach the clip. The leaky integration is one weighted sum per frame and a triangular matrix over the frames.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from xmbench.measures.auditory_spectrogram import CHANNELS, FRAME_SAMPLES, TIME_CONSTANT_SAMPLES, cochlear_filters

_CHANNELS_AT_ONCE = 32  # bounds the memory: B * 33 * 2T values at a time


def auditory_spectrograms(waveforms: Tensor) -> Tensor:
    """NSL auditory spectrograms, ``wav2aud(x, [10 10 -2 0])``, of clips of one length.

    Args:
        waveforms: (B, T) at 16 kHz, float32 or float64, finite, on any device.

    Returns:
        (B, ceil(T / 160), 128) on the same device in the same precision, non-negative; a trailing partial frame is
        completed with zeros. It equals `auditory_spectrogram` to 1e-9 of the maximum in float64, to 1e-6 in
        float32.

    Raises:
        ValueError: another shape or type, an empty clip, a NaN or an infinity.
    """
    if waveforms.ndim != 2 or not waveforms.shape[1] or waveforms.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"expected float (B, T), T >= 1, got {waveforms.dtype} {tuple(waveforms.shape)}")
    if not bool(torch.isfinite(waveforms).all()):
        raise ValueError("expected finite samples")
    frames = math.ceil(waveforms.shape[1] / FRAME_SAMPLES)
    length = frames * FRAME_SAMPLES
    response = _responses(length).to(waveforms.device, _complex(waveforms.dtype))  # (129, N / 2 + 1)
    size = 2 * (response.shape[1] - 1)
    spectrum = torch.fft.rfft(waveforms, size)[:, None]  # (B, 1, N / 2 + 1)
    within, across = _integration(frames)
    within, across = within.to(waveforms), across.to(waveforms)
    found = []
    for low in range(0, CHANNELS, _CHANNELS_AT_ONCE):
        bank = response[low : low + _CHANNELS_AT_ONCE + 1]
        filtered = torch.fft.irfft(spectrum * bank, size)[..., :length]  # (B, 33, T)
        rectified = torch.relu(filtered[:, :-1] - filtered[:, 1:])  # (B, 32, T)
        summed = rectified.reshape(*rectified.shape[:2], frames, FRAME_SAMPLES) @ within  # (B, 32, F)
        found.append(summed @ across)
    return torch.cat(found, 1).transpose(1, 2)


def _complex(kind: torch.dtype) -> torch.dtype:
    return torch.complex64 if kind == torch.float32 else torch.complex128


@functools.lru_cache(maxsize=8)
def _responses(length: int) -> Tensor:
    """Spectra of the filters' first `length` taps, complex128 (129, N / 2 + 1), N >= 2 * length."""
    from scipy.fft import next_fast_len
    from scipy.signal import lfilter

    impulse = np.zeros(length)
    impulse[0] = 1.0
    taps = np.stack([lfilter(numerator, denominator, impulse) for numerator, denominator in cochlear_filters()])
    size = next_fast_len(2 * length, real=True)
    return torch.from_numpy(np.fft.rfft(taps, size + size % 2))


@functools.lru_cache(maxsize=8)
def _integration(frames: int) -> tuple[Tensor, Tensor]:
    """Weights of the samples in a frame (160,), and of earlier frames (F, F): entry (k, f) is k's share in f."""
    decay = 1.0 / TIME_CONSTANT_SAMPLES
    within = torch.exp(-decay * torch.arange(FRAME_SAMPLES - 1, -1, -1, dtype=torch.float64))
    step = torch.arange(frames, dtype=torch.float64)
    ago = (step[None, :] - step[:, None]) * FRAME_SAMPLES
    return within, torch.where(ago >= 0, torch.exp(-decay * ago.clamp_min(0)), 0.0)
