"""The sources of a recipe, with their checked options and their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from xmbench import registry
from xmbench.builder.upstream.fetch import VerifiedFiles
from xmbench.errors import DocumentError
from xmbench.formats.document import parse
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Modality, Source, Spoken, yielded


@dataclass(frozen=True, slots=True)
class Reader:
    """One source of the recipe, ready to read."""

    source: Source
    options: BaseModel
    files: VerifiedFiles

    @property
    def repeatable(self) -> bool:
        """Whether it yields the same content every time."""
        return not isinstance(self.source, Spoken) or self.source.engine(self.options).facts.repeatable


def of(recipe: Recipe, files: Mapping[str, VerifiedFiles] | None) -> dict[str, Reader]:
    """Readers of a recipe's pairing, by their role in it.

    Raises:
        UnknownNameError: an unknown reader.
        DocumentError: options that a reader does not have, or a reader in the wrong role.
    """
    pairing = recipe.pairing
    if pairing.joint:
        return {pairing.items: _reader(recipe, pairing.items, frozenset({"image", "audio"}), files)}
    return {
        pairing.images: _reader(recipe, pairing.images, frozenset({"image"}), files),
        pairing.clips: _reader(recipe, pairing.clips, frozenset({"audio"}), files),
    }


def _reader(
    recipe: Recipe, role: str, wanted: frozenset[Modality], files: Mapping[str, VerifiedFiles] | None
) -> Reader:
    spec = recipe.sources[role]
    source = registry.source(spec.reader)
    if yielded(source) != wanted:
        raise DocumentError(
            f"the reader '{spec.reader}' yields {' and '.join(sorted(yielded(source)))}",
            where=f"{recipe.name}: sources.{role}",
            expected=" and ".join(sorted(wanted)),
        )
    options = parse(spec.options, source.Options, f"{recipe.name}: sources.{role}.options")
    return Reader(source, options, files[role] if files else VerifiedFiles(spec.title))
