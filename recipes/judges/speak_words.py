"""Speaks the words of a recipe with every English voice of flite and festival, as more clips for a judge.

usage: python speak_words.py RECIPE.toml OUT [--few]      (needs the programs `flite` and `text2wave`, and the festival
voices kal_diphone, ked_diphone and cmu_us_slt_arctic_hts; Debian: flite, festival, festvox-kallpc16k,
festvox-kdlpc16k, festvox-us-slt-hts)

Writes OUT/<word>_<voice>_<number>.wav, trimmed at -40 dB; a space in a word becomes a hyphen. `--few` speaks 42 takes
of a word instead of 180, for long lists of words. These voices are cut or modelled from real speakers, which eSpeak's
are not: a judge that was trained on eSpeak alone recognises real speech much worse.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe

FLITE = {"kal16": (90, 110, 140), "kal": (100,), "awb": (90, 120, 150), "rms": (80, 105, 130), "slt": (150, 180, 220)}
FLITE_STRETCH = (0.85, 1.0, 1.2, 1.45)
FLITE_ENDS = ("", ".", "?")
FESTIVAL = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
FESTIVAL_STRETCH = (0.85, 1.0, 1.25, 1.5)
FESTIVAL_ENDS = ("", "?")


def trimmed(samples: np.ndarray, rate: int) -> np.ndarray:
    """Without leading and trailing 10 ms frames 40 dB below the loudest."""
    frame = rate // 100
    count = len(samples) // frame
    energy = np.square(samples[: count * frame]).reshape(count, frame).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 1e-4)
    return samples[loud[0] * frame : (loud[-1] + 1) * frame]


def main() -> None:
    """Synthesises and writes the clips."""
    few = "--few" in sys.argv[1:]
    given = [argument for argument in sys.argv[1:] if argument != "--few"]
    if len(given) != 2 or not all(map(shutil.which, ("flite", "text2wave"))):
        sys.exit(__doc__)
    words = load_toml(Path(given[0]), Recipe).classes.words
    out = Path(given[1])
    out.mkdir(parents=True, exist_ok=True)
    number = itertools.count()
    every_other = slice(0, 3, 2) if few else slice(None)
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"

        def keep(word: str, voice: str) -> None:
            samples, rate = soundfile.read(spoken)
            clip = trimmed(samples, rate)
            name = f"{word.replace(' ', '-')}_{voice}_{next(number):05d}.wav"
            soundfile.write(out / name, 0.6 * clip / np.abs(clip).max(), rate)

        for (voice, pitches), word in itertools.product(FLITE.items(), words):
            settings = (pitches[every_other], FLITE_STRETCH[every_other], FLITE_ENDS[every_other])
            for pitch, stretch, end in itertools.product(*settings):
                setting = ["--setf", f"int_f0_target_mean={pitch}", "--setf", f"duration_stretch={stretch}"]
                command = ["flite", "-voice", voice, *setting, "-t", word + end, "-o", str(spoken)]
                subprocess.run(command, check=True, capture_output=True)
                keep(word, f"flite-{voice}")
        ends = FESTIVAL_ENDS[every_other]
        for voice, word, stretch, end in itertools.product(FESTIVAL, words, FESTIVAL_STRETCH[every_other], ends):
            setting = ["-eval", f"(voice_{voice})", "-eval", f"(Parameter.set 'Duration_Stretch {stretch})"]
            command = ["text2wave", *setting, "-o", str(spoken)]
            subprocess.run(command, input=word + end, text=True, check=True, capture_output=True)
            keep(word, f"festival-{voice.replace('_', '-')}")
    print(f"wrote {next(number)} clips to {out}")


if __name__ == "__main__":
    main()
