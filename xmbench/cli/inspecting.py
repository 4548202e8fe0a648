"""Commands that inspect data sets: `diff`, `preview`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmbench.cli.tables import Progress, table
from xmbench.cli.terminal import print

if TYPE_CHECKING:
    from xmbench.inspection.diff import Difference

_DOCUMENTS_SHOWN = 40


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("diff")(diff)
    app.command("preview")(preview)


def diff(
    first: Annotated[Path, typer.Argument(metavar="DIR_A", help="Directory of a data set.")],
    second: Annotated[Path, typer.Argument(metavar="DIR_B", help="Directory of another one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Lists the rows that differ between two builds, and how; exit code 0 if the content is the same, 1 if not."""
    from xmbench.formats.dataset import open_dataset
    from xmbench.inspection.diff import compare

    progress = Progress(interval_s=0)
    found = compare(open_dataset(first), open_dataset(second), progress.show)
    progress.close()
    if as_json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        print(render(found, first, second))
    if not found.equal:
        raise typer.Exit(1)


def preview(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a data set.")],
    out: Annotated[Path | None, typer.Option(help="The page (default: DIR.html next to DIR).")] = None,
    items: Annotated[
        int | None, typer.Option(min=1, help="Clips on the page (default: as many as fit into a megabyte).")
    ] = None,
) -> None:
    """Writes a page that opens offline: images with playable audio, counts, durations, what was left out."""
    from xmbench.formats.dataset import open_dataset
    from xmbench.views.preview import write_preview

    dataset = open_dataset(folder)
    target = out or folder.resolve().with_name(f"{folder.resolve().name}.html")
    shown = write_preview(dataset, target, clips=items)
    print(f"wrote {target}: {target.stat().st_size / 1e6:.2f} MB, {shown.clips} clips, {shown.images} images")


def render(found: Difference, first: Path, second: Path) -> str:
    """What `diff` prints."""
    lines = [f"A  {first}  digest {found.digests[0]}", f"B  {second}  digest {found.digests[1]}"]
    if found.documents:
        shown = [[what, _cut(a), _cut(b)] for what, a, b in found.documents[:_DOCUMENTS_SHOWN]]
        lines += ["", table(["how it was made", "A", "B"], shown)]
        if len(found.documents) > _DOCUMENTS_SHOWN:
            lines.append(f"... and {len(found.documents) - _DOCUMENTS_SHOWN} more (--json lists all)")
    lines += ["", *(f"{split}: {a:,} rows in A, {b:,} in B" for split, (a, b) in found.rows.items())]
    lines += [f"the column '{column}' is only in {side}" for column, side in found.columns]
    for name, kind in found.kinds.items():
        lines.append(f"{kind.rows:,} row(s) differ: {name}" if not name.startswith("only") else f"{kind.rows:,} {name}")
        lines += [f"  '{item}': {detail}" for item, detail in kind.first]
        if kind.rows > len(kind.first):
            lines.append(f"  ... and {kind.rows - len(kind.first):,} more")
    if found.reencoded:
        lines.append(f"{found.reencoded:,} images or clips are encoded differently, with the same content")
    if found.equal:
        rest = " (other columns differ)" if found.kinds or found.columns else ""
        return "\n".join([*lines, f"the same content: ids, labels, pixels and samples{rest}"])
    if not found.kinds:
        lines.append("no row differs, so one of the digests is wrong: run `xmbench validate` on both")
    return "\n".join([*lines, "not the same content"])


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
