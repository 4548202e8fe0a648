"""The 1,797 handwritten digits that ship inside scikit-learn: real data that needs no download.

They are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI Machine
Learning Repository, 1998, doi 10.24432/C50P49): 43 writers, 8x8 cells, each the number of inked pixels
(0..16) of a 4x4 block. A cell becomes round(255 * value / 16), and the 8x8 picture is resized to the
recipe's size with a bicubic filter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xmbench.errors import PrerequisiteError, UpstreamError
from xmbench.interfaces import Entry, Modality, Raw, RawImage, Rejected, Task, Upstream
from xmbench.media import image

INK_LEVELS = 16
# Of the cells as bytes followed by the labels as bytes: another release of the data is detected, not trusted.
SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


@lru_cache(maxsize=1)
def _embedded() -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Cells (1797, 8, 8) in 0..16, labels (1797,), and scikit-learn's version."""
    try:
        import sklearn
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise PrerequisiteError(
            "scikit-learn is not installed", expected="it contains the digits", todo="pip install scikit-learn"
        ) from error
    cells, labels = load_digits(return_X_y=True)
    cells, labels = cells.astype(np.uint8).reshape(-1, 8, 8), labels.astype(np.uint8)
    found = hashlib.sha256(cells.tobytes() + labels.tobytes()).hexdigest()
    if found != SHA256:
        raise UpstreamError(
            f"the digits inside scikit-learn {sklearn.__version__} are not the known ones (sha256 {found})",
            expected=f"sha256 {SHA256}",
            todo="install another release of scikit-learn",
        )
    return cells, labels, str(sklearn.__version__)


class DigitsOptions(BaseModel):
    """The embedded digits have no options."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Digits:
    """The embedded digits; keys like `digit-00017`; no published split."""

    name = "digits"
    yields: frozenset[Modality] = frozenset({"image"})
    Options = DigitsOptions

    def versions(self, options: DigitsOptions) -> dict[str, str]:
        """The package that contains the data."""
        return {"scikit-learn": _embedded()[2]}

    def entries(self, upstream: Upstream, options: DigitsOptions, task: Task) -> list[Entry]:
        """One entry per digit, in scikit-learn's order.

        Raises:
            UpstreamError: the data are not the known ones, or a label has no class.
        """
        labels = _embedded()[1]
        if int(labels.max()) >= len(task.class_names):
            raise UpstreamError(
                f"the digits have {int(labels.max()) + 1} classes", expected=f"{len(task.class_names)} classes"
            )
        return [
            Entry(key=f"digit-{i:05d}", split="any", label=label, group=f"digit-{i:05d}", locator=(i,))
            for i, label in enumerate(labels.tolist())
        ]

    def read(
        self, upstream: Upstream, options: DigitsOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Pixels uint8 (H, W, 1) at the recipe's size per entry, 0 = background, 255 = ink."""
        cells = _embedded()[0]
        grey = np.rint(cells * (255.0 / INK_LEVELS)).astype(np.uint8)
        for entry in entries:
            picture = grey[entry.locator[0]][:, :, None]
            yield RawImage(image.resize(picture, task.image.height_px, task.image.width_px))


SOURCE = Digits()
