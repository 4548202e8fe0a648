"""What a sound tells a generator: features that are learnt with it, and the class that they show.

Shape letters: B batch, F bands, N frames, D condition, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xmbench.networks.denoisers import GROUPS


class SoundEncoder(nn.Module):
    """Spectrograms (B, 1, F, N) in -1..1 -> conditions (B, D), logits (B, K).

    Pairs of 3x3 convolutions, of which the first halves both axes. Nothing is pooled over time, so that the condition
    can tell when something sounds.

    Attributes:
        size: D.
        sends_back: the head's loss reaches the rest; without, the head learns alone.
    """

    def __init__(
        self, size: tuple[int, int], classes: int, widths: Sequence[int], condition: int, sends_back: bool = True
    ) -> None:
        """Makes the network.

        Args:
            size: F and N.
            classes: K.
            widths: channels of each pair of convolutions, multiples of 8.
            condition: D.
            sends_back: see the class.
        """
        super().__init__()
        layers: list[nn.Module] = []
        before, (bands, frames) = 1, size
        for width in widths:
            for channels, stride in ((before, 2), (width, 1)):
                layers += [nn.Conv2d(channels, width, 3, stride=stride, padding=1), nn.GroupNorm(GROUPS, width)]
                layers.append(nn.SiLU())
            before, bands, frames = width, -(-bands // 2), -(-frames // 2)
        self.size, self.sends_back = condition, sends_back
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * bands * frames, condition))
        self.norm, self.head = nn.LayerNorm(condition), nn.Linear(condition, classes)

    def forward(self, spectrograms: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features: Tensor = self.norm(self.body(spectrograms).float())
        logits: Tensor = self.head(features if self.sends_back else features.detach())
        return features, logits


def masked(spectrograms: Tensor, share: float) -> Tensor:
    """Spectrograms (B, 1, F, N) in -1..1; in each a random block of bands and one of frames are silent (-1).

    D. Park et al., "SpecAugment", Interspeech 2019.

    Args:
        spectrograms: as above.
        share: of the bands and of the frames that a block has at most, 0..1; its size and place are uniform.
    """
    if not share:
        return spectrograms
    count, silent = len(spectrograms), torch.zeros_like(spectrograms, dtype=torch.bool)
    for axis in (2, 3):
        length = spectrograms.shape[axis]
        size = torch.rand(count, 1, device=spectrograms.device) * share * length
        start = torch.rand(count, 1, device=spectrograms.device) * (length - size)
        places = torch.arange(length, device=spectrograms.device) + 0.5
        inside = (places >= start) & (places < start + size)  # (B, length)
        silent |= inside[:, None, :, None] if axis == 2 else inside[:, None, None, :]
    return spectrograms.masked_fill(silent, -1.0)
