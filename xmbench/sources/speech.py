"""Spoken words: one take per (engine, version, voice, rate, pitch, word), made once, not per image.

A take is trimmed of silence. Where it leaves the recipe's range of durations it is spoken again, one word per
minute faster or slower at a time, until it fits; the final rate is kept in its attributes. An engine that speaks at
its own rate is called once, and a word that does not fit is listed.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xmbench import registry
from xmbench.errors import DocumentError, UnknownNameError
from xmbench.interfaces import AudioFormat, Engine, EngineFacts, Entry, Modality, Raw, RawClip, Rejected, Task, Upstream
from xmbench.media import audio
from xmbench.printable import hyphenated
from xmbench.sources._pacing import Paced, pause_s

_DEFAULT_ENGINE = "espeak-ng"


class SpeechOptions(BaseModel):
    """How the words are spoken.

    Attributes:
        engine: one of `xmbench list engines`.
        voices: voices for both splits (single-take recipes), or
        train_voices, test_voices: voices of each split, with none in common (multi-take recipes).
        rates: words per minute that each voice speaks at; none for an engine that speaks at its own rate.
        pitches: pitches of each voice, 0..100; 50 is its own; none for an engine without this setting.
        trim_threshold_db: leading and trailing 10 ms frames this far below the loudest one are cut.
        max_rerating: how far the rate may differ from the requested one to meet the range, words per minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = _DEFAULT_ENGINE
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
        if not all(0 <= pitch <= 100 for pitch in self.pitches):
            raise ValueError("pitches must be within 0..100")
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
    yields: frozenset[Modality] = frozenset({"audio"})
    Options = SpeechOptions

    def engine(self, options: SpeechOptions) -> Engine:
        """The engine that speaks; raises UnknownNameError."""
        return registry.engine(options.engine)

    def pause_s(self) -> float:
        """Seconds between two requests to an online engine; raises DocumentError for an invalid setting."""
        return pause_s()

    def with_engine(self, options: Mapping[str, Any], name: str, languages: Sequence[str]) -> dict[str, Any]:
        """The options for another engine, with its own voices of the recipe's language.

        Raises:
            UnknownNameError: no such engine, or it has too few voices of the recipe's language.
        """
        engine = registry.engine(name)
        if options.get("engine", _DEFAULT_ENGINE) == name:
            return dict(options)
        dropped = {"rates"} if engine.facts.rates is None else set()
        dropped |= {"pitches"} if engine.facts.pitches is None else set()
        kept = {key: value for key, value in options.items() if key not in dropped}
        return {**kept, "engine": name, **_voices_for(engine, options, languages)}

    def versions(self, options: SpeechOptions) -> dict[str, str]:
        """The engine and its version."""
        return {options.engine: self.engine(options).version()}

    def entries(self, upstream: Upstream, options: SpeechOptions, task: Task) -> list[Entry]:
        """One entry per split, voice, rate, pitch and word, in that order; nothing is spoken yet.

        Raises:
            UnknownNameError: an unknown engine or voice.
            DocumentError: no words, a rate or pitch that the engine cannot speak, or two takes of one key.
        """
        engine = self.engine(options)
        engine.check_voices(tuple(dict.fromkeys(v for names in options.by_split.values() for v in names)))
        rates = _settings(engine.facts.name, "rates", engine.facts.rates, options)
        pitches = _settings(engine.facts.name, "pitches", engine.facts.pitches, options)
        if len(task.words) != len(task.class_names):
            raise DocumentError("the recipe has no words to speak", expected="`words` in [classes], one per name")
        label = f"{engine.facts.name} {engine.version()}"
        found = [
            _entry(split, voice, rate, pitch, k, word, label, options)
            for split, voices in options.by_split.items()
            for voice in voices
            for rate in rates
            for pitch in pitches
            for k, word in enumerate(task.words)
        ]
        keys = [entry.key for entry in found]
        repeated = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []
        if repeated:
            raise DocumentError("takes of the same name", problems=repeated, todo="list each voice, rate and word once")
        return found

    def read(
        self, upstream: Upstream, options: SpeechOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Trimmed samples int16 (T,) per entry, at the engine's rate, inside the recipe's durations."""
        paced = Paced(self.engine(options))
        for entry in entries:
            yield _take(paced, entry, task.audio)


def _voices_for(engine: Engine, options: Mapping[str, Any], languages: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Voices of an engine for each list of voices in the options, at most as many."""
    places = {key: tuple(options[key]) for key in ("voices", "train_voices", "test_voices") if options.get(key)}
    language = languages[0] if languages else "en"
    found = engine.voices(language)
    if len(found) < max(1, len(places)):
        raise UnknownNameError(
            f"{engine.facts.name} has {len(found)} voice(s) for the language '{language}'",
            where="--speech",
            expected=f"{max(1, len(places))} or more",
            todo="choose another engine: xmbench list engines",
        )
    if "voices" in places:
        return {"voices": found[: len(places["voices"])]}
    tests = min(len(places["test_voices"]), len(found) // 2)
    return {"train_voices": found[: -tests or None][: len(places["train_voices"])], "test_voices": found[-tests:]}


def _settings(name: str, what: str, bounds: tuple[int, int] | None, options: SpeechOptions) -> tuple[int | None, ...]:
    """Rates or pitches to speak at; (None,) for an engine that has no such setting."""
    wanted: tuple[int, ...] = getattr(options, what)
    if bounds is None:
        if what in options.model_fields_set:
            raise DocumentError(f"{name} takes no {what}", where=f"options.{what}", expected=f"no `{what}`")
        return (None,)
    odd = [str(value) for value in wanted if not bounds[0] <= value <= bounds[1]]
    if odd:
        raise DocumentError(
            f"{what} that {name} cannot speak: {', '.join(odd)}", expected=f"{bounds[0]} to {bounds[1]}"
        )
    return wanted


def _entry(
    split: str,
    voice: str,
    rate: int | None,
    pitch: int | None,
    label: int,
    word: str,
    engine: str,
    options: SpeechOptions,
) -> Entry:
    # The setting is not in the names of an engine that lacks it.
    settings = [f"{letter}{value}" for letter, value in (("r", rate), ("p", pitch)) if value is not None]
    return Entry(
        key="-".join([_slug(voice), *settings, _slug(word)]),
        split=split,
        label=label,
        group=_slug(voice),
        locator=(word, voice, rate, pitch, options.trim_threshold_db, options.max_rerating),
        attributes={"text": word, "speaker": voice, "engine": engine, "rate_wpm": _text(rate), "pitch": _text(pitch)},
    )


def _text(setting: int | None) -> str:
    return "" if setting is None else str(setting)


def _slug(text: str) -> str:
    """Lower-case ASCII with hyphens; other scripts and accents get a few digits of a hash."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = hyphenated(plain)
    return slug if text.isascii() else f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:6]}".strip("-")


def _take(engine: Paced, entry: Entry, wanted: AudioFormat) -> RawClip | Rejected:
    """Speaks one take; changes the rate by 1, 2, ... words per minute while it is too long or too short."""
    word, voice, asked, pitch, threshold_db, max_rerating = entry.locator
    facts, rate, step = engine.facts, asked or 0, 0
    while True:
        spoken = engine.speak(word, voice, rate + step, pitch or 0)
        if isinstance(spoken, Rejected):
            return spoken
        clip = audio.trim_silence(spoken, facts.sample_rate_hz, threshold_db)
        if len(clip) == 0:
            reason = "empty" if len(spoken) == 0 else "silent"
            return Rejected("speech", reason, f"'{word}' by {voice} at {_shown(rate + step)}")
        duration_s = len(clip) / facts.sample_rate_hz
        if wanted.min_duration_s <= duration_s <= wanted.max_duration_s:
            return RawClip(clip, facts.sample_rate_hz, _attributes(facts, rate + step))
        towards = 1 if duration_s > wanted.max_duration_s else -1
        turned = step * towards < 0
        step += towards
        if facts.rates is None or turned or abs(step) > max_rerating or not _within(rate + step, facts.rates):
            reason = "too-long" if towards > 0 else "too-short"
            detail = (
                f"'{word}' by {voice}: {duration_s:.3f} s at {_shown(rate + step - towards)},"
                f" wanted {wanted.min_duration_s} to {wanted.max_duration_s} s"
            )
            return Rejected("speech", reason, detail, filtered=True)


def _within(rate: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= rate <= bounds[1]


def _shown(rate: int) -> str:
    return f"{rate} words per minute" if rate else "the engine's own rate"


def _attributes(facts: EngineFacts, rate: int) -> dict[str, str]:
    """Known only after speaking: the rate that fitted, and the date of the request to a service."""
    known = {"rate_wpm": str(rate) if facts.rates else ""}
    return {**known, "synthesised": datetime.now(UTC).date().isoformat()} if facts.online else known


SOURCE = Speech()
