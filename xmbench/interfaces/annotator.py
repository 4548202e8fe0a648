"""Annotator: a pretrained network that labels images or sounds before a data set is made of them; never its judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.task import Modality
from xmbench.media.signal import Media


@dataclass(frozen=True, slots=True)
class Label:
    """What an annotator may find. Labels of two annotators are the same where their ids are, whatever their places.

    Attributes:
        id: the WordNet 3.0 synset where there is one, like `n09428293`; otherwise `<vocabulary>:<name>`.
        name: for people.
        kinds: ids of narrower labels that this one includes: `dog` includes every breed.
    """

    id: str
    name: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """A file of weights that an annotator reads: where it is published, and what it must be.

    Attributes:
        file: its name.
        address: where it is, or the page that says so.
        bytes: its size; 0 where it is not known here.
        sha256: of the file; "" where it is not known here.
        licence: of the weights.
    """

    file: str
    address: str
    bytes: int
    sha256: str
    licence: str


class Annotator(Protocol):
    """An annotator with its weights, ready to use.

    Attributes:
        modality: of the items.
        heads: name of an output -> its K labels; most annotators have one, `objects`.
    """

    modality: Modality
    heads: Mapping[str, tuple[Label, ...]]

    def probabilities(self, items: Sequence[Media]) -> dict[str, NDArray[np.float32]]:
        """Float32 (N, K) of each head, rows sum to 1. A row depends only on its own item."""
        ...


class AnnotatorKind(Protocol):
    """An annotator as it is registered, without weights.

    Attributes:
        name: public name, kebab-case.
        modality: of the items that it labels.
        published: files of weights that it reads, for messages and for the check of a file.
        shipped: its weights where they come with it; None where the user gives them.
    """

    name: str
    modality: Modality
    published: tuple[PublishedWeights, ...]
    shipped: Path | None

    def load(self, weights: Path, device: str = "cpu") -> Annotator:
        """Reads weights; nothing in the file is executed.

        Args:
            weights: the file.
            device: where it computes: "cpu" or "cuda".

        Raises:
            PrerequisiteError: the file is not one of its layouts, or a package or the device is missing.
        """
        ...


@dataclass(frozen=True, slots=True)
class FittedAnnotator:
    """The result of fitting: the content of the weights' file, and facts for its card (JSON values)."""

    weights: bytes
    card: Mapping[str, Any]


@runtime_checkable
class FittableAnnotator(Protocol):
    """What an annotator has in addition when `xmbench fit-annotator` can fit it to files of a user."""

    name: str

    def fit(self, folder: Path) -> FittedAnnotator:
        """Fits it to a directory in the layout that its module names; the same files give the same weights.

        Raises:
            UpstreamError: the directory holds other files.
        """
        ...
