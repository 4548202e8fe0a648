"""The tables of a report: who and how, scores with lower and upper bounds, classes, failed items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from xmbench.formats.limit import limit_phrase
from xmbench.formats.result import Result, Score
from xmbench.html import escape, link, share, table
from xmbench.interfaces import USABLE
from xmbench.leaderboard import Board, Row, cell
from xmbench.leaderboard.details import number, statuses
from xmbench.leaderboard.terms import costs, judges_used, method_text, status_text
from xmbench.views.report.values import per_item

_FAILED_SHOWN = 200
_ALIKE = 1e-9  # means of the same value differ by rounding


def _judges(result: Result) -> list[tuple[str, str]]:
    """Each judge with its accuracy on real data, and what else is known of its errors."""
    found = []
    for what, judge in (("judge", result.judge), ("second judge", result.second_judge)):
        if judge is not None:
            known = ", ".join(f"{value:.4f} on {escape(name)}" for name, value in judge.accuracy.items())
            known += " · a local judge: such results are never ranked with others" if judge.local else ""
            found.append((what, f"{escape(judge.name)} <code>{judge.sha256}</code>"))
            found.append((f"{what}'s accuracy", known))
            wrong = ", ".join(f"{value:.4f} of {escape(name)}" for name, value in judge.false_accepts.items())
            found.append((f"{what} takes for a class", wrong or "not measured"))
            error = judge.calibration_error
            found.append((f"{what}'s calibration error", "" if error is None else f"{error:.4f}"))
    return found


def head(result: Result, items: pa.Table) -> str:
    """System, track, digests, judge with its accuracy on real data, environment."""
    made, scored = result.submission, result.environment
    who = ", ".join(map(escape, made.authors)) + (f" · {link(made.url, made.url)}" if made.url else "")
    size = f"{items.num_rows:,} items of the {escape(result.split)} split"
    size += f", {limit_phrase(result.limit)}" if result.limit else ""
    facts = [
        ("track", f"{escape(result.track)} · {result.regime} · {size}"),
        ("kind", f"{made.kind} · {escape(status_text(result))}"),
        (
            "stated, not checked",
            f"{escape(made.training_data)} training data · judges in the system: {judges_used(made)}"
            f"{''.join(f' · {escape(part)}' for part in costs(made))}",
        ),
        ("by", who),
        ("made by", f"<code>{escape(made.command)}</code>" if made.command else ""),
        *_judges(result),
        ("data set", f"<code>{result.dataset_digest}</code>"),
        ("recipe (data)", f"<code>{result.data_digest}</code>" if result.data_digest else ""),
        ("track (metrics, judges)", f"<code>{result.track_digest}</code>"),
        ("outputs", f"<code>{result.outputs_digest}</code>"),
        ("protocol", escape(result.protocol)),
        ("scored by", f"<code>{escape(scored.command)}</code>" if scored.command else ""),
        ("commit", f"<code>{escape(scored.commit or 'unknown')}</code> · xmbench {escape(scored.xmbench)}"),
        ("machine", escape(f"{scored.machine} · Python {scored.python} · {scored.created}")),
        ("packages", escape(", ".join(f"{name} {version}" for name, version in scored.packages.items()))),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts if text)
    notes = "".join(f"<li>{escape(note)}</li>" for note in made.notes)
    more = f"<details><summary>differences from its source</summary><ul>{notes}</ul></details>" if notes else ""
    return f"<h1>{escape(made.system)}</h1><dl class=facts>{listed}</dl>{more}"


def absent(missing: Sequence[str]) -> str:
    """Notes on what the page cannot show."""
    return "".join(f"<p class=absent role=note>{escape(text)}</p>" for text in missing)


def scores(result: Result, board: Board | None) -> str:
    """Every metric with its interval; below, the same with the reference rows of the board."""
    rows = [
        [
            escape(name) + (" ★" if name == result.primary else ""),
            number(score.value),
            "not estimable" if score.low is None else f"{number(score.low)} … {number(score.high)}",
            escape(method_text(score)),
            f"{score.coverage:.1%}",
            number(score.floor),
            escape(statuses(score)),
        ]
        for name, score in result.scores.items()
    ]
    header = ("metric", "value", "95 % interval", "by", "coverage", "a failed item counts", "statuses")
    note = (
        "★ primary metric. Means over all items; a failed item counts the metric's lower bound. Items of one group "
        "vary together; with fewer than five groups an interval is not estimable."
    )
    return f"<h2>Scores</h2>{table(header, rows)}<p class=sub>{note}</p>{_bounds(result, board)}"


def reference_rows(result: Result, board: Board | None) -> list[Row]:
    """Lower and upper bounds of the board, without the result itself."""
    rows = board.rows if board else ()
    return [row for row in rows if row.result.submission.kind in ("floor", "ceiling") and not _holds(row, result)]


def _bounds(result: Result, board: Board | None) -> str:
    found = reference_rows(result, board)
    if not found or board is None:
        return "<p class=sub>No board with lower and upper bounds for this data set (--dir names the boards).</p>"
    rows = [[f"<b>{escape(result.submission.system)}</b>", result.submission.kind, *_cells(result.scores, result)]]
    rows += [
        [escape(row.result.submission.system), row.result.submission.kind, *_cells(row.scores, result)] for row in found
    ]
    header = ("system", "kind", *(escape(name) for name in result.scores))
    title = "<h3>with the lower and upper bounds of its board</h3>"
    return f"{title}<p class=sub>{_place(result, board)}</p>{table(header, rows)}"


def _place(result: Result, board: Board) -> str:
    """Its rank, or why it has none; what the board asks for; where it is between the ends of the scale."""
    said = [f"Gate of the board: {gate.text}." for gate in board.gates]
    row = next((row for row in board.rows if _holds(row, result)), None)
    if row is None:
        return escape(" ".join(["Not on the board.", *said]))
    if row.rank is not None:
        ranked = sum(other.rank is not None and other.block == row.block for other in board.rows)
        said.insert(0, f"Rank {row.rank} of {ranked} on its board.")
    elif row.unranked:
        said.insert(0, f"No rank on its board: {row.unranked}.")
    if row.normalised is not None:
        said.append(f"Between “{board.scale.zero_name}” (0) and the reference itself (1): {row.normalised:.3f}.")
    return escape(" ".join(said))


def _holds(row: Row, result: Result) -> bool:
    """Whether a row has the result among its runs."""
    return any(run.items_digest == result.items_digest for run in row.runs)


def _cells(shown: Mapping[str, Score], order: Result) -> list[str]:
    return [cell(shown.get(name), interval=False) for name in order.scores]


def classes(result: Result, items: pa.Table) -> str:
    """Every metric of every class; a column's background is scaled from its lowest to its highest class."""
    columns = per_item(result, items)
    labels = np.asarray(items.column("label").to_pylist())
    names = dict(zip(labels.tolist(), items.column("class").to_pylist(), strict=True))
    failed = np.asarray([status not in USABLE for status in items.column("status").to_pylist()])
    kinds = sorted(names)
    means = {name: [_mean(own.values[(labels == k) & own.counts]) for k in kinds] for name, own in columns.items()}
    rows = []
    for position, k in enumerate(kinds):
        mine = labels == k
        cells = [_shaded(values, position) for values in means.values()]
        rows.append([escape(names[k]), f"{int(mine.sum()):,}", f"{int(failed[mine].sum()):,}", *cells])
    header = ("class", "items", "failed", *(escape(name) for name in columns))
    others = [name for name in result.scores if name not in columns]
    note = f"Not per class, because items have no value of their own: {', '.join(others)}." if others else ""
    return f"<h2>Classes</h2><div class=tall>{table(header, rows)}</div><p class=sub>{escape(note)}</p>"


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    return float(values.mean()) if len(values) else None


