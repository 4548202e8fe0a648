"""Names of systems: readable, of one script, and never mistakable for another system's.

Scripts may be mixed as in the "highly restrictive" profile of Unicode Technical Standard 39: Latin with Han, Japanese
or Korean, and nothing else. Scripts and phonetic letters that few readers know are refused (Unicode Standard Annex 31,
table 5): many of them look like Latin. Two names are confusable if they are equal as a reader sees them: without case,
accents, strokes, spaces and punctuation (but 1.2 is not 12), and with look-alike letters of other scripts and digits
taken for one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from xmbench import content
from xmbench.errors import UnknownNameError, XmbenchError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.formats.submission import Submission
from xmbench.printable import shown

LONGEST_NAME = 200
# Letters that look like a Latin one: small ones and digits, then capitals whose small form looks like another letter.
_SMALL = {
    "a": "\u0430\u0251\u03b1",
    "b": "\u044c\u0432\u03b2",
    "c": "\u0441\u03f2",
    "d": "\u0501",
    "e": "\u0435\u0454\u04bd\u03b5",
    "g": "\u0261\u0581",
    "h": "\u04bb\u0570\u043d\u03b7",
    "i": "\u0456\u03b9\u0269\u0131\u0458\u04cfjl1|",
    "k": "\u043a\u03ba",
    "m": "\u043c\u03bc",
    "n": "\u0578\u043f",
    "o": "\u043e\u03bf\u03c3\u0585\u2c9f0",
    "p": "\u0440\u03c1",
    "q": "\u051b\u0566",
    "s": "\u04555",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d\u0446",
    "v": "\u0475\u03bd",
    "w": "\u051d\u0461\u03c9\u0448",
    "x": "\u0445\u03c7",
    "y": "\u0443\u04af\u03b3",
    "3": "\u0437\u044d",
    "6": "\u0431",
}
_CAPITALS = {"n": "\u039d", "y": "\u03a5", "z": "\u0396", "l": "\u053c", "s": "\u054f", "u": "\u054d", "o": "\u0555"}
_FOLDED = {ord(other): letter for letter, others in _SMALL.items() for other in others}
_FOLDED_CAPITALS = {ord(other): letter for letter, others in _CAPITALS.items() for other in others}
_HAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "IDEOGRAPHIC"})
_MIXED = (frozenset({"LATIN"}) | _HAN, frozenset({"LATIN", "HANGUL", "CJK"}))
_COMMON = {
    "LATIN",
    "GREEK",
    "CYRILLIC",
    "ARMENIAN",
    "GEORGIAN",
    "HEBREW",
    "ARABIC",
    "THAANA",
    "ETHIOPIC",
    "HANGUL",
    "CJK",
}
_COMMON |= {
    "DEVANAGARI",
    "BENGALI",
    "GURMUKHI",
    "GUJARATI",
    "ORIYA",
    "TAMIL",
    "TELUGU",
    "KANNADA",
    "MALAYALAM",
    "SINHALA",
}
_COMMON |= {"THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER"} | _HAN
# Phonetic letters, small capitals, clicks: blocks of the Unicode database; the schwa is a letter of Azerbaijani.
_PHONETIC = re.compile("[\u01c0-\u01c3\u0250-\u0258\u025a-\u02af\u1d00-\u1dbf\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f]")
_STROKE = re.compile("LATIN SMALL LETTER ([A-Z]) WITH ")
# Characters that show nothing, although they are letters, marks or symbols.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def problems(name: str) -> list[str]:
    """What a name must not be; empty if it can stand on a board."""
    found = []
    normal = " ".join(unicodedata.normalize("NFKC", name).split())
    hidden = sorted({c for c in name if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") or _BLANK.match(c)})
    if hidden:
        codes = ", ".join(f"U+{ord(character):04X}" for character in hidden)
        found.append(f"the name {shown(name)!r} has signs that nobody sees: {codes}")
    elif normal != name:
        found.append(f"the name {shown(name)!r} is not in its normal form (NFKC, single spaces): {shown(normal)!r}")
    if len(name) > LONGEST_NAME:
        found.append(f"the name has {len(name)} characters, expected at most {LONGEST_NAME}")
    if not any(character.isalnum() for character in name):
        found.append(f"the name {shown(name)!r} has no letter and no digit")
    scripts = _scripts(name)
    if len(scripts) > 1 and not any(scripts <= mixed for mixed in _MIXED):
        found.append(f"the name {shown(name)!r} mixes scripts: {', '.join(sorted(scripts)).lower()}")
    elif rare := sorted(scripts - _COMMON):
        found.append(f"the name {shown(name)!r} is of a script that few readers know: {', '.join(rare).lower()}")
    if phonetic := sorted(set(_PHONETIC.findall(name))):
        found.append(f"the name {shown(name)!r} has phonetic letters, which look like others: {' '.join(phonetic)}")
    return found


def _scripts(name: str) -> frozenset[str]:
    """The scripts of the letters: the first word of their names in the Unicode database."""
    letters = [character for character in name if character.isalpha()]
    return frozenset(unicodedata.name(character, "UNKNOWN").split()[0] for character in letters)


def seen(name: str) -> str:
    """A name as a reader sees it: equal for two names that are easily taken for each other."""
    capitals = unicodedata.normalize("NFKC", name).translate(_FOLDED_CAPITALS)
    plain = unicodedata.normalize("NFD", capitals.casefold())
    bare = "".join(_without_stroke(c) for c in plain if unicodedata.category(c) not in ("Mn", "Me", "Cf", "Cc"))
    numbers = re.sub(r"(?<=\d)[^\w|]+(?=\d)", "_", bare)
    letters = re.sub(r"[^\w|]+|(?<!\d)_+|_+(?!\d)", "", numbers)
    return letters.translate(_FOLDED).replace("rn", "m").replace("vv", "w") or plain


def _without_stroke(letter: str) -> str:
    found = _STROKE.match(unicodedata.name(letter, ""))
    return found.group(1).lower() if found else letter


def confusable(name: str, others: Iterable[str]) -> list[str]:
    """The other names that a reader takes for this one, without the name itself."""
    own = seen(name)
    return sorted({other for other in others if other != name and seen(other) == own})


def reserved(made: Submission) -> str:
    """The baseline whose title a submission bears although it is another system; "" for none."""
    own = seen(made.system)
    for name in content.names("baselines"):
        if name == made.baseline:
            continue
        try:
            baseline = load_toml(content.find("baselines", name), Baseline)
        except XmbenchError:  # of a plug-in
            continue
        titles = [baseline.title, *(preset.title for preset in baseline.presets.values())]
        if own in {seen(title) for title in titles} and not _same_title(made.baseline, own):
            return name
    return ""


def _same_title(name: str, own: str) -> bool:
    """Whether the submission's own baseline has that title too: both directions of one row do."""
    if not name:
        return False
    try:
        return seen(load_toml(content.find("baselines", name), Baseline).title) == own
    except (UnknownNameError, XmbenchError):
        return False
