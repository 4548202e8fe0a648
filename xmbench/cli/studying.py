"""Commands that ask a data set about a design choice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from xmbench.cli.tables import Progress, table
from xmbench.cli.terminal import print


def register(app: typer.Typer) -> None:
    """Adds this module's command."""
    app.command("compare-features")(compare_features)


def compare_features(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a data set.")],
    out: Annotated[
        Path | None, typer.Option(help="Directory of the table and the trainings (default: runs/RECIPE/features).")
    ] = None,
    features: Annotated[
        str | None, typer.Option(metavar="stft,mel", help="Some of stft, cqt, mfcc, mel, log-mel (default: all).")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="0,1,2", help="Seeds of each training.")] = "0,1,2",
    preset: Annotated[
        Literal["paper", "lite"], typer.Option(help="Width of the networks; `lite` suits a CPU.")
    ] = "paper",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
) -> None:
    """Trains classifiers of sounds from five features; prints their accuracy on the test items."""
    from xmbench.formats.dataset import open_dataset
    from xmbench.networks.sound_features import FEATURES
    from xmbench.runner.seeds import parse_seeds
    from xmbench.studies import sound_features

    dataset = open_dataset(data)
    folder = out or Path("runs") / dataset.recipe.name / ("features-lite" if preset == "lite" else "features")
    progress = Progress()
    found = sound_features.compare_features(
        dataset,
        folder,
        names=tuple(FEATURES) if features is None else tuple(name.strip() for name in features.split(",")),
        seeds=parse_seeds(seeds),
        preset="lite" if preset == "lite" else "",
        device=device,
        progress=progress.show,
    )
    progress.close()
    rows = [
        [
            row.features,
            str(row.convolutions),
            f"{row.accuracy:.4f}",
            f"{min(row.by_seed):.4f}",
            f"{max(row.by_seed):.4f}",
            "not estimable" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}",
            "" if row.reported is None else f"{row.reported:.4f}",
        ]
        for row in found.table
    ]
    heads = ["features", "convolutions", "accuracy", "lowest seed", "highest", "95 % interval", "as reported*"]
    print(table(heads, rows))
    print(f"on {found.items} test items of {found.takes} takes; the most frequent class is {found.most_frequent:.4f}")
    print("* by Chen et al. (2017) on their data: not to be ranked with these")
    print(f"table: {folder / sound_features.TABLE_FILE}")
