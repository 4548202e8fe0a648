"""The summary of all raters as tables and sentences, and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from xmbench.evaluator.rating_summary import Consistency, RatingSummary
from xmbench.formats.rating_kit import HIGHEST, LOWEST
from xmbench.printable import shown
from xmbench.statistics import FEW_GROUPS, FEW_SEEDS

_SCORES = range(HIGHEST, LOWEST - 1, -1)


@dataclass(frozen=True, slots=True)
class Shown:
    """A table: its title, "" for the first one; its header; its rows. Every cell is one line that can be printed."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(found: RatingSummary) -> list[Shown]:
    """Systems, differences, classes and raters."""
    systems = tuple(
        (
            shown(own.name),
            f"{own.mean:.2f}",
            _interval(own.low, own.high),
            str(own.items),
            str(own.ratings),
            *(f"{own.shares[score - LOWEST]:.0%}" for score in _SCORES),
            str(own.failed),
        )
        for own in found.systems
    )
    gaps = tuple(
        (shown(f"{gap.first} - {gap.second}"), f"{gap.value:+.2f}", _interval(gap.low, gap.high)) for gap in found.gaps
    )
    raters = tuple(
        (
            shown(own.rater),
            str(own.ratings),
            f"{own.mean:.2f}",
            "yes" if own.finished else "no",
            f"{own.consistency.same:.0%} of {own.consistency.pairs}" if own.consistency else "-",
        )
        for own in found.raters
    )
    scores = tuple(map(str, _SCORES))
    return [
        Shown("", ("system", "mean", "95 % interval", "items", "ratings", *scores, "failed"), systems),
        Shown("Differences", ("systems", "difference", "95 % interval"), gaps),
        Shown("Classes", ("class", *(shown(own.name) for own in found.systems)), _classes(found)),
        Shown("Raters", ("rater", "ratings", "mean", "finished", "same score twice"), raters),
    ]


def sentences(found: RatingSummary) -> list[str]:
    """What the intervals are over, how far raters agree with each other and with themselves, who was left out."""
    raters = len(found.raters)
    over = (
        f" and over {raters} raters"
        if raters >= FEW_SEEDS
        else f", for {'this rater' if raters == 1 else 'these two raters'}"
    )
    few = f"; below {FEW_GROUPS} groups nothing is estimated" if found.groups < FEW_GROUPS else ""
    lines = [
        f"95 % intervals: bootstrap over {found.items:,} items in {found.groups:,} groups{over}{few}.",
        f"Agreement of the raters (Krippendorff's alpha, ordinal): {_alpha(found.alpha)}; without the ground truth "
        f"{_alpha(found.alpha_generated)}.",
        _consistency(found.consistency),
    ]
    return [*lines, f"Left out: {', '.join(map(shown, found.excluded))}."] if found.excluded else lines


def markdown(found: RatingSummary) -> str:
    """All of it as a page."""
    meanings = "; ".join(f"{score}: {_escaped(shown(found.meanings[score - LOWEST]))}" for score in _SCORES)
    lines = [f"# Human ratings: {found.track}", "", f"{meanings}.", ""]
    lines += [f"Data set digest `{found.dataset_digest[:12]}`, page `{found.page[:12]}`.", ""]
    first, *rest = tables(found)
    lines += [*_table(first), "", *(f"{_escaped(line)}  " for line in sentences(found))]
    for one in rest:
        lines += ["", f"## {one.title}", "", *_table(one)]
    if found.warnings:
        lines += ["", "## Warnings", "", *(f"- {_escaped(text)}" for text in found.warnings)]
    return "\n".join(lines) + "\n"


def _classes(found: RatingSummary) -> tuple[tuple[str, ...], ...]:
    """Every system's mean in each class, with the number of items."""
    names = dict.fromkeys(name for own in found.systems for name in own.classes)
    return tuple(
        (
            shown(name),
            *(
                f"{own.classes[name].mean:.2f} ({own.classes[name].items})" if name in own.classes else "-"
                for own in found.systems
            ),
        )
        for name in names
    )


def _interval(low: float | None, high: float | None) -> str:
    return "not estimable" if low is None or high is None else f"{low:.2f} .. {high:.2f}"


def _alpha(value: float | None) -> str:
    return "not estimable" if value is None else f"{value:.3f}"


def _consistency(found: Consistency | None) -> str:
    if found is None:
        return "Nothing was scored twice."
    return (
        f"{found.pairs:,} outputs were scored twice by the same rater: {found.same:.1%} alike, {found.near:.1%} within "
        f"1, mean difference {found.difference:.2f}."
    )


def _table(one: Shown) -> list[str]:
    header, *rows = (f"| {' | '.join(map(_escaped, row))} |" for row in (one.header, *one.rows))
    return [header, f"|{'---|' * len(one.header)}", *rows]


def _escaped(text: str) -> str:
    """Signs that Markdown obeys are preceded by a backslash."""
    return "".join(f"\\{sign}" if sign in "\\`*_|<>[]" else sign for sign in text)
