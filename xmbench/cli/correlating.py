"""The command `correlate`: metrics against human ratings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmbench.cli.tables import table
from xmbench.cli.terminal import print

if TYPE_CHECKING:
    from xmbench.evaluator.correlate import AspectCorrelation, Correlations
    from xmbench.evaluator.correlation import Correlation

_MISSING_SHOWN = 5


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command()(correlate)


def correlate(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT", help="Files result.json with per-item tables.")],
    ratings: Annotated[Path, typer.Option(help="Directory of CSV files: rater,system,id,score[,aspect].")],
    scale: Annotated[str, typer.Option(help="Lowest and highest score of a rater, or free.")] = "0..3",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON object to a file.")] = None,
) -> None:
    """Correlates every metric with human ratings, by system and by item, with the agreement of the raters."""
    from xmbench.evaluator.correlate import correlate as run
    from xmbench.formats.ratings import parse_scale
    from xmbench.storage.files import output_file, write_text

    if out is not None:
        output_file(out)
    found = run(results, ratings, parse_scale(scale))
    text = json.dumps(found.to_dict(), indent=1)
    print(text if as_json else render(found))
    if out is not None:
        write_text(out, text + "\n")


def render(found: Correlations) -> str:
    """What `correlate` prints."""
    lines = [f"{found.track}: {len(found.systems)} systems, scale {found.scale}"]
    for aspect in found.aspects:
        lines += ["", *_aspect(aspect)]
    lines.append("by system: p-value of a permutation test; by item: 95 % interval over items and raters")
    return "\n".join(lines)


def _aspect(aspect: AspectCorrelation) -> list[str]:
    agreement = "not estimable" if aspect.alpha is None else f"{aspect.alpha:.3f}"
    lines = [f"aspect: {aspect.aspect}"] if aspect.aspect else []
    lines.append(
        f"{aspect.ratings} ratings by {aspect.raters} raters of {aspect.items} outputs; "
        f"agreement of the raters (Krippendorff's alpha, interval): {agreement}"
    )
    lines.append(table(["system", "mean rating"], [[name, f"{mean:.3f}"] for name, mean in aspect.means.items()]))
    for name, missing in aspect.missing.items():
        more = f" and {len(missing) - _MISSING_SHOWN} more (--json lists all)" if len(missing) > _MISSING_SHOWN else ""
        lines.append(f"{name}: not rated, though another system's is: {', '.join(missing[:_MISSING_SHOWN])}{more}")
    rows = []
    for metric in aspect.metrics:
        better = "" if metric.higher_is_better else " (lower is better)"
        for where, own in (("system", metric.by_system), ("item", metric.by_item)):
            rows.append([metric.metric + better, where, str(own["pearson"].n), *map(_cell, own.values())])
    lines.append(table(["metric", "by", "n", "Pearson", "Spearman", "Kendall"], rows))
    methods = [
        f"{found.method}"
        for metric in aspect.metrics
        for found in (metric.by_system["pearson"], metric.by_item["pearson"])
    ]
    return [*lines, *dict.fromkeys(methods)]


def _cell(found: Correlation) -> str:
    if found.value is None:
        return "not estimable"
    if found.low is not None and found.high is not None:
        return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
    return f"{found.value:.3f}" + ("" if found.p_value is None else f" (p = {found.p_value:.3f})")
