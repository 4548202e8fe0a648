"""Sizes as people type them: `15MiB`, `60MB`, `500000`."""

from __future__ import annotations

import re

from xmbench.errors import DocumentError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_EXPECTED = "a size like 15MiB, 60MB or 500000 (bytes)"


def parse_size(text: str, where: str) -> int:
    """Bytes of a size from 1 on.

    Args:
        text: a number, and B, kB, MB, GB, KiB, MiB or GiB, or nothing.
        where: the option, for the message.

    Raises:
        DocumentError: not a size.
    """
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([a-z]*)", text.strip().lower())
    unit = _UNITS.get(found[2]) if found else None
    if found is None or unit is None:
        raise DocumentError(f"{text[:40]!r} is not a size", where=where, expected=_EXPECTED)
    size = int(float(found[1]) * unit)
    if size < 1:
        raise DocumentError(f"{text[:40]!r} is less than a byte", where=where, expected=_EXPECTED)
    return size


def size_text(size: int) -> str:
    """`15.0 MiB`, `900 bytes`."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
