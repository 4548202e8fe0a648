"""Where a data set's classes are among those of a judge, however both spell them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xmbench.judges.instruments import canonical


def places(known: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Where each wanted name stands among the known ones; None unless all of them do.

    Names are compared as they are written, and else in the one spelling of instruments if that confuses none of them.

    >>> places(["cello", "flute", "saxophone"], ["sax", "cello"])
    [2, 0]
    """
    spellings: tuple[Callable[[str], str], ...] = (str, canonical)
    for spelled in spellings:
        there = {spelled(name): place for place, name in enumerate(known)}
        sought = [spelled(name) for name in wanted]
        unique = len(there) == len(known) and len(set(sought)) == len(sought)
        if unique and set(sought) <= set(there):
            return [there[name] for name in sought]
    return None
