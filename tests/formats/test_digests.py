"""Digests of a recipe: what shapes a row changes the data digest, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from xmbench import content
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import JudgeSpec, Recipe, TrackSpec

NAMES = content.names("recipes")
KNOWN = {name: load_toml(content.find("recipes", name), Recipe) for name in NAMES}

# Every field that a recipe has, by its place: whether it shapes a row. A new field has to be put here.
SHAPES = {
    "": {"regime", "image", "audio", "classes", "sources", "pairing", "splits"},
    "image": {"height_px", "width_px", "mode"},
    "audio": {"sample_rate_hz", "samples", "min_duration_s", "max_duration_s", "encoding"},
    "classes": {"names", "words"},
    "sources.*": {"reader", "options", "files"},
    "sources.*.files.*": {"name", "layout", "kind", "pattern", "sha256"},
    "pairing": {"method", "images", "clips", "items", "seed"},
    "splits": {"method", "test_fraction", "seed"},
}
ELSE = {
    "": {
        *("schema_", "name", "version", "title", "description", "licence", "citation", "languages", "notes", "tracks"),
        "harvest",
    },
    "sources.*": {
        "title",
        "licence",
        "licence_url",
        "redistributable",
        "homepage",
        "citation",
        "attribution",
        "archives",
    },
    "sources.*.files.*": {"urls", "archive", "bytes", "split"},
}


def fields(model: BaseModel, place: str = "") -> dict[str, set[str]]:
    """Names of the fields of every table of a recipe, by its place; only of tables that shape rows."""
    found = {place: set(type(model).model_fields)}
    for name in SHAPES.get(place, set()):
        value, where = getattr(model, name), f"{place}.{name}".lstrip(".")
        several = list(value.values()) if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
        for part in several:
            if isinstance(part, BaseModel):
                found |= fields(part, where if part is value else f"{where}.*")
    return found


def changed(recipe: Recipe, place: list[str], value: Any) -> Recipe:
    """A recipe with one value replaced, unchecked: the place is a path of fields, roles and positions."""

    def within(part: Any, rest: list[str]) -> Any:
        if not rest:
            return value
        head, tail = rest[0], rest[1:]
        if isinstance(part, BaseModel):
            return part.model_copy(update={head: within(getattr(part, head), tail)})
        if isinstance(part, dict):
            return {**part, head: within(part.get(head), tail)}
        return tuple(within(item, tail) if str(i) == head else item for i, item in enumerate(part))

    return within(recipe, place)  # type: ignore[no-any-return]


def another(value: Any, text: str, number: int) -> Any:
    """A value of the same type that is not the same."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + number
    if isinstance(value, str):
        return value + text
    if isinstance(value, dict):
        return {**value, "more": number}
    if value and isinstance(value[0], BaseModel):
        return (*value, value[0])
    return (*value, text)


def places(recipe: Recipe, wanted: dict[str, set[str]]) -> list[list[str]]:
    """Paths to every field of a table of fields in one recipe."""
    found = [[name] for name in wanted[""] if name not in ("image", "audio", "classes", "sources", "pairing", "splits")]
    for table in ("image", "audio", "classes", "pairing", "splits"):
        found += [[table, name] for name in wanted.get(table, ())]
    for role, source in recipe.sources.items():
        empty = {"files", *([] if source.archives else ["archives"])}
        found += [["sources", role, name] for name in wanted["sources.*"] if name not in empty]
        for i in range(len(source.files)):
            found += [["sources", role, "files", str(i), name] for name in wanted["sources.*.files.*"]]
    return found


def at(recipe: Recipe, place: list[str]) -> Any:
    value: Any = recipe
    for step in place:
        value = (
            value[int(step)]
            if isinstance(value, tuple)
            else value[step]
            if isinstance(value, dict)
            else getattr(value, step)
        )
    return value


def test_it_is_decided_of_every_field_whether_it_shapes_a_row() -> None:
    found = {place: names for recipe in KNOWN.values() for place, names in fields(recipe).items()}
    assert found == {place: names | ELSE.get(place, set()) for place, names in SHAPES.items()}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), text=st.text(min_size=1, max_size=9), number=st.integers(1, 99))
def test_what_shapes_a_row_always_changes_the_data_digest(data: Any, text: str, number: int) -> None:
    recipe = KNOWN[data.draw(st.sampled_from(NAMES))]
    place = data.draw(st.sampled_from(places(recipe, SHAPES)))
    assert changed(recipe, place, another(at(recipe, place), text, number)).data_digest != recipe.data_digest


@settings(max_examples=150, deadline=None)
@given(data=st.data(), text=st.text(min_size=1, max_size=9), number=st.integers(1, 99))
def test_nothing_else_ever_does(data: Any, text: str, number: int) -> None:
    recipe = KNOWN[data.draw(st.sampled_from(NAMES))]
    place = data.draw(
        st.sampled_from([place for place in places(recipe, ELSE) if place not in (["tracks"], ["harvest"])])
    )
    after = changed(recipe, place, another(at(recipe, place), text, number))
    assert after.data_digest == recipe.data_digest
    assert after.digest != recipe.digest


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_or_a_judge_changes_the_track_digest_only(name: str) -> None:
    recipe = KNOWN[name]
    judge = recipe.tracks[0].judge or JudgeSpec(name="any-name", sha256="1" * 64)
    track = recipe.tracks[0].model_copy(update={"judge": judge})
    versions = dict.fromkeys((*track.metrics, "more"), "1")
    more = track.model_copy(update={"metrics": (*track.metrics, "more")})
    judged = track.model_copy(update={"judge": judge.model_copy(update={"sha256": "0" * 64})})
    renamed = track.model_copy(update={"judge": judge.model_copy(update={"name": "another-name"})})
    turned = track.model_copy(update={"metrics": track.metrics[::-1]})
    raised = versions | {track.primary: "2"}

    def digest(found: TrackSpec, by: dict[str, str] = versions) -> str:
        assert changed(recipe, ["tracks", "0"], found).data_digest == recipe.data_digest
        return found.track_digest(by)

    assert len({digest(track), digest(more), digest(judged), digest(track, raised)}) == 4
    assert digest(track) == digest(renamed) == digest(turned)


def test_how_candidates_are_harvested_is_decided_by_the_files_and_not_by_the_recipe() -> None:
    recipe = KNOWN["scenes-mini"]
    assert recipe.harvest is not None
    other = recipe.model_copy(update={"harvest": recipe.harvest.model_copy(update={"top": 4})})
    assert other.data_digest == recipe.data_digest
    assert other.digest != recipe.digest
