"""What both kinds of judges of instruments share: names as data sets spell them (`sax` is `saxophone`), options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmbench.interfaces import FitOption

OPTIONS = (
    FitOption("more", "Directory of more items, <class>/*: a quarter of the files is a test.", Path),
    FitOption("rejects", "Directory of what is none of the classes, <kind>/*, to learn to reject.", Path),
    FitOption("strangers", "Directory of what is none of the classes, <kind>/*, for a test only.", Path),
    FitOption("without", "A group of the training items to test on instead.", many=True),
    FitOption("test-on", "Another data set, of some of the classes, whose test items are a test.", Path, many=True),
    FitOption("draws", "Examples that are drawn for the training.", int, between=(1, 1_000_000)),
    FitOption("beside", "Another judge's weights: how often the two agree.", Path),
)

_SAME = {
    "sax": "saxophone",
    "contrabass": "double_bass",
    "upright_bass": "double_bass",
    "french_horn": "horn",
    "drums": "drum",
    "drum_kit": "drum",
}
KNOWN = frozenset(
    [
        "accordion",
        "acoustic_guitar",
        "alto_saxophone",
        "bagpipes",
        "bandoneon",
        "banjo",
        "baritone_saxophone",
        "bass_clarinet",
        "bass_drum",
        "bass_guitar",
        "bassoon",
        "bongos",
        "cello",
        "celesta",
        "clarinet",
        "conga",
        "contrabassoon",
        "cor_anglais",
        "cornet",
        "cymbals",
        "djembe",
        "double_bass",
        "drum",
        "dulcimer",
        "electric_guitar",
        "english_horn",
        "erhu",
        "euphonium",
        "fiddle",
        "flugelhorn",
        "flute",
        "glockenspiel",
        "gong",
        "guitar",
        "guzheng",
        "handbell",
        "harmonica",
        "harmonium",
        "harp",
        "harpsichord",
        "horn",
        "kora",
        "lute",
        "lyre",
        "mandolin",
        "maracas",
        "marimba",
        "melodica",
        "oboe",
        "ocarina",
        "organ",
        "ocean_drum",
        "oud",
        "pan_flute",
        "piano",
        "piccolo",
        "pipa",
        "pipe_organ",
        "recorder",
        "saxophone",
        "shamisen",
        "sheng",
        "sitar",
        "snare_drum",
        "soprano_saxophone",
        "steel_drum",
        "synthesizer",
        "tabla",
        "tambourine",
        "tenor_saxophone",
        "timpani",
        "triangle",
        "trombone",
        "trumpet",
        "tuba",
        "ukulele",
        "vibraphone",
        "viola",
        "violin",
        "xylophone",
        "zither",
    ]
)


def canonical(name: str) -> str:
    """The one spelling of an instrument's name.

    >>> canonical("sax"), canonical("Double bass"), canonical("french-horn")
    ('saxophone', 'double_bass', 'horn')
    """
    plain = "_".join(name.casefold().replace("-", " ").replace("_", " ").split())
    return _SAME.get(plain, plain)


def are_instruments(names: Sequence[str]) -> bool:
    """Whether every name, of one or more, is that of an instrument, and no two are of the same.

    >>> are_instruments(["sax", "violin"]), are_instruments(["sax", "dog"]), are_instruments(["sax", "saxophone"])
    (True, False, False)
    """
    found = {canonical(name) for name in names}
    return 0 < len(found) == len(names) and found <= KNOWN
