"""Baseline: one row of the boards, as a TOML file that people write."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from xmbench.formats.model import Document, Part
from xmbench.formats.recipe import Name
from xmbench.formats.submission import SystemKind, TrainingData
from xmbench.interfaces import Direction


class Preset(Part):
    """A named variant of a baseline: only what differs."""

    title: str
    config: dict[str, Any] = Field(default_factory=dict)
    deviations: tuple[str, ...] = ()


class RecipeSettings(Part):
    """What differs on the data sets of one recipe: more classes or harder images need more epochs."""

    config: dict[str, Any] = Field(default_factory=dict)


class Expected(Part):
    """A score that a rerun must reach: a regression test, not a claim of the paper.

    `preset` may be several, as on the command line: "lite,gen-only".
    """

    track: str
    preset: str = ""
    metric: Name
    value: float
    tolerance: float = Field(gt=0)
    note: str = ""


class Baseline(Document):
    """One baseline: which model, with which settings, and how it departs from its paper.

    `directions` names the tracks that one training serves, each with its own submission. A file of the first
    version says `direction = "i2a"`, which is read as `directions = ["i2a"]`.

    Attributes:
        recipes: settings that differ on the data sets of a recipe, by its name.
        anchor: an end of the normalised scores of its direction; a row of that kind, run as it is shipped. "floor":
            its outputs do not depend on the condition, and the best of these rows is 0. "ceiling": its outputs are
            the references themselves, and its row is 1.
        training_data: "open" if the system knows more than the training split taught it, such as a speech engine.
    """

    schema_: Literal["xmbench/baseline/1"] = Field(alias="schema")
    name: Name
    title: str
    description: str
    model: Name
    directions: tuple[Direction, ...] = Field(default=("i2a",), min_length=1)
    kind: SystemKind
    anchor: Literal["", "floor", "ceiling"] = ""
    training_data: TrainingData = "closed"
    seed: int = 0
    config: dict[str, Any] = Field(default_factory=dict)
    recipes: dict[Name, RecipeSettings] = Field(default_factory=dict)
    presets: dict[Name, Preset] = Field(default_factory=dict)
    cost: str = ""
    licence: str = "Apache-2.0"
    citation: str = ""
    deviations: tuple[str, ...] = ()
    expected: tuple[Expected, ...] = ()

    @model_validator(mode="after")
    def _anchor_of_its_kind(self) -> Baseline:
        if self.anchor not in ("", self.kind):
            raise ValueError(f"anchor = {self.anchor!r}, but kind = {self.kind!r}: an anchor is a row of that kind")
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_direction(cls, data: Any) -> Any:
        if isinstance(data, dict) and "direction" in data:
            if "directions" in data:
                raise ValueError("both `direction` and `directions`; write only directions = [...]")
            data = dict(data)
            data["directions"] = (data.pop("direction"),)
        return data

    @field_validator("directions")
    @classmethod
    def _each_once(cls, directions: tuple[Direction, ...]) -> tuple[Direction, ...]:
        if len(set(directions)) < len(directions):
            raise ValueError("a direction is listed twice")
        return directions

    def chosen(self, preset: str | None) -> tuple[Preset, ...]:
        """The presets of a choice like "lite,gen-only", in its order; KeyError for an unknown one."""
        return tuple(self.presets[name] for name in names_of(preset))

    def configured(self, preset: str | None, overrides: dict[str, Any], recipe: str = "") -> dict[str, Any]:
        """The raw configuration: the file's, the recipe's, those of the presets in their order, the command line's."""
        found = {**self.config, **(self.recipes[recipe].config if recipe in self.recipes else {})}
        for part in self.chosen(preset):
            found |= part.config
        return found | overrides


def names_of(preset: str | None) -> list[str]:
    """The names in a choice of presets like "lite,gen-only"."""
    return [name.strip() for name in preset.split(",")] if preset else []
