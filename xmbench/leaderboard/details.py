"""Details of a row of a board: who made it and how, every digest, every status, its comparisons with other systems."""

from __future__ import annotations

from collections.abc import Sequence

from xmbench.formats.result import Result, Score
from xmbench.formats.submission import Submission
from xmbench.html import escape, link, table
from xmbench.leaderboard.board import Board, Row
from xmbench.leaderboard.stated import Stated, stated_by
from xmbench.leaderboard.terms import costs, judges_used, method_text, status_text
from xmbench.statistics import FEW_SEEDS

Facts = Sequence[tuple[str, str]]


def details(row: Row, board: Board) -> str:
    """The folded part of a row, as HTML; what all rows of the board share is told once, above them."""
    result = row.result
    common = set(shared_facts(board))
    facts = [*_made(row), *(fact for fact in _scored(result) if fact not in common)]
    parts = [listed(facts), _seeds(row, board), _scores(row), _others(row, board)]
    if result.submission.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in result.submission.notes)
        parts.append(f"<h3>differences from its source</h3><ul>{notes}</ul>")
    return f"<div class=detail>{''.join(parts)}</div>"


def listed(facts: Facts) -> str:
    """Facts as a list of names with HTML; without those that are empty."""
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{text}</dd>' for name, text in facts if text)}</dl>"


def shared_facts(board: Board) -> list[tuple[str, str]]:
    """Facts of the scoring that are the same in every run of the board."""
    runs = [_scored(run) for row in board.rows for run in row.runs]
    return [fact for fact in runs[0] if all(fact in other for other in runs[1:])]


def _made(row: Row) -> list[tuple[str, str]]:
    """Of the first run; what differs between the seeds is in their own table."""
    made = row.result.submission
    return [
        ("made by", f"<code>{escape(made.command)}</code>" if made.command else "outputs were submitted"),
        ("by", ", ".join(map(escape, made.authors)) + (f" {link(made.url, made.url)}" if made.url else "")),
        ("status", escape(status_text(row.result))),
        ("training data", f"{escape(made.training_data)} (as stated, not checked)"),
        ("judges in the system", f"{judges_used(made)} (as stated, not checked)"),
        ("seed, hardware, threads (as stated)", escape(" · ".join(filter(None, (_seed(made), *costs(made)))))),
        ("its own classifier (as stated)", "" if made.head_accuracy is None else f"accuracy {made.head_accuracy:.4f}"),
        ("licence", escape(made.licence)),
        ("outputs", f"<code>{row.result.outputs_digest}</code>"),
        ("per-item table", f"<code>{row.result.items_digest}</code>"),
    ]


def _scored(result: Result) -> list[tuple[str, str]]:
    scored, judge, second = result.environment, result.judge, result.second_judge
    return [
        ("scored by", f"<code>{escape(scored.command)}</code>" if scored.command else ""),
        ("commit", f"<code>{escape(scored.commit or 'unknown')}</code>, xmbench {escape(scored.xmbench)}"),
        ("scored", escape(scored.created)),
        ("machine", escape(f"{scored.machine}, Python {scored.python}")),
        ("packages", escape(", ".join(f"{name} {version}" for name, version in scored.packages.items()))),
        ("judge", f"{escape(judge.name)} <code>{judge.sha256}</code>" if judge else ""),
        ("second judge", f"{escape(second.name)} <code>{second.sha256}</code>" if second else ""),
        ("data set", f"<code>{result.dataset_digest}</code>"),
        ("recipe (data)", f"<code>{result.data_digest}</code>" if result.data_digest else ""),
        ("track (metrics, judges)", f"<code>{result.track_digest}</code>"),
    ]


def _seed(made: Submission) -> str:
    return "" if made.seed is None else str(made.seed)


def _seeds(row: Row, board: Board) -> str:
    """Each run of a row with several seeds: its values and its own digests."""
    if len(row.runs) == 1:
        return ""
    stated = [column for column in stated_by(board) if column.text]
    rows = [
        [
            _seed(run.submission),
            *(_of_run(column, run.submission) for column in stated),
            *(number(run.scores[name].value) if name in run.scores else "" for name in board.metrics),
            f"<code>{run.outputs_digest[:12]}</code>",
            f"<code>{escape(run.environment.commit[:12] or 'unknown')}</code>",
        ]
        for run in row.runs
    ]
    rows.append(["lowest to highest", *("" for _ in stated), *(_range(row, name) for name in board.metrics), "", ""])
    header = ("seed", *(column.name for column in stated), *map(escape, board.metrics), "outputs", "commit")
    over = "items and seeds" if len(row.runs) >= FEW_SEEDS else "items only: too few seeds"
    note = (
        f"The row shows means over these {len(row.runs)} seeds; intervals are over {over}. The command, machine and "
        "digests above are those of the first seed."
    )
    return f"<h3>each seed</h3><p>{note}</p>{table(header, rows)}"


def _of_run(column: Stated, made: Submission) -> str:
    value = column.number(made)
    return "" if value is None or column.text is None else column.text(value)


def _range(row: Row, metric: str) -> str:
    found = row.entry.spread(metric)
    return "–" if found is None else f"{number(found[0])} … {number(found[1])}"


def _scores(row: Row) -> str:
    rows = [[escape(name), number(score.value), _ends(score)] for name, score in row.scores.items()]
    if all(set(score.statuses) == {"ok"} for score in row.scores.values()):
        return f"{table(('metric', 'value', '95 % interval'), rows)}<p>Every item was measured in every metric.</p>"
    measured = [f"{score.coverage:.1%}: {escape(statuses(score))}" for score in row.scores.values()]
    known = [[*cells, text] for cells, text in zip(rows, measured, strict=True)]
    return table(("metric", "value", "95 % interval", "items with a value"), known)


def _ends(score: Score) -> str:
    return "not estimable" if score.low is None else f"{number(score.low)} … {number(score.high)}"


def metric_facts(board: Board) -> str:
    """Of every metric what is the same for all rows, as a table."""
    found: dict[str, Score] = {}
    for row in board.rows:
        for name, score in row.scores.items():
            if name not in found or (score.low is not None and found[name].low is None):
                found[name] = score
    rows = [
        [
            escape(name),
            "higher" if score.higher_is_better else "lower",
            number(score.floor),
            method_text(score),
            f"{score.smallest_difference:g}" if score.smallest_difference else "–",
            escape(score.metric_version),
        ]
        for name, score in found.items()
    ]
    return table(("metric", "better", "a failed item counts", "interval by", "smallest difference", "version"), rows)


def number(value: float | None) -> str:
    """A value for a table, or a dash."""
    return "–" if value is None else f"{value:.4f}"


def statuses(score: Score) -> str:
    """`1805 ok, 195 too-short`."""
    return ", ".join(f"{count:,} {status}" for status, count in score.statuses.items())


def _others(row: Row, board: Board) -> str:
    """The differences from the other ranked rows of the block, and whether the data support them."""
    others = [other for other in board.rows if other.block == row.block and other.rank is not None and other is not row]
    if row.rank is None:
        return f"<p>No rank: {escape(row.unranked)}.</p>" if row.unranked else ""
    if not others:
        return ""
    rows = []
    for other in others:
        difference = float(row.value(board.primary) or 0.0) - float(other.value(board.primary) or 0.0)
        worse, better = other.entry.digest in row.better, row.entry.digest in other.better
        rows.append([escape(other.name), f"{difference:+.4f}", "worse" if worse else "better" if better else "tie"])
    return table((f"{escape(board.primary)}, this row minus", "difference", "this row is"), rows)
