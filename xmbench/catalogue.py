"""The recipes, baselines, metrics, tracks, sources, engines and annotators that exist, as rows of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, get_args

from xmbench import content, plugins, registry
from xmbench.builder.plan import load_recipe
from xmbench.errors import DocumentError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import yielded

Kind = Literal["recipes", "baselines", "metrics", "tracks", "sources", "engines", "annotators"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Row = dict[str, str]
Loaded = TypeVar("Loaded")


def rows(kind: Kind) -> list[Row]:
    """One row per item of a kind, sorted by name; every row has the same keys, "name" first.

    Raises:
        DocumentError: a recipe or a baseline that does not fit its schema.
    """
    return _MAKERS[kind]()


def _documents(kind: content.Kind, load: Callable[[str], Loaded]) -> list[Loaded]:
    """Every document of a kind; one of a third party that does not fit its schema is named and skipped."""
    found = []
    for name in content.names(kind):
        try:
            found.append(load(name))
        except DocumentError as error:
            if not content.of_plug_in(kind, name):
                raise
            plugins.skip(f"{error.where}", error.what)
    return found


def _items(kind: registry.Kind, row: Callable[[str], Row]) -> list[Row]:
    """A row for every item of a kind; a plug-in that cannot be described is named and skipped."""
    found = []
    for name in registry.usable(kind):
        try:
            found.append({key: str(value) for key, value in row(name).items()})
        except Exception as error:
            if not registry.of_plug_in(kind, name):
                raise
            plugins.skip(f"the plug-in '{name}'", f"{type(error).__name__}: {error}")
    return found


def _recipes() -> list[Row]:
    found = _documents("recipes", load_recipe)
    return [
        {"name": r.name, "version": r.version, "regime": r.regime, "licence": r.licence, "title": r.title}
        for r in found
    ]


def _tracks() -> list[Row]:
    return [
        {
            "name": recipe.track_id(track.direction),
            "split": track.split,
            "regime": recipe.regime,
            "primary": track.primary,
            "metrics": ", ".join(track.metrics),
        }
        for recipe in _documents("recipes", load_recipe)
        for track in recipe.tracks
    ]


def _baselines() -> list[Row]:
    found = _documents("baselines", lambda name: load_toml(content.find("baselines", name), Baseline))
    return [
        {"name": b.name, "model": b.model, "direction": ", ".join(b.directions), "kind": b.kind, "title": b.title}
        for b in found
    ]


def _metrics() -> list[Row]:
    def row(name: str) -> Row:
        m = registry.metric(name)
        return {
            "name": m.name,
            "version": m.version,
            "scores": m.modality,
            "unit": m.unit,
            "range": f"{m.low:g}..{m.high:g}",
            "better": "higher" if m.higher_is_better else "lower",
        }

    return _items("metrics", row)


def _sources() -> list[Row]:
    def row(name: str) -> Row:
        s = registry.source(name)
        return {"name": s.name, "yields": " and ".join(sorted(yielded(s))), "what": _first_line(s)}

    return _items("sources", row)


def _engines() -> list[Row]:
    def row(name: str) -> Row:
        facts = registry.engine(name).facts
        return {
            "name": facts.name,
            "where": "online" if facts.online else "offline",
            "repeatable": "yes" if facts.repeatable else "no",
            "rates": "{}..{}".format(*facts.rates) if facts.rates else "its own",
            "licence": facts.licence or "unknown",
            "what": _first_line(registry.engine(name)),
        }

    return _items("engines", row)


def _annotators() -> list[Row]:
    def row(name: str) -> Row:
        kind = registry.annotator(name)
        given = ", ".join(weights.file for weights in kind.published) or "its own"
        return {
            "name": kind.name,
            "labels": {"image": "images", "audio": "sounds"}[kind.modality],
            "weights": "with the package" if kind.shipped else given,
            "what": _first_line(kind),
        }

    return _items("annotators", row)


def _first_line(item: object) -> str:
    return (item.__doc__ or "").strip().splitlines()[0] if item.__doc__ else ""


_MAKERS = {
    "recipes": _recipes,
    "baselines": _baselines,
    "metrics": _metrics,
    "tracks": _tracks,
    "sources": _sources,
    "engines": _engines,
    "annotators": _annotators,
}
