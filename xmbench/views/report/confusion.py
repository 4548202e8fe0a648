"""The class that the judge found in each output against the requested class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench import registry
from xmbench.evaluator.verdicts import Verdicts
from xmbench.formats.result import Result
from xmbench.html import data_uri, escape, share, table
from xmbench.interfaces import judges_of
from xmbench.media.image import encode_palette_png

_TABLE_CLASSES = 24
_PAIRS_SHOWN = 12
_CELL_PX = 4
NONE, FAILED = "none", "no output"


def matrix(labels: NDArray[np.int64], found: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts, shape (K, K + 2): requested class in rows; found class in columns, then none, then nothing to judge.

    Args:
        labels: (N,), 0..K-1.
        found: (N,), 0..K, or -1 if there was nothing to judge.
        classes: K.
    """
    counts = np.zeros((classes, classes + 2), dtype=np.int64)
    np.add.at(counts, (labels, np.where(found < 0, classes + 1, found)), 1)
    return counts


def section(items: pa.Table, found: Sequence[Verdicts], result: Result) -> str:
    """A matrix per judged metric; for many classes a picture, with a list of the largest confusions."""
    labels = np.asarray(items.column("label").to_pylist(), dtype=np.int64)
    return "".join(
        _one(verdict.metric, matrix(labels, verdict.classes, len(verdict.names)), verdict.names, result)
        for verdict in found
    )


def _one(metric: str, counts: NDArray[np.int64], names: Sequence[str], result: Result) -> str:
    right, total = int(np.trace(counts)), int(counts.sum())
    naming = registry.metric(metric)
    judge = result.second_judge if judges_of(naming)[:1] == ("second",) else result.judge
    known = ", ".join(f"{value:.3f} on {name}" for name, value in judge.accuracy.items()) if judge else "not known"
    summary = f"{right:,} of {total:,} correct. The judge's own accuracy: {known}."
    drawn = _grid(counts, names) if len(names) <= _TABLE_CLASSES else _picture(counts)
    return (
        f"<h2>What the judge found: {escape(metric)}</h2><p class=sub>{escape(summary)} Rows: the requested class; "
        f"columns: the class that was found.</p>{drawn}{_largest(counts, names)}"
    )


def _grid(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    columns = [*names, NONE, FAILED]
    keep = [i for i in range(len(columns)) if i < len(names) or counts[:, i].any()]
    rows = []
    for k, name in enumerate(names):
        total = max(1, int(counts[k].sum()))
        cells = [
            f'<td class="cell {share(counts[k, i] / total)}{" right" if i == k else ""}">{counts[k, i] or ""}</td>'
            for i in keep
        ]
        rows.append([escape(name), *cells, f"{counts[k, k] / total:.1%}"])
    return f"<div class=matrix>{table(('requested', *(escape(columns[i]) for i in keep), 'right'), rows)}</div>"


def _picture(counts: NDArray[np.int64]) -> str:
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    steps = np.rint(np.sqrt(shares) * 31).astype(np.uint8)  # the square root makes single confusions visible
    ramp = np.linspace(0, 1, 32)[:, None]
    colours = np.rint((1 - ramp) * [245, 246, 248] + ramp * [18, 60, 110]).astype(np.uint8)
    large = np.repeat(np.repeat(steps, _CELL_PX, axis=0), _CELL_PX, axis=1)
    picture = data_uri("image/png", encode_palette_png(large, colours))
    return f'<img class=confusion alt="confusion matrix of {len(counts)} classes" src="{picture}">'


def _largest(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    off = counts.copy()
    np.fill_diagonal(off, 0)
    columns = [*names, NONE, FAILED]
    order = np.argsort(-off, axis=None, kind="stable")[:_PAIRS_SHOWN]
    found = [(int(off.flat[i]), names[i // off.shape[1]], columns[i % off.shape[1]]) for i in order if off.flat[i]]
    if not found:
        return "<p>Nothing was confused.</p>"
    shown = "; ".join(f"{escape(a)} → {escape(b)}: {count:,}" for count, a, b in found)
    return f"<p class=sub>Most frequent: {shown}.</p>"
