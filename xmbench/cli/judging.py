"""Commands about finished results and about this installation: `compare`, `verify`, `doctor`, and `correlate`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmbench.cli import correlating
from xmbench.cli.tables import Progress, table
from xmbench.cli.terminal import print
from xmbench.errors import MAX_LISTED

if TYPE_CHECKING:
    from xmbench.doctor import Diagnosis
    from xmbench.evaluator.compare import Comparison
    from xmbench.evaluator.verify import Verification

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command()(compare)
    app.command()(verify)
    app.command()(doctor)
    correlating.register(app)


def compare(
    first: Annotated[Path, typer.Argument(metavar="RESULT_A", help="A result with its per-item table.")],
    second: Annotated[Path, typer.Argument(metavar="RESULT_B", help="Another one on the same data.")],
    as_json: AsJson = False,
) -> None:
    """Compares two systems: paired differences with 95 % intervals, items won and lost, and a verdict."""
    from xmbench.evaluator.compare import compare as run

    found = run(first, second)
    print(json.dumps(found.to_dict()) if as_json else render(found))


def render(found: Comparison) -> str:
    """What `compare` prints."""
    rows = [
        [
            s.metric + (" *" if s.metric == found.primary else ""),
            f"{s.a:.4f}",
            f"{s.b:.4f}",
            f"{s.difference:.4f}",
            "not estimable" if s.low is None or s.high is None else f"[{s.low:.4f}, {s.high:.4f}]",
            "–" if s.p is None else f"{s.p:.4f}",
            f"{s.wins} / {s.ties} / {s.losses}",
        ]
        for s in found.scores
    ]
    heads = ["metric", "A", "B", "A - B", "95 % interval", "p", "items won / tied / lost"]
    lines = [f"A: {found.system_a}", f"B: {found.system_b}", f"on {found.track}", "", table(heads, rows), ""]
    lines += [s.sentence for s in found.scores]
    lines += [f"{name}: {reason}" for name, reason in found.unpaired.items()]
    lines.append(
        "* primary metric; p: adjusted for all metrics (Holm); a failed item counts as the metric's lower bound"
    )
    return "\n".join(lines)


def verify(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result.json.")],
    submission: Annotated[Path, typer.Argument(metavar="SUBMISSION", help="Directory that it was made from.")],
    data: Annotated[Path | None, typer.Option("--data", help="The data set (default: found by its digest).")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    tolerance: Annotated[
        float,
        typer.Option(min=0.0, max=1e-3, help="Allowed difference of a number, for another processor; 0: every digit."),
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Scores a submission again and compares; exit code 0 if the result agrees, 1 if not."""
    from xmbench.evaluator.find import open_for
    from xmbench.evaluator.verify import verify as run

    opened, dataset = open_for(submission, data)
    progress = Progress()
    found = run(
        result,
        opened,
        dataset,
        workers=workers,
        tolerance=tolerance,
        progress=lambda done, seen: progress.show(f"scored {seen} items ({done} distinct)"),
    )
    progress.close()
    if as_json:
        print(json.dumps(_to_dict(found)))
    else:
        _print_verification(found, result)
    if found.differences:
        raise typer.Exit(1)


def _to_dict(found: Verification) -> dict[str, Any]:
    return {
        "holds": not found.differences,
        "table_checked": found.table_checked,
        "notes": found.notes,
        "differences": [{"field": d.field, "claimed": d.claimed, "found": d.found} for d in found.differences],
    }


def _print_verification(found: Verification, path: Path) -> None:
    for difference in found.differences[:MAX_LISTED]:
        print(f"  - {difference}")
    if len(found.differences) > MAX_LISTED:
        print(f"  ... and {len(found.differences) - MAX_LISTED} more (--json lists all)")
    if found.differences:
        print(f"{path} is NOT what the submission scores: {len(found.differences)} differences")
    else:
        table_said = "with its per-item table" if found.table_checked else "by the digest of its per-item table"
        print(f"{path} is what the submission scores, {table_said}")
    for note in found.notes:
        print(f"  note: {note}")


def doctor(as_json: AsJson = False) -> None:
    """Replays the conformance vectors and lists what works here; exit code 1 if a metric or a needed part does not."""
    from xmbench.doctor import diagnose

    found = diagnose()
    print(json.dumps(found.to_dict()) if as_json else describe(found))
    if not found.healthy:
        raise typer.Exit(1)


def describe(found: Diagnosis) -> str:
    """What `doctor` prints."""
    made_by = ", ".join(f"{name} {known}" for name, known in found.references.items())
    lines = [f"metrics, against {made_by}:"]
    lines += [f"  {agreement}" for agreement in found.agreements]
    rows = [[f.name, f.state, f.version, f.serves] for f in found.findings]
    lines += ["", table(["part", "state", "version", "serves"], rows), ""]
    for finding in found.findings:
        if finding.state != "works":
            what = "needed" if finding.needed else "optional"
            lines.append(f"{finding.name} ({what}) is {finding.state}: {finding.todo or 'see above'}")
    lines.append("everything needed works" if found.healthy else "NOT everything works: see above")
    return "\n".join(lines)
