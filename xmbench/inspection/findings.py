"""What `validate` found: problems by kind, so that 60,000 of one kind do not hide one of another."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from xmbench.errors import XmbenchError

_KEPT = 1_000
_FEW = 3


@dataclass(slots=True)
class Findings:
    """Problems in the order found.

    Attributes:
        counts: how many there are of each kind.
        lines: the first thousand of each kind, one line each.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lines: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, line: str) -> None:
        """Notes one problem."""
        self.counts[kind] += 1
        known = self.lines.setdefault(kind, [])
        if len(known) < _KEPT:
            known.append(line)

    def shown(self, per_kind: int = _KEPT) -> list[str]:
        """The first lines of every kind, and how many more there are."""
        shown = []
        for kind, known in self.lines.items():
            shown += known[:per_kind]
            if self.counts[kind] > min(per_kind, len(known)):
                shown.append(f"... and {self.counts[kind] - min(per_kind, len(known)):,} more of this kind ({kind})")
        return shown


@dataclass(slots=True)
class Validation:
    """What was checked, and the problems.

    Attributes:
        dataset: name of the recipe.
        digest: of the content that was read.
        rows: rows read, by split.
        takes: distinct takes, by split.
        notes: expected facts, for information.
        found: every problem; the data set is right when there is none.
    """

    dataset: str
    digest: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    takes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    found: Findings = field(default_factory=Findings)

    @property
    def holds(self) -> bool:
        """Whether there is no problem."""
        return not self.found.counts

    @property
    def problems(self) -> list[str]:
        """One line for each problem."""
        return self.found.shown()

    @property
    def kinds(self) -> dict[str, int]:
        """How many problems there are of each kind."""
        return dict(self.found.counts)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rest = asdict(self)
        del rest["found"]
        return {"holds": self.holds, **rest, "kinds": self.kinds, "problems": self.problems}


def named(ids: list[str], count: int) -> str:
    """`'a', 'b' and 7 more` of a list's first ids."""
    shown = ", ".join(f"'{item}'" for item in ids[:_FEW])
    return shown if count <= len(ids[:_FEW]) else f"{shown} and {count - len(ids[:_FEW]):,} more"


def brief(error: Exception) -> str:
    """The first line of an error."""
    text = error.what if isinstance(error, XmbenchError) else str(error) or repr(error)
    return text.splitlines()[0][:200]


class Votes:
    """The values that the rows of one take have in one column; the minority is at fault."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[Any, tuple[int, list[str]]] = {}

    def cast(self, value: Any, item: str) -> bool:
        """Counts a row's value; returns whether it is new."""
        count, ids = self.values.get(value, (0, []))
        if count < _FEW:
            ids.append(item)
        self.values[value] = (count + 1, ids)
        return count == 0

    def outvoted(self) -> tuple[Any, list[tuple[Any, str]]]:
        """The value of most rows, and each other value with its rows."""
        winner = max(self.values, key=lambda value: self.values[value][0])
        others = [(value, named(ids, count)) for value, (count, ids) in self.values.items() if value != winner]
        return winner, others
