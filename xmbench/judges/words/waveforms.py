"""Makes realistic training examples from synthesised words as waveforms, for judges that hear through an embedding.

Each draw is a word at another tempo, through another channel, sometimes in a room, with noise, a little off centre. A
few are made of the words: "none" (silence, noise, tones, many words at once) and "other word" (reversed, chopped, the
first or last part, two in a row).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench.judges.words.speech_embedding import RATE_HZ, centred

NONE_SHARE, OTHER_SHARE = 0.05, 0.05  # of the draws, made of the words
_TEMPO = (0.85, 1.2)
_OFFSET = 800  # samples
_HALF = (0.25, 0.45)  # of a word: so much of its beginning or of its end is another word
_LEVEL_DB = 4.0
_CHANNEL_DB, _KNOTS = 4.0, 7
_ROOMS = 0.3  # of the draws
_NOISE_DB = (-44.0, -9.0)  # of the word's level

Clip = NDArray[np.float32]
Sound = NDArray[np.float64]


class Waveforms:
    """Draws training examples.

    Args:
        clips: float32 (T,), trimmed words at RATE_HZ.
        labels: class of each; K is another word, K + 1 none.
        weights: how often each is drawn, relative to the others.
        classes: K.
        windows: of the embedding that an example covers.
        seed: of everything random.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: Sequence[int],
        weights: Sequence[float],
        classes: int,
        windows: int,
        seed: int,
    ) -> None:
        self.clips = [np.trim_zeros(clip) if clip.any() else clip for clip in clips]
        self.labels, self.classes, self.windows = np.asarray(labels), classes, windows
        self.words = np.flatnonzero(self.labels < classes)
        chances = np.asarray(weights, np.float64)
        self.chances = chances / chances.sum()
        self.rng = np.random.default_rng([seed, 41])

    def draw(self, count: int) -> tuple[Clip, NDArray[np.int64]]:
        """Examples float32 (count, samples) and labels (count,)."""
        chosen = self.rng.choice(len(self.clips), count, p=self.chances)
        examples, labels = [], []
        for number in chosen:
            sound, label = np.asarray(self.clips[number], np.float64), int(self.labels[number])
            kind = self.rng.random()
            if kind < NONE_SHARE:
                sound, label = self._none(), self.classes + 1
            elif kind < NONE_SHARE + OTHER_SHARE and label < self.classes:
                sound, label = self._other(sound), self.classes
            examples.append(self._heard(sound))
            labels.append(label)
        return np.stack(examples), np.asarray(labels, np.int64)

    def _heard(self, sound: Sound) -> Clip:
        rng = self.rng
        sound = _at_tempo(sound, rng.uniform(*_TEMPO))
        sound = self._through_channel(sound)
        if rng.random() < _ROOMS:
            sound = self._in_room(sound)
        sound = np.pad(sound, (rng.integers(0, 6400), rng.integers(0, 6400)))
        level = np.sqrt(np.square(sound).sum() / (0.4 * RATE_HZ)) or 1e-3
        noise = rng.normal(size=len(sound))
        if rng.random() < 0.5:
            noise = self._coloured(noise)
        sound = sound + noise * level * 10 ** (rng.uniform(*_NOISE_DB) / 20)
        example = centred(sound.astype(np.float32), RATE_HZ, self.windows, int(rng.integers(-_OFFSET, _OFFSET)))
        return np.asarray(example * 10 ** (rng.uniform(-_LEVEL_DB, _LEVEL_DB) / 20), np.float32)

    def _through_channel(self, sound: Sound) -> Sound:
        """An equaliser of a few dB."""
        spectrum = np.fft.rfft(sound)
        place = np.linspace(0, _KNOTS - 1, len(spectrum))
        level = np.interp(place, np.arange(_KNOTS), self.rng.normal(0, _CHANNEL_DB, _KNOTS))
        return np.asarray(np.fft.irfft(spectrum * 10 ** (level / 20), len(sound)))

    def _in_room(self, sound: Sound) -> Sound:
        """Reverberation of 80 to 400 ms."""
        seconds = self.rng.uniform(0.08, 0.4)
        time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
        response = self.rng.normal(size=len(time)) * np.exp(-6.9 * time / seconds)
        response *= self.rng.uniform(0.1, 0.6) / np.sqrt(np.square(response).sum())
        response[0] = 1.0
        size = len(sound) + len(response)
        return np.asarray(np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size))

    def _coloured(self, noise: Sound) -> Sound:
        """Noise whose level falls with frequency."""
        spectrum = np.fft.rfft(noise)
        spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** self.rng.uniform(0.1, 1.0)
        coloured = np.fft.irfft(spectrum, len(noise))
        return np.asarray(coloured / max(coloured.std(), 1e-12))

    def _word(self) -> Sound:
        return np.asarray(self.clips[self.rng.choice(self.words)], np.float64)

    # ------------------------------------------------------------------------------------------ made of words
    def _other(self, word: Sound) -> Sound:
        """Another word: reversed, chopped, the first or last 25 to 45 %, two in the time of one."""
        kind = self.rng.integers(5)
        if kind < 2:
            return word[::-1]
        if kind == 2:
            return self._chopped(len(word))
        if kind == 3:
            part = max(1, int(len(word) * self.rng.uniform(*_HALF)))
            return word[:part] if self.rng.random() < 0.5 else word[-part:]
        return _at_tempo(np.concatenate([word, self._word()]), self.rng.uniform(1.25, 2.0))

    def _chopped(self, size: int) -> Sound:
        """Pieces of 30 to 130 ms of many words in a row."""
        pieces: list[Sound] = []
        while sum(map(len, pieces)) < size:
            word = self._word()
            length = int(RATE_HZ * self.rng.uniform(0.03, 0.13))
            start = int(self.rng.integers(0, max(1, len(word) - length)))
            pieces.append(word[start : start + length])
        return np.concatenate(pieces)[: max(size, 1)]

    def _none(self) -> Sound:
        """Silence, noise, noise with the envelope of a word, tones, many words at once."""
        kind, size = self.rng.integers(5), int(RATE_HZ * self.rng.uniform(0.2, 1.2))
        if kind == 0:
            return np.zeros(size)
        if kind == 1:
            return self._coloured(self.rng.normal(size=size))
        if kind == 2:
            word = self._word()
            envelope = np.convolve(np.abs(word), np.ones(400) / 400, "same")
            return np.asarray(self._coloured(self.rng.normal(size=len(word) or 1)) * envelope[: len(word) or 1])
        if kind == 3:
            time = np.arange(size) / RATE_HZ
            tones = np.exp(self.rng.uniform(np.log(80), np.log(4000), self.rng.integers(1, 5)))
            return np.asarray(sum(np.sin(2 * np.pi * hz * time) for hz in tones))
        words = [self._word() for _ in range(self.rng.integers(6, 26))]
        mixed = np.zeros(max(map(len, words)))
        for word in words:
            mixed[: len(word)] += word / max(np.abs(word).max(), 1e-9)
        return mixed


def _at_tempo(sound: Sound, tempo: float) -> Sound:
    """Faster or slower, with the pitch: linear interpolation."""
    size = max(2, int(len(sound) / tempo))
    return np.interp(np.linspace(0, len(sound) - 1, size), np.arange(len(sound)), sound)
