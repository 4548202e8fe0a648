"""Puts public data into the directories that `xmbench fit-judge` reads for the judges of instruments.

usage: python instruments.py OUT [--notes DIR] [--environment DIR] [--speech DIR] [--photographs DIR]
                                 [--cifar100 DATA] [--cifar10 DATA]

Writes OUT/notes/<instrument>/* with their licences, for `--more`, and OUT/{sounds,images}/{rejects,strangers}/<kind>/*:
what the judges learn to reject, and what they are tested with. Strangers are decided here, by class or speaker.

--notes        <instrument>/*.ogg: the Philharmonia's samples, and the Salamander piano
--environment  <class>/*: ESC-10; helicopter, person_sneeze, rooster, sea_waves are strangers
--speech       <digit>_<speaker>_<take>.*: free-spoken-digit-dataset; theo and yweweler are strangers
--photographs  <class>/*: photographs of other things; dog is a stranger
--cifar100, --cifar10   data sets that `xmbench build` made: CIFAR-100 is learned, CIFAR-10 a stranger
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path

from xmbench.formats.dataset import open_dataset
from xmbench.formats.items import read_image
from xmbench.media import image

STRANGE_SOUNDS = {"helicopter", "person_sneeze", "rooster", "sea_waves"}
STRANGE_SPEAKERS = {"theo", "yweweler"}
STRANGE_PHOTOGRAPHS = {"dog"}
TAKES = 10  # of each digit and speaker
LEARNED, TESTED = 12, 30  # images of each class of CIFAR
PHILHARMONIA = "Philharmonia Orchestra sound samples, CC BY-SA 3.0; not to be sold or passed on as samples"
LICENCES = {"piano": "Salamander Grand Piano V3 by Alexander Holm, CC BY 3.0"}


def notes(folder: Path, out: Path) -> None:
    """Copies `<instrument>/*` and states the licences."""
    shutil.copytree(folder, out / "notes", dirs_exist_ok=True)
    found = {path.name: LICENCES.get(path.name, PHILHARMONIA) for path in folder.iterdir() if path.is_dir()}
    (out / "notes" / "licences.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def by_class(folder: Path, out: Path, kind: str, strange: set[str]) -> None:
    """Copies `<class>/*`, each class to one side."""
    for path in sorted(folder.glob("*/*")):
        if path.suffix != ".csv":
            side = out / ("strangers" if path.parent.name in strange else "rejects") / kind
            side.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, side / f"{path.parent.name}-{path.name}")


def speech(folder: Path, out: Path) -> None:
    """Copies the first takes of every speaker, each speaker to one side."""
    for path in sorted(folder.glob("*_*_*.*")):
        _, speaker, take = path.stem.split("_")
        if int(take) < TAKES:
            side = out / ("strangers" if speaker in STRANGE_SPEAKERS else "rejects") / "speech"
            side.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, side / path.name)


def small_photographs(data: Path, out: Path, split: str, each: int) -> None:
    """Writes the first images of each class of a data set."""
    dataset, taken = open_dataset(data), Counter[int]()
    out.mkdir(parents=True, exist_ok=True)
    for row in dataset.rows(split, ["id", "image", "label"]):
        label = int(row["label"])
        if taken[label] < each:
            taken[label] += 1
            (out / f"{row['id']}.png").write_bytes(image.encode_png(read_image(row, dataset)))


def main() -> None:
    """Copies what is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    for name in ("notes", "environment", "speech", "photographs", "cifar100", "cifar10"):
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.notes:
        notes(given.notes, given.out)
    if given.environment:
        by_class(given.environment, given.out / "sounds", "environment", STRANGE_SOUNDS)
    if given.speech:
        speech(given.speech, given.out / "sounds")
    if given.photographs:
        by_class(given.photographs, given.out / "images", "photographs", STRANGE_PHOTOGRAPHS)
    if given.cifar100:
        small_photographs(given.cifar100, given.out / "images" / "rejects" / "small-photographs", "train", LEARNED)
    if given.cifar10:
        small_photographs(given.cifar10, given.out / "images" / "strangers" / "small-photographs", "test", TESTED)


if __name__ == "__main__":
    main()
