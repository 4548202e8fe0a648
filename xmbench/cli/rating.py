"""The command `rate`: a page on which people score outputs, and the summary of what they scored."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmbench.cli.tables import table
from xmbench.cli.terminal import print
from xmbench.printable import shown

if TYPE_CHECKING:
    from xmbench.evaluator.rating_summary import RatingSummary
    from xmbench.views.rating import Options

_PAGE = Path("rating.html")
_LONGEST_NOUN = 40
_LARGEST_SEED = 2**32 - 1
_COLUMNS = ("rater", "system", "outputs_digest", "id", "score")


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command()(rate)


def rate(
    systems: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RESULT_OR_SUBMISSION",
            help="Directories of submissions, or files result.json with their submission next to them.",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set (default: found by its digest).")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"The page (default: {_PAGE}); with --summarise a directory (default: DIR/summary)."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The key, which raters must not see (default: PAGE.key.json next to the page).")
    ] = None,
    per_class: Annotated[int, typer.Option(min=1, max=10_000, help="Items of each class at most.")] = 10,
    per_group: Annotated[
        int, typer.Option(min=1, max=10_000, help="Items of one take, video or speaker within a class at most.")
    ] = 1,
    twice: Annotated[
        int | None, typer.Option(min=0, help="Items that each rater gets twice (default: one in ten).")
    ] = None,
    noun: Annotated[str, typer.Option(help="What a class is called on the page: instrument, word, digit.")] = "class",
    seed: Annotated[
        int | None, typer.Option(min=0, max=_LARGEST_SEED, help="Of the choice of items, and of names.")
    ] = None,
    summarise: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Summarise the files of the raters in DIR; needs --key.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="RATER", help="Leave out a rater; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Writes a page on which people score outputs blindly from 0 to 3; with --summarise, says what they scored.

    The page needs no server and no network. Each rater saves a file and sends it; the key, a second file, says which
    output is whose.
    """
    if summarise is not None:
        if systems or key is None:
            raise typer.BadParameter("give DIR and --key, and no RESULT_OR_SUBMISSION", param_hint="--summarise")
        _summarise(summarise, key, out or summarise / "summary", exclude or [], as_json)
    elif not systems:
        raise typer.BadParameter("name what is rated, or --summarise DIR", param_hint="RESULT_OR_SUBMISSION")
    elif exclude or as_json:
        raise typer.BadParameter("belongs to --summarise", param_hint="--exclude" if exclude else "--json")
    else:
        from xmbench.views.rating import Options

        if not noun.strip() or not noun.isprintable() or len(noun) > _LONGEST_NOUN:
            raise typer.BadParameter("one word, like instrument", param_hint="--noun")
        chosen = Options(per_class, per_group, twice, noun.strip())
        _write(systems, data, out or _PAGE, key, chosen if seed is None else replace(chosen, seed=seed))


def _write(systems: list[Path], data: Path | None, out: Path, key: Path | None, options: Options) -> None:
    from xmbench.evaluator.rated_systems import open_rated
    from xmbench.views.rating import write_rating_page

    opened, dataset = open_rated(systems, data)
    key = key or out.with_name(f"{out.stem}.key.json")
    done = write_rating_page(opened, dataset, out, key, options)
    for note in done.notes:
        print(shown(note, 500))
    twice = sum(one.twice for one in done.key.sets)
    shows = sum(len(one.outputs) * (1 + one.twice) for one in done.key.sets)
    print(
        f"{done.key.track}: {len(done.key.sets)} items, {twice} of them twice, {len(done.key.systems) - 1} systems and "
        f"the ground truth: {shows} scores a rater"
    )
    print(f"wrote {out}: {out.stat().st_size / 1e6:.2f} MB, for the raters")
    print(f"wrote {key}: keep it, and keep it from the raters")


def _summarise(folder: Path, key_path: Path, out: Path, exclude: list[str], as_json: bool) -> None:
    from xmbench.evaluator.rater_files import read_raters
    from xmbench.evaluator.rating_summary import rows, summarise
    from xmbench.formats.document import load_json
    from xmbench.formats.rating_kit import RatingKey
    from xmbench.storage.files import output_file, write_text
    from xmbench.views.rating import markdown

    key = load_json(key_path, RatingKey)
    raters = read_raters(folder, key, key_path=key_path, exclude=exclude)
    found = summarise(key, raters)
    text = json.dumps(found.to_dict(), indent=1)
    lines = io.StringIO()
    writer = csv.DictWriter(lines, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(key, raters.kept))
    files = {"summary.json": text + "\n", "summary.md": markdown(found), "ratings/ratings.csv": lines.getvalue()}
    for name, content in files.items():
        write_text(output_file(out / name), content)
    print(text if as_json else render(found))
    if not as_json:
        print(f"\nwrote {', '.join(str(out / name) for name in files)}")
        print(f"next: xmbench correlate RESULT... --ratings {out / 'ratings'}")


def render(found: RatingSummary) -> str:
    """What `rate --summarise` prints."""
    from xmbench.views.rating import sentences, tables

    lines = [f"{found.track}: {found.items} items, {len(found.raters)} raters"]
    for one in tables(found):
        lines += [one.title, table(one.header, one.rows), ""]
    return "\n".join([*lines, *sentences(found), *(f"warning: {text}" for text in found.warnings)])
