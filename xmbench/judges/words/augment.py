"""Makes realistic training examples from synthesised words, as mel bands.

Synthesis differs from recordings in vocal tracts, tempo, room, channel, noise and in how clean its formants are;
each of these is varied here. Some rows of every batch are made of its words: "none" (silence, noise, tones, babble) and
"other word" (reversed, chopped, halves, two words in a row).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xmbench.judges.words.features import BANDS, FRAMES, HOP, RATE_HZ, WINDOW, mel_bands, normalised
from xmbench.media.audio import resample

NONE_SHARE, OTHER_SHARE = 0.06, 0.06  # of a batch, made of its words
_HALF = (0.25, 0.45)  # of a word: so much of its beginning or of its end is another word
_TRACTS = 400  # different vocal tracts
_TRACT_RANGE = (0.78, 1.25)
_FORMANTS = 0.05  # how differently a vocal tract moves its formants, relative
_FRAMES_PER_WORD = (20.0, 85.0)
_TEMPO_RANGE = (0.65, 1.5)
_SHAPE = torch.hann_window(2 * WINDOW)


class Augmenter:
    """Draws training batches.

    Args:
        clips: float32 (T,), trimmed words.
        sample_rate_hz: of all of them.
        labels: class of each; K is another word, K + 1 none.
        weights: how often each is drawn, relative to the others.
        classes: K.
        seed: of everything random.
        frames: of an example; longer than usual for lists of long words.
    """

    def __init__(
        self,
        clips: Sequence[NDArray[np.float32]],
        sample_rate_hz: int,
        labels: Sequence[int],
        weights: Sequence[float],
        classes: int,
        seed: int,
        frames: int = FRAMES,
    ) -> None:
        rng = np.random.default_rng(seed)
        low, high = (math.log(value) for value in _TRACT_RANGE)
        knots, edges = np.linspace(0, BANDS + 1, 6), np.arange(BANDS + 2)
        self.tracts = torch.stack(
            [
                mel_bands(
                    WINDOW + 1,
                    warp=np.exp(rng.uniform(low, high) + np.interp(edges, knots, rng.normal(0, _FORMANTS, 6))),
                )
                for _ in range(_TRACTS)
            ]
        )
        self.tracts = self.tracts[:, : 1 + int(self.tracts.amax((0, 2)).nonzero().max())]  # bins above reach no band
        wide = [resample(np.trim_zeros(clip, "b"), sample_rate_hz, 2 * RATE_HZ) for clip in clips]
        self.words = [torch.from_numpy(clip / max(np.abs(clip).max(), 1e-9)).half() for clip in wide]
        self.lengths = torch.tensor([len(clip) for clip in wide])
        self.counts = 1 + self.lengths // (2 * HOP)
        self.starts = torch.cumsum(self.counts, 0) - self.counts
        self.frames_of_all = torch.cat([self._amplitudes(word.float()) for word in self.words]).half()
        self.labels = torch.tensor(labels)
        self.weights = torch.tensor(weights, dtype=torch.float64)
        self.classes = classes
        self.frames = frames
        self.generator = torch.Generator().manual_seed(seed)
        self.bins = (mel_bands(WINDOW // 2 + 1) > 0).float().sum(0).clamp_min(1.5)

    # ------------------------------------------------------------------------------------- randomness
    def uniform(self, *shape: int) -> Tensor:
        """0..1."""
        return torch.rand(*shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Mean 0, deviation 1."""
        return torch.randn(*shape, generator=self.generator)

    def curve(self, rows: int, knots: int, deviation: float, size: int) -> Tensor:
        """A smooth random curve per row, (rows, size)."""
        points = self.normal(rows, 1, knots) * deviation
        return F.interpolate(points, size=size, mode="linear", align_corners=True)[:, 0]

    def sometimes(self, rows: int, share: float) -> Tensor:
        """1 for a share of the rows, otherwise 0; (rows, 1, 1)."""
        return (self.uniform(rows) < share).float()[:, None, None]

    def grain(self, rows: int) -> Tensor:
        """Power fluctuation of noise in each band, (rows, BANDS, frames)."""
        return torch.exp(self.normal(rows, BANDS, self.frames) / self.bins.sqrt()[None, :, None])

    # -------------------------------------------------------------------------------------------- batch
    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Features (size, BANDS, frames) and labels (size,)."""
        chosen = torch.multinomial(self.weights, size, replacement=True, generator=self.generator)
        labels = self.labels[chosen].clone()
        none, other = int(size * NONE_SHARE), int(size * OTHER_SHARE)
        halves = torch.zeros(size, dtype=torch.bool)
        halves[none + other * 2 // 3 : none + other] = True
        bands, active = self._timed(self._spoken(chosen), self.lengths[chosen] / (2 * HOP), halves)
        labels[:none] = self.classes + 1
        own = labels < self.classes
        labels[none : none + other][own[none : none + other]] = self.classes
        level = bands.mean(1).sum(1) / active.sum(1).clamp_min(1)
        bands = torch.cat(
            [self._made(bands, active, level, none, none + other * 2 // 3), bands[none + other * 2 // 3 :]]
        )
        bands = self._recorded(self._in_room(bands))
        level[none:] = (bands.mean(1).sum(1) / active.sum(1).clamp_min(1))[none:]
        return self._masked(normalised(self._noisy(bands, active, level, none))), labels

    def _spoken(self, chosen: Tensor) -> Tensor:
        """Words as mel bands (B, BANDS, T'), each with another vocal tract, some overdriven."""
        driven = torch.nonzero(self.uniform(len(chosen)) < 0.15)[:, 0]
        gains = 2 + 8 * self.uniform(len(driven))
        tracts = self.tracts[torch.randint(_TRACTS, (len(chosen),), generator=self.generator)]
        counts = self.counts[chosen]
        place = torch.arange(int(counts.max()) + 2)[None]
        index = self.starts[chosen][:, None] + torch.minimum(place, counts[:, None] - 1)
        amplitudes = self.frames_of_all[index].float() * (place < counts[:, None])[..., None]
        for row, gain in zip(driven.tolist(), gains.tolist(), strict=True):
            loud = self._amplitudes(torch.tanh(self.words[int(chosen[row])].float() * gain))
            amplitudes[row, : len(loud)] = loud
        return torch.bmm(amplitudes.square(), tracts).transpose(1, 2)

    def _amplitudes(self, samples: Tensor) -> Tensor:
        """(T,) at twice the judge's rate -> amplitude spectra (T', bins)."""
        spectrum = torch.stft(
            samples, 2 * WINDOW, 2 * HOP, window=_SHAPE, center=True, pad_mode="constant", return_complex=True
        )
        return torch.view_as_real(spectrum[: self.tracts.shape[1]]).square().sum(2).sqrt().T

    def _timed(self, bands: Tensor, frames: Tensor, halves: Tensor) -> tuple[Tensor, Tensor]:
        """Another tempo, uneven within the word, at another place; (B, BANDS, frames) and where the word is.

        Of the rows `halves`, the beginning or the end of the word.
        """
        rows, _, available = bands.shape
        kept = _HALF[0] + self.uniform(rows) * (_HALF[1] - _HALF[0])
        wanted = self._wanted(frames) * torch.where(halves, kept.sqrt(), torch.ones(rows))
        clock = torch.cumsum(torch.exp(self.curve(rows, 7, 0.35, self.frames)), 1)
        clock = (clock - clock[:, :1]) / (clock[:, -1:] - clock[:, :1])
        start = (self.frames - wanted) / 2 + self.normal(rows) * 4
        place = (torch.arange(self.frames)[None] - start[:, None]) / wanted[:, None]
        active = ((place >= 0) & (place <= 1)).float()
        tick = place.clamp(0, 1) * (self.frames - 1)
        before = tick.floor().long().clamp(max=self.frames - 2)
        share = tick - before
        within = clock.gather(1, before) * (1 - share) + clock.gather(1, before + 1) * share
        first, last = self.uniform(rows, 1) * 0.15, 1 - self.uniform(rows, 1) * 0.15
        beginning = (self.uniform(rows) < 0.5)[:, None]
        first = torch.where(halves[:, None] & ~beginning, 1 - kept[:, None], first)
        last = torch.where(halves[:, None] & beginning, kept[:, None], last)
        source = (first + within * (last - first)) * frames[:, None]
        left = source.floor().long().clamp(0, available - 2)
        weight = (source - left).clamp(0, 1)[:, None]

        def at(index: Tensor) -> Tensor:
            return bands.gather(2, index[:, None].expand(rows, BANDS, self.frames))

        return (at(left) * (1 - weight) + at(left + 1) * weight) * active[:, None], active

    def _wanted(self, frames: Tensor) -> Tensor:
        """Frames of each word: any number for short words; relative for long ones, as length distinguishes them."""
        low, high = (math.log(value) for value in (_FRAMES_PER_WORD if self.frames == FRAMES else _TEMPO_RANGE))
        drawn = torch.exp(low + self.uniform(len(frames)) * (high - low))
        return drawn if self.frames == FRAMES else (drawn * frames).clamp(_FRAMES_PER_WORD[0], self.frames - 6)

    def _made(self, bands: Tensor, active: Tensor, level: Tensor, none: int, count: int) -> Tensor:
        """(count, BANDS, frames): `none` sounds that are not words, then other words; noise is added to all later."""
        sounds = (self._silence, self._average, self._tones, self._hiss)
        words = (self._chopped, self._reversed, self._reversed, self._two)
        found = []
        for row in range(count):
            kinds = sounds if row < none else words
            make = kinds[int(torch.randint(len(kinds), (1,), generator=self.generator))]
            found.append(make(bands, active, level, row))
        return torch.stack(found) if found else bands[:0]

    def _silence(self, bands: Tensor, active: Tensor, level: Tensor, row: int) -> Tensor:
        return torch.zeros_like(bands[row])

    def _chopped(self, bands: Tensor, active: Tensor, level: Tensor, row: int) -> Tensor:
        """Pieces of 30 to 130 ms of many words in a row."""
        length = 3 + int(self.uniform(1) * 11)
        pieces: list[Tensor] = []
        while len(pieces) * length < self.frames:
            other = int(self.uniform(1) * len(bands))
            start = int(active[other].argmax()) + int(self.uniform(1) * max(1, int(active[other].sum()) - length))
            piece = bands[other][:, start : start + length]
            pieces.append(piece / piece.mean().clamp_min(1e-12) * math.exp(float(self.normal(1)) * 0.7))
        joined = torch.cat(pieces, 1)[:, : self.frames]
        return F.pad(joined, (0, self.frames - joined.shape[1])) * active[row] * level[row]

    def _average(self, bands: Tensor, active: Tensor, level: Tensor, row: int) -> Tensor:
        """Many words at once: babble, or the output of a model that has learned the mean."""
        others = torch.randint(len(bands), (6 + int(self.uniform(1) * 20),), generator=self.generator)
        return (bands[others] / level[others][:, None, None].clamp_min(1e-12)).mean(0) * level[row]

    def _reversed(self, bands: Tensor, active: Tensor, level: Tensor, row: int) -> Tensor:
        return bands[row].flip(1)

    def _two(self, bands: Tensor, active: Tensor, level: Tensor, row: int) -> Tensor:
        """Two words in a row, in the time of one."""
        parts = []
        for other in (row, int(self.uniform(1) * len(bands))):
            word = bands[other][:, active[other] > 0] / level[other].clamp_min(1e-12)
            parts.append(word if word.shape[1] else bands[other])
        joined = torch.cat(parts, 1)
        size = min(self.frames, max(8, int(joined.shape[1] * (0.5 + 0.3 * float(self.uniform(1))))))
        joined = F.interpolate(joined[None], size, mode="linear", align_corners=True)[0]
        before = (self.frames - size) // 2
        return F.pad(joined, (before, self.frames - size - before)) * level[row]

    def _tones(self, bands: Tensor, active: Tensor, level: Tensor, row: int) -> Tensor:
        found = torch.zeros_like(bands[row])
        for _ in range(1 + int(self.uniform(1) * 3)):
            base, spacing = int(self.uniform(1) * BANDS), float(self.uniform(1)) * 8
            for harmonic in range(1 + int(self.uniform(1) * 4)):
                band = min(base + int(harmonic * spacing), BANDS - 1)
                found[band] += level[row] * 20 * math.exp(-float(self.uniform(1)) * harmonic)
        return found * active[row] if self.uniform(1) < 0.5 else found

    def _hiss(self, bands: Tensor, active: Tensor, level: Tensor, row: int) -> Tensor:
        """Noise with the envelope of a word."""
        shaped = bands[row].mean(0, keepdim=True) * torch.exp(self.curve(1, 8, 1.0, BANDS)[0])[:, None]
        return shaped * active[row] if self.uniform(1) < 0.5 else shaped

    def _in_room(self, bands: Tensor) -> Tensor:
        """Reverberation of 80 to 580 ms on half of the rows, and whispering on a few."""
        rows = len(bands)
        decay = torch.exp(-6 * math.log(10) * 0.01 / (0.08 + self.uniform(rows) * 0.5))
        wet = (self.uniform(rows) < 0.5).float() * (0.02 + self.uniform(rows) * 0.3)
        response = (decay[:, None] ** (torch.arange(self.frames)[None] - 1)) * wet[:, None]
        response[:, 0] = 1
        spectrum = torch.fft.rfft(bands, 2 * self.frames) * torch.fft.rfft(response, 2 * self.frames)[:, None]
        bands = torch.fft.irfft(spectrum, 2 * self.frames)[..., : self.frames].clamp_min(0)
        whispered = _blurred(bands, 5) * self.grain(rows)
        return torch.where(self.sometimes(rows, 0.12) > 0, whispered, bands)

    def _recorded(self, bands: Tensor) -> Tensor:
        """Softer formants, noise in the valleys between them, less contrast, uneven pulses, another channel."""
        rows = len(bands)
        share = self.sometimes(rows, 0.6) * self.uniform(rows)[:, None, None]
        bands = (1 - share) * bands + share * _blurred(_blurred(bands, 5), 3)
        mean = bands.mean(1, keepdim=True)
        share = self.sometimes(rows, 0.6) * 10 ** (-(8 + self.uniform(rows) * 25) / 10)[:, None, None]
        coloured = 10 ** (self.curve(rows, 5, 4.0, BANDS) / 10)
        valley = 0.5 * _blurred(bands, 15) + 0.5 * mean * coloured[..., None] / 1.5
        bands = bands + share * valley * self.grain(rows)
        contrast = 1 - 0.5 * self.sometimes(rows, 0.8) * self.uniform(rows)[:, None, None]
        logs = torch.log(bands + mean.amax(2, keepdim=True) * 1e-7 + 1e-20)
        smooth = _blurred(logs, 17)
        pulses = 1 + self.sometimes(rows, 0.3) * self.normal(rows, 1, self.frames).clamp(-2, 2) * 0.25
        return torch.exp(smooth + (logs - smooth) * contrast) * pulses * self._channel(rows)

    def _channel(self, rows: int) -> Tensor:
        """Equaliser, tilt, high and low pass, slow changes of gain; (rows, BANDS, frames) as power."""
        axis = torch.linspace(-1, 1, BANDS)[None]
        level = self.curve(rows, 7, 4.0, BANDS) + (self.uniform(rows, 1) * 2 - 1) * 8.0 * axis
        high_pass = 80 * (0.35 * self.uniform(rows, 1) - (axis + 1)).clamp_min(0)
        low_pass = 60 * (axis - 1 + 0.5 * self.uniform(rows, 1)).clamp_min(0)
        level = level - (self.uniform(rows, 1) < 0.3) * high_pass - (self.uniform(rows, 1) < 0.3) * low_pass
        field = F.interpolate(
            self.normal(rows, 1, 6, 8) * 4.0, (BANDS, self.frames), mode="bilinear", align_corners=True
        )
        return 10 ** ((level[..., None] + field[:, 0] + self.curve(rows, 6, 4.0, self.frames)[:, None]) / 10)

    def _noisy(self, bands: Tensor, active: Tensor, level: Tensor, none: int) -> Tensor:
        """Coloured noise 0 to 45 dB below the word; beyond the word, digital silence on most rows."""
        rows = len(bands)
        ratio = self.uniform(rows) * 45
        ratio[:none] -= 10
        axis = torch.linspace(-1, 1, BANDS)[None]
        colour = 10 ** ((self.curve(rows, 5, 5.0, BANDS) + (self.uniform(rows, 1) * 2 - 1.5) * 12 * axis) / 10)
        colour = colour / colour.mean(1, keepdim=True)
        noise = colour[..., None] * torch.exp(self.curve(rows, 5, 0.4, self.frames))[:, None] * self.grain(rows)
        time = torch.arange(self.frames)[None]
        start = active.argmax(1)[:, None]
        end = start + active.sum(1, keepdim=True)
        after, before = self.uniform(rows, 1) ** 2 * 30, self.uniform(rows, 1) ** 2 * 30
        padding = (self.uniform(rows, 1) < 0.6) & ((time > end + after) | (time < start - before))
        return (bands + noise * (level * 10 ** (-ratio / 10))[:, None, None]) * (~padding)[:, None]

    def _masked(self, bands: Tensor) -> Tensor:
        """Two stripes of bands and one of frames left out (SpecAugment)."""
        rows = len(bands)
        band, time = torch.arange(BANDS)[None], torch.arange(self.frames)[None]
        for _ in range(2):
            first, width = self.uniform(rows, 1) * BANDS, self.uniform(rows, 1) * 6
            bands = bands.masked_fill(((band >= first) & (band < first + width))[..., None], 0.0)
        first, width = self.uniform(rows, 1) * self.frames, self.uniform(rows, 1) * 12
        return bands.masked_fill(((time >= first) & (time < first + width))[:, None], -1.0)


@functools.cache
def _blur(width: int) -> Tensor:
    """(BANDS, BANDS): each row the mean over neighbouring bands, of which those at the ends count several times."""
    near = (torch.arange(BANDS)[:, None] + torch.arange(width)[None] - width // 2).clamp(0, BANDS - 1)
    return F.one_hot(near, BANDS).float().mean(1)


def _blurred(bands: Tensor, width: int) -> Tensor:
    """Mean over neighbouring bands, (B, BANDS, T)."""
    return torch.matmul(_blur(width), bands)
