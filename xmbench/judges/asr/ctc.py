"""Connectionist temporal classification: the probability of a text, summed over all its alignments.

Graves et al., Connectionist Temporal Classification, ICML 2006. Letter 0 is the blank. An alignment is one letter per
frame; its text is what is left after repetitions are merged and blanks are removed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

BLANK = 0

Letters = tuple[int, ...]


def log_probability(emissions: Tensor, text: Letters) -> float:
    """The natural logarithm of a text's probability.

    Args:
        emissions: log-probabilities of the letters, (frames, letters); rows are normalised.
        text: letters without blanks; () for no text.

    Returns:
        At most 0; minus infinity if the text needs more frames than there are.
    """
    if not text:
        return float(emissions[:, BLANK].sum())
    found = nn.functional.ctc_loss(
        emissions[:, None].double(),
        torch.tensor([text]),
        torch.tensor([len(emissions)]),
        torch.tensor([len(text)]),
        blank=BLANK,
        reduction="sum",
    )
    return -float(found)


def log_of_any(emissions: Tensor, texts: Sequence[Letters]) -> float:
    """The logarithm of the probability that one of several different texts was said."""
    return float(torch.logsumexp(torch.tensor([log_probability(emissions, text) for text in texts]), 0))


def freely_decoded(emissions: Tensor) -> Letters:
    """The text of the most probable alignment (greedy decoding)."""
    merged = torch.unique_consecutive(emissions.argmax(dim=1)).tolist()
    return tuple(letter for letter in merged if letter != BLANK)
