"""Which tracks a data set is scored on: decided only here."""

from __future__ import annotations

from xmbench import content
from xmbench.errors import UnknownNameError
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe, TrackSpec


def installed(name: str) -> Recipe | None:
    """The recipe of a name that this installation has, or None.

    Raises:
        DocumentError: it does not fit the schema.
    """
    try:
        return load_toml(content.find("recipes", name), Recipe)
    except UnknownNameError:
        return None


def tracks_of(built: Recipe) -> tuple[TrackSpec, ...]:
    """The tracks of a data set that was built from a recipe.

    A metric or judge that was added since needs a new score, never a new build: the tracks are those of the installed
    recipe if it builds the same data. Otherwise (another recipe, an earlier one, one given by its path) they are those
    of the data set's own copy.
    """
    current = installed(built.name)
    return current.tracks if current is not None and current.data_digest == built.data_digest else built.tracks
