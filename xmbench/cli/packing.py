"""Commands that take a data set through a narrow pipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmbench.cli.tables import Progress
from xmbench.cli.terminal import print
from xmbench.storage.sizes import parse_size, size_text


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("pack")(pack)
    app.command("unpack")(unpack)


def pack(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a data set.")],
    parts: Annotated[str, typer.Option(metavar="SIZE", help="Largest size of a part, like 60MiB.")] = "60MiB",
    out: Annotated[Path | None, typer.Option(help="Directory of the pack (default: DIR-packed).")] = None,
) -> None:
    """Packs a data set into parts of at most a size: lossless, checked, resumable."""
    from xmbench.formats.dataset import open_dataset
    from xmbench.packing.pack import pack as pack_dataset

    length = parse_size(parts, "--parts")
    dataset = open_dataset(folder)
    place = out or folder.resolve().with_name(f"{folder.resolve().name}-packed")
    progress = Progress(interval_s=0)
    index = pack_dataset(dataset, place, length, progress.show)
    progress.close()
    before = sum(shard.bytes for shard in dataset.manifest.shards)
    print(f"{len(index.parts):,} part(s), {size_text(index.bytes)} of {size_text(before)}, in {place}")
    print(f"digest {index.dataset_digest}")
    print("next, where the files are copied to: xmbench unpack DIR OUT")


def unpack(
    sources: Annotated[
        list[Path], typer.Argument(metavar="PACK...", help="Directory of a pack, or its files with pack.json.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Directory of the data set.")],
) -> None:
    """Restores a data set from its pack; names parts that are missing or damaged."""
    from xmbench.packing.unpack import unpack as unpack_dataset

    progress = Progress(interval_s=0)
    done = unpack_dataset(sources, out, progress.show)
    progress.close()
    if done.changed:
        print(
            f"{done.changed:,} image(s) have other PNG bytes than where they were packed, with the same pixels: "
            "another version of Pillow or zlib"
        )
    print(f"digest {done.dataset.digest}")
    print(f"unpacked {done.dataset.recipe.name} in {out}")
