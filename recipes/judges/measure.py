"""Measures a stored spoken-word judge on recordings that it has never met.

usage: python measure.py JUDGE [--source DIR] [--recordings DIR] [--sounds DIR] [--limit N] [--json FILE]

JUDGE is the name of a judge of the package, or its .safetensors file. --source is Google's Speech Commands in its
published layout: DIR/<word>/<speaker>_nohash_<n>.wav; the judge's words are words, all others are other words, and
`_background_noise_` is cut into pieces of one second. --recordings has <word>_<speaker>_<n>.wav (for digits also
<digit>_...), --sounds a directory for each kind of sound that is none of the words. --limit takes so many clips of each
word. Prints accuracy, by speaker where there are few, the calibration error, what is taken for a word, and the share of
other sounds that is accepted by the threshold that keeps 90 % of the words.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xmbench.errors import UnknownNameError, XmbenchError
from xmbench.judges.measuring import BINS, KEPT, accepted_when_kept
from xmbench.judges.records import shipped
from xmbench.judges.words.clips import ByRate, Clips, read, sounds_by_kind
from xmbench.judges.words.kind import word_judge
from xmbench.judges.words.measuring import Heard, Judge, made, noise
from xmbench.storage.files import read_bytes

BACKGROUND = "_background_noise_"
OTHER_WORDS = "other-words"
FEW = 20  # speakers that are listed, and other words
WORST = 8


def stored(name: str) -> Judge:
    """The judge of a name or a path."""
    paths = {path.stem: path.with_suffix(".safetensors") for path in shipped()}
    path = paths.get(name, Path(name))
    if not path.is_file():
        raise UnknownNameError(f"no judge '{name}'", expected=f"{', '.join(paths)}, or a .safetensors file")
    return word_judge(read_bytes(path))


def clips_of(paths: list[Path], label: int) -> ByRate:
    """Files of one word; the speaker is what stands before the first underscore."""
    found: ByRate = defaultdict(Clips)
    for path in paths:
        samples, rate = read(path)
        found[rate].add(samples, label, path.stem.split("_")[0])
    return found


def background(folder: Path) -> ByRate:
    """Long recordings in pieces of one second."""
    found: ByRate = defaultdict(Clips)
    for path in sorted(folder.glob("*.wav")):
        samples, rate = read(path)
        for start in range(0, len(samples) - rate + 1, rate):
            found[rate].add(samples[start : start + rate], -1, path.stem)
    return found


def speech_commands(judge: Judge, source: Path, limit: int | None) -> tuple[dict[str, Heard], dict[str, Heard]]:
    """Words and other sounds of a Speech Commands directory, one word in memory at a time."""
    words, none = [], {}
    names = list(judge.class_names)
    folders = sorted(path for path in source.iterdir() if path.is_dir() and path.name != BACKGROUND)
    for folder in folders:
        label = names.index(folder.name) if folder.name in names else -1
        files = sorted(folder.glob("*.wav"))[:limit]
        if files:
            heard = Heard.of(judge, clips_of(files, label))
            none |= {} if label >= 0 else {f"{OTHER_WORDS}: {folder.name}": heard}
            words += [heard] if label >= 0 else []
    if not words:
        raise UnknownNameError("none of the judge's words", where=source, expected=f"directories {', '.join(names)}")
    others = {OTHER_WORDS: Heard.joined(list(none.values()))} if none else {}
    pieces = background(source / BACKGROUND)
    noises = {"background-noise": Heard.of(judge, pieces)} if pieces else {}
    return {"Speech Commands": Heard.joined(words)}, others | none | noises


def recordings(judge: Judge, folder: Path, limit: int | None) -> tuple[dict[str, Heard], dict[str, Heard]]:
    """Words of a directory, and the same ones reversed and cut in half."""
    clips: ByRate = defaultdict(Clips)
    for label, word in enumerate(judge.class_names):
        files = [*sorted(folder.glob(f"{word.replace(' ', '-')}_*.wav")), *sorted(folder.glob(f"{label}_*.wav"))]
        for path in files[:limit]:
            samples, rate = read(path)
            clips[rate].add(samples, label, path.stem.split("_")[1])
    if not clips:
        raise UnknownNameError("none of the judge's words", where=folder, expected="files <word>_<speaker>_*.wav")
    return {"recordings": Heard.of(judge, clips)}, {kind: Heard.of(judge, part) for kind, part in made(clips).items()}


def lines(words: dict[str, Heard], none: dict[str, Heard]) -> Iterator[str]:
    """The tables."""
    for test, heard in words.items():
        found = heard.accuracy()
        error = f"calibration error {heard.calibration_error():.3f} ({BINS} bins)"
        yield f"{test}: accuracy {found['accuracy']:.4f} (n = {found['n']}), {error}"
        yield "  by word: " + ", ".join(f"{name} {share:.3f}" for name, share in found["by_class"].items())
        speakers = found["by_speaker"]
        worst = sorted(speakers.items(), key=lambda item: item[1])
        which = "speaker" if len(speakers) <= FEW else f"speaker, the lowest of {len(speakers)}"
        yield f"  by {which}: " + ", ".join(f"{name} {share:.3f}" for name, share in worst[:FEW])
    yield f"{'taken for one of its words':28} {'share':>6} {'n':>6}  " + "  ".join(
        f"at {KEPT:.0%} of {test}" for test in words
    )
    for kind, heard in none.items():
        found = heard.false_accepts()
        kept = [accepted_when_kept(one.accepting, heard.accepting) for one in words.values()]
        taken = sorted(found["by_class"].items(), key=lambda item: -item[1])[:3]
        yield (
            f"{kind:28} {found['share']:6.3f} {found['n']:6}  "
            + "  ".join(f"{share:6.3f}" for share in kept)
            + ("  " + ", ".join(f"{name} {share:.3f}" for name, share in taken))
        )


def record(words: dict[str, Heard], none: dict[str, Heard]) -> dict[str, Any]:
    """The same as JSON, with the fields of a judge's record."""
    return {
        "accuracy": {test: heard.accuracy() for test, heard in words.items()},
        "false_accepts": {kind: heard.false_accepts() for kind, heard in none.items()},
        "calibration": {
            test: {"error": heard.calibration_error(), "bins": BINS, "n": len(heard.labels)}
            for test, heard in words.items()
        },
        "accepted_when_90_percent_are_kept": {
            test: {kind: accepted_when_kept(one.accepting, heard.accepting) for kind, heard in none.items()}
            for test, one in words.items()
        },
    }


def main(given: list[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judge")
    for name in ("source", "recordings", "sounds", "json"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--limit", type=int)
    chosen = parser.parse_args(given)
    if chosen.source is None and chosen.recordings is None:
        parser.error("name --source or --recordings: without real words there is nothing to compare with")
    try:
        judge = stored(chosen.judge)
        words: dict[str, Heard] = {}
        none = {"noise": Heard.of(judge, noise())}
        for folder, measured in ((chosen.source, speech_commands), (chosen.recordings, recordings)):
            if folder is not None:
                some, others = measured(judge, folder, chosen.limit)
                words |= some
                none |= others
        if chosen.sounds is not None:
            none |= {kind: Heard.of(judge, clips) for kind, clips in sounds_by_kind(chosen.sounds).items()}
    except XmbenchError as error:
        parser.exit(2, f"{error}\n")
    print("\n".join(lines(words, none)))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(record(words, none), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
