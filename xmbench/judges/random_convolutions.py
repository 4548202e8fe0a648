"""A fixed embedding that nobody trained: random convolutions of the raw image, or of the log-mel of a sound.

A judge embeds what tells its classes apart and is blind to the rest: a pattern laid over real images hardly moves them
in it. Random weights see any texture (Gulrajani et al., Towards GAN Benchmarks Which Require Generalization, 2019, use
them for the same reason; Naeem et al., Reliable Fidelity and Diversity Metrics, 2020, section 4.3).

Three convolutions of 3 x 3 with ReLU and halving between them; of each the means over the image and over its quarters;
the 800 numbers are projected to 64 by a random matrix. Weights are uniform, from the raw 64-bit words of numpy's PCG64
(whose stream is the same on every platform and in every version), with the variance 2 / fan-in. Float32 on one
thread, in batches of one size.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xmbench.judges import stored
from xmbench.media.signal import Media, Sound

SEED = 20261121
SIZE = 64
VERSION = "1"  # of what the weights do not say: scaling, pooling, the log-mel
_CHANNELS = (32, 64, 64)
_GRIDS = (1, 2)
_BATCH = 64
_BATCH_PIXELS = 1 << 18  # bounds the memory of large images
_WINDOW_S, _HOP_S, _BANDS = 0.032, 0.010, 64
_RANGE_DB = 80.0


class RandomConvolutions:
    """Embeds images of one size, or sounds of one length; `embedding_size` is 64."""

    embedding_size = SIZE

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, 64). A row depends only on its own item."""
        if not items:
            return np.empty((0, SIZE), np.float32)
        values = np.stack([_values(item) for item in items])  # (N, C, H, W)
        size = max(1, min(_BATCH, _BATCH_PIXELS // (values.shape[2] * values.shape[3])))
        found = []
        for start in range(0, len(values), size):
            part = values[start : start + size]
            filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            with stored.exactly():
                found.append(_features(torch.from_numpy(filled), values.shape[1])[: len(part)].numpy())
        return np.concatenate(found)


@functools.lru_cache(maxsize=4)
def digest(channels: int = 1) -> str:
    """sha256 of the weights for items of so many channels, and of `VERSION`."""
    layers, projection = _weights(channels)
    total = hashlib.sha256(VERSION.encode())
    for value in (*(value for layer in layers for value in layer), projection):
        total.update(np.ascontiguousarray(value.numpy(), dtype="<f4").tobytes())
    return total.hexdigest()


def channels_of(item: Media) -> int:
    """How many channels the network gets of an item."""
    return 1 if isinstance(item, Sound) else item.pixels.shape[2]


def _features(images: Tensor, channels: int) -> Tensor:
    """(B, C, H, W) -> (B, 64)."""
    layers, projection = _weights(channels)
    found = []
    for kernel, bias in layers:
        padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
        images = functional.relu(functional.conv2d(padded, kernel, bias))
        found += [functional.adaptive_avg_pool2d(images, grid).flatten(1) for grid in _GRIDS]
        images = functional.avg_pool2d(images, 2, ceil_mode=True)
    return torch.cat(found, dim=1) @ projection


@functools.lru_cache(maxsize=4)
def _weights(channels: int) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Kernels and biases of the convolutions, and the projection (800, 64)."""
    stream = np.random.PCG64(SEED)

    def uniform(variance: float, *shape: int) -> Tensor:
        raw = np.asarray(stream.random_raw(int(np.prod(shape))), dtype=np.uint64)
        values = ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0) * np.sqrt(3.0 * variance)
        return torch.from_numpy(values.astype(np.float32).reshape(shape))

    layers = []
    for own in _CHANNELS:
        layers.append((uniform(2.0 / (9 * channels), own, channels, 3, 3), uniform(0.01, own)))
        channels = own
    features = sum(_CHANNELS) * sum(grid * grid for grid in _GRIDS)
    return layers, uniform(1.0 / SIZE, features, SIZE)


def _values(item: Media) -> NDArray[np.float32]:
    """What the network sees of an item, float32 (C, H, W) in -1..1."""
    if isinstance(item, Sound):
        return item.derived("log-mel of the random convolutions", _log_mel)[None]
    return np.moveaxis(item.pixels, 2, 0).astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def _log_mel(sound: Sound) -> NDArray[np.float32]:
    """Power in 64 mel bands of 32 ms, every 10 ms, (frames, 64): -80 dB and less are -1, 0 dB is 1."""
    window, hop = int(_WINDOW_S * sound.sample_rate_hz), int(_HOP_S * sound.sample_rate_hz)
    samples = np.pad(sound.samples.astype(np.float64), (0, max(0, window - len(sound.samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hanning(window)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1))) / np.square(np.hanning(window).sum() / 2.0)
    level = 10.0 * np.log10(power @ _mel(window, sound.sample_rate_hz) + 1e-12)
    return np.asarray(np.clip(level, -_RANGE_DB, 0.0) * (2.0 / _RANGE_DB) + 1.0, dtype=np.float32)


@functools.lru_cache(maxsize=4)
def _mel(window: int, sample_rate_hz: int) -> NDArray[np.float64]:
    """Triangles that sum to at most 1 over the bands, (bins, 64), from 60 Hz to half the rate."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (60.0, sample_rate_hz / 2.0))
    centres = 700.0 * (10.0 ** (np.linspace(low, high, _BANDS + 2) / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(window, 1.0 / sample_rate_hz)[:, None]
    rising = (bins - centres[:-2]) / (centres[1:-1] - centres[:-2])
    falling = (centres[2:] - bins) / (centres[2:] - centres[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))
