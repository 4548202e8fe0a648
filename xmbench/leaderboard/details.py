"""Details of a row of a board: who made it and how, every digest, every status, its paired comparisons."""

from __future__ import annotations

from xmbench.formats.result import Score
from xmbench.formats.submission import Submission
from xmbench.html import escape, link, table
from xmbench.leaderboard.board import Board, Row, separated
from xmbench.leaderboard.pairs import Compared


def details(row: Row, board: Board, compared: Compared) -> str:
    """The folded part of a row, as HTML."""
    result = row.result
    parts = [_facts(row), _seeds(row, board), _scores(row), _pairs(row, board, compared)]
    if result.submission.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in result.submission.notes)
        parts.append(f"<h3>differences from its source</h3><ul>{notes}</ul>")
    return f"<div class=detail>{''.join(parts)}</div>"


def _facts(row: Row) -> str:
    """Facts of the first run; what differs between the seeds is in their own table."""
    result = row.result
    made, scored = result.submission, result.environment
    judge, second = result.judge, result.second_judge
    facts = [
        ("made by", f"<code>{escape(made.command)}</code>" if made.command else "outputs were submitted"),
        ("by", ", ".join(map(escape, made.authors)) + (f" {link(made.url, made.url)}" if made.url else "")),
        ("training data", escape(made.training_data)),
        ("seed, hardware", escape(" · ".join(filter(None, (_seed(made), made.hardware))))),
        ("licence", escape(made.licence)),
        ("scored by", f"<code>{escape(scored.command)}</code>"),
        ("commit", f"<code>{escape(scored.commit or 'unknown')}</code>, xmbench {escape(scored.xmbench)}"),
        ("machine", escape(f"{scored.machine}, Python {scored.python}, {scored.created}")),
        ("packages", escape(", ".join(f"{name} {version}" for name, version in scored.packages.items()))),
        ("judge", f"{escape(judge.name)} <code>{judge.sha256}</code>" if judge else ""),
        ("second judge", f"{escape(second.name)} <code>{second.sha256}</code>" if second else ""),
        ("data set", f"<code>{result.dataset_digest}</code>"),
        ("recipe (data)", f"<code>{result.data_digest}</code>" if result.data_digest else ""),
        ("track (metrics, judges)", f"<code>{result.track_digest}</code>"),
        ("outputs", f"<code>{result.outputs_digest}</code>"),
        ("per-item table", f"<code>{result.items_digest}</code>"),
        ("status", escape(result.status)),
    ]
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{text}</dd>' for name, text in facts if text)}</dl>"


def _seed(made: Submission) -> str:
    return "" if made.seed is None else str(made.seed)


def _seeds(row: Row, board: Board) -> str:
    """Each run of a row with several seeds: its values and its own digests."""
    if len(row.runs) == 1:
        return ""
    rows = [
        [
            _seed(run.submission),
            *(number(run.scores[name].value) if name in run.scores else "" for name in board.metrics),
            f"<code>{run.outputs_digest[:12]}</code>",
            f"<code>{escape(run.environment.commit[:12] or 'unknown')}</code>",
        ]
        for run in row.runs
    ]
    rows.append(["lowest to highest", *(_range(row, name) for name in board.metrics), "", ""])
    header = ("seed", *map(escape, board.metrics), "outputs", "commit")
    note = (
        f"The row shows means over these {len(row.runs)} seeds. Its intervals are over items: the mean of the seeds' "
        "own ends. The command, machine and digests above are those of the first seed."
    )
    return f"<h3>each seed</h3><p>{note}</p>{table(header, rows)}"


def _range(row: Row, metric: str) -> str:
    found = row.entry.spread(metric)
    return "–" if found is None else f"{number(found[0])} … {number(found[1])}"


def _scores(row: Row) -> str:
    rows = [
        [
            escape(name),
            number(score.value),
            f"{number(score.low)} … {number(score.high)}",
            f"{score.n:,}",
            f"{score.coverage:.1%}",
            number(score.floor),
            escape(statuses(score)),
            escape(score.metric_version),
        ]
        for name, score in row.scores.items()
    ]
    header = ("metric", "value", "95 % interval", "items", "coverage", "a failed item counts", "statuses", "version")
    return table(header, rows)


def number(value: float | None) -> str:
    """A value for a table, or a dash."""
    return "–" if value is None else f"{value:.4f}"


def statuses(score: Score) -> str:
    """`1805 ok, 195 too-short`."""
    return ", ".join(f"{count:,} {status}" for status, count in score.statuses.items())


def _pairs(row: Row, board: Board, compared: Compared) -> str:
    rows = []
    for other in board.rows:
        pair = None if other is row else compared.between(row.entry, other.entry)
        if pair is not None:
            verdict = "yes" if separated(pair, row.result) else "no"
            difference = f"{pair.difference:+.4f}"
            rows.append(
                [escape(other.result.submission.system), difference, f"{pair.low:+.4f} … {pair.high:+.4f}", verdict]
            )
    if not rows:
        return "<p>Not compared item by item with another row.</p>"
    header = (
        f"{escape(board.primary)}, this row minus",
        "difference",
        "95 % interval, paired",
        "the data separate them",
    )
    return table(header, rows)
