"""Spectrogram -> waveform by a small network, in place of the one that MT-Net's authors trained for this purpose.

H. Ning et al. (2021), section 4.5: "a three-convolution-layers with three-fully-connected-layers network". Nothing
else about it is known: kernels, widths, loss and training data are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmbench.networks.dcgan import SPECTROGRAM_SIZE


class Spec2Wav(nn.Module):
    """Spectrograms (B, 1, 128, 34) in -1..1 -> waveforms (B, T) in -1..1."""

    def __init__(self, samples: int, channels: tuple[int, int, int], hidden: tuple[int, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        height, width, before = *SPECTROGRAM_SIZE, 1
        for after in channels:
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            height, width, before = (height + 1) // 2, (width + 1) // 2, after
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.fc1 = nn.Linear(before * height * width, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.fc3 = nn.Linear(hidden[1], samples)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """See the class."""
        found = torch.relu(self.fc2(torch.relu(self.fc1(self.convolutions(spectrograms)))))
        return torch.tanh(self.fc3(found))


def waveform_loss(output: Tensor, clips: Tensor) -> Tensor:
    """Smooth L1 of (B, T), summed over T, mean over the batch: MT-Net's own generation loss (eqs. 9 and 10)."""
    return nn.functional.smooth_l1_loss(output.float(), clips, reduction="none").sum(dim=1).mean()
