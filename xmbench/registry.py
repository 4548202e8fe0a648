"""A name -> Source | Engine | AnnotatorKind | Metric | JudgeKind | Model, built in or by entry point.

The name of a file (of a judge: of its directory) is the public name. Names are listed without importing anything; an
item is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import Any, Literal, cast

from xmbench import plugins
from xmbench.errors import PrerequisiteError, UnknownNameError, nearest
from xmbench.interfaces import AnnotatorKind, Engine, EngineFacts, JudgeKind, Metric, Model, Source

Kind = Literal["sources", "engines", "annotators", "metrics", "judges", "baselines"]
_CONSTANT = {
    "sources": "SOURCE",
    "engines": "ENGINE",
    "annotators": "ANNOTATOR",
    "metrics": "METRIC",
    "judges": "JUDGE",
    "baselines": "MODEL",
}
# What every item of a kind has, and of which type; None for methods.
_ATTRIBUTES: dict[Kind, dict[str, type | tuple[type, ...] | None]] = {
    "sources": {"name": str, "versions": None, "entries": None, "read": None},
    "engines": {"facts": EngineFacts, "version": None, "voices": None, "speak": None},
    "annotators": {"name": str, "modality": str, "published": tuple, "load": None},
    "metrics": {
        "name": str,
        "version": str,
        "modality": str,
        "unit": str,
        "low": (int, float),
        "high": (int, float),
        "higher_is_better": bool,
        "prepare": None,
        "reduce": None,
    },
    "judges": {"name": str, "modality": str, "formats": tuple, "needs": str, "fits": None, "load": None},
    "baselines": {"name": str, "directions": tuple, "fit": None},
}


def names(kind: Kind) -> list[str]:
    """Public names of every built-in and plug-in item of a kind, sorted."""
    built_in = _built_in(kind)
    return sorted({*built_in, *(point.name for point in plugins.points(f"xmbench.{kind}", built_in))})


def of_plug_in(kind: Kind, name: str) -> bool:
    """Whether an item comes from a third party."""
    return name not in _built_in(kind)


def usable(kind: Kind) -> list[str]:
    """As `names`, without the plug-ins that cannot be imported or are not of this kind: those are named and skipped."""
    found = []
    for name in names(kind):
        try:
            if of_plug_in(kind, name):
                _load(kind, name)
        except PrerequisiteError as error:
            plugins.skip(f"{error.where}", error.what)
            continue
        found.append(name)
    return found


def source(name: str) -> Source:
    """The source (reader) of a name.

    Raises:
        UnknownNameError: no such source; the nearest name is offered.
    """
    return cast(Source, _load("sources", name))


def engine(name: str) -> Engine:
    """The speech engine of a name; raises UnknownNameError."""
    return cast(Engine, _load("engines", name))


def annotator(name: str) -> AnnotatorKind:
    """The annotator of a name; raises UnknownNameError."""
    return cast(AnnotatorKind, _load("annotators", name))


def metric(name: str) -> Metric:
    """The metric of a name; raises UnknownNameError."""
    return cast(Metric, _load("metrics", name))


def judge(name: str) -> JudgeKind:
    """The kind of judge of a name; raises UnknownNameError."""
    return cast(JudgeKind, _load("judges", name))


def model(name: str) -> Model:
    """The model of a name; raises UnknownNameError."""
    return cast(Model, _load("baselines", name))


def _wrong(kind: Kind, name: str, item: Any) -> str:
    """Why an item of a third party is not of its kind; "" if it is."""
    if isinstance(item, type):
        return f"{item.__name__} is a class, not an instance of one"
    for attribute, types in _ATTRIBUTES[kind].items():
        try:
            value = getattr(item, attribute)
        except Exception as error:
            return f"no {attribute}: {error}"
        if not (callable(value) if types is None else isinstance(value, types)):
            return f"{attribute} is of type {type(value).__name__}"
    named = item.facts.name if kind == "engines" else item.name
    return "" if named == name else f"its name is {named!r}"


def _built_in(kind: Kind) -> list[str]:
    spec = importlib.util.find_spec(f"xmbench.{kind}")
    folders = list(spec.submodule_search_locations or []) if spec else []
    modules = [module for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]
    # A judge is a directory (network, fitting, weights); the modules next to those serve all of them.
    return [module.name.replace("_", "-") for module in modules if module.ispkg or kind != "judges"]


def _load(kind: Kind, name: str) -> Any:
    if name in _built_in(kind):
        module = importlib.import_module(f"xmbench.{kind}.{name.replace('-', '_')}")
        return getattr(module, _CONSTANT[kind])
    for point in plugins.points(f"xmbench.{kind}"):
        if point.name == name:
            found = plugins.load(point)
            if wrong := _wrong(kind, name, found):
                raise plugins.refused(point, wrong)
            return found
    raise UnknownNameError(
        f"no {kind[:-1]} is called '{name}'", expected=nearest(name, names(kind)), todo=f"xmbench list {kind}"
    )
