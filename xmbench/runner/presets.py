"""Presets of a baseline, one or several: which may be chosen together."""

from __future__ import annotations

from xmbench.errors import DocumentError, UnknownNameError, nearest
from xmbench.formats.baseline import Baseline, names_of


def canonical(baseline: Baseline, preset: str | None) -> str | None:
    """A choice of presets as runs and submissions name it: "lite, gen-only" -> "lite,gen-only"; None for none.

    The order counts: where two presets have a setting, the later one gives it.

    Raises:
        UnknownNameError: no such preset; the nearest name is offered.
        DocumentError: one is named twice, or has no effect beside the others.
    """
    names = names_of(preset)
    for name in names:
        if name not in baseline.presets:
            raise UnknownNameError(f"{baseline.name} has no preset '{name}'", expected=nearest(name, baseline.presets))
    problems = [f"'{name}' is named twice" for name in sorted(set(names)) if names.count(name) > 1]
    if not problems:
        problems = [
            f"'{name}' changes nothing beside {' and '.join(repr(other) for other in names if other != name)}"
            for name in names
            if _without_effect(baseline, names, name)
        ]
    if problems:
        raise DocumentError(
            f"these presets of {baseline.name} cannot be one choice",
            where=f"--preset {','.join(names)}",
            problems=problems,
            expected="presets that each change a setting; the later one gives a setting that two of them have",
        )
    return ",".join(names) or None


def _without_effect(baseline: Baseline, names: list[str], name: str) -> bool:
    """Whether the configuration is the same without one of several presets: the row's name would be wrong."""
    if len(names) == 1 or not baseline.presets[name].config:
        return False
    others = ",".join(other for other in names if other != name)
    return baseline.configured(",".join(names), {}) == baseline.configured(others, {})
