"""The English voices that speak for the judges: eSpeak NG, flite, festival, RHVoice and SVOX Pico.

eSpeak NG comes with xmbench. The others are Debian packages (13, "trixie", with `non-free`): flite, festival,
festvox-kallpc16k, festvox-kdlpc16k, festvox-us-slt-hts, rhvoice, rhvoice-english, libttspico-utils. Their voices are
cut or modelled from real speakers, which eSpeak's are not.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from xmbench.engines import _espeak
from xmbench.media import audio

RATE_HZ = 16_000
PROGRAMS = ("flite", "festival", "RHVoice-test", "pico2wave")
FLITE = {"kal16": 110, "kal": 100, "awb": 120, "rms": 105, "slt": 180}  # pitch in Hz
FESTIVAL = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")
RHVOICE = ("alan", "bdl", "clb", "slt")  # two others of the package may not be used commercially
PICO = ("en-US", "en-GB")
_ESPEAK_WPM = 130
_QUIET_DB = -40.0

REAL = (
    *(f"flite-{voice}" for voice in FLITE),
    *(f"festival-{voice.replace('_', '-')}" for voice in FESTIVAL),
    *(f"rhvoice-{voice}" for voice in RHVOICE),
    *(f"pico-{voice}" for voice in PICO),
)


LICENCES = {  # the beginning of a voice's name -> the licence of the voice, as Debian states it
    "espeak": "GPL-3.0-or-later (the programme; no rights are claimed in what it speaks)",
    "flite": "BSD-like (Carnegie Mellon University)",
    "festival": "BSD-like (Carnegie Mellon University, University of Edinburgh, Oregon Graduate Institute)",
    "festival-cmu-us-slt": "BSD-3-Clause (Carnegie Mellon University, Nagoya Institute of Technology)",
    "rhvoice": "GPL-2.0-or-later",
    "rhvoice-slt": "BSD-like (Carnegie Mellon University)",
    "pico": "Apache-2.0 (voice data without their sources)",
}


@dataclass(frozen=True, slots=True)
class Utterance:
    """A word to be spoken.

    Attributes:
        word: what the file is named after.
        voice: of `REAL`, or "espeak-" and a voice of eSpeak NG.
        stretch: duration, relative to the voice's own.
        pitch: relative to the voice's own; festival and flite's "kal" have one pitch.
        end: punctuation, which changes the melody.
        spelling: what the voice reads instead of the word.
    """

    word: str
    voice: str
    stretch: float = 1.0
    pitch: float = 1.0
    end: str = ""
    spelling: str = ""

    @property
    def text(self) -> str:
        """What is said."""
        return (self.spelling or self.word).replace("-", " ") + self.end


def missing_programs() -> list[str]:
    """Programs that are not installed."""
    return [program for program in PROGRAMS if not shutil.which(program)]


def spoken(utterances: Sequence[Utterance], folder: Path) -> Iterator[tuple[Utterance, np.ndarray]]:
    """Each utterance with its clip, float32 (T,) at 16 kHz, trimmed at -40 dB, peak 0.6; empty if it is silent.

    Args:
        utterances: in any order.
        folder: for temporary files.
    """
    kept = folder / "spoken.wav"
    festival = [one for one in utterances if one.voice.startswith("festival-")]
    for one in utterances:
        engine, _, voice = one.voice.partition("-")
        if engine == "festival":
            continue
        if engine == "espeak":
            rate, pitch = round(_ESPEAK_WPM / one.stretch), round(min(99, max(1, 50 * one.pitch)))
            yield one, _finished(_espeak.speak(one.text, voice, rate, pitch), _espeak.SAMPLE_RATE_HZ)
        else:
            subprocess.run(
                _command(one, engine, voice, kept), input=one.text, text=True, check=True, capture_output=True
            )
            yield one, _read(kept)
    yield from _festival(festival, folder)


def _command(one: Utterance, engine: str, voice: str, path: Path) -> list[str]:
    if engine == "flite":
        pitch = FLITE[voice] * (1.0 if voice == "kal" else one.pitch)
        settings = ["--setf", f"int_f0_target_mean={pitch:.0f}", "--setf", f"duration_stretch={one.stretch}"]
        return ["flite", "-voice", voice, *settings, "-t", one.text, "-o", str(path)]
    if engine == "rhvoice":
        settings = ["-r", f"{100 / one.stretch:.0f}", "-t", f"{100 * one.pitch:.0f}"]
        return ["RHVoice-test", "-p", voice, *settings, "-o", str(path)]
    marked = f'<speed level="{100 / one.stretch:.0f}"><pitch level="{100 * one.pitch:.0f}">{one.text}</pitch></speed>'
    return ["pico2wave", "-l", voice, "-w", str(path), marked]


def _festival(utterances: Sequence[Utterance], folder: Path) -> Iterator[tuple[Utterance, np.ndarray]]:
    """One process for each voice: starting festival takes longer than speaking."""
    for voice in FESTIVAL:
        mine = [one for one in utterances if one.voice == f"festival-{voice.replace('_', '-')}"]
        script = [f"(voice_{voice})"]
        paths = [folder / f"festival-{number}.wav" for number in range(len(mine))]
        for one, path in zip(mine, paths, strict=True):
            script.append(f"(Parameter.set 'Duration_Stretch {one.stretch})")
            script.append(f'(utt.save.wave (utt.synth (Utterance Text "{one.text}")) "{path}")')
        commands = folder / "festival.scm"
        commands.write_text("\n".join(script))
        subprocess.run(["festival", "-b", str(commands)], check=True, capture_output=True)
        for one, path in zip(mine, paths, strict=True):
            yield one, _read(path)
            path.unlink()


def _read(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    return _finished(samples, rate)


def _finished(samples: np.ndarray, rate: int) -> np.ndarray:
    clip = audio.resample(audio.to_float(audio.trim_silence(samples, rate, _QUIET_DB)), rate, RATE_HZ)
    loudest = np.abs(clip).max(initial=0.0)
    return np.asarray(0.6 * clip / loudest, dtype=np.float32) if loudest > 0 else clip[:0]


def write(utterances: Sequence[Utterance], out: Path, folder: Path) -> int:
    """Speaks and writes OUT/<word>_<voice>_<number>.wav, and OUT/licences.json; returns how many.

    Args:
        utterances: what to speak.
        out: directory, made here.
        folder: for temporary files.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "licences.json").write_text(json.dumps(LICENCES, indent=1) + "\n", "utf-8")
    numbers = itertools.count()
    for one, clip in spoken(utterances, folder):
        if not len(clip):  # a voice that cannot say this word
            continue
        name = f"{one.word.replace(' ', '-')}_{one.voice}_{next(numbers):05d}.wav"
        soundfile.write(out / name, clip, RATE_HZ)
    return next(numbers)
