"""Speaks the ten digits with every English voice of flite and festival, as more training clips for a judge.

usage: python speak_digits.py OUT        (needs the programs `flite` and `text2wave`, and the festival voices
kal_diphone, ked_diphone and cmu_us_slt_arctic_hts; Debian: flite, festival, festvox-kallpc16k,
festvox-kdlpc16k, festvox-us-slt-hts)

Writes OUT/<word>_<voice>_<number>.wav, trimmed at -40 dB. These voices are cut or modelled from real speakers,
which eSpeak's are not: a judge that was trained on eSpeak alone hears real speech much worse.
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

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FLITE = {"kal16": (90, 110, 140), "kal": (100,), "awb": (90, 120, 150), "rms": (80, 105, 130), "slt": (150, 180, 220)}
FLITE_STRETCH = (0.85, 1.0, 1.2, 1.45)
FESTIVAL = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
FESTIVAL_STRETCH = (0.85, 1.0, 1.25, 1.5)


def trimmed(samples: np.ndarray, rate: int) -> np.ndarray:
    """Without leading and trailing 10 ms frames 40 dB below the loudest."""
    frame = rate // 100
    count = len(samples) // frame
    energy = np.square(samples[: count * frame]).reshape(count, frame).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 1e-4)
    return samples[loud[0] * frame : (loud[-1] + 1) * frame]


def main() -> None:
    """Speaks and writes."""
    if len(sys.argv) != 2 or not all(map(shutil.which, ("flite", "text2wave"))):
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    number = itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"

        def keep(word: str, voice: str) -> None:
            samples, rate = soundfile.read(spoken)
            clip = trimmed(samples, rate)
            soundfile.write(out / f"{word}_{voice}_{next(number):05d}.wav", 0.6 * clip / np.abs(clip).max(), rate)

        for (voice, pitches), word in itertools.product(FLITE.items(), WORDS):
            for pitch, stretch, end in itertools.product(pitches, FLITE_STRETCH, ("", ".", "?")):
                setting = ["--setf", f"int_f0_target_mean={pitch}", "--setf", f"duration_stretch={stretch}"]
                command = ["flite", "-voice", voice, *setting, "-t", word + end, "-o", str(spoken)]
                subprocess.run(command, check=True, capture_output=True)
                keep(word, f"flite-{voice}")
        for voice, word, stretch, end in itertools.product(FESTIVAL, WORDS, FESTIVAL_STRETCH, ("", "?")):
            setting = ["-eval", f"(voice_{voice})", "-eval", f"(Parameter.set 'Duration_Stretch {stretch})"]
            command = ["text2wave", *setting, "-o", str(spoken)]
            subprocess.run(command, input=word + end, text=True, check=True, capture_output=True)
            keep(word, f"festival-{voice.replace('_', '-')}")
    print(f"wrote {next(number)} clips to {out}")


if __name__ == "__main__":
    main()
