"""Lists of linked recordings: a table, separated by commas or tabs, with a line for each recording or part of one.

Columns, by their names in the first line and in any order: `link` (an address, or the 11 signs that name a video of
YouTube), `class`, `licence` (as the publisher states it, or "unstated"), and where they are needed `start` and `end` of
the part that is used (seconds, or h:mm:ss), `name` (of the recording; from its address where there is none). Lines
that start with # and empty ones are comments.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xmbench.interfaces import Link, Upstream
from xmbench.printable import hyphenated, shown

ENDINGS = (".csv", ".tsv")
EXPECTED = "a first line with link, class, licence (start, end, name), then a line for each recording"
_NAMES = {"url": "link", "id": "link", "license": "licence", "label": "class"}
_NEEDED = ("link", "class", "licence")
_KNOWN = (*_NEEDED, "start", "end", "name")
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,4}):(\d{1,2}(?:\.\d+)?)|(\d{1,6}(?:\.\d+)?)")
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Linked:
    """One line of a list: what to fetch, its class, the name of the recording that it is of, and where it is listed."""

    link: Link
    label: int
    recording: str
    where: str


def lists(upstream: Upstream) -> list[str]:
    """Names of the files that are lists of links."""
    return [name for name in sorted(upstream.names()) if name.lower().endswith(ENDINGS)]


def read(upstream: Upstream, labels: Mapping[str, int]) -> tuple[list[Linked], list[str]]:
    """The recordings of all lists, in their order, and what is wrong with the lists, a line each.

    Args:
        upstream: of the source.
        labels: index of each class, by its lower-case name.
    """
    found: list[Linked] = []
    problems: list[str] = []
    for name in lists(upstream):
        for line in _lines(name, upstream.read(name), labels):
            (problems if isinstance(line, str) else found).append(line)  # type: ignore[arg-type]
    return found, problems + _contradictions(found)


def _lines(name: str, data: bytes, labels: Mapping[str, int]) -> Iterator[Linked | str]:
    try:
        text = data.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text), delimiter="\t" if "\t" in text.partition("\n")[0] else ","))
    except (UnicodeDecodeError, csv.Error) as error:
        yield f"{name}: not a table in UTF-8 ({error})"
        return
    numbered = [(i, row) for i, row in enumerate(rows, 1) if any(row) and not row[0].startswith("#")]
    heads = [_NAMES.get(head, head) for head in (cell.strip().lower() for cell in (numbered or [(0, [])])[0][1])]
    wrong = [f"no column '{head}'" for head in _NEEDED if head not in heads]
    wrong += [f"an unknown column '{shown(head, 40)}'" for head in heads if head not in _KNOWN]
    wrong += ["two columns of one name"] if len(set(heads)) < len(heads) else []
    if wrong:
        yield f"{name}: {', '.join(wrong)}"
        return
    for i, row in numbered[1:]:
        cells = dict(zip(heads, (cell.strip() for cell in row), strict=False))
        yield _line(cells, f"{name}, line {i}", labels)


def _line(cells: Mapping[str, str], where: str, labels: Mapping[str, int]) -> Linked | str:
    label = labels.get(cells.get("class", "").lower())
    if label is None:
        return f"{where}: '{shown(cells.get('class', ''), 40)}' is not a class of the recipe"
    if not cells.get("licence"):
        return f'{where}: no licence ("unstated" where its publisher states none)'
    url = _address(cells.get("link", ""))
    if not url:
        return f"{where}: '{shown(cells.get('link', ''), 80)}' is neither an http(s) address nor an id of YouTube"
    start_s, end_s = _seconds(cells.get("start") or "0"), _seconds(cells.get("end") or "")
    if start_s is None or (end_s is None and cells.get("end")):
        return f"{where}: start and end are seconds, or h:mm:ss"
    if end_s is not None and end_s <= start_s:
        return f"{where}: it ends at {end_s:g} s, and starts at {start_s:g} s"
    name = hyphenated(cells.get("name", "")) or _named(url)
    return Linked(Link(url, start_s, end_s, cells["licence"]), label, name, where)


def _address(text: str) -> str:
    """The address of a link; "" where it is none. One that only differs in what YouTube ignores is the same."""
    if _VIDEO_ID.fullmatch(text):
        return f"https://www.youtube.com/watch?v={text}"
    try:
        parts = urllib.parse.urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        return ""
    video = urllib.parse.parse_qs(parts.query).get("v", [""])[0] if host.endswith("youtube.com") else ""
    video = parts.path.strip("/") if host == "youtu.be" else video
    return f"https://www.youtube.com/watch?v={video}" if _VIDEO_ID.fullmatch(video) else text


def _named(url: str) -> str:
    """A name from an address: its end, for people, and six digits of its hash."""
    last = url.rpartition("v=")[2] if "v=" in url else urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    plain = hyphenated(last.rstrip("/").rpartition("/")[2].rpartition(".")[0] or last.rpartition("/")[2])
    digits = hashlib.sha256(url.encode()).hexdigest()[:6]
    return f"{plain[:_LONGEST_NAME].strip('-')}-{digits}".strip("-")


def _seconds(text: str) -> float | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, alone = found.groups()
    return float(alone) if alone else 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(seconds)


def _contradictions(found: Sequence[Linked]) -> list[str]:
    """What cannot be, line by line: a recording of two classes or names, a name of two, parts that overlap."""
    by_url: dict[str, list[Linked]] = {}
    by_name: dict[tuple[int, str], Linked] = {}
    problems = []
    for one in found:
        first = by_url.setdefault(one.link.url, [one])[0]
        if first.label != one.label:
            problems.append(f"{one.where}: the recording of {first.where}, in another class")
        elif first.recording != one.recording:
            problems.append(f"{one.where}: the recording of {first.where}, under another name")
        named = by_name.setdefault((one.label, one.recording), one)
        if named.link.url != one.link.url:
            problems.append(f"{one.where}: the name of {named.where}, which is another recording")
        if first is not one:
            by_url[one.link.url].append(one)
    for parts in by_url.values():
        ordered = sorted(parts, key=lambda part: part.link.start_s)
        for before, after in itertools.pairwise(ordered):
            if before.link.end_s is None or after.link.start_s < before.link.end_s:
                problems.append(f"{after.where}: overlaps the part of {before.where}")
    return problems
