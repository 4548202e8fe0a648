"""Every metric and measure shows in its docstring what it gives for something that anyone can make again."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re

import pytest

import xmbench.measures
import xmbench.metrics

METRICS = [
    f"xmbench.metrics.{module.name}"
    for module in pkgutil.iter_modules(xmbench.metrics.__path__)
    if not module.name.startswith("_")
]
MEASURES = [f"xmbench.measures.{module.name}" for module in pkgutil.iter_modules(xmbench.measures.__path__)]


def examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(name)
    return [found for found in doctest.DocTestFinder().find(module, name) if found.examples]


@pytest.mark.parametrize("name", [*METRICS, *MEASURES])
def test_examples_give_what_they_say(name: str) -> None:
    failures: list[str] = []
    for found in examples(name):
        doctest.DocTestRunner().run(found, out=failures.append)
    assert not failures, "".join(failures)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_shows_a_number(name: str) -> None:
    module = importlib.import_module(name)
    shown = [step.want for found in examples(name) for step in found.examples if step.want]
    assert any(re.search(r"\d", want) for want in shown), f"{name} needs an example with a literal number"
    text = " ".join((module.__doc__ or "").split()).lower()
    assert re.search(r"(higher|lower) is better", text), f"{name} does not say which way is better"
    assert re.search(r"\d\.\.\d|at least 0", text), f"{name} does not say its bounds"
