"""The embedding that nobody trained: the same weights everywhere, and each row from its own item."""

from __future__ import annotations

import numpy as np
import pytest

from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.judges.random_convolutions import VERSION, RandomConvolutions, channels_of, digest
from xmbench.media.signal import Picture, Sound

NETWORK = RandomConvolutions()


def test_the_weights_are_these() -> None:
    """If this changes, so do the values of every metric that uses them: change their versions too."""
    assert VERSION == "1"
    assert digest(1) == "4885371a88582ed561427177c9ced80d9b0a93273bfca599a2992a1b4de15bc6"
    assert digest(3) == "49b5c08e38ce7025356bea45600a1b20be3b5c464a802b279c58941402bc05e6"


def test_a_row_depends_only_on_its_own_item(digits: Dataset) -> None:
    pictures = [Picture(image) for image in read_examples(digits, "test").images]
    together = NETWORK.embed(pictures)
    assert together.shape == (40, 64)
    np.testing.assert_array_equal(NETWORK.embed(pictures[3:5]), together[3:5])
    np.testing.assert_array_equal(NETWORK.embed(pictures[::-1])[::-1], together)
    assert len(np.unique(together, axis=0)) == 40
    assert NETWORK.embed([]).shape == (0, 64)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 3), (28, 28, 1), (130, 70, 3)])
def test_images_of_any_size(shape: tuple[int, int, int]) -> None:
    picture = Picture(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    found = NETWORK.embed([picture, picture])
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0], found[1])
    assert channels_of(picture) == shape[2]


def test_sounds_are_seen_as_log_mel() -> None:
    t = np.arange(16_000) / 16_000
    tones = [Sound((0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32), 16_000) for hz in (200, 210, 2000)]
    silence, brief = Sound(np.zeros(16_000, np.float32), 16_000), Sound(np.zeros(100, np.float32), 16_000)
    low, near, high, still = NETWORK.embed([*tones, silence])
    assert np.linalg.norm(low - near) < np.linalg.norm(low - high)
    assert np.isfinite(still).all()
    assert np.isfinite(NETWORK.embed([brief])).all()
