"""Results of earlier protocols: kept as they were scored, on pages of their own, never with the current ones.

::

    leaderboards/history/protocol-1/<recipe>/<direction>/<system>.json   a result, as it was on its board
    leaderboards/history/protocol-1/<recipe>/<direction>/pairs.json      which systems were found to differ
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.errors import DocumentError
from xmbench.formats.document import load_json
from xmbench.formats.limit import Limit, limit_order, limit_phrase
from xmbench.formats.result import Result
from xmbench.html import document, escape, table
from xmbench.leaderboard.markdown import GENERATED, text
from xmbench.leaderboard.places import FRONT_PAGE, PAIRS

FOLDER = Path("history") / "protocol-1"
PAGE = "history.html"
_RANKED = ("learned", "reference")

WRONG = (
    "A failed item counted 0 in STOI and ESTOI, which go down to -1: leaving out the items below 0 raised a score "
    "(ESTOI from 0.114 to 0.179). Now it counts -1.",
    "Corr2D raised the quietest bins to the power 0.3: noise at -60 dBFS cost the right word 0.02, more than "
    "1.4 % of wrong words, and a noise gate made a system “significantly better” that had changed no word. Now "
    "the primary metric of single-take tracks clips both spectrograms at 60 dB under the reference's peak.",
    "The judges took 99 % of other words, and 30 % of musical instruments, for one of their own words, and noise "
    "that was optimised against both of them scored 0.969. Now those of the digits have a class for other words, "
    "and take 0.33 and 0.26 of them; false accepts are printed with every board, and a row must pass a gate that such "
    "noise does not.",
    "A mean image of each class was first of its track, by accuracy alone. Now image outputs are ranked by a "
    "distance within each class, in two embeddings, under a gate of coverage.",
    "Intervals were over the wrong groups, and with 2 or 10 groups too narrow (0.48 and 0.89 in place of 0.95). Now "
    "groups are those of what a score depends on, and with fewer than five there is no interval.",
    "Ten equal systems had more than one rank on 58 % of simulated boards. Now all pairs are judged together, and a "
    "difference must have a stated size.",
    "A row was one seed, and seeds differ (0.8875 and 0.9190 on another number of threads). Now a generator needs "
    "three.",
    "An invented result with an invented table was accepted, with rank and status “verified”. Now every number is "
    "computed again from the items, and only the maintainers' own run makes a row verified.",
    "The scale of normalised scores began at a random item, so that a constant got credit. Now it begins at the "
    "best row that ignores the condition.",
)

_LEAD = (
    "Results as they were scored and ranked under protocol 1. Protocol 2 changed what the numbers mean: they cannot "
    "be compared with the current boards, and nothing here is ranked with them."
)


@dataclass(frozen=True, slots=True)
class Kept:
    """One track of an earlier protocol: its results from the best to the worst, with their ranks then."""

    track: str
    primary: str
    limit: Limit
    rows: tuple[tuple[int | None, Result], ...]


def kept(root: Path) -> list[Kept]:
    """Every track of the history under `root`.

    Raises:
        DocumentError: an invalid document, or one in the wrong place; all are listed.
    """
    found: dict[tuple[str, Limit], list[Result]] = defaultdict(list)
    separated: dict[frozenset[str], bool] = {}
    problems = []
    for path in sorted((root / FOLDER).glob("*/*/*.json")):
        try:
            if path.name == PAIRS:
                separated.update(_separated(path))
                continue
            result = load_json(path, Result)
        except DocumentError as error:
            problems.append(f"{path}: {error.what}; {'; '.join(error.problems)}")
            continue
        if result.track != path.parent.relative_to(root / FOLDER).as_posix():
            problems.append(f"{path}: its content belongs to {result.track}")
        found[result.track, result.limit].append(result)
    if problems:
        raise DocumentError("the history has invalid files", where=root / FOLDER, problems=problems)
    return [
        Kept(track, results[0].primary, limit, _ranks(results, separated))
        for (track, limit), results in sorted(
            found.items(), key=lambda pair: (pair[0][0], pair[0][1] is not None, limit_order(pair[0][1]))
        )
    ]


def _separated(path: Path) -> dict[frozenset[str], bool]:
    """The verdicts of protocol 1, by the digests of two per-item tables."""
    try:
        pairs = json.loads(path.read_bytes())["pairs"]
        return {frozenset((str(p["a"]), str(p["b"]))): not p["low"] <= 0.0 <= p["high"] for p in pairs}
    except (ValueError, KeyError, TypeError) as error:
        raise DocumentError("not the pairs of a track", where=path, problems=[str(error)]) from error


def _ranks(
    results: Sequence[Result], separated: Mapping[frozenset[str], bool]
) -> tuple[tuple[int | None, Result], ...]:
    """The ranks of protocol 1: a system that was not found to differ from the first of a rank shared it."""
    found: list[tuple[int | None, Result]] = []
    rank, position, first = 0, 0, None
    for result in sorted(results, key=_sort_key):
        if result.submission.kind not in _RANKED:
            found.append((None, result))
            continue
        position += 1
        if first is None or separated.get(frozenset((first.items_digest, result.items_digest)), True):
            rank, first = position, result
        found.append((rank, result))
    return tuple(found)


def _sort_key(result: Result) -> tuple[float, str]:
    score = result.scores[result.primary]
    value = float("-inf") if score.value is None else score.value
    return (-value if score.higher_is_better else value), result.submission.system


# ---------------------------------------------------------------------------------------------- the pages
def index_lines(found: Sequence[Kept]) -> list[str]:
    """What the list of tracks says about the history, as Markdown."""
    if not found:
        return []
    return [
        "## Earlier protocols",
        "",
        f"{_LEAD} They are in [{FOLDER.as_posix()}]({FOLDER.as_posix()}) and on [a page]({PAGE}). What was wrong, "
        "and what changed:",
        "",
        *(f"- {line}" for line in map(text, WRONG)),
    ]


def page(found: Sequence[Kept]) -> str:
    """The page of all results of the earlier protocol."""
    wrong = "".join(f"<li>{escape(line)}</li>" for line in WRONG)
    body = (
        f"{GENERATED}<h1>Results of protocol 1</h1>"
        f"<p class=lead>{_LEAD} <a href={FRONT_PAGE}>The current boards</a>.</p>"
        f"<h2>What was wrong, and what changed</h2><ul>{wrong}</ul>{''.join(_section(kept) for kept in found)}"
    )
    return document("xmbench: results of protocol 1", body, style=_STYLE)


def _section(found: Kept) -> str:
    metrics = list(dict.fromkeys(name for _, result in found.rows for name in result.scores))
    metrics = [found.primary, *(name for name in metrics if name != found.primary)]
    rows = [
        [
            "–" if rank is None else str(rank),
            escape(result.submission.system),
            result.submission.kind,
            *(_value(result, name) for name in metrics),
        ]
        for rank, result in found.rows
    ]
    limit = f", {limit_phrase(found.limit)}" if found.limit else ""
    header = ["rank then", "system", "kind", *(f"{escape(m)} ★" if m == found.primary else escape(m) for m in metrics)]
    return f"<section><h2>{escape(found.track)}{limit}</h2>{table(header, rows)}</section>"


def _value(result: Result, metric: str) -> str:
    score = result.scores.get(metric)
    return "" if score is None else "–" if score.value is None else f"{score.value:.4f}"


_STYLE = """
.lead,ul{max-width:64rem}td:nth-child(2),th:nth-child(2),td:nth-child(3),th:nth-child(3){text-align:left}
td:nth-child(2){white-space:normal;min-width:14rem}
"""
