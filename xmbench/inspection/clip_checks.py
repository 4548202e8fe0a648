"""Checks of `validate` on takes and clips.

Rows that share a take must agree on its class, group, duration and samples. Where they do not, the rows in
the minority are named: one flipped label among forty rows is that row's fault.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from xmbench.formats.dataset import Dataset, samples_digest
from xmbench.formats.recipe import Recipe
from xmbench.inspection.findings import Findings, Votes
from xmbench.media import audio

# Real recordings and engines touch full scale for up to 3 samples in a row; a clip cut off there stays longer.
CLIPPED_SAMPLES = 8
# Spoken clips are trimmed to frames of 10 ms, so their sound lasts until the end of their duration.
_SLACK_S = 0.05
# A duration is stored in seconds with six digits.
_TOLERANCE_S = 1e-6
_RECENT_BYTES = 1 << 26
_SIDES = ("label", "group", "duration", "clip")


@dataclass(frozen=True, slots=True)
class Clip:
    """One distinct clip: digest of its samples, and the seconds until its last sample that is not zero."""

    digest: bytes
    sound_s: float


@dataclass(slots=True)
class ClipChecks:
    """The takes, groups and waveforms of the rows read so far."""

    dataset: Dataset
    found: Findings
    clips: dict[bytes, Clip] = field(default_factory=dict)
    recent: dict[str, tuple[bytes, Clip]] = field(default_factory=dict)
    recent_bytes: int = 0
    own: Counter[tuple[str, int]] = field(default_factory=Counter)
    takes: dict[tuple[str, str], tuple[Votes, ...]] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    waveforms: dict[bytes, dict[tuple[str, int], str]] = field(default_factory=lambda: defaultdict(dict))

    def check(self, split: str, item: str, label: int, row: dict[str, Any]) -> bytes:
        """Checks the clip, take and group of a row; returns the digest of the clip's samples.

        Raises:
            MediaError: the clip cannot be decoded.
        """
        data, take, group = row["audio"]["bytes"] or b"", str(row["take"]), str(row["group"])
        clip = self._clip(take, item, data)
        if self.dataset.recipe.pairing.joint:
            self._check_own(split, item, label, take)
        else:
            self._compare(split, take, item, (label, group, str(row["duration_s"]), clip.digest))
        self._check_duration(item, row["duration_s"], clip)
        if self.dataset.recipe.regime == "multi-take":
            self.groups[group].setdefault(split, item)
        elif group != item:
            self.found.add("group", f"'{item}': the group '{group}', but in a single-take set it is the id")
        self.waveforms[clip.digest].setdefault((split, label), item)
        return clip.digest

    def _check_own(self, split: str, item: str, label: int, take: str) -> None:
        """In a joint set, each item is its own take."""
        self.own[split, label] += 1
        if take != item:
            self.found.add("clip", f"'{item}': the take '{take}', but each item of this set is its own take")

    def _compare(self, split: str, take: str, item: str, said: tuple[Any, ...]) -> None:
        """Notes a row's values for its take; durations as text, since NaN never equals itself."""
        if (split, take) not in self.takes:
            self.takes[split, take] = tuple(Votes() for _ in _SIDES)
        for votes, value in zip(self.takes[split, take], said, strict=True):
            votes.cast(value, item)

    def _clip(self, take: str, item: str, data: bytes) -> Clip:
        """The clip in some bytes: equal ones are decoded once, and mostly not even hashed."""
        before = self.recent.get(take)
        if before and before[0] == data:
            return before[1]
        key = sha256(data).digest()
        clip = self.clips.get(key) or self._decoded(key, item, data)
        if self.dataset.recipe.pairing.joint:
            return clip  # not shared with another row
        if self.recent_bytes > _RECENT_BYTES:
            self.recent.clear()
            self.recent_bytes = 0
        self.recent[take] = (data, clip)
        self.recent_bytes += len(data)
        return clip

    def _decoded(self, key: bytes, item: str, data: bytes) -> Clip:
        wanted = self.dataset.recipe.audio
        samples, rate = audio.decode_mono_int16(data)
        if rate != wanted.sample_rate_hz:
            self.found.add("rate", f"'{item}': {rate} Hz, expected {wanted.sample_rate_hz}")
        if len(samples) != wanted.samples:
            self.found.add("length", f"'{item}': {len(samples)} samples, expected {wanted.samples}")
        loud = np.flatnonzero(samples)
        if len(loud) == 0:
            self.found.add("silent", f"'{item}': a silent clip")
        run = audio.longest_full_scale_run(samples)
        if run >= CLIPPED_SAMPLES:
            self.found.add("clipped", f"'{item}': a clipped clip, {run} samples in a row at full scale")
        clip = Clip(samples_digest(samples, rate), (int(loud[-1]) + 1) / rate if len(loud) else 0.0)
        self.clips[key] = clip
        return clip

    def _check_duration(self, item: str, duration_s: float | None, clip: Clip) -> None:
        wanted = self.dataset.recipe.audio
        low, high = wanted.min_duration_s, wanted.max_duration_s
        if duration_s is None or not low - _TOLERANCE_S <= duration_s <= high + _TOLERANCE_S:
            self.found.add("duration", f"'{item}': duration {duration_s} s, the recipe wants {low} to {high} s")
            return
        slack_s = duration_s - clip.sound_s
        if slack_s < -_TOLERANCE_S or (slack_s > _SLACK_S and self.dataset.recipe.classes.words and clip.sound_s):
            self.found.add("duration", f"'{item}': sound until {clip.sound_s:.6f} s, but a duration of {duration_s} s")

    def counts(self, split: str) -> Counter[int]:
        """Distinct takes of each label."""
        own = Counter({label: number for (name, label), number in self.own.items() if name == split})
        return own + Counter(votes[0].outvoted()[0] for (name, _), votes in self.takes.items() if name == split)

    def conclude(self) -> Iterator[str]:
        """Compares the rows of each take, of each group and of each waveform; yields notes."""
        names = self.dataset.recipe.classes.names
        for (_, take), (labels, groups, durations, clips) in self.takes.items():
            label, others = labels.outvoted()
            for value, ids in others:
                said = f"class '{names[value]}', but the take '{take}' is of '{names[label]}' in other rows"
                self.found.add("label", f"{ids}: {said}: a flipped label, or the take belongs to two classes")
            for value, ids in groups.outvoted()[1] if self.dataset.recipe.regime == "multi-take" else []:
                self.found.add("group", f"{ids}: the group '{value}' differs from other rows of the take '{take}'")
            for value, ids in durations.outvoted()[1]:
                self.found.add("duration", f"{ids}: duration {value} s differs from other rows of the take '{take}'")
            for _, ids in clips.outvoted()[1]:
                self.found.add("clip", f"{ids}: the clip differs from other clips of the take '{take}': swapped")
        for group, splits in self.groups.items():
            if len(splits) > 1:
                where = " and ".join(f"{split} ('{item}')" for split, item in splits.items())
                self.found.add("leak", f"the group '{group}' is in several splits: {where}")
        yield from self._leaks(self.dataset.recipe)

    def _leaks(self, recipe: Recipe) -> Iterator[str]:
        shared = []
        for places in self.waveforms.values():
            if len({label for _, label in places}) > 1:
                where = ", ".join(f"'{recipe.classes.names[label]}' ('{item}')" for (_, label), item in places.items())
                self.found.add("clip", f"one waveform is in several classes: {where}: swapped clips")
            if len({split for split, _ in places}) > 1:
                shared.append(" and ".join(f"{split} ('{item}')" for (split, _), item in places.items()))
        if shared and recipe.regime == "single-take":
            yield f"single-take: {len(shared)} waveform(s) are shared by the splits, as the recipe says"
        elif shared:
            for where in shared:
                self.found.add("leak", f"one waveform is in several splits: {where}")
