"""Multimodal layers: features of an image, of a sound, or of both -> one hidden vector that names the class.

J. Lyu et al., "Generating images from sounds using multi-modal features and GANs" (2018, under review), section 5.3.
With both inputs the hidden values would be twice as large, so that half of them counts:

    h_pre(I) = W_I x_I + b,   h_pre(S) = W_S x_S + b,   h_pre(B) = (W_I x_I + W_S x_S) / 2 + b,   h = ReLU(h_pre)

Shape letters: B batch, N items, D_I and D_S features of images and sounds, H hidden values, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

INPUTS = ("image", "sound", "both")
_BLOCK = 4096  # points that are compared at once


class Standardised(nn.Module):
    """Values (B, D) -> (x - mean) / deviation of the training items; a value that never varies becomes 0."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    @torch.no_grad()
    def measure(self, values: Tensor) -> None:
        """Takes the statistics of (N, D); a value that never varies gets deviation 0."""
        self.mean.copy_(values.mean(dim=0))
        deviation = values.std(dim=0, correction=0)
        # A constant is left with rounding errors, which must not be blown up to unit variance.
        constant = deviation <= 1e-6 * values.abs().amax(dim=0)
        self.deviation.copy_(deviation.masked_fill(constant, 0.0))

    def forward(self, values: Tensor) -> Tensor:
        """See the class."""
        inverse = torch.where(self.deviation > 0, self.deviation.reciprocal(), 0.0)
        return (values - self.mean) * inverse

    def restored(self, standardised: Tensor) -> Tensor:
        """The inverse of `forward`; a value that never varies gets its mean."""
        return standardised * self.deviation + self.mean


class MultimodalLayers(nn.Module):
    """See the module. The features are standardised first."""

    def __init__(self, image: int, sound: int, hidden: int, classes: int) -> None:
        """Makes the layers.

        Args:
            image: D_I.
            sound: D_S.
            hidden: H.
            classes: K.
        """
        super().__init__()
        self.of_image, self.of_sound = Standardised(image), Standardised(sound)
        self.image, self.sound = nn.Linear(image, hidden, bias=False), nn.Linear(sound, hidden, bias=False)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.head = nn.Linear(hidden, classes)

    def before(self, image: Tensor | None = None, sound: Tensor | None = None) -> Tensor:
        """h_pre (B, H), before the activation, of features (B, D_I), (B, D_S) or both."""
        parts = []
        if image is not None:
            parts.append(self.image(self.of_image(image)))
        if sound is not None:
            parts.append(self.sound(self.of_sound(sound)))
        return torch.stack(parts).mean(dim=0) + self.bias

    def logits(self, before: Tensor) -> Tensor:
        """h_pre (B, H) -> logits (B, K)."""
        logits: Tensor = self.head(before.relu())
        return logits


def softmax_distance(first: Tensor, second: Tensor) -> Tensor:
    """Cross-entropy of softmax(first) and softmax(second), (B, H) each: the mean of both orders and of the batch."""
    one, other = first.float().log_softmax(dim=1), second.float().log_softmax(dim=1)
    both = (one.exp() * other).sum(dim=1) + (other.exp() * one).sum(dim=1)
    return -0.5 * both.mean()


def joint_losses(layers: MultimodalLayers, image: Tensor, sound: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
    """The three losses of section 5.3, means over the batch.

    "distance": mean absolute difference of h(I) and h(S). "agreement": `softmax_distance` of I and S before and after
    the activation, added. "labels": cross-entropy of the classes for I, S and both, added.

    Args:
        layers: to train.
        image: features (B, D_I).
        sound: features (B, D_S) of the same items.
        labels: int64 (B,).
    """
    seen, heard, both = layers.before(image), layers.before(sound=sound), layers.before(image, sound)
    entropies = [nn.functional.cross_entropy(layers.logits(h).float(), labels) for h in (seen, heard, both)]
    return {
        "distance": (seen.relu() - heard.relu()).abs().float().mean(),
        "agreement": softmax_distance(seen, heard) + softmax_distance(seen.relu(), heard.relu()),
        "labels": torch.stack(entropies).sum(),
    }


def nearest(queries: Tensor, points: Tensor) -> Tensor:
    """Position of the point nearest to each query by Euclidean distance, (Q, H) and (N, H) -> int64 (Q,).

    Of points at the same distance the first counts.
    """
    asked = queries.double()
    best = torch.full((len(asked),), torch.inf, dtype=torch.float64, device=asked.device)
    where = torch.zeros(len(asked), dtype=torch.int64, device=asked.device)
    for start in range(0, len(points), _BLOCK):
        distances = torch.cdist(asked, points[start : start + _BLOCK].double())
        value, position = distances.min(dim=1)
        closer = value < best
        best, where = torch.where(closer, value, best), torch.where(closer, position + start, where)
    return where
