"""The distinct clips of a data set: read or spoken once each, checked, and stored as files for the workers."""

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

from xmbench.builder.readers import Reader
from xmbench.errors import OutputError
from xmbench.execution.progress import Progress
from xmbench.formats.dataset import samples_digest
from xmbench.formats.recipe import AudioSpec, Recipe
from xmbench.interfaces import Attribute, AudioFormat, Entry, Raw, RawClip, Rejected, Source, Spoken, Task
from xmbench.media import audio
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder, writing

_VERSION = "1"  # of the cache's format and of the processing of clips below
_TOLD_EVERY = 500


@dataclass(frozen=True, slots=True)
class Take:
    """One clip of the recipe's format, by reference.

    Attributes:
        key, split, label, group: of its entry.
        file: name of its file in the directory of the build's clips: padded and encoded, as in the rows.
        digest: of its padded samples.
        duration_s: without the padding.
        attributes: columns of every row with this take.
    """

    key: str
    split: str
    label: int
    group: str
    file: str
    digest: bytes
    duration_s: float
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A clip of an earlier build: its file as in its rows, its samples before the padding, its columns."""

    path: Path
    samples: int
    attributes: Mapping[str, Attribute]


Earlier = Mapping[str, StoredClip | Rejected]


@dataclass(frozen=True, slots=True)
class Store:
    """The directory of a build's clips, each in the recipe's format and in its own file; created with the first."""

    folder: Path
    spec: AudioSpec

    def keep(self, entry: Entry, raw: RawClip) -> Take:
        """Writes a clip of the recipe's rate and durations, padded and encoded.

        Raises:
            OutputError: the directory cannot be written.
        """
        stored = stored_clip(raw, self.spec)
        name = f"{stored.digest.hex()}.{self.spec.encoding}"
        if not self.folder.is_dir():
            make_folder(self.folder)
        with writing(self.folder):
            (self.folder / name).write_bytes(stored.data)
        attributes = {**entry.attributes, **raw.attributes}
        return Take(
            entry.key, entry.split, entry.label, entry.group, name, stored.digest, stored.duration_s, attributes
        )


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A clip as in a row: bytes of the file, digest of its padded samples, seconds before the padding."""

    data: bytes
    digest: bytes
    duration_s: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every entry of the clip source: a take, or its rejection. Keys in the source's order."""

    takes: dict[str, Take]
    rejected: dict[str, Rejected]
    entries: dict[str, Entry]


def prepare(
    reader: Reader,
    recipe: Recipe,
    store: Store,
    progress: Progress,
    earlier: Earlier | None = None,
    offline: bool = False,
) -> Prepared:
    """Reads every clip of a source once, and stores it in the directory of the build; one at a time is in memory.

    A source without files generates its clips, so they are kept in the cache; one with files is read again.
    The outcomes of an earlier build of the same directory (`earlier`) are reused.
    """
    source, task = reader.source, recipe.task
    entries = source.entries(reader.files, reader.options, task)
    known = earlier or {}
    due = [entry for entry in entries if entry.key not in known]
    if recipe.sources[recipe.pairing.clips].files:
        clips = source.read(reader.files, reader.options, task, due)
    else:
        clips = _through_cache(reader, task, due, progress, offline)
    return _chosen(source, entries, store, task, (_known(known, e, clips) for e in entries))


def _known(known: Earlier, entry: Entry, clips: Iterator[Raw | Rejected]) -> Raw | Rejected:
    """The clip of an earlier build for an entry, otherwise the next one of the source."""
    found = known.get(entry.key)
    if not isinstance(found, StoredClip):
        return next(clips) if found is None else found
    samples, rate = audio.decode_mono_int16(found.path.read_bytes())
    return RawClip(samples[: found.samples], rate, found.attributes)


def cached(source: Source, options: Any, entries: Sequence[Entry], task: Task) -> int:
    """How many of a source's clips are in the cache."""
    folder, versions = make_folder(cache_folder() / "takes"), source.versions(options)
    return sum(_cache_path(folder, source.name, versions, entry, task.audio).is_file() for entry in entries)


