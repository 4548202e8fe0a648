"""What self-contained HTML pages share: escaping, data URIs, small charts as SVG, the frame of a page.

A page opens from a file, offline: media are data URIs, styles and scripts are inline. Names, details and addresses on
it come from untrusted files. Two measures protect the reader's browser: `escape` for each text, in elements and in
quoted attributes (attributes with a text are always quoted), and a content security policy that runs and applies only
what this package wrote, by its sha256. So there are no `style=` attributes and no `onclick=`: a share is a class
(`share`), and scripts register their listeners.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import OutputError
from xmbench.media import audio
from xmbench.printable import visible
from xmbench.storage.files import output_file, writing

_POLICY = "default-src 'none'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
_START = b"<!doctype html>"
_WAVE_WIDTH = 160
_WAVE_HALF = 20
_CHART_WIDTH = 360
_ALIKE = 1e-9
_CHART_HEIGHT = 120
_LETTER_WIDTH = 11
_LETTER_HEIGHT = 12

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--mark:#2f6fb5;--back:#fff}
@media(prefers-color-scheme:dark){:root{--mark:#6ea8e6;--back:#14161a}}
*{box-sizing:border-box}[hidden]{display:none!important}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:92rem;padding:0 1rem;background:var(--back)}
h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.85rem}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
audio{width:100%;height:30px}
""" + "".join(f".p{percent}{{--p:{percent}%}}" for percent in range(101))


def escape(text: object) -> str:
    """Text for an element or a quoted attribute; control and formatting characters are written as escapes."""
    return html.escape(visible(str(text)))


def share(part: float) -> str:
    """The class that sets `--p` to a share, 0..1, for backgrounds that are drawn in proportion."""
    return f"p{round(100 * min(1.0, max(0.0, part)))}"


def link(text: str, address: str) -> str:
    """A link if the address is a web address, else the text."""
    if not address.startswith(("https://", "http://")) or visible(address) != address:
        return escape(text)
    return f'<a href="{escape(address)}" rel=noreferrer>{escape(text)}</a>'


def data_uri(kind: str, content: bytes) -> str:
    """A file as the value of an attribute."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def player(samples: NDArray[np.int16], sample_rate_hz: int, label: str) -> str:
    """An audio element with the exact clip (T,) as FLAC; nothing is decoded before it is played."""
    flac = data_uri("audio/flac", audio.encode_flac(samples, sample_rate_hz))
    return f'<audio controls preload=none aria-label="{escape(label)}" src="{flac}"></audio>'


def place(path: Path) -> None:
    """Makes the directory of a page; a file that is not an HTML page is not replaced.

    Raises:
        OutputError: another file exists there, or the directory cannot be made.
    """
    output_file(path)
    with writing(path):
        if path.exists() and not _is_page(path):
            raise OutputError(
                "a file that is not an HTML page exists here",
                where=path,
                expected="an HTML file, or nothing",
                todo="choose another name with --out, or remove it",
            )


def _is_page(path: Path) -> bool:
    with path.open("rb") as handle:
        start = handle.read(len(_START))
    return start.lower() in (b"", _START)


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A complete page, under a policy that runs and applies nothing but `style` and `script`.

    Args:
        title: text.
        body: HTML; every untrusted text in it is escaped with `escape`.
        style: CSS, added to the one that all pages share; nothing untrusted.
        script: JavaScript; nothing untrusted.
    """
    style = f"{STYLE}{style}"
    policy = f"{_POLICY}; style-src {_source(style)}; script-src {_source(script)}"
    return (
        f"{_START.decode()}<html lang=en><meta charset=utf-8>"
        f'<meta http-equiv=Content-Security-Policy content="{policy}">'
        f"<meta name=viewport content='width=device-width'><meta name=referrer content=no-referrer>"
        f"<title>{escape(title)}</title><style>{style}</style>{body}"
        f"{f'<script>{script}</script>' if script else ''}</html>\n"
    )


