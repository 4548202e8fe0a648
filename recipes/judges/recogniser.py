"""Makes a judge of a published speech recogniser (wav2vec 2.0, torchaudio) for the words of a data set.

usage: python recogniser.py DATA CHECKPOINT SHA256 [BUNDLE] [ROLE] [MARGIN]

DATA is a built data set. CHECKPOINT is the file that torchaudio publishes for BUNDLE (the script prints its address if
the file is not there), SHA256 what its content must have. BUNDLE is a name in `torchaudio.pipelines`, by default
WAV2VEC2_ASR_BASE_960H; ROLE is first (default) or second; MARGIN is how much more probable other words must be to be
heard, in natural logarithms, by default 5.

The judge is written to DATA/judges/ with its share of right words on the data set's test clips, and used by `xmbench
score --local-judge`: `word-accuracy` is then by the recogniser, and the result says so. Results under a local judge are
never ranked with others.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from xmbench import registry
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.items import read_clip
from xmbench.formats.judge import StoredJudge, Tested
from xmbench.interfaces import Judge, JudgeRole
from xmbench.judges.asr.network import RATE_HZ, packed
from xmbench.media import audio
from xmbench.media.signal import Sound
from xmbench.storage.files import make_folder, write_bytes, write_text

NAME = "recogniser"
LEVELS = {True: 1.0, False: 0.1}  # of the clips: some networks were trained on clips of variance 1


def weights_of(bundle: Any, checkpoint: Path, words: tuple[str, ...], margin: float) -> bytes:
    """The judge's file. The checkpoint is read as data: it cannot run code."""
    given = {"model_dir": str(checkpoint.parent), "file_name": checkpoint.name, "weights_only": True}
    network = bundle.get_model(dl_kwargs={**given, "map_location": "cpu"})
    level = LEVELS[bundle._normalize_waveform]
    network = network.model if bundle._normalize_waveform else network
    if bundle.sample_rate != RATE_HZ:
        sys.exit(f"the recogniser hears {bundle.sample_rate} Hz, expected {RATE_HZ} Hz")
    about = {"classes": words, "letters": bundle.get_labels(), "network": bundle._params, "margin": margin}
    return packed(network, {**about, "level": level})


def accuracy_on_clips(judge: Judge, dataset: Dataset) -> Tested:
    """The share of distinct test clips in which it hears their word."""
    right: dict[str, list[bool]] = {word: [] for word in judge.class_names}
    seen = set()
    for row in dataset.rows("test", ["audio", "label", "take"]):
        if row["take"] in seen:
            continue
        seen.add(row["take"])
        clip = Sound(audio.to_float(read_clip(row, dataset)), dataset.recipe.audio.sample_rate_hz)
        heard = int(judge.probabilities([clip]).argmax())
        right[judge.class_names[row["label"]]].append(heard == row["label"])
    every = [one for found in right.values() for one in found]
    by_class = {word: float(np.mean(found)) for word, found in right.items() if found}
    return Tested(accuracy=float(np.mean(every)), n=len(every), by_class=by_class)


def make(dataset: Dataset, checkpoint: Path, bundle: Any, name: str, role: JudgeRole, margin: float) -> StoredJudge:
    """Writes the judge and its record."""
    weights = weights_of(bundle, checkpoint, dataset.recipe.classes.words, margin)
    judge = registry.judge("asr").load(weights)
    record = StoredJudge(
        name=NAME,
        kind="asr",
        role=role,
        sha256=hashlib.sha256(weights).hexdigest(),
        bytes=len(weights),
        modality="audio",
        sees="the whole clip at 16 kHz",
        classes=judge.class_names,
        embedding_size=judge.embedding_size,
        accuracy={"test clips": accuracy_on_clips(judge, dataset)},
        command=f"recipes/judges/recogniser.py, {name}, margin {margin}",
        data={dataset.recipe.name: dataset.digest},
        versions={package: version(package) for package in ("xmbench", "numpy", "torch", "torchaudio")},
        details={"checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest()},
    )
    folder = make_folder(dataset.folder / "judges")
    write_bytes(folder / f"{NAME}.safetensors", weights)
    write_text(folder / f"{NAME}.json", record.to_json())
    return record


def main() -> None:
    """Checks the checkpoint, writes the judge, prints how often it is right."""
    if not 4 <= len(sys.argv) <= 7:
        sys.exit(__doc__)
    from torchaudio import pipelines

    folder, checkpoint, sha256 = sys.argv[1:4]
    name, role, margin = (*sys.argv[4:], *("WAV2VEC2_ASR_BASE_960H", "first", "5")[len(sys.argv) - 4 :])
    bundle = getattr(pipelines, name, None)
    if bundle is None or not hasattr(bundle, "get_labels") or role not in ("first", "second"):
        sys.exit(__doc__)
    path = Path(checkpoint)
    if not path.is_file():
        sys.exit(f"no file {path}: fetch https://download.pytorch.org/torchaudio/models/{bundle._path}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        sys.exit(f"{path} is another file: sha256 {found}, expected {sha256}")
    dataset = open_dataset(Path(folder))
    record = make(dataset, path, bundle, name, "second" if role == "second" else "first", float(margin))
    test = record.accuracy["test clips"]
    print(f"{folder}/judges/{NAME}.safetensors: right in {test.accuracy:.3f} of {test.n} test clips")


if __name__ == "__main__":
    main()
