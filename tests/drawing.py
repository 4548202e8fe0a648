"""Makes submissions of images for tests: from a data set's own references, damaged as a test asks."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_image
from xmbench.formats.submission import Submission
from xmbench.media.image import encode_png

Pixels = NDArray[np.uint8]
Make = Callable[[str, int, Pixels], Pixels | bytes | None]


def png(picture: Image.Image, **options: Any) -> bytes:
    """A PNG file of whatever mode the picture has."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", **options)
    return stream.getvalue()


def npy(values: NDArray[Any]) -> bytes:
    """A .npy file."""
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def same(item_id: str, label: int, reference: Pixels) -> Pixels:
    """The reference itself."""
    return reference


def draw(dataset: Dataset, folder: Path, make: Make = same, **changes: Any) -> Path:
    """Writes a submission; `make` returns pixels, raw bytes, or None to leave an id out."""
    outputs = folder / "outputs"
    outputs.mkdir(parents=True)
    for row in dataset.rows("test", ["image", "label"]):
        made = make(row["id"], row["label"], read_image(row, dataset))
        if made is None:
            continue
        data = made if isinstance(made, bytes) else encode_png(made)
        suffix = "npy" if data.startswith(b"\x93NUMPY") else "png"
        (outputs / f"{row['id']}.{suffix}").write_bytes(data)
    fields = {
        "track": f"{dataset.recipe.name}/a2i",
        "data_digest": dataset.manifest.data_digest,
        "dataset_digest": dataset.digest,
        "system": "test system",
        **changes,
    }
    (folder / "submission.json").write_text(Submission(**fields).to_json())
    return folder
