"""How a spoken-word judge rejects: outputs of its own for other words and for sounds that are no words.

The networks have K + 2 outputs: the words, "other word" and "none". What they say is divided by a temperature, so that
their confidence is right on voices that they were not trained with, and a bias is added to the rejection. Judges of the
first format have K + 1 outputs and neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

REJECTS = ("other word", "none")


@dataclass(frozen=True, slots=True)
class Rejection:
    """What turns logits into probabilities.

    Attributes:
        outputs: of the networks, after the K words.
        temperature: the logits are divided by it, > 0.
        bias: added to the logarithm of the rejection.
    """

    outputs: int = len(REJECTS)
    temperature: float = 1.0
    bias: float = 0.0

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Rejection:
        """That of a header; judges of the first format name none."""
        known = about.get("rejection")
        return cls(**known) if known else cls(outputs=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (B, K + outputs) -> probabilities (B, K + 1); the last column is the rejection.

        >>> one = torch.tensor([[2.0, 0.0, 0.0, 0.0]])
        >>> Rejection().probabilities(one).numpy().round(3)
        array([[0.711, 0.096, 0.193]], dtype=float32)
        """
        scaled = logits / self.temperature
        words, rejected = scaled[:, : -self.outputs], torch.logsumexp(scaled[:, -self.outputs :], 1, keepdim=True)
        return torch.softmax(torch.cat([words, rejected + self.bias], 1), 1)


PLAIN = Rejection()
