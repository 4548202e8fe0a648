"""Spoken words: one take per (engine, version, voice, rate, pitch, word), made once and never per image.

A take is trimmed of silence. Where it leaves the recipe's range of durations it is spoken again, one word per
minute faster or slower at a time, until it fits; the rate that was used is kept in its attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xmbench.errors import DocumentError, UnknownNameError, nearest
from xmbench.interfaces import AudioFormat, Entry, Modality, RawClip, RawImage, Rejected, Task, Upstream
from xmbench.media import audio
from xmbench.sources import _espeak


class Engine(Protocol):
    """Something that speaks words.

    Attributes:
        name: public name, as recipes write it.
        sample_rate_hz: of what it returns.
        rates: slowest and fastest rate it takes, words per minute.
    """

    name: str
    sample_rate_hz: int
    rates: tuple[int, int]

    def version(self) -> str:
        """Version of whatever shapes the sound."""
        ...

    def check_voices(self, voices: tuple[str, ...]) -> None:
        """Raises UnknownNameError with every voice that cannot be used."""
        ...

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16]:
        """Samples int16 (T,) of one word, untrimmed; empty where nothing came."""
        ...


class Espeak:
    """eSpeak NG from the `espeakng-loader` wheel: no system package, bit-exact."""

    name = "espeak-ng"
    sample_rate_hz = _espeak.SAMPLE_RATE_HZ
    rates = _espeak.RATES_WPM
    version = staticmethod(_espeak.version)
    check_voices = staticmethod(_espeak.check_voices)
    speak = staticmethod(_espeak.speak)


ENGINES: dict[str, Engine] = {Espeak.name: Espeak()}


class SpeechOptions(BaseModel):
    """How the words are spoken.

    Attributes:
        engine: one of `ENGINES`.
        voices: voices for both splits (single-take recipes), or
        train_voices, test_voices: voices of each split, with none in common (multi-take recipes).
        rates: words per minute that each voice speaks at.
        pitches: pitches of each voice, 0..100; 50 is its own.
        trim_threshold_db: leading and trailing 10 ms frames this far below the loudest one are cut.
        max_rerating: how far the rate may leave the asked one to meet the range, words per minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = Espeak.name
    voices: tuple[str, ...] = ()
    train_voices: tuple[str, ...] = ()
    test_voices: tuple[str, ...] = ()
    rates: tuple[int, ...] = Field(default=(120,), min_length=1)
    pitches: tuple[int, ...] = Field(default=(50,), min_length=1)
    trim_threshold_db: float = Field(default=-40.0, lt=0)
    max_rerating: int = Field(default=40, ge=0, le=200)

    @model_validator(mode="after")
    def _voices(self) -> SpeechOptions:
        if bool(self.voices) == bool(self.train_voices or self.test_voices):
            raise ValueError("give either `voices`, or `train_voices` and `test_voices`")
        if bool(self.train_voices) != bool(self.test_voices):
            raise ValueError("`train_voices` and `test_voices` go together")
        shared = sorted(set(self.train_voices) & set(self.test_voices))
        if shared:
            raise ValueError(f"voices of both splits: {', '.join(shared)}")
        if not all(_espeak.PITCHES[0] <= pitch <= _espeak.PITCHES[1] for pitch in self.pitches):
            raise ValueError(f"pitches lie within {_espeak.PITCHES[0]}..{_espeak.PITCHES[1]}")
        return self

    @property
    def by_split(self) -> dict[str, tuple[str, ...]]:
        """Voices of each split; "any" where they serve both."""
        if self.voices:
            return {"any": self.voices}
        return {"train": self.train_voices, "test": self.test_voices}


