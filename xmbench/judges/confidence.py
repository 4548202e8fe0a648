"""Fits how sure a judge is, and how easily it rejects, on items that it was not trained on."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from xmbench.judges.rejecting import Rejection

_TEMPERATURES = np.geomspace(0.25, 4.0, 65)
_BIASES = (-3.0, 0.0)  # it never rejects more than its network does


def fitted_rejection(logits: NDArray[np.float32], labels: NDArray[np.int64], accepted: float) -> Rejection:
    """The temperature with the highest likelihood, and the bias with which a share of the classes' items is accepted.

    Where the network accepts more than that by itself, the bias is 0.

    C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2.

    Args:
        logits: of a network with one output for "none", (N, K + 1).
        labels: (N,), K for none.
        accepted: share of the items of the classes that is to be taken for one of them, 0..1.

    >>> unsure = np.array([[1.0, 2.0], [4.0, 0.0], [0.0, 4.0]], dtype=np.float32)
    >>> found = fitted_rejection(unsure, np.array([0, 0, 1]), 1.0)
    >>> round(found.bias * found.temperature, 2)
    -1.0
    """
    own, known = torch.from_numpy(logits), torch.from_numpy(labels)
    losses = [float(F.cross_entropy(own / temperature, known)) for temperature in _TEMPERATURES]
    temperature = round(float(_TEMPERATURES[int(np.argmin(losses))]), 3)
    few = logits[labels < logits.shape[1] - 1] / temperature
    margins = few[:, :-1].max(axis=1) - few[:, -1]
    bias = float(np.quantile(margins, 1.0 - accepted)) if len(margins) else 0.0
    return Rejection(1, temperature, round(float(np.clip(bias, *_BIASES)), 3))
