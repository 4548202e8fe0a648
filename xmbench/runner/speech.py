"""Speaks the words of a recipe for a model that has its text read aloud: as the training clips, or by another voice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import DatasetError, PrerequisiteError, UnsuitableDatasetError, UpstreamError
from xmbench.formats.document import parse
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Engine, Entry, Link, RawClip, Rejected, Spoken, SpokenWords, Voice
from xmbench.media import audio

_OTHER_VOICE = "name a voice: --set voice=en"


class RecipeSpeech:
    """The speech of one data set; an engine is imported when words are asked for."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def speak(self, voice: Voice | None = None) -> SpokenWords:
        """The words of the task, by one voice; see `xmbench.interfaces.Speech`."""
        if not self._recipe.task.words:
            raise UnsuitableDatasetError("this data set has no words to speak", where=self._recipe.name)
        return self._as_recorded() if voice is None else self._by(voice)

    def _by(self, voice: Voice) -> SpokenWords:
        engine = _usable(registry.engine(voice.engine))
        engine.check_voices((voice.name,))
        clips, problems = [], []
        for word in self._recipe.task.words:
            spoken = engine.speak(word, voice.name, voice.rate, voice.pitch)
            samples = (
                spoken if isinstance(spoken, Rejected) else audio.trim_silence(spoken, engine.facts.sample_rate_hz)
            )
            if isinstance(samples, Rejected):
                problems.append(f"'{word}': {samples.reason} {samples.detail}")
            elif len(samples) == 0:
                problems.append(f"'{word}': no sound")
            else:
                clips.append(self._at_its_rate(samples, engine.facts.sample_rate_hz))
        if problems:
            raise DatasetError(f"words that {voice.name} of {voice.engine} does not speak", problems=problems)
        settings = f"{voice.rate} words per minute, pitch {voice.pitch}"
        return SpokenWords(tuple(clips), f"{engine.facts.name} {engine.version()}, voice {voice.name}, {settings}")

    def _as_recorded(self) -> SpokenWords:
        recipe = self._recipe
        spec = recipe.sources[recipe.pairing.clip_source]
        source = registry.source(spec.reader)
        if not isinstance(source, Spoken):
            raise UnsuitableDatasetError(
                "no engine spoke the clips of this data set: they have no voice that could say a word again",
                where=recipe.name,
                expected="clips of the source 'speech'",
                todo=_OTHER_VOICE,
            )
        options = parse(spec.options, source.Options, f"{recipe.name}: clips")
        engine = _usable(source.engine(options))
        problems = []
        for entries in _by_voice(source.entries(_NoFiles(), options, recipe.task)):
            found = list(source.read(_NoFiles(), options, recipe.task, entries))
            clips = [raw for raw in found if isinstance(raw, RawClip)]
            if len(clips) == len(recipe.task.words):
                spoken = tuple(self._at_its_rate(clip.samples, clip.sample_rate_hz) for clip in clips)
                return SpokenWords(spoken, f"{engine.facts.name} {engine.version()}, {_settings(entries[0])}")
            problems += [raw.detail for raw in found if isinstance(raw, Rejected)]
        raise UnsuitableDatasetError(
            "no voice of this data set speaks all of its words", where=recipe.name, problems=problems
        )

    def _at_its_rate(self, samples: NDArray[np.int16], rate_hz: int) -> NDArray[np.int16]:
        """Samples at the recipe's rate; those at this rate already stay as they are."""
        wanted_hz = self._recipe.audio.sample_rate_hz
        if rate_hz == wanted_hz:
            return samples
        return audio.to_int16(audio.resample(audio.to_float(samples), rate_hz, wanted_hz))


class _NoFiles:
    """What a source reads that speaks: nothing."""

    def names(self) -> tuple[str, ...]:
        """No file."""
        return ()

    def read(self, name: str) -> bytes:
        """Raises UpstreamError."""
        raise UpstreamError("a source that speaks reads no file", where=name)

    def open(self, name: str) -> BinaryIO:
        """Raises UpstreamError."""
        raise UpstreamError("a source that speaks reads no file", where=name)

    def path(self, name: str) -> Path:
        """Raises UpstreamError."""
        raise UpstreamError("a source that speaks reads no file", where=name)

    def item(self, url: str) -> Path | Rejected:
        """Raises UpstreamError."""
        raise UpstreamError("a source that speaks fetches no item", where=url)

    def recordings(self, links: Sequence[Link]) -> list[Path | Rejected]:
        """Raises UpstreamError."""
        raise UpstreamError("a source that speaks fetches no recording", where=links[0].url if links else None)


def _usable(engine: Engine) -> Engine:
    """An engine that says a word in the same way whenever a run is repeated; raises PrerequisiteError."""
    facts = engine.facts
    if facts.online or not facts.repeatable:
        why = "calls a service for each word" if facts.online else "never says a word twice in the same way"
        raise PrerequisiteError(
            f"the speech engine {facts.name} {why}, and a run has to be repeatable",
            expected="an engine that speaks offline, and always alike: espeak-ng",
            todo=_OTHER_VOICE,
        )
    engine.version()  # PrerequisiteError where it is not installed
    return engine


def _by_voice(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries of each voice and settings that speak training clips, in the recipe's order and that of the words."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.split in ("any", "train"):
            groups.setdefault(_settings(entry), []).append(entry)
    for group in groups.values():
        yield sorted(group, key=lambda entry: entry.label)


def _settings(entry: Entry) -> str:
    """The voice of an entry with its settings."""
    known = entry.attributes
    stated = [("rate_wpm", "{} words per minute"), ("pitch", "pitch {}")]
    return ", ".join(
        [f"voice {known['speaker']}", *(text.format(known[key]) for key, text in stated if known.get(key))]
    )
