"""What the words on the boards mean, a sentence or two each, and the facts of a row and of a board in these words."""

from __future__ import annotations

from xmbench.formats.result import Result, Score
from xmbench.formats.submission import Submission
from xmbench.leaderboard.board import Board
from xmbench.leaderboard.rows import RANKED, Row
from xmbench.leaderboard.stated import count_text, minutes_text
from xmbench.statistics import FEW_GROUPS, FEW_SEEDS

TERMS: tuple[tuple[str, str], ...] = (
    (
        "rank",
        "1 + the number of systems of the same block that are better by more than chance (all pairs of the block "
        "judged together at 5 %) and by at least the smallest difference. Systems that the data do not separate "
        "tie. ~: compared by intervals, because the values of single items are not known.",
    ),
    (
        "groups",
        "Items of one group (a speaker, a recording, or the item itself) vary together: intervals and ranks count "
        f"groups, not items. With fewer than {FEW_GROUPS} groups there is no interval and no verdict: not estimable, "
        "a tie.",
    ),
    (
        "seeds",
        f"Runs of the same system that differ in nothing but their seed: mean, lowest and highest. From {FEW_SEEDS} "
        f"seeds on, the interval is over items and seeds. A generator is ranked with {FEW_SEEDS} or more.",
    ),
    (
        "status",
        "verified: the maintainers scored the published outputs again, at the commit that the details name. "
        "self-reported: only the submitter did. Only verified rows are ranked.",
    ),
    (
        "gate",
        "A second metric that a row needs to be ranked, at the level of a baseline's row on the same board: it stops "
        "outputs that please a judge or a distance and nothing else.",
    ),
    (
        "normalised",
        "0 at the best row that ignores the condition (silence, noise, a mean, random or constant item), 1 at the "
        "reference itself. Both are verified rows of shipped baselines.",
    ),
    (
        "smallest difference",
        "Of the primary metric, stated with the metric: a smaller difference is never a rank, however many items "
        "there are.",
    ),
    (
        "judge",
        "A frozen network that recognises words or images; its errors limit every score that uses it. Accuracy: "
        "share of real or held-out items that it recognises. False accepts: share of items of a kind that is none "
        "of its classes which it takes for one. Calibration error: mean distance between its confidence and its "
        "accuracy. A system above the reference itself is beyond what the judge can tell: such systems tie.",
    ),
    (
        "training data",
        "closed: nothing but the training split; open: more. As the submitter states it: not checked, and nobody can.",
    ),
    (
        "judges in the system",
        "Using a judge of this package, or its weights, in a system or in its training is against the rules. As the "
        "submitter states it: not checked, except for what the gates and the second judge show.",
    ),
    (
        "head",
        "Accuracy of the system's own classifier on the scored items, as its run recorded it: what classifying and "
        "then playing or showing the class's stored item would get. An accuracy of the outputs below it was lost in "
        "generating. Mean over the seeds; no score, and not checked.",
    ),
    (
        "minutes, parameters, threads, machine",
        "Minutes of one training, all its pieces together, as the mean over the seeds; number of weights; threads of "
        "the processor; hardware. As the submitter or the runner recorded them: not checked.",
    ),
    (
        "kind",
        "learned: generates its outputs. retrieval: plays or shows stored items. reference, floor, ceiling: rows "
        "that help to read the board.",
    ),
)

_METHODS = {
    "bootstrap": "bootstrap over groups",
    "cluster-t": "Student's t over groups",
    "wilson": "Wilson, for shares",
    "none": "not estimable",
    "": "bootstrap",
}


def method_text(score: Score) -> str:
    """How an interval was made, and over how many groups."""
    groups = "" if score.groups is None else f" ({score.groups:,} group{'' if score.groups == 1 else 's'})"
    return f"{_METHODS[score.method]}{groups}"


def methods_text(board: Board) -> str:
    """How the intervals of the primary metric were made."""
    found = dict.fromkeys(
        method_text(score) for row in board.rows if (score := row.scores.get(board.primary)) and score.value is not None
    )
    return "; ".join(found)


def status_text(result: Result) -> str:
    """`verified at commit 0123456789ab`, or `self-reported`."""
    if result.status != "verified" or result.verified is None:
        return result.status
    return f"verified at commit {result.verified.commit[:12] or 'unknown'}, {result.verified.created}"


def costs(made: Submission) -> list[str]:
    """The machine, `1 thread`, `1.54 M parameters`, `trained in 6.2 min`: what is known of the training, as stated."""
    found = [made.hardware] if made.hardware else []
    if made.threads is not None:
        found.append(f"{made.threads} thread{'' if made.threads == 1 else 's'}")
    if made.parameters is not None:
        found.append(f"{count_text(made.parameters)} parameters")
    if made.training_seconds is not None and made.kind in ("learned", "retrieval"):
        found.append(f"trained in {minutes_text(made.training_seconds / 60)} min")
    return found


def judges_used(made: Submission) -> str:
    """What a submission says about judges in the system."""
    return "not stated" if made.uses_judges is None else "yes" if made.uses_judges else "no"


def claims(row: Row) -> str:
    """The status of a system and what its submitter states, in a line; "" for bounds, which the tool makes."""
    made = row.result.submission
    if made.kind not in RANKED and row.verified:
        return ""
    return f"{row.result.status}; stated: {made.training_data} training data, judges in the system: {judges_used(made)}"


def marks(row: Row) -> list[str]:
    """What a reader must see beside a system's name: why it has no rank, or shares one."""
    found = []
    if row.beyond_judge:
        found.append("above the reference itself: tie")
    if row.unranked and row.verified:
        found.append(f"not ranked: {row.unranked}")
    return found


def ways(board: Board) -> str:
    """How the ranks of a board came about, as a sentence."""
    found = [row.by for row in board.rows if row.rank is not None]
    if not found:
        return "No row is ranked."
    if "not estimable" in found:
        return "Differences are not estimable with so few groups: all systems tie."
    if not any(found):
        return "One system in each block: nothing to compare."
    if "intervals" in found:
        return "Ranks by comparison item by item, and by intervals (~) for systems whose single values are not known."
    return "Ranks by comparison item by item, all pairs of a block judged together."
