"""A data set in tables and charts, without its media: sections of a page."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from xmbench import html
from xmbench.errors import DatasetError
from xmbench.formats import ledger
from xmbench.formats.dataset import Counts, Dataset
from xmbench.formats.layout import LEDGER_FILE
from xmbench.formats.limit import limit_phrase
from xmbench.html import escape

_EXAMPLES = 3
_REASONS_SHOWN = 60


def head(dataset: Dataset) -> str:
    """Title, description, formats, digests and licences."""
    manifest, recipe = dataset.manifest, dataset.recipe
    rows = " · ".join(f"{record.counts.written:,} {escape(split)}" for split, record in manifest.splits.items())
    part = "" if manifest.limit is None else f" · {limit_phrase(manifest.limit)}"
    height, width = recipe.image.height_px, recipe.image.width_px
    facts = [
        f"{rows} rows · {escape(recipe.regime)}{part}",
        f"images {height} × {width}, {'grey' if recipe.image.mode == 'L' else 'RGB'} · clips "
        f"{recipe.audio.samples / recipe.audio.sample_rate_hz:.3f} s at {recipe.audio.sample_rate_hz:,} Hz, mono",
        f"data set digest <code>{manifest.dataset_digest}</code>",
        f"recipe <code>{escape(recipe.name)}</code> {escape(recipe.version)}, data digest "
        f"<code>{manifest.data_digest}</code>",
    ]
    return (
        f"<h1>{escape(recipe.title)}</h1><p class=lead>{escape(recipe.description.strip())}</p>"
        f"<ul class=facts>{''.join(f'<li>{fact}</li>' for fact in facts)}</ul>{_licences(dataset)}"
    )


def _licences(dataset: Dataset) -> str:
    rows = []
    for role, source in dataset.recipe.sources.items():
        record = dataset.manifest.sources.get(role)
        made = ", ".join(f"{name} {version}" for name, version in record.versions.items()) if record else ""
        rows.append(
            [
                escape(role),
                html.link(source.title, source.homepage),
                html.link(source.licence, source.licence_url),
                "yes" if source.redistributable else "no",
                escape(made),
            ]
        )
    header = ("part", "source", "licence", "redistributable", "versions")
    overall = f"<p>The data set: {escape(dataset.recipe.licence)}.</p>"
    return f"<h2>Licences</h2>{html.table(header, rows)}{overall}"


def classes(dataset: Dataset) -> str:
    """One row per class; counts are also drawn as bars, relative to the largest class of the split."""
    recipe, splits = dataset.recipe, dataset.manifest.splits
    most = {
        split: max((part.written for part in record.classes.values()), default=0) or 1
        for split, record in splits.items()
    }
    rows = []
    for k, name in enumerate(recipe.classes.names):
        cells = [escape(name), escape(recipe.classes.words[k]) if recipe.classes.words else ""]
        for split, record in splits.items():
            written = record.classes.get(name, Counts(planned=0, written=0)).written
            drawn = html.share(written / most[split])
            cells += [f'<td class="bar {drawn}">{written:,}</td>', f"{record.takes.get(name, 0):,}"]
        rows.append(cells)
    header = ["class", "spoken", *(head for split in splits for head in (f"{escape(split)} rows", "takes"))]
    return f"<h2>Classes</h2><div class=classes>{html.table(header, rows)}</div>"


def durations(seconds: Mapping[str, NDArray[np.float64]]) -> str:
    """A histogram per split, on one scale; `seconds` has the durations (N,) of each split."""
    everything = np.concatenate([values for values in seconds.values() if len(values)] or [np.zeros(1)])
    low, high = float(everything.min()), float(everything.max())
    charts = []
    for split, values in seconds.items():
        if len(values):
            caption = f"{split}: {len(values):,} rows, {values.min():.3f} to {values.max():.3f} s, "
            caption += f"median {np.median(values):.3f} s"
            charts.append(
                f"<figure>{html.histogram(values, low, high, f'histogram of durations, {caption}', 's')}"
                f"<figcaption>{escape(caption)}</figcaption></figure>"
            )
    return f"<h2>Durations before the padding</h2><div class=charts>{''.join(charts)}</div>"


def left_out(dataset: Dataset) -> str:
    """Counts of each split, and reasons with examples from the ledger."""
    rows = []
    for split, record in dataset.manifest.splits.items():
        counts = record.counts
        numbers = (counts.planned, counts.written, sum(counts.filtered.values()), sum(counts.failed.values()))
        rows.append([escape(split), *(f"{number:,}" for number in numbers)])
    balance = html.table(("split", "planned", "written", "filtered", "failed"), rows)
    return f"<h2>Filtered and failed</h2>{balance}{_reasons(dataset)}"


def _reasons(dataset: Dataset) -> str:
    try:
        found = ledger.read(dataset.folder / LEDGER_FILE, ledger.rows_allowed(dataset.manifest))
    except DatasetError as error:
        return f"<p>{escape(error.what)}</p>"
    if not found:
        return "<p>Nothing was left out.</p>"

    def key(row: ledger.LedgerRow) -> tuple[str, ...]:
        way = "filtered" if row.filtered else "failed, can be retried" if row.temporary else "failed"
        return row.kind, way, row.stage, row.reason, row.split

    rows = []
    for (kind, way, stage, reason, split), group in groupby(sorted(found, key=key), key=key):
        members = list(group)
        examples = "<br>".join(
            escape(f"{row.id}: {row.detail}" if row.detail else row.id) for row in members[:_EXAMPLES]
        )
        of = f"{kind}s of {split}" if split != "any" else f"{kind}s"
        rows.append(
            [
                escape(reason),
                f"{len(members):,}",
                escape(of),
                escape(f"{way} ({stage})"),
                f"<td class=examples>{examples}</td>",
            ]
        )
    more = f"<p>... and {len(rows) - _REASONS_SHOWN} more reasons.</p>" if len(rows) > _REASONS_SHOWN else ""
    header = ("reason", "number", "of", "outcome", "examples")
    return f"{html.table(header, rows[:_REASONS_SHOWN])}{more}"
