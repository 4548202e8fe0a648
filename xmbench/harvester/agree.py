"""Which labels the annotators of a harvest agree on, and how often: what the classes of a recipe are chosen from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from xmbench import registry
from xmbench.errors import DocumentError, UpstreamError
from xmbench.formats.document import load_json, parse
from xmbench.formats.harvest import CANDIDATES_FOLDER, LABELS_FILE, Labels
from xmbench.formats.recipe import Recipe
from xmbench.harvester.harvest import open_harvest
from xmbench.interfaces import Rejected

_READER = "harvest"


@dataclass(frozen=True, slots=True)
class Agreement:
    """A label that both annotators find.

    Attributes:
        label: its id.
        name: of it.
        pairs: candidates that agree on it, and that no rule leaves out.
        left_out: reason -> candidates.
    """

    label: str
    name: str
    pairs: int
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """Its first name, as a class: `chain_saw`."""
        return self.name.partition(",")[0].strip().replace(" ", "_")


def agreements(folder: Path, recipe: Recipe) -> list[Agreement]:
    """Every label that is agreed on, by the rule of a recipe but for its classes; the most frequent first.

    Raises:
        DatasetError: no finished harvest.
        DocumentError: the recipe is not made of a harvest.
        UpstreamError: the harvest lacks the labels of the recipe's annotators.
    """
    open_harvest(folder)
    spec = recipe.sources[recipe.pairing.item_source]
    if spec.reader != _READER:
        raise DocumentError(f"the recipe's reader is '{spec.reader}'", where=recipe.name, expected=f"'{_READER}'")
    known = load_json(folder / CANDIDATES_FOLDER / LABELS_FILE, Labels).labels
    source = registry.source(_READER)
    names = tuple(sorted(known))
    options = {**spec.options, "labels": dict(zip(names, names, strict=True)), "per_class": 1 << 31}
    task = replace(recipe.task, class_names=names)
    files = _Files(folder)
    entries = source.entries(files, parse(options, source.Options, recipe.name), task)
    pairs, left_out = Counter[str](), Counter[tuple[str, str]]()
    for entry in entries:
        if len(entry.locator) == 2:
            pairs[names[entry.label]] += 1
        else:
            left_out[names[entry.label], str(entry.locator[0])] += 1
    found = {*pairs, *(label for label, _ in left_out)}
    made = [
        Agreement(
            label,
            known[label].name,
            pairs[label],
            {reason: number for (other, reason), number in sorted(left_out.items()) if other == label},
        )
        for label in found
    ]
    return sorted(made, key=lambda one: (-one.pairs, one.label))


def as_toml(chosen: Sequence[Agreement], recipe: Recipe) -> str:
    """The tables of a recipe that say which classes it has; their names in alphabetical order."""
    counted = Counter(one.class_name for one in chosen)
    named = {one.class_name if counted[one.class_name] == 1 else f"{one.class_name}_{one.label}": one for one in chosen}
    listed = ", ".join(f'"{name}"' for name in sorted(named))
    lines = [f'{_key(name)} = "{named[name].label}"  # {named[name].pairs:,} pairs' for name in sorted(named)]
    role = recipe.pairing.item_source
    return "\n".join(["[classes]", f"names = [{listed}]", "", f"[sources.{role}.options.labels]", *lines])


def _key(name: str) -> str:
    return name if all(c.isascii() and (c.isalnum() or c in "_-") for c in name) else f'"{name}"'


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of a harvest, as the upstream of its reader."""

    folder: Path

    def names(self) -> tuple[str, ...]:
        """Names below the directory of the harvest."""
        files = sorted((self.folder / CANDIDATES_FOLDER).iterdir())
        return tuple(f"{CANDIDATES_FOLDER}/{file.name}" for file in files)

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return self.path(name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """A stream over a file."""
        return self.path(name).open("rb")

    def path(self, name: str) -> Path:
        """The path of a file; raises UpstreamError where it is missing."""
        path = self.folder / name
        if not path.is_file():
            raise UpstreamError("no such file", where=path)
        return path

    def item(self, url: str) -> Path | Rejected:
        """A harvest fetches nothing."""
        return Rejected("fetch", "offline", url)
