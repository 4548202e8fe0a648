"""Entry points of third parties: a faulty one affects no other item.

An entry point that cannot be used is named once, on the standard error, and skipped; asked for by name it is an error
with the reason.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Collection
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

from xmbench.errors import PrerequisiteError
from xmbench.printable import visible

_LONGEST_REASON = 300
_logger = logging.getLogger("xmbench")
_told: set[str] = set()


def points(group: str, built_in: Collection[str] = ()) -> list[EntryPoint]:
    """The entry points of a group, one for each name, without importing any; built-in names are not replaced."""
    found: dict[str, EntryPoint] = {}
    for point in _all(group):
        if point.name in built_in or point.name in found:
            owner = "xmbench itself" if point.name in built_in else _package(found[point.name])
            skip(f"the plug-in '{point.name}' of {_package(point)}", f"{owner} has {group[8:]} of that name")
        else:
            found[point.name] = point
    return list(found.values())


def load(point: EntryPoint) -> Any:
    """The object of an entry point; what its import prints goes to the standard error.

    Raises:
        PrerequisiteError: it cannot be imported, or is None.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = point.load()
    except (Exception, SystemExit) as error:
        raise refused(point, f"{type(error).__name__}: {error}") from error
    if found is None:
        raise refused(point, "it is None")
    return found


def refused(point: EntryPoint, reason: str) -> PrerequisiteError:
    """The error of a plug-in that cannot be used."""
    return PrerequisiteError(
        f"the plug-in '{point.name}' cannot be used ({_short(reason)})",
        where=f"{point.value}, of {_package(point)}",
        todo="fix that package, or uninstall it",
    )


def skip(what: str, reason: str) -> None:
    """Logs, once, that an item of a third party is skipped, and why."""
    line = visible(f"skipped: {what} ({_short(reason)})")
    if line not in _told:
        _told.add(line)
        _logger.warning("%s", line)


def _all(group: str) -> list[EntryPoint]:
    """As `entry_points`, which fails altogether where the list of a single package is damaged."""
    try:
        return list(entry_points(group=group))
    except Exception:
        found = []
        for package in distributions():
            try:
                found += [point for point in package.entry_points if point.group == group]
            except Exception as error:
                skip(f"the plug-ins of {package.metadata['Name']}", f"its entry points cannot be read: {error}")
        return found


def _package(point: EntryPoint) -> str:
    try:
        return f"the package {point.dist.name}" if point.dist else "a package"
    except Exception:  # its metadata is damaged
        return "a package"


def _short(reason: str) -> str:
    return " ".join(reason.split())[:_LONGEST_REASON]