def _source(text: str) -> str:
    """The policy entry that allows exactly this inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" if text else "'none'"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table that scrolls sideways if it is too wide; header and cells are HTML, numbers are right-aligned."""
    numbers = [bool(rows) and all(_numeric(row[i]) for row in rows) for i in range(len(header))]
    sides = [" class=n" if number else "" for number in numbers]
    head = "".join(f"<th scope=col{side}>{cell}</th>" for cell, side in zip(header, sides, strict=True))
    body = "".join(
        f"<tr><th scope=row>{row[0]}</th>"
        + "".join(_cell(cell, side) for cell, side in zip(row[1:], sides[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<div class=wide tabindex=0><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _numeric(cell: str) -> bool:
    return cell.startswith('<td class="bar') or cell.replace(",", "").isdecimal()


def _cell(content: str, side: str) -> str:
    return content if content.startswith("<td") else f"<td{side}>{content}</td>"


def waveform(samples: NDArray[np.int16], label: str) -> str:
    """The lowest and highest sample of each of 160 spans of a clip (T,), as SVG; full scale fills the height."""
    edges = np.linspace(0, len(samples), _WAVE_WIDTH + 1).astype(int)
    spans = [samples[a : max(b, a + 1)] for a, b in pairwise(edges)]
    scale = _WAVE_HALF / audio.FULL_SCALE
    high = [_WAVE_HALF - round(float(span.max(initial=0)) * scale, 1) for span in spans]
    low = [_WAVE_HALF - round(float(span.min(initial=0)) * scale, 1) for span in spans]
    points = [f"{x} {y:.3g}" for x, y in enumerate(high)] + [f"{x} {low[x]:.3g}" for x in reversed(range(len(low)))]
    return (
        f'<svg class=wave viewBox="0 0 {_WAVE_WIDTH} {2 * _WAVE_HALF}" preserveAspectRatio=none role=img '
        f'aria-label="{escape(label)}"><path d="M{"L".join(points)}Z" stroke-width=.6 /></svg>'
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on a chart's axis, with the letter that its legend explains."""

    value: float
    letter: str


def histogram(
    values: NDArray[np.float64],
    low: float,
    high: float,
    label: str,
    unit: str,
    bins: int = 24,
    marks: Sequence[Mark] = (),
) -> str:
    """Counts of values in equal spans of low..high, as SVG with both ends and the highest count as text.

    Args:
        values: (N,).
        low: left end of the axis; values outside are left out.
        high: right end.
        label: what it shows, for screen readers.
        unit: text after the ends.
        bins: number of spans.
        marks: vertical lines with a letter each; those outside the axis are left out.
    """
    wide = high - low > _ALIKE * max(1.0, abs(low), abs(high))  # values that differ only by rounding have no spans
    counts, _ = np.histogram(values, bins=bins, range=(low, high) if wide else (low - 0.5, low + 0.5))
    most, width = max(int(counts.max(initial=0)), 1), _CHART_WIDTH / bins
    drawn, rows = _marks([mark for mark in marks if low <= mark.value <= high], low, high)
    top = 14 + _LETTER_HEIGHT * rows
    bars = "".join(
        f'<rect x="{i * width + 0.5:.1f}" y="{top + _CHART_HEIGHT * (1 - count / most):.1f}" '
        f'width="{width - 1:.1f}" height="{_CHART_HEIGHT * count / most:.1f}"><title>{count:,}</title></rect>'
        for i, count in enumerate(counts)
        if count
    )
    base = top + _CHART_HEIGHT
    return (
        f'<svg class=chart viewBox="0 0 {_CHART_WIDTH} {base + 16}" role=img aria-label="{escape(label)}">{bars}'
        f'<path d="M0 {base}H{_CHART_WIDTH}"/>{drawn.replace("BASE", str(base))}'
        f"<text x=0 y=10>highest bar: {counts.max(initial=0):,}</text>"
        f"<text x=0 y={base + 13}>{low:.3g} {escape(unit)}</text>"
        f"<text x={_CHART_WIDTH} y={base + 13} text-anchor=end>{high:.3g} {escape(unit)}</text></svg>"
    )


def _marks(marks: Sequence[Mark], low: float, high: float) -> tuple[str, int]:
    """Lines down to BASE, letters above the bars in as many rows as needed so that they do not overlap."""
    ends: list[float] = []  # of the last letter in each row
    drawn = []
    for mark in sorted(marks, key=lambda mark: mark.value):
        x = _CHART_WIDTH * (mark.value - low) / (high - low) if high > low else _CHART_WIDTH / 2
        x = min(max(x, 4.0), _CHART_WIDTH - 4.0)
        row = next((i for i, end in enumerate(ends) if x - end > _LETTER_WIDTH), len(ends))
        ends[row : row + 1] = [x]
        y = 14 + _LETTER_HEIGHT * (row + 1) - 2
        drawn.append(
            f'<path class=line d="M{x:.1f} {y + 1}VBASE"/>'
            f"<text class=letter x={x:.1f} y={y} text-anchor=middle>{escape(mark.letter)}</text>"
        )
    return "".join(drawn), len(ends)
