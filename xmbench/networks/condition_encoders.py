"""What an image tells a generator: features that are learnt with it, or a posterior over the classes.

Shape letters: B batch, C channels, H W pixels, D condition, K classes.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from xmbench.networks.images import make_classifier
from xmbench.networks.residual import ResNet18

EncoderKind = Literal["resnet18", "classifier"]


class ConditionEncoder(nn.Module):
    """An image's condition, and the class that its head recognises.

    "resnet18" gives 8 * width features and learns with the flow; its head is trained beside it and, with
    `label_weight` 0, sends nothing back. "classifier" gives the posterior of a small network that was trained before.
    """

    def __init__(
        self, kind: EncoderKind, channels: int, classes: int, width: int, label_weight: float, cells: int = 1
    ) -> None:
        super().__init__()
        self.joint, self._sends_back = kind == "resnet18", label_weight > 0
        self.size = 8 * width if self.joint else classes
        self.body: nn.Module = make_classifier(channels, classes, width, cells)
        if self.joint:
            self.body = ResNet18(channels, tuple(width * 2**stage for stage in range(4)))
            self.norm, self.head = nn.LayerNorm(self.size), nn.Linear(self.size, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised images (B, C, H, W) -> conditions (B, D), logits (B, K)."""
        found = self.body(images)
        if not self.joint:
            return found.float().softmax(dim=1), found
        features = self.norm(found)
        return features, self.head(features if self._sends_back else features.detach())