def _shaded(values: Sequence[float | None], position: int) -> str:
    value, known = values[position], [v for v in values if v is not None]
    if value is None:
        return "<td class=n>–</td>"
    low, high = min(known), max(known)
    drawn = share((value - low) / (high - low) if high - low > _ALIKE else 0.0)
    return f'<td class="heat {drawn}">{value:.4f}</td>'


def failed(items: pa.Table) -> str:
    """Items whose output could not be used, with the reason; notes on the others are counted."""
    columns = [items.column(name).to_pylist() for name in ("id", "class", "status", "detail")]
    rows = [row for row in zip(*columns, strict=True) if row[2] not in USABLE]
    noted = sum(1 for *_, status, detail in zip(*columns, strict=True) if status in USABLE and detail)
    more = f"<p class=sub>{noted:,} usable outputs have a note (another length, clipping).</p>" if noted else ""
    if not rows:
        return f"<h2>Failed items</h2><p>None: every output could be used.</p>{more}"
    counts = ", ".join(f"{count:,} {escape(status)}" for status, count in Counter(row[2] for row in rows).most_common())
    shown = table(
        ("id", "class", "status", "detail"), [[escape(text or "") for text in row] for row in rows[:_FAILED_SHOWN]]
    )
    rest = f"<p class=sub>… and {len(rows) - _FAILED_SHOWN:,} more.</p>" if len(rows) > _FAILED_SHOWN else ""
    return f"<h2>Failed items</h2><p>{counts}.</p><div class=tall>{shown}</div>{rest}{more}"
