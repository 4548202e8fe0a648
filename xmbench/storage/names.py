"""Text that others chose (names of files, ids, answers of a server), so that it can be printed anywhere."""

from __future__ import annotations

LONGEST_SHOWN = 120


def shown(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The text in one line: control characters and bytes that are no text escaped, long ones cut.

    Args:
        text: any string, also one with lone surrogates (how Python holds a file name that is not UTF-8).
        longest: characters after which it is cut.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
