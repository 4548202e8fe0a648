"""`--speech`: a recipe with another engine, marked as changed in title, licence and notes."""

from __future__ import annotations

from typing import Any

from xmbench import registry
from xmbench.errors import DocumentError
from xmbench.formats.recipe import Recipe, SourceSpec
from xmbench.interfaces import EngineFacts, Spoken


def override_speech(recipe: Recipe, engine: str) -> tuple[Recipe, str]:
    """The recipe with its words spoken by another engine.

    Voices that the engine lacks are replaced by its voices of the recipe's language. Title, licence and origin of the
    speech become the engine's, so that no card names the engine that was replaced.

    Returns:
        The recipe and the engine's name; the unchanged recipe, and "", where it already names this engine.

    Raises:
        UnknownNameError: no such engine, or it has no voices of the recipe's language.
        DocumentError: the recipe's clips are not spoken by an engine.
    """
    role = recipe.pairing.clip_source
    spec = recipe.sources[role]
    source = registry.source(spec.reader)
    facts = registry.engine(engine).facts
    if not isinstance(source, Spoken):
        raise DocumentError(
            f"the clips of {recipe.name} are not spoken by an engine",
            where=f"--speech {engine}",
            expected="a recipe whose clips have the reader `speech`",
        )
    options = source.with_engine(spec.options, engine, recipe.languages)
    if options == spec.options:
        return recipe, ""
    spoken = _spoken_by(spec, engine, facts, options)
    changed = recipe.model_copy(
        update={
            "title": f"{recipe.title} (spoken by {engine})",
            "licence": recipe.licence if facts.redistributable or not spec.redistributable else "other",
            "sources": {**recipe.sources, role: spoken},
            "notes": (*recipe.notes, f"Not the published recipe: spoken by {engine} (`--speech {engine}`)."),
        }
    )
    return Recipe.model_validate(changed.model_dump(mode="json", by_alias=True)), engine


def _spoken_by(spec: SourceSpec, engine: str, facts: EngineFacts, options: dict[str, Any]) -> SourceSpec:
    """A source of clips with another engine's options, licence and origin."""
    return spec.model_copy(
        update={
            "title": f"Words spoken by {engine}",
            "licence": facts.licence or "unknown",
            "licence_url": "",
            "redistributable": facts.redistributable,
            "homepage": facts.homepage,
            "citation": "",
            "attribution": f"Speech: synthesised with {engine}.",
            "options": options,
        }
    )
