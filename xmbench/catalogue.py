"""What there is: recipes, baselines, metrics, tracks, sources, engines, as rows of text."""

from __future__ import annotations

from typing import Literal, get_args

from xmbench import content, registry
from xmbench.builder.plan import load_recipe
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml

Kind = Literal["recipes", "baselines", "metrics", "tracks", "sources", "engines"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Row = dict[str, str]


def rows(kind: Kind) -> list[Row]:
    """One row per item of a kind, sorted by name; every row has the same keys, "name" first.

    Raises:
        DocumentError: a recipe or a baseline that does not fit its schema.
    """
    return _MAKERS[kind]()


def _recipes() -> list[Row]:
    found = [load_recipe(name) for name in content.names("recipes")]
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
        for recipe in map(load_recipe, content.names("recipes"))
        for track in recipe.tracks
    ]


def _baselines() -> list[Row]:
    found = [load_toml(content.find("baselines", name), Baseline) for name in content.names("baselines")]
    return [
        {"name": b.name, "model": b.model, "direction": b.direction, "kind": b.kind, "title": b.title} for b in found
    ]


def _metrics() -> list[Row]:
    found = [registry.metric(name) for name in registry.usable("metrics")]
    return [
        {
            "name": m.name,
            "version": m.version,
            "scores": m.modality,
            "unit": m.unit,
            "range": f"{m.low:g}..{m.high:g}",
            "better": "higher" if m.higher_is_better else "lower",
        }
        for m in found
    ]


def _sources() -> list[Row]:
    found = [registry.source(name) for name in registry.usable("sources")]
    return [{"name": s.name, "yields": s.modality, "what": _first_line(s)} for s in found]


def _engines() -> list[Row]:
    found = [registry.engine(name) for name in registry.usable("engines")]
    return [
        {
            "name": e.facts.name,
            "where": "online" if e.facts.online else "offline",
            "repeatable": "yes" if e.facts.repeatable else "no",
            "rates": "{}..{}".format(*e.facts.rates) if e.facts.rates else "its own",
            "licence": e.facts.licence or "unknown",
            "what": _first_line(e),
        }
        for e in found
    ]


def _first_line(item: object) -> str:
    return (item.__doc__ or "").strip().splitlines()[0] if item.__doc__ else ""


_MAKERS = {
    "recipes": _recipes,
    "baselines": _baselines,
    "metrics": _metrics,
    "tracks": _tracks,
    "sources": _sources,
    "engines": _engines,
}
