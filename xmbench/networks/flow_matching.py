"""Flow matching with a network that predicts what is clean: its loss, and the way from noise to a spectrum or image.

Y. Lipman et al., "Flow matching for generative modeling", ICLR 2023; guidance of J. Ho, T. Salimans, "Classifier-free
diffusion guidance", 2022.

Shape letters: B batch, ... the axes of a spectrum (M, N) or of an image (P, H, W), D condition.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flow_loss(found: Tensor, clean: Tensor, time: Tensor, least_left: float) -> Tensor:
    """Squared error of the velocity that a predicted clean item implies: ((x - x1) / max(1 - t, least))^2.

    At (1 - t) x0 + t x1 the velocity is (x1 - x_t) / (1 - t), so that an error of the clean item counts
    1 / (1 - t) times; the bound keeps the last moments from being all that counts.

    Args:
        found: x, (B, ...).
        clean: x1, (B, ...).
        time: t, (B,), 0 for noise and 1 for a clean item.
        least_left: smallest 1 - t.
    """
    left = (1.0 - time).clamp_min(least_left).view(-1, *[1] * (clean.ndim - 1))
    return ((found.float() - clean) / left).square().mean()


@torch.no_grad()
def sample(flow: nn.Module, noise: Tensor, condition: Tensor, steps: int, guidance: float) -> Tensor:
    """Euler's method from noise at t = 0 to a clean item at t = 1, with equal steps.

    The clean item is u + guidance * (c - u), from the predictions c with and u without the condition; a guidance
    of 1 is the condition alone, of 0 none.

    Args:
        flow: a `Flow`, or its like.
        noise: (B, ...).
        condition: (B, D).
        steps: evaluations, each on twice the batch unless the guidance is 1.
        guidance: as above.

    Returns:
        Spectra or images, float32 (B, ...), of zero mean and unit variance over the training set.
    """
    count, x = len(noise), noise
    both = guidance != 1.0
    dropped = torch.arange(2 * count if both else count, device=noise.device) >= count
    conditions = torch.cat([condition, condition]) if both else condition
    for step in range(steps):
        time = torch.full((len(dropped),), step / steps, device=noise.device)
        clean = flow(torch.cat([x, x]) if both else x, time, conditions, dropped).float()
        if both:
            given, none = clean.chunk(2)
            clean = none + guidance * (given - none)
        x = x + (clean - x) / (steps - step)  # the velocity (clean - x) / (1 - t), for 1 / steps
    return x
