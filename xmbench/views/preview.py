"""One self-contained page of about a megabyte that shows what is in a data set: it opens from a file, offline.

Each distinct take is shown once, with waveform, mel spectrogram and player, and with some of its images. Their size
decides how many fit, so the page of 70,000 rows is as small as that of 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from xmbench import html
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import pick_rows, read_clip, read_image
from xmbench.formats.tables import read_schema
from xmbench.html import data_uri, escape
from xmbench.media import audio, image
from xmbench.storage.files import write_text
from xmbench.views import dataset_summary
from xmbench.views.figures import mel_spectrogram_png

_BUDGET = 850_000  # characters of clips and images; the rest of the page is small
_MOST_CLIPS = 120
_IMAGES = 120
_IMAGES_PER_SPLIT = 3
_LONGEST_SIDE_PX = 160


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a page shows: how many distinct clips, and how many images."""

    clips: int
    images: int


@dataclass(frozen=True, slots=True)
class _Clip:
    """A take, its label, and the first few of its items as (split, id)."""

    take: str
    label: int
    items: tuple[tuple[str, str], ...]


def write_preview(dataset: Dataset, out: Path, *, clips: int | None = None) -> Previewed:
    """Writes the page.

    Args:
        dataset: what to show.
        out: the HTML file.
        clips: number of distinct clips; None for as many as fit into about a megabyte.

    Returns:
        What the page shows.

    Raises:
        DatasetError: a shard or an item cannot be read.
        OutputError: the file cannot be written, or is not a page.
    """
    html.place(out)
    scalars = {split: dataset.table(split, ["label", "take", "duration_s"]) for split in dataset.manifest.splits}
    chosen = _choose(scalars, clips or _MOST_CLIPS)
    shown: list[tuple[_Clip, str]] = []
    size = 0
    for clip, rows in zip(chosen, _media(dataset, chosen), strict=True):
        article = _article(dataset, clip, rows)
        if clips is None and shown and size + len(article) > _BUDGET:
            break
        size += len(article)
        shown.append((clip, article))
    splits = list(dataset.manifest.splits)
    shown.sort(key=lambda pair: (pair[0].label, splits.index(pair[0].items[0][0]), pair[0].items))
    durations = {split: np.asarray(table.column("duration_s").to_pylist()) for split, table in scalars.items()}
    body = [
        dataset_summary.head(dataset),
        dataset_summary.classes(dataset),
        dataset_summary.durations(durations),
        dataset_summary.left_out(dataset),
        _clips(dataset, [article for _, article in shown], [clip for clip, _ in shown], _takes(scalars)),
    ]
    title = f"{dataset.recipe.name}: preview"
    write_text(out, html.document(title, "".join(body), style=_STYLE, script=_SCRIPT))
    return Previewed(len(shown), sum(len(clip.items) for clip, _ in shown))


