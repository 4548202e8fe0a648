"""Speaks the words of a recipe, and other words, with many voices: what the judges are trained on.

usage: python speak_words.py RECIPE.toml OUT [--few]        (needs the programs that voices.py names)

Writes OUT/words (the recipe's words), OUT/other-words (for training) and, for tests only, OUT/sounds/<kind>: other
words and near-homophones that are not among those of the training, by all voices. `--few` speaks fewer takes of each of
the recipe's words, for long lists. Files are <word>_<voice>_<number>.wav at 16 kHz, trimmed at -40 dB, with a hyphen
for a space.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from voices import REAL, Utterance, missing_programs, write

from xmbench import content
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe

STRETCHES, PITCHES, ENDS = (0.8, 1.0, 1.25, 1.5), (0.8, 1.0, 1.25), ("", ".", "?")
FEW_STRETCHES, FEW_PITCHES = (0.85, 1.2), (0.85, 1.2)
TEST_VOICE = "rhvoice-bdl"  # judges are tested on it
ACCENTED_WORDS = 200  # other words that a voice of another language reads
ESPEAK_TAKES = 8  # eSpeak voices for each other word
ACCENT_TAKES = 8  # of each spelling, by a voice of another language
VARIANT_TAKES = 4  # of each spelling of a variant, by each voice
VOICES_OF = "mnist-ad-voices"  # a recipe with eSpeak voices for training and others for the test
ACCENTS = Path(__file__).with_name("accents.toml")
OTHERS = Path(__file__).with_name("other-words.toml")


def own_words(words: list[str], few: bool) -> list[Utterance]:
    """Every word by every voice that is modelled from a speaker, at several tempos and pitches."""
    stretches, pitches, ends = (FEW_STRETCHES, FEW_PITCHES, ENDS[:2]) if few else (STRETCHES, PITCHES, ENDS)
    made = []
    for voice, word, stretch in itertools.product(REAL, words, stretches):
        fixed = voice.startswith("festival-") or voice == "flite-kal"
        for pitch, end in itertools.product((1.0,) if fixed else pitches, ends):
            made.append(Utterance(word, voice, stretch, pitch, end))
    return made


def variants(spellings: dict[str, str], seed: int) -> list[Utterance]:
    """Other pronunciations of words, by every voice that is modelled from a speaker."""
    rng = np.random.default_rng(seed)
    made = []
    for word, known in spellings.items():
        for spelling, voice, _ in itertools.product(known.split(), REAL, range(VARIANT_TAKES)):
            if voice != TEST_VOICE:
                made.append(Utterance(word, voice, *_drawn(rng), spelling))
    return made


def accented(known: str, words: list[str], seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """The list's words and other words by voices of other languages: words of theirs, and `words` as they read them."""
    rng = np.random.default_rng(seed)
    own, made = [], []
    for language, said in tomllib.loads(ACCENTS.read_text("utf-8")).items():
        voice = f"pico-{language}"
        for word, spellings in said.get(known, {}).items():
            own += [
                Utterance(word, voice, *_drawn(rng), each) for each in spellings.split() for _ in range(ACCENT_TAKES)
            ]
        made += [Utterance(word, voice, *_drawn(rng)) for word in said["others"].split() for _ in range(VARIANT_TAKES)]
        made += [Utterance(word, voice, *_drawn(rng)) for word in words]
    return own, made


def _drawn(rng: np.random.Generator) -> tuple[float, float, str]:
    """Tempo, pitch and punctuation."""
    stretch, pitch = round(float(np.exp(rng.uniform(-0.25, 0.4))), 2), round(float(rng.uniform(0.8, 1.25)), 2)
    return stretch, pitch, str(rng.choice(ENDS))


def other_words(words: list[str], espeak: list[str], seed: int) -> list[Utterance]:
    """Every word once by each voice that is modelled from a speaker, and by some of eSpeak's, as drawn."""
    rng = np.random.default_rng(seed)
    made = []
    for word in words:
        some = rng.choice(espeak, min(len(espeak), ESPEAK_TAKES), replace=False)
        for voice in (*REAL, *(f"espeak-{name}" for name in some)):
            made.append(Utterance(word, voice, *_drawn(rng)))
    return made


def main() -> None:
    """Synthesises and writes the clips."""
    given = [argument for argument in sys.argv[1:] if argument != "--few"]
    if len(given) != 2 or missing_programs():
        sys.exit(f"{__doc__}\nmissing: {', '.join(missing_programs()) or 'an argument'}")
    recipe = load_toml(Path(given[0]), Recipe)
    lists = tomllib.loads(OTHERS.read_text())
    known = "digits" if "zero" in recipe.classes.words else recipe.name
    near = lists["near"].get(known, {})
    own = set(recipe.classes.words)
    own |= {other for word, same in lists["homophones"].items() if word in own for other in same.split()}
    voices = load_toml(content.find("recipes", VOICES_OF), Recipe).sources["speech"].options

    def others(text: str) -> list[str]:
        return [word for word in dict.fromkeys(text.split()) if word not in own]

    out = Path(given[1])
    training, testing = voices["train_voices"], voices["test_voices"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def speak(what: str, utterances: list[Utterance]) -> None:
            print(f"wrote {write(utterances, out / what, folder)} clips to {out / what}", flush=True)

        trained = others(" ".join((lists["train"], lists["nonce"], near.get("train", ""))))
        accents, foreign = accented(known, trained[:ACCENTED_WORDS], 6)
        said = own_words(list(recipe.classes.words), "--few" in sys.argv)
        speak("words", [*said, *variants(lists["variants"].get(known, {}), 5), *accents])
        speak("sounds/other-words", other_words(others(lists["test"]), testing, 1))
        speak("sounds/near-homophones", other_words(others(near.get("test", "")), testing, 2))
        speak("other-words", [*other_words(trained, training, 3), *(foreign if accents else [])])


if __name__ == "__main__":
    main()
