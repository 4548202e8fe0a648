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
ESPEAK_TAKES, NEAR_TAKES = 8, 3  # eSpeak voices for each other word; so many times as many takes of near-homophones
VOICES_OF = "mnist-ad-voices"  # a recipe with eSpeak voices for training and others for the test
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


def other_words(words: list[str], espeak: list[str], takes: int, seed: int) -> list[Utterance]:
    """Every word `takes` times by each voice that is modelled from a speaker, and by some of eSpeak's, as drawn."""
    rng = np.random.default_rng(seed)
    made = []
    for word, _ in itertools.product(words, range(takes)):
        some = rng.choice(espeak, min(len(espeak), ESPEAK_TAKES), replace=False)
        for voice in (*REAL, *(f"espeak-{name}" for name in some)):
            stretch, pitch = (round(float(np.exp(rng.uniform(-0.25, 0.4))), 2), round(float(rng.uniform(0.8, 1.25)), 2))
            made.append(Utterance(word, voice, stretch, pitch, str(rng.choice(ENDS))))
    return made


def main() -> None:
    """Synthesises and writes the clips."""
    given = [argument for argument in sys.argv[1:] if argument != "--few"]
    if len(given) != 2 or missing_programs():
        sys.exit(f"{__doc__}\nmissing: {', '.join(missing_programs()) or 'an argument'}")
    recipe = load_toml(Path(given[0]), Recipe)
    lists = tomllib.loads(OTHERS.read_text())
    near = lists["near"].get("digits" if "zero" in recipe.classes.words else recipe.name, {})
    own = set(recipe.classes.words)
    voices = load_toml(content.find("recipes", VOICES_OF), Recipe).sources["speech"].options

    def others(text: str) -> list[str]:
        return [word for word in dict.fromkeys(text.split()) if word not in own]

    out = Path(given[1])
    training, testing = voices["train_voices"], voices["test_voices"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def speak(what: str, utterances: list[Utterance]) -> None:
            print(f"wrote {write(utterances, out / what, folder)} clips to {out / what}", flush=True)

        speak("words", own_words(list(recipe.classes.words), "--few" in sys.argv))
        speak("sounds/other-words", other_words(others(lists["test"]), testing, 1, 1))
        speak("sounds/near-homophones", other_words(others(near.get("test", "")), testing, 1, 2))
        nearest = set(near.get("train", "").split())
        far = [word for word in others(lists["train"] + lists["nonce"]) if word not in nearest]
        speak("other-words", other_words(far, training, 1, 3))
        speak("other-words", other_words(sorted(nearest), training, NEAR_TAKES, 4))


if __name__ == "__main__":
    main()