class Speech:
    """The task's words, spoken; keys like `en-us-f1-r120-p50-zero`, grouped by voice."""

    name = "speech"
    modality: Modality = "audio"
    Options = SpeechOptions

    def versions(self, options: SpeechOptions) -> dict[str, str]:
        """The engine and its version."""
        return {options.engine: _engine(options).version()}

    def entries(self, upstream: Upstream, options: SpeechOptions, task: Task) -> list[Entry]:
        """One entry per split, voice, rate, pitch and word, in that order; nothing is spoken yet.

        Raises:
            UnknownNameError: an engine or a voice that is not there.
            DocumentError: no words, a rate that the engine cannot speak, or two takes of one key.
        """
        engine = _engine(options)
        engine.check_voices(tuple(dict.fromkeys(v for names in options.by_split.values() for v in names)))
        slow, fast = engine.rates
        odd = [str(rate) for rate in options.rates if not slow <= rate <= fast]
        if odd:
            raise DocumentError(
                f"rates that {engine.name} cannot speak: {', '.join(odd)}", expected=f"{slow} to {fast}"
            )
        if len(task.words) != len(task.class_names):
            raise DocumentError("the recipe has no words to speak", expected="`words` in [classes], one per name")
        label = f"{engine.name} {engine.version()}"
        found = [
            _entry(split, voice, rate, pitch, k, word, label, options)
            for split, voices in options.by_split.items()
            for voice in voices
            for rate in options.rates
            for pitch in options.pitches
            for k, word in enumerate(task.words)
        ]
        keys = [entry.key for entry in found]
        repeated = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []
        if repeated:
            raise DocumentError("takes of the same name", problems=repeated, todo="list each voice, rate and word once")
        return found

    def read(
        self,
        upstream: Upstream,
        options: SpeechOptions,
        task: Task,
        entries: Sequence[Entry],
    ) -> Iterator[RawImage | RawClip | Rejected]:
        """Trimmed samples int16 (T,) per entry, at the engine's rate, inside the recipe's durations."""
        engine = _engine(options)
        for entry in entries:
            yield _take(engine, entry, task.audio)


def _engine(options: SpeechOptions) -> Engine:
    if options.engine not in ENGINES:
        raise UnknownNameError(
            f"no speech engine is called '{options.engine}'", expected=nearest(options.engine, ENGINES)
        )
    return ENGINES[options.engine]


def _entry(
    split: str, voice: str, rate: int, pitch: int, label: int, word: str, engine: str, options: SpeechOptions
) -> Entry:
    key = "-".join([_slug(voice), f"r{rate}", f"p{pitch}", _slug(word)])
    return Entry(
        key=key, split=split, label=label, group=_slug(voice),
        locator=(word, voice, rate, pitch, options.trim_threshold_db, options.max_rerating),
        attributes={
            "text": word, "speaker": voice, "engine": engine, "rate_wpm": str(rate), "pitch": str(pitch),
        },
    )  # fmt: skip


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _take(engine: Engine, entry: Entry, wanted: AudioFormat) -> RawClip | Rejected:
    """Speaks one take; moves the rate by 1, 2, ... words per minute while it is too long or too short."""
    word, voice, rate, pitch, threshold_db, max_rerating = entry.locator
    step = 0
    while True:
        spoken = engine.speak(word, voice, rate + step, pitch)
        clip = audio.trim_silence(spoken, engine.sample_rate_hz, threshold_db)
        if len(clip) == 0:
            reason = "empty" if len(spoken) == 0 else "silent"
            return Rejected("speech", reason, f"'{word}' by {voice} at {rate + step} words per minute")
        duration_s = len(clip) / engine.sample_rate_hz
        if wanted.min_duration_s <= duration_s <= wanted.max_duration_s:
            return RawClip(clip, engine.sample_rate_hz, {"rate_wpm": str(rate + step)})
        towards = 1 if duration_s > wanted.max_duration_s else -1
        turned = step * towards < 0
        step += towards
        if turned or abs(step) > max_rerating or not engine.rates[0] <= rate + step <= engine.rates[1]:
            reason = "too-long" if towards > 0 else "too-short"
            detail = (
                f"'{word}' by {voice}: {duration_s:.3f} s at {rate + step - towards} words per minute,"
                f" wanted {wanted.min_duration_s} to {wanted.max_duration_s} s"
            )
            return Rejected("speech", reason, detail, filtered=True)


SOURCE = Speech()