# --------------------------------------------------------------------------------------------- choosing
def _choose(scalars: dict[str, Any], most: int) -> list[_Clip]:
    """Takes of each class and split in turn, in the order of their first items."""
    few = max(_IMAGES_PER_SPLIT, _IMAGES // max(_takes(scalars) * len(scalars), 1))
    items: dict[tuple[int, str], dict[str, list[str]]] = {}
    queues: dict[tuple[int, str], list[tuple[int, str]]] = {}
    for split, table in scalars.items():
        columns = [table.column(name).to_pylist() for name in ("id", "label", "take")]
        for item, label, take in zip(*columns, strict=True):
            splits = items.setdefault((label, take), {})
            if split not in splits:
                queues.setdefault((label, split), []).append((label, take))
            known = splits.setdefault(split, [])
            if len(known) < few:
                known.append(item)
    turns = zip_longest(*(queues[place] for place in sorted(queues)))
    order = dict.fromkeys(place for turn in turns for place in turn if place is not None)
    return [
        _Clip(take, label, tuple((split, item) for split, known in items[label, take].items() for item in known))
        for label, take in list(order)[:most]
    ]


def _takes(scalars: dict[str, Any]) -> int:
    return len({take for table in scalars.values() for take in table.column("take").to_pylist()})


def _media(dataset: Dataset, chosen: Sequence[_Clip]) -> list[list[dict[str, Any]]]:
    """The rows of each clip; only the first one of each has its sound."""
    text = ["text"] if _has(dataset, "text") else []
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for split in dataset.manifest.splits:
        ids = [item for clip in chosen for name, item in clip.items if name == split]
        heads = [clip.items[0][1] for clip in chosen if clip.items[0][0] == split]
        for item, row in pick_rows(dataset, split, ids, ["image", "duration_s", *text]).items():
            found[split, item] = row
        for item, row in pick_rows(dataset, split, heads, ["audio"]).items():
            found[split, item] = {**found[split, item], **row}
    return [[found[place] for place in clip.items] for clip in chosen]


def _has(dataset: Dataset, column: str) -> bool:
    paths = [path for split in dataset.manifest.splits for path in dataset.shards(split)]
    return bool(paths) and column in read_schema(paths[0]).names


# ------------------------------------------------------------------------------------------------ items
def _article(dataset: Dataset, clip: _Clip, rows: Sequence[dict[str, Any]]) -> str:
    name, samples = dataset.recipe.classes.names[clip.label], read_clip(rows[0], dataset)
    rate, head = dataset.recipe.audio.sample_rate_hz, rows[0]
    what = f"class {name}, take {clip.take}"
    picture = mel_spectrogram_png(audio.to_float(samples), rate)
    said = f" “{escape(head['text'])}”" if head.get("text") else ""
    figures = "".join(
        f'<li data-split="{escape(split)}">{_picture(dataset, row, name)}<span>{escape(item)}</span></li>'
        for (split, item), row in zip(clip.items, rows, strict=True)
    )
    return (
        f"<article data-class={clip.label}><h3>{escape(name)}{said}</h3>"
        f"<p class=sub>{head['duration_s']:.3f} s · {escape(clip.take)}</p>"
        f"{html.waveform(samples, f'waveform: {what}')}"
        f'<img class=spec alt="mel spectrogram: {escape(what)}" src="{data_uri("image/png", picture)}">'
        f"{html.player(samples, rate, what)}<ul>{figures}</ul></article>"
    )


def _picture(dataset: Dataset, row: dict[str, Any], name: str) -> str:
    """The image as it is stored, or a smaller copy if it is large."""
    pixels, data, kind = read_image(row, dataset), row["image"]["bytes"], "image/png"
    longest = max(pixels.shape[:2])
    if longest > _LONGEST_SIDE_PX:
        height, width = (max(1, side * _LONGEST_SIDE_PX // longest) for side in pixels.shape[:2])
        data, kind = image.encode_jpeg(image.resize(pixels, height, width)), "image/jpeg"
    alt = f"image of the class {name}, {row['id']}"
    return f'<img alt="{escape(alt)}" src="{data_uri(kind, data)}">'


def _clips(dataset: Dataset, articles: Sequence[str], shown: Sequence[_Clip], takes: int) -> str:
    names = dataset.recipe.classes.names
    labels, splits = sorted({clip.label for clip in shown}), sorted({s for clip in shown for s, _ in clip.items})
    classes = "".join(f"<option value={label}>{escape(names[label])}</option>" for label in labels)
    parts = "".join(f'<option value="{escape(split)}">{escape(split)}</option>' for split in splits)
    rows = sum(record.counts.written for record in dataset.manifest.splits.values())
    missing = f" Of {len(names):,} classes, {len(labels):,} are shown." if len(labels) < len(names) else ""
    return (
        "<h2>Items</h2>"
        f"<p>{len(shown):,} distinct clips with some of their images, of {rows:,} rows and {takes:,} distinct takes, "
        f"each class and split in turn.{missing} Sounds are exact.</p>"
        "<form hidden><label>class <select id=c><option value=''>all</option>"
        f"{classes}</select></label> <label>split <select id=s><option value=''>all</option>{parts}</select></label> "
        f"<output aria-live=polite></output></form><div class=grid>{''.join(articles)}</div>"
    )


_STYLE = """
.lead{max-width:60rem}.facts{padding-left:1.1rem}code{overflow-wrap:anywhere;font-size:.85em}
th,td{text-align:left;vertical-align:top}tbody th{font-weight:600}.n,.bar{text-align:right}
.examples{white-space:normal;min-width:22rem}.wide+.wide{margin-top:1rem}
.classes{max-height:32rem;overflow:auto}.classes table,.charts{min-width:0}
.bar{min-width:8rem;background:linear-gradient(90deg,color-mix(in srgb,var(--mark) 35%,transparent) var(--p),#0000 0)}
.charts{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0;flex:1 1 18rem;max-width:28rem}
figcaption{font-size:.85rem;opacity:.85}.chart{width:100%;fill:var(--mark)}.chart path{stroke:currentColor}
.chart text{font-size:11px;fill:currentColor}.wave{width:100%;height:40px;fill:var(--mark);stroke:var(--mark)}
form{position:sticky;top:0;z-index:1;background:var(--back);padding:.5rem 0;display:flex;gap:1rem;flex-wrap:wrap}
select{font:inherit;padding:.2rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.9rem}
article{background:var(--soft);border-radius:8px;padding:.7rem;min-width:0;content-visibility:auto}
article h3{font-size:1rem;margin:0}.sub{margin:0 0 .3rem;font-size:.78rem;opacity:.8;overflow-wrap:anywhere}
.spec{width:100%;height:72px;display:block;border-radius:4px;margin:.2rem 0 .4rem;image-rendering:auto}
article ul{list-style:none;display:grid;grid-template-columns:repeat(3,1fr);gap:.4rem;margin:.5rem 0 0;padding:0}
article li{font-size:.68rem;text-align:center;overflow-wrap:anywhere;min-width:0}
article li img{width:100%;max-width:72px;image-rendering:pixelated;border-radius:4px;display:block;margin:0 auto}
@media(max-width:40rem){body{margin:1rem auto}th,td{padding:.2rem .35rem}.bar{min-width:4rem}}
"""

_SCRIPT = """
const form=document.querySelector('form'),c=document.getElementById('c'),s=document.getElementById('s');
const all=[...document.querySelectorAll('article')],counts=document.querySelector('output');
function show(){let clips=0,images=0;for(const a of all){let n=0;for(const li of a.querySelectorAll('li')){
li.hidden=!!s.value&&li.dataset.split!==s.value;n+=!li.hidden}
a.hidden=!n||(!!c.value&&a.dataset.class!==c.value);if(!a.hidden){clips++;images+=n}}
counts.value=clips+' clips, '+images+' images'}
form.hidden=false;form.addEventListener('change',show);form.addEventListener('submit',e=>e.preventDefault());show();
document.addEventListener('play',e=>{for(const p of document.querySelectorAll('audio'))if(p!==e.target)p.pause()},true);
"""
