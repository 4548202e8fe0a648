"""The 1,000 classes of ILSVRC 2012 as labels: WordNet synsets, with the names that ImageNet gives them.

The list comes with timm (Apache-2.0). Networks name their classes by a list of names, or have the published order;
both become synsets here, so that nothing depends on the place of a class in a list.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Label

HEAD = "objects"
# The breeds of dogs are consecutive synsets of ILSVRC: Chihuahua to Mexican hairless.
_FIRST_DOG, _LAST_DOG = "n02085620", "n02113978"


@functools.cache
def labels() -> tuple[Label, ...]:
    """The 1,000 labels in the published order, that of their synsets.

    Raises:
        PrerequisiteError: timm is not installed, or is a release without the list.
    """
    found = importlib.util.find_spec("timm")  # importing it would import torch
    folders = list(found.submodule_search_locations or []) if found else []
    try:
        texts = [
            (Path(folders[0]) / "data" / "_info" / name).read_text(encoding="utf-8")
            for name in ("imagenet_synsets.txt", "imagenet_synset_to_lemma.txt")
        ]
    except (IndexError, OSError) as error:
        raise PrerequisiteError(
            "the list of ImageNet's classes is missing", todo="pip install 'timm>=1.0.20'"
        ) from error
    names = dict(line.split("\t", 1) for line in texts[1].splitlines() if "\t" in line)
    return tuple(Label(synset, names[synset]) for synset in texts[0].split())


def named(names: Sequence[str], where: object) -> tuple[Label, ...]:
    """The label of each name, like `tench, Tinca tinca`.

    A name that several classes have (`crane`) is resolved where the list has it as often: in the order of synsets.

    Raises:
        PrerequisiteError: names that ImageNet does not have.
    """
    known: dict[str, list[Label]] = {}
    for label in labels():
        known.setdefault(_key(label.name), []).append(label)
    left = {key: list(found) for key, found in known.items()}
    made, problems = [], []
    for name in names:
        found = left.get(_key(name)) or []
        if found:
            made.append(found.pop(0))
        else:
            problems.append(f"'{name[:60]}'")
    if problems:
        raise PrerequisiteError(
            f"{len(problems)} of {len(names)} classes are not those of ImageNet",
            where=where,
            expected="names like 'tench, Tinca tinca', each once",
            problems=problems,
        )
    return tuple(made)


def dogs() -> tuple[str, ...]:
    """Synsets of the 118 breeds of dogs."""
    return tuple(label.id for label in labels() if _FIRST_DOG <= label.id <= _LAST_DOG)


def _key(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())
