"""Signs that a terminal or a browser would obey instead of showing: names and details come from files of others."""

from __future__ import annotations

import re
import unicodedata

# Control characters (escape sequences of a terminal begin with one), line separators, signs that turn the reading
# direction or have no width, and halves of surrogate pairs, which no file in UTF-8 can hold.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
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
    r"""The same text with such signs written out (`\u001b`, `\u202e`, as JSON does); line ends and tabs stay."""
    return _OBEYED.sub(lambda sign: _written(sign.group()), text)


def _written(sign: str) -> str:
    return f"\\u{ord(sign):04x}"


def plain(sign: str) -> str:
    """Another sign, in ASCII, for one that an encoding lacks: `->`, `x`, the letter without its accent, or `?`."""
    if sign in _PLAIN:
        return _PLAIN[sign]
    if _OBEYED.match(sign):
        return _written(sign)
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return letters or "?"