def _chosen(
    source: Source, entries: Sequence[Entry], store: Store, task: Task, clips: Iterable[Raw | Rejected]
) -> Prepared:
    """Clips of the recipe's format, each once; one value per entry."""
    prepared = Prepared({}, {}, {entry.key: entry for entry in entries})
    seen: dict[tuple[str, int, str, bytes], str] = {}
    for entry, raw in zip(entries, clips, strict=True):
        if isinstance(raw, RawClip):
            raw = conformed(raw, task.audio)
        if isinstance(raw, Rejected):
            prepared.rejected[entry.key] = raw
            continue
        if not isinstance(raw, RawClip):
            raise TypeError(f"the source '{source.name}' gave no clip for '{entry.key}'")
        same = (entry.split, entry.label, entry.group, hashlib.sha256(raw.samples.tobytes()).digest())
        if same in seen:
            detail = f"the same samples as {seen[same]}"
            prepared.rejected[entry.key] = Rejected("pair", "duplicate", detail, filtered=True)
            continue
        seen[same] = entry.key
        prepared.takes[entry.key] = store.keep(entry, raw)
    return prepared


def conformed(raw: RawClip, wanted: AudioFormat) -> RawClip | Rejected:
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


def stored_clip(raw: RawClip, spec: AudioSpec) -> EncodedClip:
    """A clip of the recipe's rate and durations, encoded as in a row."""
    rate = spec.sample_rate_hz
    padded: NDArray[np.int16] = np.asarray(audio.fit_length(raw.samples, spec.samples), dtype=np.int16)
    encode = audio.encode_wav if spec.encoding == "wav" else audio.encode_flac
    return EncodedClip(encode(padded, rate), samples_digest(padded, rate), round(len(raw.samples) / rate, 6))


# ------------------------------------------------------------------------------------------------ cache
def _through_cache(
    reader: Reader, task: Task, entries: Sequence[Entry], progress: Progress, offline: bool
) -> Iterator[RawClip | Rejected]:
    """Each entry's clip from the cache; missing ones are made, in order, and cached."""
    source, options = reader.source, reader.options
    folder = make_folder(cache_folder() / "takes")
    versions = source.versions(options)
    paths = [_cache_path(folder, source.name, versions, entry, task.audio) for entry in entries]
    missing = [i for i, path in enumerate(paths) if _read(path) is None]
    absent = set(missing)
    if missing:
        progress(f"{source.name}: making {len(missing)} of {len(entries)} clips")
    clips = source.read(reader.files, options, task, [entries[i] for i in missing])
    if offline and isinstance(source, Spoken) and source.engine(options).facts.online:
        detail = f"not in the cache, and --offline forbids calling {source.engine(options).facts.name}"
        clips = iter([Rejected("speech", "offline", detail, temporary=True)] * len(missing))
    done = 0
    for i, (entry, path) in enumerate(zip(entries, paths, strict=True)):
        if i not in absent:
            value = _read(path)
            if value is None:
                raise OutputError("a clip was removed from the cache", where=path, todo="run the same command again")
            yield value
            continue
        made = next(clips)
        if not isinstance(made, RawClip | Rejected):
            raise TypeError(f"the source '{source.name}' gave no clip for '{entry.key}'")
        _write(path, made)
        done += 1
        if done % _TOLD_EVERY == 0:
            progress(f"{source.name}: {done} of {len(missing)} clips made")
        yield made


def _cache_path(folder: Path, source: str, versions: Mapping[str, str], entry: Entry, wanted: AudioFormat) -> Path:
    """Path by everything that shapes the clip: engine, version, voice, rate, pitch, word, trimming, range."""
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
    """Caches a clip or a final rejection; a temporary failure is retried next time."""
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
        # Not flushed to the disk: every read checks the digest.
        temporary.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(
            f"a clip cannot be written to the cache ({error.strerror})",
            where=path.parent,
            todo="free some space, or set XMBENCH_CACHE to another directory",
        ) from error


def _read(path: Path) -> RawClip | Rejected | None:
    """The cached clip or rejection; None where it is missing or damaged."""
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
