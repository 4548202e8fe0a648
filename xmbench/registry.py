"""A name -> Source | Engine | Annotator | Metric | JudgeKind | Model, built in or by entry point.

The name of a file (of a judge: of its folder) is the public name. Names are listed without importing anything; an item
is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from importlib.metadata import entry_points
from typing import Any, Literal, cast

from xmbench.errors import UnknownNameError, nearest
from xmbench.interfaces import Annotator, Engine, JudgeKind, Metric, Model, Source

Kind = Literal["sources", "engines", "annotators", "metrics", "judges", "baselines"]
_CONSTANT = {
    "sources": "SOURCE",
    "engines": "ENGINE",
    "annotators": "ANNOTATOR",
    "metrics": "METRIC",
    "judges": "JUDGE",
    "baselines": "MODEL",
}


def names(kind: Kind) -> list[str]:
    """Public names of every built-in and plug-in item of a kind, sorted."""
    return sorted({*_built_in(kind), *(point.name for point in entry_points(group=f"xmbench.{kind}"))})


def source(name: str) -> Source:
    """The source (reader) of a name.

    Raises:
        UnknownNameError: there is none; the nearest name is offered.
    """
    return cast(Source, _load("sources", name))


def engine(name: str) -> Engine:
    """The speech engine of a name; raises UnknownNameError."""
    return cast(Engine, _load("engines", name))


def annotator(name: str) -> Annotator:
    """The annotator of a name; raises UnknownNameError."""
    return cast(Annotator, _load("annotators", name))


def metric(name: str) -> Metric:
    """The metric of a name; raises UnknownNameError."""
    return cast(Metric, _load("metrics", name))


def judge(name: str) -> JudgeKind:
    """The kind of judge of a name; raises UnknownNameError."""
    return cast(JudgeKind, _load("judges", name))


def model(name: str) -> Model:
    """The model of a name; raises UnknownNameError."""
    return cast(Model, _load("baselines", name))


def _built_in(kind: Kind) -> list[str]:
    spec = importlib.util.find_spec(f"xmbench.{kind}")
    folders = list(spec.submodule_search_locations or []) if spec else []
    modules = [module for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]
    # A judge is a folder (network, fitting, weights); the modules beside those serve all of them.
    return [module.name.replace("_", "-") for module in modules if module.ispkg or kind != "judges"]


def _load(kind: Kind, name: str) -> Any:
    if name in _built_in(kind):
        module = importlib.import_module(f"xmbench.{kind}.{name.replace('-', '_')}")
        return getattr(module, _CONSTANT[kind])
    for point in entry_points(group=f"xmbench.{kind}"):
        if point.name == name:
            return point.load()
    raise UnknownNameError(
        f"no {kind[:-1]} is called '{name}'", expected=nearest(name, names(kind)), todo=f"xmbench list {kind}"
    )
