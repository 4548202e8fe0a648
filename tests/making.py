"""Makes submissions for tests: from a data set's own references, damaged as a test asks."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip
from xmbench.formats.submission import Submission
from xmbench.media import audio

Samples = NDArray[np.floating[Any]]
Make = Callable[[str, int, NDArray[np.float32]], Samples | bytes | None]


def identity(item_id: str, label: int, reference: NDArray[np.float32]) -> Samples:
    """The reference itself."""
    return reference


def wav(samples: Samples, rate: int = 22050, subtype: str = "PCM_16") -> bytes:
    """A wav file; two-dimensional samples give several channels."""
    stream = io.BytesIO()
    soundfile.write(stream, np.asarray(samples, dtype=np.float64), rate, format="WAV", subtype=subtype)
    return stream.getvalue()


def submit(dataset: Dataset, folder: Path, make: Make = identity, **changes: Any) -> Path:
    """Writes a submission; `make` returns samples, raw bytes, or None to leave an id out."""
    outputs = folder / "outputs"
    outputs.mkdir(parents=True)
    for row in dataset.rows("test", ["audio", "label"]):
        made = make(row["id"], row["label"], audio.to_float(read_clip(row, dataset)))
        if made is None:
            continue
        data = made if isinstance(made, bytes) else wav(made)
        (outputs / f"{row['id']}.wav").write_bytes(data)
    fields = {
        "track": f"{dataset.recipe.name}/i2a",
        "data_digest": dataset.manifest.data_digest,
        "dataset_digest": dataset.digest,
        "system": "test system",
        **changes,
    }
    (folder / "submission.json").write_text(Submission(**fields).to_json())
    return folder
