"""Best, median and worst items with condition, reference and output, to see and to play."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench.evaluator.check import OpenedSubmission
from xmbench.evaluator.decode import decode_output
from xmbench.evaluator.verdicts import Verdicts
from xmbench.formats.dataset import Dataset
from xmbench.formats.item_scores import mean_column
from xmbench.formats.items import pick_rows, read_clip, read_image
from xmbench.formats.result import Result
from xmbench.html import data_uri, escape, player, waveform
from xmbench.interfaces import SIDES, USABLE, Modality
from xmbench.media import audio, image
from xmbench.media.signal import Media, Picture, Sound
from xmbench.views.figures import mel_spectrogram_png
from xmbench.views.report.confusion import FAILED, NONE
from xmbench.views.report.values import per_item

GROUPS = ("best", "median", "worst")
_PER_GROUP = 6
_BUDGET = 1_500_000  # characters; the rest of the page is small
_LONGEST_SIDE_PX = 256


@dataclass(frozen=True, slots=True)
class _Chosen:
    """An item on the page: its row in the per-item table, its group, its rank among all (1 is best)."""

    position: int
    group: str
    place: int


def choose(result: Result, items: pa.Table, most: int = _PER_GROUP) -> dict[str, list[tuple[int, int]]]:
    """Which items the page shows, for each of best, median and worst: (row of the table, rank from 1).

    Items are ordered by the primary metric, ties by the track's other metrics and then by id. Failed items are not
    included (they have a separate list), nor is the same output for the same class shown twice.
    """
    order = _order(result, items)
    outputs, labels = items.column("output_sha256").to_pylist(), items.column("label").to_pylist()
    middle = len(order) // 2
    outwards = [i for pair in zip_longest(range(middle, len(order)), range(middle - 1, -1, -1)) for i in pair]
    orders: dict[str, Sequence[int | None]] = {
        "best": range(len(order)),
        "worst": range(len(order) - 1, -1, -1),
        "median": outwards,
    }
    seen: set[tuple[str, int]] = set()
    found: dict[str, list[tuple[int, int]]] = {}
    for group, places in orders.items():
        own = found.setdefault(group, [])
        for place in places:
            if place is None or len(own) == most:
                continue
            row = int(order[place])
            if (outputs[row], labels[row]) not in seen:
                seen.add((outputs[row], labels[row]))
                own.append((row, place + 1))
    return {group: found[group] for group in GROUPS}


def _order(result: Result, items: pa.Table) -> NDArray[np.int64]:
    """Rows of the table from best to worst, measured items only."""
    names = _primary_first(result)
    columns = [(mean_column(items, name, result.scores[name]), result.scores[name]) for name in names]
    keys = [own.values * (-1 if score.higher_is_better else 1) for own, score in columns if own is not None]
    status = "status" if columns[0][0] is None else f"{names[0]}:status"
    usable = np.asarray([found in USABLE for found in items.column(status).to_pylist()])
    # Without a primary value per item, the other metrics decide; without any, the order of the ids.
    order = np.lexsort(keys[::-1]) if keys else np.arange(items.num_rows)
    return np.asarray(order[usable[order]], dtype=np.int64)


def _primary_first(result: Result) -> list[str]:
    """The metrics that were scored: not always the primary one (`score --metrics`)."""
    return sorted(result.scores, key=lambda name: name != result.primary)


def section(
    result: Result, items: pa.Table, opened: OpenedSubmission, dataset: Dataset, found: Sequence[Verdicts]
) -> tuple[str, int]:
    """The items as HTML, and how many of them fit."""
    groups = choose(result, items)
    turns = zip_longest(*([_Chosen(row, name, place) for row, place in own] for name, own in groups.items()))
    chosen = [one for turn in turns for one in turn if one is not None]
    articles: dict[str, list[str]] = {name: [] for name in groups}
    size = shown = 0
    for one, text in _articles(chosen, result, items, opened, dataset, found):
        size += len(text)
        if shown and size > _BUDGET:
            break
        shown += 1
        articles[one.group].append(text)
    parts = "".join(f"<h3>{name}</h3>{''.join(own)}" for name, own in articles.items() if own)
    note = f"By {_primary_first(result)[0]}, ties by the other metrics; each output of a class is shown once."
    return f"<h2>Items</h2><p class=sub>{escape(note)} Sounds are exact.</p>{parts}", shown


def _articles(
    chosen: Sequence[_Chosen],
    result: Result,
    items: pa.Table,
    opened: OpenedSubmission,
    dataset: Dataset,
    found: Sequence[Verdicts],
) -> Iterator[tuple[_Chosen, str]]:
    ids = items.column("id").take(pa.array([one.position for one in chosen], pa.int64())).to_pylist()
    rows = pick_rows(dataset, opened.track.split, ids, ["image", "audio"])
    for one, item_id in zip(chosen, ids, strict=True):
        facts = items.slice(one.position, 1).to_pylist()[0]
        (raw,) = opened.outputs.read([item_id])
        made = decode_output(raw, dataset.recipe.task, opened.track.direction).media if raw is not None else None
        clip = Sound(audio.to_float(read_clip(rows[item_id], dataset)), dataset.recipe.audio.sample_rate_hz)
        picture = Picture(read_image(rows[item_id], dataset))
        both: dict[Modality, Media] = {"image": picture, "audio": clip}
        direction = SIDES[opened.track.direction]
        sides = both[direction.condition], both[direction.output]
        named = [(verdict.metric, _named(int(verdict.classes[one.position]), dataset)) for verdict in found]
        yield one, _article(one, facts, result, items, (*sides, made), named)


def _named(found: int, dataset: Dataset) -> str:
    names = dataset.recipe.classes.names
    return FAILED if found < 0 else NONE if found >= len(names) else names[found]


def _article(
    one: _Chosen,
    facts: dict[str, Any],
    result: Result,
    items: pa.Table,
    media: Sequence[Media | None],
    named: Sequence[tuple[str, str]],
) -> str:
    values = "".join(
        f"<dt>{escape(name)}{' ★' if name == result.primary else ''}</dt><dd>"
        f"{escape(facts[f'{name}:status']) if facts[name] is None else f'{facts[name]:.4f}'}</dd>"
        for name in sorted(per_item(result, items), key=lambda name: name != result.primary)
    )
    verdicts = "".join(f"<p class=sub>{escape(metric)}: found “{escape(name)}”</p>" for metric, name in named)
    note = f"<p class=sub>{escape(facts['detail'])}</p>" if facts["detail"] else ""
    sides = zip(("condition", "reference", "output"), media, strict=True)
    figures = "".join(_figure(name, side, facts) for name, side in sides)
    return (
        f"<article><div class=about><h4>{escape(facts['class'])}</h4>"
        f"<p class=sub>{escape(facts['id'])}<br>{one.place:,} of {items.num_rows:,} · {escape(facts['status'])}</p>"
        f"{verdicts}{note}<dl>{values}</dl></div>{figures}</article>"
    )


def _figure(name: str, media: Media | None, facts: dict[str, Any]) -> str:
    what = f"{name} of {facts['id']}, class {facts['class']}"
    if media is None:
        shown = "<p class=none>no output</p>"
    elif isinstance(media, Sound):
        samples = audio.to_int16(media.samples)
        spectrogram = data_uri("image/png", mel_spectrogram_png(media.samples, media.sample_rate_hz))
        shown = (
            f"{waveform(samples, f'waveform: {what}')}"
            f'<img class=spec alt="mel spectrogram: {escape(what)}" src="{spectrogram}">'
            f"{player(samples, media.sample_rate_hz, what)}"
        )
    else:
        shown = f'<img class=pic alt="{escape(what)}" src="{_picture(media.pixels)}">'
    kind = "wide-media" if isinstance(media, Sound) else "small-media"
    return f"<figure class={kind}><figcaption>{name}</figcaption>{shown}</figure>"


def _picture(pixels: NDArray[np.uint8]) -> str:
    longest = max(pixels.shape[:2])
    if longest <= _LONGEST_SIDE_PX:
        return data_uri("image/png", image.encode_png(pixels))
    height, width = (max(1, side * _LONGEST_SIDE_PX // longest) for side in pixels.shape[:2])
    return data_uri("image/jpeg", image.encode_jpeg(image.resize(pixels, height, width)))
