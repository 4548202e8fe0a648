"""`xmbench plan`: what a build would do, without building and without the network.

The times and sizes below were measured on one core of a busy laptop-sized machine (2 cores); they only
distinguish a minute from an hour, and 30 MB from 3 GB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmbench import registry
from xmbench.builder import documents, split, takes
from xmbench.builder.build import check
from xmbench.builder.plan import Request
from xmbench.builder.speech_override import override_speech
from xmbench.builder.upstream import link_programs, links
from xmbench.builder.upstream.fetch import Mirror, VerifiedFiles, in_cache, obtain
from xmbench.builder.upstream.verified import located, wanted_files
from xmbench.errors import PrerequisiteError
from xmbench.execution.engine import available_workers
from xmbench.execution.progress import silent
from xmbench.formats.document import parse
from xmbench.formats.layout import SPLITS
from xmbench.formats.limit import Limit, limit_of
from xmbench.formats.recipe import FileSpec, Recipe, SourceSpec
from xmbench.interfaces import Countable, Entry, Linked, Source, Spoken
from xmbench.storage.variables import number_of

ROWS_PER_S = 4_000.0  # per process; 8,600 a CPU second for 28x28 grey images, fewer for colour and under load
CHECKED_BYTES_PER_S = 100e6  # upstream files, unpacked and hashed
START_S = 2.0
SPEECH_TRIES = 1.6  # renderings per take: some words are repeated at another rate
BYTES_PER_ROW = 150.0  # ids and attributes, compressed
PNG_SHARE = {1: 0.35, 3: 0.80}  # PNG bytes per raw byte: grey strokes, colour photographs
CLIP_SHARE = 0.25  # compressed bytes per byte of a distinct padded clip, stored once in each row group
_GROUP_ROWS = 1_000
_FETCH_S = 10.0  # of a linked recording of some minutes, and to start yt-dlp


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of one source."""

    role: str
    title: str
    licence: str
    licence_url: str
    redistributable: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a build would do.

    Attributes:
        recipe, version, recipe_digest, data_digest: of the data set.
        rows: planned rows of each split; None where they are unknown before the files are there.
        exact: the rows were counted in the files; otherwise they are those that the recipe states.
        download_bytes: uncompressed sizes of the files that are neither in the cache nor in `--source`.
        unknown_sizes: files to download whose size the recipe does not state.
        disk_bytes: of the finished set and of the downloads, estimated.
        seconds: of the build without downloads, estimated.
        takes, takes_cached: distinct clips that an engine speaks, and how many are cached; None for recordings.
        licences: of each source.
        missing_programs: what to install, one line each.
        missing_files: what `--source` lacks, or what has no address.
        notes: for the user, before starting.
    """

    recipe: str
    version: str
    recipe_digest: str
    data_digest: str
    rows: dict[str, int | None]
    exact: bool
    download_bytes: int
    unknown_sizes: tuple[str, ...]
    disk_bytes: int
    seconds: float
    takes: int | None
    takes_cached: int
    licences: tuple[Licence, ...]
    missing_programs: tuple[str, ...]
    missing_files: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Files:
    """Upstream files that are not on this machine."""

    fetched: Mapping[str, int]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.fetched or self.unknown or self.missing)


@dataclass(frozen=True, slots=True)
class _Takes:
    """Clips to speak; `number` is None where they are recordings."""

    number: int | None = None
    cached: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Links:
    """Linked recordings to fetch."""

    seconds: float = 0.0
    notes: tuple[str, ...] = ()


def estimate(
    recipe: Recipe,
    *,
    source: Path | Mirror | None = None,
    limit: Limit = None,
    speech: str | None = None,
    accept_changed: bool = False,
) -> Estimate:
    """What `build` with the same arguments would do. Uses no network; writes only an empty cache directory.

    Raises:
        UnknownNameError, DocumentError: the recipe names something unknown.
        UpstreamError: `source` is not a directory, or a file in it is not the published one.
    """
    recipe, chosen = override_speech(recipe, speech) if speech else (recipe, "")
    request = Request(recipe, limit, None, chosen)
    place = check(request, source)
    programs: list[str] = []
    files = _missing_files(recipe, place)
    here = _obtained(recipe, place, accept_changed) if files.complete else None
    entries = _entries(request, here, programs) if here else None
    linked = _links(recipe, here, programs) if here else _Links()
    rows = _rows(request, entries)
    spoken = _spoken(recipe, programs)
    fetched = sum(files.fetched.values())
    known = sum(number or 0 for number in rows.values())
    return Estimate(
        recipe=recipe.name,
        version=recipe.version,
        recipe_digest=recipe.digest,
        data_digest=recipe.data_digest,
        rows=rows,
        exact=entries is not None,
        download_bytes=fetched,
        unknown_sizes=files.unknown,
        disk_bytes=fetched + round(_stored_bytes(recipe, known, spoken.number)),
        seconds=round(_checking_s(recipe, files) + _writing_s(known) + spoken.seconds + linked.seconds, 1),
        takes=spoken.number,
        takes_cached=spoken.cached,
        licences=_licences(recipe),
        missing_programs=tuple(dict.fromkeys(programs)),
        missing_files=files.missing,
        notes=(*spoken.notes, *linked.notes, *_notes(recipe, rows), *([] if here else _forms(recipe))),
    )


def _licences(recipe: Recipe) -> tuple[Licence, ...]:
    sources = recipe.sources.items()
    return tuple(Licence(role, s.title, s.licence, s.licence_url, s.redistributable) for role, s in sources)


def _checking_s(recipe: Recipe, files: _Files) -> float:
    """Seconds to start, and to check the upstream files."""
    local = sum(spec.bytes for part in recipe.sources.values() for spec in part.files)
    return START_S + (local if files.complete else sum(files.fetched.values())) / CHECKED_BYTES_PER_S


def _missing_files(recipe: Recipe, place: Path | Mirror | None) -> _Files:
    """Upstream files that are in neither the directory nor the cache; those of an archive by the archive."""
    fetched: dict[str, int] = {}
    unknown: list[str] = []
    missing: list[str] = []
    for part in recipe.sources.values():
        for spec in wanted_files(part, place if isinstance(place, Path) else None):
            archive = next((a for a in part.archives if a.name == spec.archive), None)
            if _is_here(spec, place) or (archive and _is_here(archive, place)):
                continue
            needed = archive or spec
            if isinstance(place, Path) or (place is None and not needed.urls):
                missing.append(f"{spec.name} of {part.title}" + ("" if place else ": no address, use --source DIR"))
            elif needed.bytes:
                fetched[needed.name] = needed.bytes
            else:
                unknown.append(needed.name)
    return _Files(fetched, tuple(dict.fromkeys(unknown)), tuple(missing))


def _is_here(spec: FileSpec, place: Path | Mirror | None) -> bool:
    return located(place, spec) is not None if isinstance(place, Path) else in_cache(spec)


def _obtained(recipe: Recipe, place: Path | Mirror | None, accept_changed: bool) -> dict[str, VerifiedFiles]:
    """The files, which are all here."""
    return obtain(
        recipe, place if isinstance(place, Path) else None, offline=True, progress=silent, accept_changed=accept_changed
    )


def _entries(
    request: Request, files: Mapping[str, VerifiedFiles], programs: list[str]
) -> dict[str, list[Entry]] | None:
    """Items of each split, counted in the complete files; None where a program is missing."""
    recipe = request.recipe
    role = recipe.pairing.item_source
    source, options = _reader(recipe.sources[role])
    try:
        found = list(source.entries(files[role], options, recipe.task))
    except PrerequisiteError as error:
        programs.append(_needed(error))
        return None
    assigned = split.assign(found, recipe.splits, request.split_seed)
    split.check_limit({name: len(part) for name, part in assigned.items()}, request.limit)
    return split.chosen(assigned, request.limit, request.split_seed)


def _links(recipe: Recipe, files: Mapping[str, VerifiedFiles], programs: list[str]) -> _Links:
    """The linked recordings, what is missing to fetch them, and the time for that; nothing is fetched."""
    role = recipe.pairing.clip_source
    source, options = _reader(recipe.sources[role])
    found = source.links(files[role], options, recipe.task) if isinstance(source, Linked) else []
    if not found:
        return _Links()
    due = files[role].links.due(found)
    here, lost = len(files[role].links.fetched), len(found) - len(due) - len(files[role].links.fetched)
    programs += [f"{what}: {link_programs.EXTRA}" for what in link_programs.missing(due)]
    seconds = len(due) * (number_of(links.PAUSE_VARIABLE, links.DEFAULT_PAUSE_S) + _FETCH_S)
    note = f"{len(found):,} linked recordings: {here:,} in the cache, {lost:,} gone for good, {len(due):,} to fetch"
    return _Links(seconds, (note, *([f"fetching them takes about {seconds / 60:,.0f} minutes"] if due else [])))


def _forms(recipe: Recipe) -> list[str]:
    """Where files may come in several forms, which ones."""
    needed = [part for part in recipe.sources.values() if isinstance(registry.source(part.reader), Linked)]
    lacking = (
        [f"a list of links needs yt-dlp: {link_programs.EXTRA}"]
        if needed and not link_programs.fetcher_version()
        else []
    )
    return lacking + [
        f"the files of {part.title}: {' or '.join(', '.join(map(_form, part.files_of(name))) for name in part.layouts)}"
        for part in recipe.sources.values()
        if len(part.layouts) > 1 and not part.download_bytes
    ]


def _form(spec: FileSpec) -> str:
    return f"{spec.name}/{spec.pattern}" if spec.kind == "folder" else spec.name


def _rows(request: Request, entries: Mapping[str, list[Entry]] | None) -> dict[str, int | None]:
    """Rows of each split, counted; otherwise as the source states them."""
    if entries is not None:
        return {name: len(part) for name, part in entries.items()}
    recipe, nothing = request.recipe, dict.fromkeys(SPLITS)
    part = recipe.sources[recipe.pairing.item_source]
    source, options = _reader(part)
    if not isinstance(source, Countable):
        return {**nothing}
    counts = source.counts({spec.name: spec.bytes for spec in part.files}, options)
    if recipe.splits.method == "stratified" and counts:
        total = sum(counts.values())
        tests = -int(-recipe.splits.test_fraction * total // 1)
        counts = {"train": total - tests, "test": tests}
    split.check_limit(counts, request.limit)
    limits = {name: limit_of(request.limit, name) for name in SPLITS}
    return {name: None if name not in counts else min(counts[name], limits[name] or counts[name]) for name in SPLITS}


def _spoken(recipe: Recipe, programs: list[str]) -> _Takes:
    """The clips that an engine has to speak, and the time for that."""
    part = recipe.sources[recipe.pairing.clip_source]
    source, options = _reader(part)
    if not isinstance(source, Spoken):
        return _Takes()
    facts = source.engine(options).facts
    notes = [] if facts.repeatable else [f"{facts.name} never speaks the same way twice: every build differs"]
    notes += [f"{facts.name} is an online service: one request per take that is not cached"] if facts.online else []
    try:
        entries = source.entries(VerifiedFiles(part.title), options, recipe.task)
    except PrerequisiteError as error:
        programs.append(_needed(error))
        return _Takes(notes=tuple(notes))
    cached = takes.cached(source, options, entries, recipe.task)
    tries = 1.0 if facts.rates is None else SPEECH_TRIES
    each = facts.seconds_per_word * tries + (source.pause_s() if facts.online else 0.0)
    return _Takes(len(entries), cached, (len(entries) - cached) * each, tuple(notes))


def _stored_bytes(recipe: Recipe, rows: int, spoken: int | None) -> float:
    """Of the parquet files. Recordings and multi-take sets repeat fewer clips within a row group."""
    image, groups = recipe.image, -(-rows // _GROUP_ROWS)
    channels = 1 if image.mode == "L" else 3
    pixels = rows * image.height_px * image.width_px * channels * PNG_SHARE[channels]
    distinct = min(_GROUP_ROWS, spoken or _GROUP_ROWS, max(rows, 1))
    clips = rows if recipe.pairing.joint else groups * distinct
    return pixels + rows * BYTES_PER_ROW + clips * recipe.audio.samples * 2 * CLIP_SHARE


def _writing_s(rows: int) -> float:
    workers = available_workers() if rows >= documents.POOL_FROM_ROWS else 1
    return rows / ROWS_PER_S / workers


def _notes(recipe: Recipe, rows: Mapping[str, int | None]) -> list[str]:
    found = [f"{role} may not be redistributed" for role, part in recipe.sources.items() if not part.redistributable]
    if None in rows.values():
        found.append("the number of rows is known when the files are here")
    return found


def _reader(part: SourceSpec) -> tuple[Source, Any]:
    source = registry.source(part.reader)
    return source, parse(part.options, source.Options, part.title)


def _needed(error: PrerequisiteError) -> str:
    return f"{error.what}: {error.todo}"
