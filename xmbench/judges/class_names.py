"""Names of classes as judges and data sets spell them: `double_bass` and `double bass`, `sax` and `saxophone`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_SAME = {"sax": "saxophone"}  # a short name that a published data set uses


def plain(name: str) -> str:
    """The spelling under which names are compared.

    >>> plain("Double_Bass"), plain("double-bass"), plain("sax")
    ('double bass', 'double bass', 'saxophone')
    """
    words = " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
    return _SAME.get(words, words)


def places(known: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Where each wanted name stands among the known ones; None unless all of them do.

    Names are compared as they are written, and as `plain` spells them if that confuses none of them.

    >>> places(["cello", "flute", "saxophone"], ["sax", "cello"])
    [2, 0]
    """
    spellings: tuple[Callable[[str], str], ...] = (str, plain)
    for spelled in spellings:
        there = {spelled(name): place for place, name in enumerate(known)}
        sought = [spelled(name) for name in wanted]
        unique = len(there) == len(known) and len(set(sought)) == len(sought)
        if unique and set(sought) <= set(there):
            return [there[name] for name in sought]
    return None
