"""A small classifier of log-mel spectra along time, which a generator may hear its own candidates with.

Shape letters: B batch, M mel bands, N frames, K classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xmbench.networks.denoisers import GROUPS


class Listener(nn.Module):
    """Spectra of zero mean and unit variance (B, M, N) -> logits (B, K).

    Three convolutions of width 5 over time, each followed by maximum pooling; mean and maximum over the rest.
    """

    def __init__(self, bands: int, classes: int, width: int) -> None:
        super().__init__()
        before = [bands, width, width]
        self.convolutions = nn.ModuleList(nn.Conv1d(channels, width, 5, padding=2) for channels in before)
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, width) for _ in before)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * width, classes))

    def forward(self, spectra: Tensor) -> Tensor:
        """See the class."""
        x = spectra
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.max_pool1d(F.silu(norm(convolution(x))), 2, ceil_mode=True)
        logits: Tensor = self.head(torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1))
        return logits


def best_heard(logits: Tensor, wanted: Tensor) -> Tensor:
    """The candidate of each item that is most surely the wanted word, int64 (B,).

    Args:
        logits: of a listener, (B, candidates, K).
        wanted: what each item should be, probabilities (B, K).

    Returns:
        The candidate with the lowest cross-entropy; of equals, the first.
    """
    heard = (wanted[:, None] * logits.float().log_softmax(dim=2)).sum(dim=2)
    return heard.argmax(dim=1)
