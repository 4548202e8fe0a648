"""The summary of all raters as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from xmbench.evaluator.rating_summary import Consistency, RatingSummary, SystemRating
from xmbench.printable import shown
from xmbench.statistics import FEW_GROUPS, FEW_SEEDS


def markdown(found: RatingSummary) -> str:
    """Tables of systems, differences, classes and raters, with what is known of their agreement."""
    return "\n".join([f"# Human ratings: {_text(found.track)}", *(part for part in _parts(found))]) + "\n"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """`0.21 .. 0.43`, or that there are too few groups."""
    return "not estimable" if low is None or high is None else f"{low:.{digits}f} .. {high:.{digits}f}"


def agreement(found: RatingSummary) -> str:
    """One sentence on how far the raters agree with each other."""
    all_of, generated = (
        "not estimable" if value is None else f"{value:.3f}" for value in (found.alpha, found.alpha_generated)
    )
    return f"Agreement of the raters (Krippendorff's alpha, ordinal): {all_of}; without the ground truth {generated}."


def consistency(found: Consistency | None) -> str:
    """One sentence on scores that were given twice."""
    if found is None:
        return "Nothing was scored twice."
    return (
        f"{found.pairs:,} outputs were scored twice by the same rater: {found.same:.1%} alike, {found.near:.1%} within "
        f"1, mean difference {found.difference:.2f}."
    )


def basis(found: RatingSummary) -> str:
    """What the intervals are over."""
    raters = len(found.raters)
    over = f" and over {raters} raters" if raters >= FEW_SEEDS else f", for these {raters} raters" if raters > 1 else ""
    over = over or ", for this one rater"
    few = found.groups < FEW_GROUPS
    few_text = f"; below {FEW_GROUPS} groups nothing is estimated" if few else ""
    return f"95 % intervals: bootstrap over {found.items:,} items in {found.groups:,} groups{over}{few_text}."


def _parts(found: RatingSummary) -> list[str]:
    systems = [
        [
            _text(own.name),
            f"{own.mean:.2f}",
            interval(own.low, own.high),
            str(own.items),
            f"{own.ratings:,}",
            *(f"{share:.0%}" for share in reversed(own.shares)),
            str(own.failed),
        ]
        for own in found.systems
    ]
    gaps = [
        [_text(f"{gap.first} - {gap.second}"), f"{gap.value:+.2f}", interval(gap.low, gap.high)] for gap in found.gaps
    ]
    raters = [
        [
            _text(own.rater),
            f"{own.ratings:,}",
            f"{own.mean:.2f}",
            "yes" if own.finished else "no",
            f"{own.consistency.same:.0%} of {own.consistency.pairs}" if own.consistency else "-",
        ]
        for own in found.raters
    ]
    meanings = "; ".join(f"{score}: {_text(text)}" for score, text in reversed([*enumerate(found.meanings)]))
    parts = ["", f"{meanings}.", "", f"Data set digest `{found.dataset_digest[:12]}`, page `{found.page[:12]}`."]
    parts += [
        "",
        *_table(["system", "mean", "95 % interval", "items", "ratings", "3", "2", "1", "0", "failed"], systems),
    ]
    parts += ["", basis(found), agreement(found), consistency(found.consistency)]
    parts += ["", "## Differences", "", *_table(["systems", "difference", "95 % interval"], gaps)]
    parts += [
        "",
        "## Classes",
        "",
        *_table(["class", *(_text(own.name) for own in found.systems)], classes(found.systems)),
    ]
    parts += ["", "## Raters", "", *_table(["rater", "ratings", "mean", "finished", "same score twice"], raters)]
    parts += ["", f"Left out: {', '.join(map(_text, found.excluded))}."] if found.excluded else []
    return [*parts, "", *(f"- {_text(text)}" for text in found.warnings)] if found.warnings else parts


def classes(systems: Sequence[SystemRating]) -> list[list[str]]:
    """Rows of each class: its name, and every system's mean with the number of items where they differ."""
    names = list(dict.fromkeys(name for own in systems for name in own.classes))
    rows = []
    for name in names:
        cells = [own.classes.get(name) for own in systems]
        rows.append([_text(name), *("-" if cell is None else f"{cell.mean:.2f} ({cell.items})" for cell in cells)])
    return rows


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return [lines[0], f"|{'---|' * len(header)}", *lines[1:]]


def _text(text: str) -> str:
    """Names of others in a table: one line, and no signs that Markdown obeys."""
    return "".join(f"\\{sign}" if sign in "\\`*_|<>[]" else sign for sign in shown(text, 200))
