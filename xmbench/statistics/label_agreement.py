"""Which label an image annotator and a sound annotator agree on, for many candidates at once.

Of the `top` most probable labels of each, two agree where they are the same, or where one includes the other (`dog`
includes every breed): the label that both agree on is then the broader one. Its score is the sum, over all pairs of
labels that agree on it, of the product of their probabilities. A candidate gets the label of the highest score; of
equal scores, the first in the order of ids.

Source: J. Lyu et al., "Generating images from sounds using multi-modal features and GANs", section 3 (one of the top 3
labels in common); the score, which chooses among several, is ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NONE = -1


@dataclass(frozen=True, slots=True)
class Agreed:
    """What each of N candidates agrees on.

    Attributes:
        labels: place of the label in the vocabulary, `NONE` where nothing agrees; int64 (N,).
        scores: of the labels; 0 where nothing agrees.
        image, sound: probability of the label by each annotator, summed over those of its labels that agree.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    image: NDArray[np.float64]
    sound: NDArray[np.float64]


class Vocabulary:
    """The ids of labels that two annotators use, sorted, and which include which.

    Args:
        kinds: id -> ids of the narrower labels that it includes, of every label.
    """

    def __init__(self, kinds: Mapping[str, Collection[str]]) -> None:
        self.ids = tuple(sorted({*kinds, *(narrow for found in kinds.values() for narrow in found)}))
        self._codes = {name: code for code, name in enumerate(self.ids)}
        # One more row and column for "no label", which agrees with nothing.
        self._joint = np.full((len(self.ids) + 1, len(self.ids) + 1), NONE, np.int64)
        np.fill_diagonal(self._joint[:-1, :-1], np.arange(len(self.ids)))
        for broad, found in kinds.items():
            for narrow in found:
                places = self._codes[broad], self._codes[narrow]
                self._joint[places] = self._joint[places[::-1]] = self._codes[broad]

    def codes(self, names: Sequence[str | None]) -> NDArray[np.int64]:
        """Places of ids in the vocabulary; `NONE` for those that it does not have."""
        return np.array([NONE if name is None else self._codes.get(name, NONE) for name in names], np.int64)

    def agreed(
        self,
        image: tuple[NDArray[np.int64], NDArray[np.float64]],
        sound: tuple[NDArray[np.int64], NDArray[np.float64]],
        allowed: Collection[str] | None = None,
    ) -> Agreed:
        """The label that each candidate agrees on.

        Args:
            image: codes (N, top) and probabilities (N, top) of the labels, `NONE` where there are fewer.
            sound: the same of the other annotator; it may have another number of columns.
            allowed: ids that may be agreed on; None for all.
        """
        shared, scores = self._pairs(image, sound, allowed)
        count, pairs = shared.shape
        best, best_score = np.full(count, NONE, np.int64), np.zeros(count)
        for j in range(pairs):
            total = np.zeros(count)
            for k in range(pairs):
                total += np.where(shared[:, k] == shared[:, j], scores[:, k], 0.0)
            better = (shared[:, j] != NONE) & (
                (best == NONE) | (total > best_score) | ((total == best_score) & (shared[:, j] < best))
            )
            best, best_score = np.where(better, shared[:, j], best), np.where(better, total, best_score)
        sides = [self._share(best, *side, shared, axis, sound[0].shape[1]) for axis, side in enumerate((image, sound))]
        return Agreed(best, best_score, *sides)

    def _pairs(
        self,
        image: tuple[NDArray[np.int64], NDArray[np.float64]],
        sound: tuple[NDArray[np.int64], NDArray[np.float64]],
        allowed: Collection[str] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Of each pair of labels the one that it agrees on, and the product: (N, top image x top sound)."""
        shared = self._joint[image[0][:, :, None], sound[0][:, None, :]].reshape(len(image[0]), -1)
        if allowed is not None:
            usable = np.zeros(len(self.ids) + 1, bool)
            usable[[self._codes[name] for name in allowed if name in self._codes]] = True
            shared = np.where(usable[shared], shared, NONE)
        return shared, (image[1][:, :, None] * sound[1][:, None, :]).reshape(len(image[0]), -1)

    def _share(
        self,
        best: NDArray[np.int64],
        codes: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        shared: NDArray[np.int64],
        axis: int,
        columns: int,
    ) -> NDArray[np.float64]:
        """Sum of the probabilities of one annotator's labels that take part in the agreement."""
        hits = (shared == best[:, None]) & (best != NONE)[:, None]
        taking = hits.reshape(len(best), -1, columns).any(axis=2 - axis) if hits.size else codes.astype(bool)
        return np.asarray(np.where(taking, probabilities, 0.0).sum(axis=1))
