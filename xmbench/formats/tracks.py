"""Which tracks a data set is scored on: decided here, and nowhere else."""

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

    A metric or a judge that was added since asks for a new score, never for a new build: the tracks are those of the
    installed recipe if it builds the same data. Otherwise (another recipe, an earlier one, one that was given by its
    path) they are those that the data set brought along.
    """
    today = installed(built.name)
    return today.tracks if today is not None and today.data_digest == built.data_digest else built.tracks
