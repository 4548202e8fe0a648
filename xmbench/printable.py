"""Text of others (names of files, ids, answers of a server), made safe to print on a terminal or a page."""

from __future__ import annotations

import re
import unicodedata

LONGEST_SHOWN = 120

# Characters that a terminal or a browser obeys instead of showing: control characters (escape sequences of a terminal
# begin with one), line separators, characters that change the reading direction or have no width, and halves of
# surrogate pairs, which a file in UTF-8 cannot hold.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "·": "-",
    "…": "...",
    "→": "->",
    "←": "<-",
    "±": "+-",
    "★": "*",
    "“": '"',
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "•": "*",
    "≥": ">=",
    "≤": "<=",
    "≈": "~",
    "µ": "u",
    "μ": "u",
    "✓": "+",
    "✗": "x",
    "°": " deg",
    "ß": "ss",
}


def visible(text: str) -> str:
    r"""The same text with such characters escaped (`\u001b`, `\u202e`, as in JSON); newlines and tabs are kept."""
    return _OBEYED.sub(lambda found: _escaped(found.group()), text)


def shown(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The text in one line: every character that is not printable is escaped, long texts are cut.

    Args:
        text: any string, also one with lone surrogates (how Python holds a file name that is not UTF-8).
        longest: characters after which it is cut.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(character if character.isprintable() else _in_line(character) for character in cut)


def plain(character: str) -> str:
    """ASCII for a character that an encoding lacks: `->`, `x`, the letter without its accent, or `?`."""
    if character in _PLAIN:
        return _PLAIN[character]
    if _OBEYED.match(character):
        return _escaped(character)
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or "?"


def _in_line(character: str) -> str:
    return _SHORT.get(character) or _escaped(character)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def hyphenated(text: str) -> str:
    """Lower-case ASCII letters and digits, all else as single hyphens between: `MT-Net (lite)` -> `mt-net-lite`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
