"""Images for the test of the rejection that are made here: noise, plain colours, means over several classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.judges.instrument_images.network import SIZE, seen
from xmbench.judges.labelled import Material
from xmbench.media import image
from xmbench.media.signal import Picture

_COUNT = 100  # of each kind, and no more than there are test items
_SEED = 97


def add_unseen(material: Material) -> None:
    """Adds to the tests of the rejection: noise, plain and smooth colours, and blends of the tests' images."""
    rng = np.random.default_rng(_SEED)
    none = len(material.class_names)
    images, labels = [], []
    for items in material.tests.values():
        for media, label, _ in items:
            if isinstance(media, Picture):
                images.append(seen(media.pixels).transpose(1, 2, 0))
                labels.append(label)
    count = min(_COUNT, len(images))
    kinds = {
        "noise": [rng.integers(0, 256, (SIZE, SIZE, 3)) for _ in range(count)],
        "plain colours": [np.full((SIZE, SIZE, 3), rng.integers(0, 256, 3)) for _ in range(count)],
        "smooth colours": [_smooth(rng) for _ in range(count)],
    }
    if len(set(labels)) > 1:
        kinds["two instruments blended"] = [_blend(rng, images, labels, 2) for _ in range(count)]
        kinds["mean of forty images"] = [_blend(rng, images, labels, 40) for _ in range(count)]
    for kind, made in kinds.items():
        for pixels in made:
            material.none[kind].add(Picture(np.asarray(pixels, np.uint8)), none, kind)


def _smooth(rng: np.random.Generator) -> NDArray[np.uint8]:
    size = int(rng.integers(2, 9))
    return image.resize(rng.integers(0, 256, (size, size, 3), dtype=np.uint8), SIZE, SIZE)


def _blend(
    rng: np.random.Generator, images: list[NDArray[np.uint8]], labels: list[int], several: int
) -> NDArray[np.floating]:
    """The mean of images of as many classes as there are."""
    known = rng.permutation(sorted(set(labels)))
    wanted = [known[number % len(known)] for number in range(several)]
    chosen = [int(rng.choice(np.flatnonzero(np.asarray(labels) == label))) for label in wanted]
    return np.asarray(np.mean([images[number] for number in chosen], axis=0))
