"""The distinct clips of a data set: read or spoken once each, checked, kept in a cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import OutputError
from xmbench.execution.progress import Progress
from xmbench.formats.recipe import SourceSpec
from xmbench.interfaces import AudioFormat, Entry, RawClip, RawImage, Rejected, Source, Spoken, Task, Upstream
from xmbench.media import audio
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder

_VERSION = "1"  # of the cache's files and of what is done to a clip below
_TOLD_EVERY = 500


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One clip of the recipe's format, before padding.

    Attributes:
        key, split, label, group: of its entry.
        samples: int16 (T,), at the recipe's rate, without the padding.
        attributes: columns of every row that gets it.
    """

    key: str
    split: str
    label: int
    group: str
    samples: NDArray[np.int16]
    attributes: Mapping[str, str]


Earlier = Mapping[str, RawClip | Rejected]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every entry of the clip source: a take, or why it is none. Keys in the source's order."""

    takes: dict[str, Take]
    rejected: dict[str, Rejected]
    entries: dict[str, Entry]


def prepare(
    source: Source,
    spec: SourceSpec,
    upstream: Upstream,
    options: Any,
    task: Task,
    progress: Progress,
    earlier: Earlier | None = None,
    offline: bool = False,
) -> Prepared:
    """Reads every clip of a source once.

    A source without files makes its clips itself, so they are kept in the cache; one with files is read again.
    What an earlier build of the same folder decided (`earlier`) is taken as it is.
    """
    entries = source.entries(upstream, options, task)
    known = earlier or {}
    due = [entry for entry in entries if entry.key not in known]
    if spec.files:
        clips = source.read(upstream, options, task, due)
    else:
        clips = _through_cache(source, options, upstream, task, due, progress, offline)
    return _chosen(source, entries, task, ((known[e.key] if e.key in known else next(clips)) for e in entries))


def cached(source: Source, options: Any, entries: Sequence[Entry], task: Task) -> int:
    """How many of a source's clips are in the cache."""
    folder, versions = make_folder(cache_folder() / "takes"), source.versions(options)
    return sum(_cache_path(folder, source.name, versions, entry, task.audio).is_file() for entry in entries)


def _chosen(
    source: Source, entries: Sequence[Entry], task: Task, clips: Iterable[RawImage | RawClip | Rejected]
) -> Prepared:
    """Clips of the recipe's format, each once; one value per entry."""
    prepared = Prepared({}, {}, {entry.key: entry for entry in entries})
    heard: dict[tuple[str, int, str, bytes], str] = {}
    for entry, raw in zip(entries, clips, strict=True):
        if isinstance(raw, RawClip):
            raw = _conformed(raw, task.audio)
        if isinstance(raw, Rejected):
            prepared.rejected[entry.key] = raw
            continue
        if not isinstance(raw, RawClip):
            raise TypeError(f"the source '{source.name}' gave no clip for '{entry.key}'")
        same = (entry.split, entry.label, entry.group, hashlib.sha256(raw.samples.tobytes()).digest())
        if same in heard:
            detail = f"the same samples as {heard[same]}"
            prepared.rejected[entry.key] = Rejected("pair", "duplicate", detail, filtered=True)
            continue
        heard[same] = entry.key
        prepared.takes[entry.key] = Take(
            entry.key, entry.split, entry.label, entry.group, raw.samples, {**entry.attributes, **raw.attributes}
        )
    return prepared


