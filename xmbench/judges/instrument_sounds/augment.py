"""Makes training examples of instrument sounds: other pitches, rooms, equalisers, noise, and what vocoders do to them.

A fifth of the examples are "none": directories of other sounds, noise, hum, silence, two or more instruments at once,
noise with an instrument's spectrum, synthesised sounds that no instrument makes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.functional import griffinlim, melscale_fbanks

from xmbench.judges.instrument_sounds.features import RATE_HZ, SAMPLES
from xmbench.judges.synthesised_sounds import NOT_PLAYED, synthesised

NONE_SHARE = 0.2
POOL = 1536  # examples that go through a vocoder
POOL_SHARE = 0.3
_MADE = 300  # synthesised sounds
_SEMITONES = 0.7  # of the pitch shift, at most
_CHANNEL_DB, _KNOTS = 3.0, 8
_NOISE_DB = (-60.0, -20.0)  # of the sound's level
_QUIET = 0.02  # of the loudest half second's energy: a window below it is not drawn
_FFT, _BANDS = 1024, 104  # of the vocoder; at 44.1 kHz a window of 2,048 samples and 128 bands
_HOPS = (256, 334)  # 44 and 34 frames of half a second
_PARTS = 64
_VARIED = 0.05  # of the range of the bands: what an equaliser changes in the training

Wave = NDArray[np.float64]
Clip = NDArray[np.float32]


class Draws:
    """Draws training examples.

    Args:
        clips: float32 (T,) at RATE_HZ.
        labels: class of each; K is none.
        groups: of each; every group of a class is drawn equally often.
        sources: of each; every source that has a class is drawn equally often.
        classes: K.
        seed: of everything random.
        pool: examples that go through a vocoder, once.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: Sequence[int],
        groups: Sequence[str],
        sources: Sequence[str],
        classes: int,
        seed: int,
        pool: int = POOL,
    ) -> None:
        self.clips, self.classes = clips, classes
        self.rng = np.random.default_rng([seed, 53])
        found: dict[int, dict[str, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        for number, (label, group, source) in enumerate(zip(labels, groups, sources, strict=True)):
            found[label][source][group].append(number)
        self.places = {
            label: [[list(numbers) for numbers in by_group.values()] for by_group in by_source.values()]
            for label, by_source in found.items()
        }
        self.made = synthesised(_MADE, RATE_HZ, seed, NOT_PLAYED)
        self.pool, self.pool_labels = self._vocoded(pool)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Waves (size, SAMPLES) and labels (size,)."""
        waves, labels = [], []
        for _ in range(size):
            if self.rng.random() < POOL_SHARE:
                number = int(self.rng.integers(len(self.pool)))
                wave, label = np.asarray(self.pool[number], np.float64), int(self.pool_labels[number])
            else:
                wave, label = self._example()
            waves.append(self._recorded(wave))
            labels.append(label)
        return torch.from_numpy(np.stack(waves).astype(np.float32)), torch.tensor(labels)

    # ------------------------------------------------------------------------------------------------ sounds
    def _example(self) -> tuple[Wave, int]:
        if self.rng.random() < NONE_SHARE:
            return self._none(), self.classes
        label = int(self.rng.integers(self.classes))
        return self._instrument(label), label

    def _instrument(self, label: int) -> Wave:
        """Half a second of one instrument at peak 1, at another pitch, sometimes only a part of it."""
        wave = _unit(self._window(self._clip(label), self.rng.uniform(-_SEMITONES, _SEMITONES)))
        if self.rng.random() < 0.15:
            length = int(SAMPLES * self.rng.uniform(0.4, 0.9))
            start = int(self.rng.integers(0, SAMPLES - length))
            wave = np.pad(wave[start : start + length], (start, SAMPLES - start - length))
        return wave

    def _clip(self, label: int) -> Clip:
        sources = self.places[label]
        groups = sources[self.rng.integers(len(sources))]
        numbers = groups[self.rng.integers(len(groups))]
        return self.clips[numbers[self.rng.integers(len(numbers))]]

    def _window(self, clip: Clip, semitones: float) -> Wave:
        """A half second of a clip that is not silent; shorter clips have silence around them."""
        rate = 2.0 ** (semitones / 12)
        needed = int(SAMPLES * rate) + 2
        if len(clip) < needed:
            before = int(self.rng.integers(0, needed - len(clip) + 1))
            part = np.pad(clip, (before, needed - len(clip) - before)).astype(np.float64)
        else:
            sums = np.concatenate([[0.0], np.cumsum(np.square(clip, dtype=np.float64))])
            starts = np.arange(0, len(clip) - needed + 1, max(1, (len(clip) - needed) // 40))
            energy = sums[starts + needed] - sums[starts]
            start = int(self.rng.choice(starts[energy >= _QUIET * energy.max()]))
            part = np.asarray(clip[start : start + needed], np.float64)
        return np.asarray(np.interp(np.arange(SAMPLES) * rate, np.arange(needed), part))

    def _none(self) -> Wave:
        kind = self.rng.random()
        if kind < 0.35 and self.classes in self.places:
            return _unit(self._window(self._clip(self.classes), self.rng.uniform(-2, 2)))
        if kind < 0.5:
            return _unit(self._window(self.made[self.rng.integers(len(self.made))], 0.0))
        if kind < 0.62:
            return self._mixture()
        if kind < 0.75:
            return self._imprinted()
        return self._noise()

    def _mixture(self) -> Wave:
        """Two to six different instruments at about the same level."""
        several = min(self.classes, int(self.rng.choice([2, 2, 2, 3, 4, 6])))
        labels = self.rng.choice(self.classes, several, replace=False)
        waves = [_level(self._instrument(int(label))) * 10 ** (self.rng.uniform(-3, 3) / 20) for label in labels]
        return _unit(np.sum(waves, axis=0))

    def _imprinted(self) -> Wave:
        """Noise with the smoothed spectrum of an instrument."""
        spectrum = np.abs(np.fft.rfft(self._instrument(int(self.rng.integers(self.classes)))))
        width = int(self.rng.integers(60, 400))
        smooth = np.convolve(spectrum, np.ones(width) / width, "same")
        turned = np.exp(2j * np.pi * self.rng.random(len(smooth)))
        return _unit(np.fft.irfft(smooth * turned, SAMPLES))

    def _noise(self) -> Wave:
        """Silence, white or coloured noise, hum, single tones."""
        kind = self.rng.integers(5)
        if kind == 0:
            return np.zeros(SAMPLES)
        if kind < 3:
            return _unit(self._coloured(self.rng.normal(size=SAMPLES)) if kind == 1 else self.rng.normal(size=SAMPLES))
        time = np.arange(SAMPLES) / RATE_HZ
        if kind == 3:
            mains = self.rng.choice([50.0, 60.0])
            partials = 10 ** (-self.rng.uniform(0, 2, 12)) * (np.arange(12) < self.rng.integers(1, 13))
            tones = [p * np.sin(2 * np.pi * mains * (n + 1) * time) for n, p in enumerate(partials)]
        else:
            tones = [np.sin(2 * np.pi * hz * time) for hz in np.exp(self.rng.uniform(4, 8.5, self.rng.integers(1, 3)))]
        return _unit(np.sum(tones, axis=0))

    # --------------------------------------------------------------------------------------------- recording
    def _recorded(self, wave: Wave) -> Wave:
        """Through an equaliser, a room, a band limit, an amplifier, with noise."""
        rng = self.rng
        if rng.random() < 0.6:
            wave = self._through_channel(wave)
        if rng.random() < 0.3:
            wave = self._in_room(wave)
        if rng.random() < 0.05:
            wave = np.tanh(_unit(wave) * rng.uniform(1, 4))
        if rng.random() < 0.6:
            noise = rng.normal(size=SAMPLES)
            noise = self._coloured(noise) if rng.random() < 0.6 else noise
            wave = wave + noise * (np.sqrt(np.square(wave).mean()) or 1e-3) * 10 ** (rng.uniform(*_NOISE_DB) / 20)
        return wave * rng.uniform(0.05, 1.0)

    def _through_channel(self, wave: Wave) -> Wave:
        """An equaliser of a few dB over the octaves, sometimes without what is high or low."""
        spectrum = np.fft.rfft(wave)
        hz = np.linspace(0, RATE_HZ / 2, len(spectrum))
        octave = np.log2(np.maximum(hz, 30.0) / 30.0)
        level = np.interp(octave, np.linspace(0, octave[-1], _KNOTS), self.rng.normal(0, _CHANNEL_DB, _KNOTS))
        if self.rng.random() < 0.25:
            level -= 24.0 * np.maximum(0, np.log2(np.maximum(hz, 1) / self.rng.uniform(3_000, 9_000)))
        if self.rng.random() < 0.15:
            level -= 12.0 * np.maximum(0, np.log2(self.rng.uniform(40, 120) / np.maximum(hz, 1)))
        return np.asarray(np.fft.irfft(spectrum * 10 ** (level / 20), SAMPLES))

    def _in_room(self, wave: Wave) -> Wave:
        """Reverberation of 0.1 to 0.8 s."""
        seconds = self.rng.uniform(0.1, 0.8)
        time = np.arange(int(min(seconds, 0.5) * RATE_HZ)) / RATE_HZ
        response = self.rng.normal(size=len(time)) * np.exp(-6.9 * time / seconds)
        response *= self.rng.uniform(0.1, 0.8) / np.sqrt(np.square(response).sum())
        response[0] = 1.0
        size = SAMPLES + len(response)
        return np.asarray(np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)[:SAMPLES])

    def _coloured(self, noise: Wave) -> Wave:
        spectrum = np.fft.rfft(noise)
        spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** self.rng.uniform(0.1, 1.0)
        coloured = np.fft.irfft(spectrum, len(noise))
        return np.asarray(coloured / max(coloured.std(), 1e-12))

    def _vocoded(self, count: int) -> tuple[Clip, NDArray[np.int64]]:
        """Examples that went through mel bands and back, as those of spectrogram systems do."""
        drawn = [self._example() for _ in range(count)]
        waves = torch.from_numpy(np.stack([wave for wave, _ in drawn]).astype(np.float32))
        parts = [
            vocoded(part, _HOPS[number % 2], (8, 32)[number // 2 % 2], int(self.rng.integers(2**31)))
            for number, part in enumerate(torch.split(waves, _PARTS))
        ]
        return torch.cat(parts).numpy(), np.asarray([label for _, label in drawn], np.int64)


def vocoded(waves: Tensor, hop: int, iterations: int, seed: int) -> Tensor:
    """Waves (B, T) through 104 mel bands (of 44.1 kHz sounds: 128) and back by their pseudo-inverse and Griffin-Lim."""
    window = torch.hann_window(_FFT)
    bank = melscale_fbanks(_FFT // 2 + 1, 0.0, RATE_HZ / 2, _BANDS, RATE_HZ, norm="slaney", mel_scale="slaney")
    spectrum = torch.stft(waves, _FFT, hop, window=window, return_complex=True).abs()
    bands = torch.einsum("bft,fm->bmt", spectrum, bank)
    magnitudes = torch.einsum("bmt,mf->bft", bands, torch.linalg.pinv(bank.double()).float()).clamp_min(0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found: Tensor = griffinlim(magnitudes, window, _FFT, hop, _FFT, 1.0, iterations, 0.9, waves.shape[1], True)
    return found


def varied(bands: Tensor, generator: torch.Generator) -> Tensor:
    """Bands (B, M, F) of -1..1 as if heard again: through another equaliser, a little later, with parts left out."""
    rows, several, frames = bands.shape
    knots = torch.randn(rows, 1, 6, generator=generator) * _VARIED
    curve = F.interpolate(knots, size=several, mode="linear", align_corners=True)
    lowest = bands.amin((1, 2), keepdim=True)
    found = torch.maximum(bands + curve.transpose(1, 2), lowest).clamp_max(1.0)
    found = torch.roll(found, int(torch.randint(-frames // 8, frames // 8 + 1, (1,), generator=generator)), 2)
    for axis, size in ((1, several // 10), (2, frames // 6)):
        starts = torch.randint(0, bands.shape[axis], (rows, 1), generator=generator)
        lengths = torch.randint(0, size + 1, (rows, 1), generator=generator)
        place = torch.arange(bands.shape[axis])[None]
        hidden = (place >= starts) & (place < starts + lengths)
        found = torch.where(hidden[:, :, None] if axis == 1 else hidden[:, None], lowest, found)
    return found


def _unit(wave: NDArray[np.floating]) -> Wave:
    return np.asarray(wave / max(float(np.abs(wave).max()), 1e-9), np.float64)


def _level(wave: Wave) -> Wave:
    return wave / max(float(np.sqrt(np.square(wave).mean())), 1e-9)
