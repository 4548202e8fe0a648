"""Recorded words: one wav or flac file per take, named `<class>_<speaker>_<take>` as in the Free Spoken Digit Dataset.

A take is resampled to the recipe's rate, and trimmed of silence as spoken words are (`speech`). Takes outside the
recipe's range of durations are left out by the builder, and listed in the ledger. Speakers are divided between the
splits.

Source of the layout: Z. Jackson et al., Free Spoken Digit Dataset.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import Entry, Modality, Raw, RawClip, Rejected, Task, Upstream
from xmbench.media import audio
from xmbench.printable import hyphenated

ENDINGS = (".wav", ".flac")
ENGINE = "recorded"
RATES_HZ = (2_000, 384_000)  # others are damaged headers; resampling from them would fill the memory


class RecordingsOptions(BaseModel):
    """Which speakers each split has.

    Attributes:
        train_speakers, test_speakers: speakers of each split, with none in common.
        left_out_speakers: speakers whose recordings are not used.
        trim_threshold_db: leading and trailing 10 ms frames this far below the loudest one are cut.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_speakers: tuple[str, ...] = Field(min_length=1)
    test_speakers: tuple[str, ...] = Field(min_length=1)
    left_out_speakers: tuple[str, ...] = ()
    trim_threshold_db: float = Field(default=-40.0, lt=0)

    @model_validator(mode="after")
    def _apart(self) -> RecordingsOptions:
        named = [*self.train_speakers, *self.test_speakers, *self.left_out_speakers]
        repeated = sorted({name for name in named if named.count(name) > 1})
        if repeated:
            raise ValueError(f"speakers named twice: {', '.join(repeated)}")
        return self

    @property
    def splits(self) -> dict[str, str]:
        """The split of each speaker; empty for those left out."""
        return {
            **dict.fromkeys(self.train_speakers, "train"),
            **dict.fromkeys(self.test_speakers, "test"),
            **dict.fromkeys(self.left_out_speakers, ""),
        }


class Recordings:
    """Words recorded by people, one file per take; keys like `zero-george-7`, grouped by speaker."""

    name = "recordings"
    yields: frozenset[Modality] = frozenset({"audio"})
    Options = RecordingsOptions

    def versions(self, options: RecordingsOptions) -> dict[str, str]:
        """Only the files shape the content; the resampler is listed with the tools."""
        return {}

    def entries(self, upstream: Upstream, options: RecordingsOptions, task: Task) -> list[Entry]:
        """One entry per recording, sorted by class, speaker and take; nothing is decoded yet.

        Raises:
            UpstreamError: names of another form, speakers that the recipe does not name or that are missing,
                classes without a recording.
        """
        labels = {hyphenated(name): k for k, name in enumerate(task.class_names)}
        found, problems = [], []
        for name in upstream.names():
            if not name.lower().endswith(ENDINGS):
                continue
            entry = _entry(name, labels, options, task)
            if isinstance(entry, str):
                problems.append(f"{name}: {entry}")
            elif entry.split:
                found.append(entry)
        problems += _absent(found, options, task)
        keys = {entry.key for entry in found}
        if len(keys) < len(found):
            problems.append(f"{len(found) - len(keys)} recording(s) of one class, speaker and take")
        if problems:
            raise UpstreamError(
                "the recordings are not those that the recipe describes",
                problems=problems,
                expected="files named <class>_<speaker>_<take>.wav, by the speakers that the recipe names",
            )
        return sorted(found, key=lambda entry: (entry.label, entry.group, int(entry.locator[1])))

    def read(
        self, upstream: Upstream, options: RecordingsOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Trimmed samples int16 (T,) per entry, at the recipe's rate; several channels are averaged."""
        for entry in entries:
            yield read_take(upstream.read(entry.locator[0]), task.audio.sample_rate_hz, options.trim_threshold_db)


def read_take(data: bytes, sample_rate_hz: int, trim_threshold_db: float = -40.0) -> RawClip | Rejected:
    """Decodes, mixes down, resamples and trims one recording.

    Args:
        data: a wav or flac file, any rate and number of channels.
        sample_rate_hz: of the result.
        trim_threshold_db: frames this far below the loudest one are cut at both ends.
    """
    try:
        samples, rate = audio.decode(data)
    except MediaError as error:
        return Rejected("read", "corrupt-audio", error.what)
    if not np.isfinite(samples).all():
        return Rejected("read", "non-finite", "samples that are not finite numbers")
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        return Rejected("read", "odd-rate", f"{rate} Hz, expected {RATES_HZ[0]} to {RATES_HZ[1]} Hz")
    # Float files may hold any number; values outside -1..1 are clipped, as in a 16-bit file.
    mono = np.clip(samples.mean(axis=1, dtype=np.float64), -1.0, 1.0).astype(np.float32)
    trimmed = audio.trim_silence(
        audio.to_int16(audio.resample(mono, rate, sample_rate_hz)), sample_rate_hz, trim_threshold_db
    )
    if len(trimmed) == 0:
        return Rejected("trim", "silent", "no sample differs from zero")
    return RawClip(trimmed, sample_rate_hz)


def _entry(name: str, labels: dict[str, int], options: RecordingsOptions, task: Task) -> Entry | str:
    """The entry of a file, or what is wrong with its name. `split` is empty for a speaker that is left out."""
    parts = name.rpartition("/")[2].rpartition(".")[0].rsplit("_", 2)
    if len(parts) != 3 or not parts[2].isdecimal() or not parts[2].isascii():
        return "not <class>_<speaker>_<take>"
    word, speaker, take = parts
    if hyphenated(word) not in labels:
        return f"'{word}' is not a class of the recipe"
    if speaker not in options.splits:
        return f"the recipe does not name the speaker '{speaker}'"
    label = labels[hyphenated(word)]
    text = task.words[label] if task.words else task.class_names[label]
    return Entry(
        key="-".join([hyphenated(text), hyphenated(speaker), str(int(take))]),
        split=options.splits[speaker],
        label=label,
        group=hyphenated(speaker),
        locator=(name, take),
        attributes={"text": text, "speaker": speaker, "engine": ENGINE},
    )


def _absent(entries: Sequence[Entry], options: RecordingsOptions, task: Task) -> list[str]:
    """Speakers without any recording, and classes without one in a split."""
    there = {(entry.split, entry.attributes["speaker"]) for entry in entries}
    problems = [
        f"no recording by '{speaker}'"
        for speaker, split in options.splits.items()
        if split and (split, speaker) not in there
    ]
    recorded = {(entry.split, entry.label) for entry in entries}
    return problems + [
        f"no recording of '{name}' for the split {split}"
        for split in ("train", "test")
        for k, name in enumerate(task.class_names)
        if (split, k) not in recorded
    ]


SOURCE = Recordings()