def _conformed(raw: RawClip, wanted: AudioFormat) -> RawClip | Rejected:
    """A clip at the recipe's rate and within its durations, or why not."""
    samples = raw.samples
    if raw.sample_rate_hz != wanted.sample_rate_hz:
        resampled = audio.resample(audio.to_float(samples), raw.sample_rate_hz, wanted.sample_rate_hz)
        samples = audio.to_int16(resampled)
    if not samples.any():
        return Rejected("trim", "silent", "no sample differs from zero")
    duration_s = len(samples) / wanted.sample_rate_hz
    if not wanted.min_duration_s <= duration_s <= wanted.max_duration_s:
        reason = "too-short" if duration_s < wanted.min_duration_s else "too-long"
        detail = f"{duration_s:.3f} s, wanted {wanted.min_duration_s} to {wanted.max_duration_s} s"
        return Rejected("trim", reason, detail, filtered=True)
    return RawClip(samples[: wanted.samples], wanted.sample_rate_hz, raw.attributes)


# ------------------------------------------------------------------------------------------------ cache
def _through_cache(
    source: Source,
    options: Any,
    upstream: Upstream,
    task: Task,
    entries: Sequence[Entry],
    progress: Progress,
    offline: bool,
) -> Iterator[RawClip | Rejected]:
    """Each entry's clip from the cache; those that are not there are made, in order, and kept."""
    folder = make_folder(cache_folder() / "takes")
    versions = source.versions(options)
    paths = [_cache_path(folder, source.name, versions, entry, task.audio) for entry in entries]
    known = [_read(path) for path in paths]
    missing = [i for i, value in enumerate(known) if value is None]
    if missing:
        progress(f"{source.name}: making {len(missing)} of {len(entries)} clips")
    clips = source.read(upstream, options, task, [entries[i] for i in missing])
    if offline and isinstance(source, Spoken) and source.engine(options).facts.online:
        detail = f"not in the cache, and --offline forbids to ask {source.engine(options).facts.name} for it"
        clips = iter([Rejected("speech", "offline", detail, temporary=True)] * len(missing))
    done = 0
    for entry, path, value in zip(entries, paths, known, strict=True):
        if value is not None:
            yield value
            continue
        made = next(clips)
        if isinstance(made, RawImage):
            raise TypeError(f"the source '{source.name}' gave an image for '{entry.key}'")
        _write(path, made)
        done += 1
        if done % _TOLD_EVERY == 0:
            progress(f"{source.name}: {done} of {len(missing)} clips made")
        yield made


def _cache_path(folder: Path, source: str, versions: Mapping[str, str], entry: Entry, wanted: AudioFormat) -> Path:
    """Named by everything that shapes the clip: engine, version, voice, rate, pitch, word, trimming, range."""
    shaped_by = [
        _VERSION,
        source,
        sorted(versions.items()),
        list(entry.locator),
        wanted.sample_rate_hz,
        wanted.min_duration_s,
        wanted.max_duration_s,
    ]
    name = hashlib.sha256(json.dumps(shaped_by, ensure_ascii=False).encode()).hexdigest()
    return folder / name[:2] / f"{name}.take"


def _write(path: Path, value: RawClip | Rejected) -> None:
    """Keeps a clip, or a decision against one; a failure is tried again next time."""
    if isinstance(value, RawClip):
        payload = np.ascontiguousarray(value.samples, dtype="<i2").tobytes()
        header: dict[str, Any] = {"rate": value.sample_rate_hz, "attributes": dict(value.attributes)}
    elif value.filtered:
        payload, header = b"", {"rejected": [value.stage, value.reason, value.detail]}
    else:
        return
    text = json.dumps(header).encode() + b"\n" + payload
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(exist_ok=True)
        # Not flushed to the disk one by one: every read checks the digest.
        temporary.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"a clip cannot be kept in the cache ({error.strerror})",
            where=path.parent,
            todo="free some space, or set XMBENCH_CACHE to another folder",
        ) from error


def _read(path: Path) -> RawClip | Rejected | None:
    """What the cache holds, or None where it is missing or damaged."""
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return None
    line, _, payload = text.partition(b"\n")
    header = json.loads(line)
    if "rejected" in header:
        stage, reason, detail = header["rejected"]
        return Rejected(stage, reason, detail, filtered=True)
    return RawClip(np.frombuffer(payload, dtype="<i2"), header["rate"], header["attributes"])
