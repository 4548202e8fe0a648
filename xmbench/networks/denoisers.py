"""Networks that clean a noisy spectrum or image, told how noisy it is and what it shows.

Shape letters: B batch, M mel bands, N frames, P planes, H W axes, E width of the description, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8  # of every group normalisation
FREQUENCIES = 32  # sines and cosines that describe a time in 0..1


def time_features(time: Tensor) -> Tensor:
    """Times (B,) in 0..1 -> sines and cosines of 32 frequencies from 1,000 down to 1 radians, (B, 64)."""
    rates = torch.exp(torch.arange(FREQUENCIES, device=time.device) * (-math.log(1000.0) / (FREQUENCIES - 1)))
    angles = time[:, None] * 1000.0 * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Description(nn.Module):
    """Time and condition as one vector; a learnt vector stands for a condition that is left out."""

    def __init__(self, condition: int, width: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.condition = nn.Linear(condition, width)
        self.none = nn.Parameter(torch.zeros(width))

    def forward(self, time: Tensor, condition: Tensor, dropped: Tensor) -> Tensor:
        """Times (B,), conditions (B, D), which of them are left out bool (B,) -> (B, E)."""
        given = torch.where(dropped[:, None], self.none, self.condition(condition))
        return F.silu(self.time(time_features(time)) + given)


class _FilmBlock(nn.Module):
    """Normalise, activate, convolve, twice; the description scales and shifts in between (FiLM)."""

    def __init__(self, before: int, after: int, width: int, dimensions: int, dilation: int = 1) -> None:
        super().__init__()
        convolution: type[nn.Conv1d] | type[nn.Conv2d] = nn.Conv1d if dimensions == 1 else nn.Conv2d
        self.first_norm = nn.GroupNorm(GROUPS, before)
        self.first = convolution(before, after, 3, padding=dilation, dilation=dilation)
        self.second_norm = nn.GroupNorm(GROUPS, after)
        self.second = convolution(after, after, 3, padding=1)
        self.film = nn.Linear(width, 2 * after)
        self.shortcut: nn.Module = nn.Identity() if before == after else convolution(before, after, 1)
        nn.init.zeros_(self.second.weight)  # a block begins as its shortcut
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, description: Tensor) -> Tensor:
        """(B, C, ...) and (B, E) -> (B, after, ...)."""
        y = self.first(F.silu(self.first_norm(x)))
        scale, shift = self.film(description).view(len(y), 2, -1, *[1] * (y.ndim - 2)).unbind(1)
        found: Tensor = self.shortcut(x) + self.second(F.silu(self.second_norm(y) * (1 + scale) + shift))
        return found


class FrameNet(nn.Module):
    """A residual network along time: the bands of a few frames are the channels of one step.

    Convolutions of width 3 with dilations 1, 2 and 4 in turn, and a learnt vector per step of time.
    """

    def __init__(
        self, bands: int, frames: int, together: int, channels: int, blocks: int, condition: int, width: int
    ) -> None:
        """Makes the network.

        Args:
            bands: M.
            frames: N.
            together: frames that make one step.
            channels: C.
            blocks: residual blocks.
            condition: D.
            width: E.
        """
        super().__init__()
        self.together = together
        steps = -(-frames // together)
        self.describe = Description(condition, width)
        self.first = nn.Conv1d(bands * together, channels, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, channels, steps))
        self.blocks = nn.ModuleList(
            _FilmBlock(channels, channels, width, 1, (1, 2, 4)[number % 3]) for number in range(blocks)
        )
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.last = nn.Conv1d(channels, bands * together, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor, dropped: Tensor) -> Tensor:
        """Spectra (B, M, N), times (B,), conditions (B, D), left out bool (B,) -> clean spectra (B, M, N)."""
        bands, frames, steps = noisy.shape[1], noisy.shape[2], self.place.shape[2]
        padded = F.pad(noisy, (0, steps * self.together - frames)).view(len(noisy), bands, steps, self.together)
        x = padded.permute(0, 1, 3, 2).flatten(1, 2)  # (B, M * together, steps)
        description = self.describe(time, condition, dropped)
        x = self.first(x) + self.place
        for block in self.blocks:
            x = block(x, description)
        found: Tensor = self.last(F.silu(self.norm(x)))
        return found.view(len(found), bands, self.together, steps).transpose(2, 3).flatten(2)[:, :, :frames]


class _Attention(nn.Module):
    """Every place attends to every place; four heads."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.last = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, M, N) -> the same shape."""
        # (B, 3, heads, places, channels of a head)
        parts = self.project(self.norm(x)).view(len(x), 3, 4, -1, x[0, 0].numel()).transpose(3, 4)
        query, key, value = parts.unbind(1)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(2, 3).flatten(1, 2)  # (B, C, P)
        found: Tensor = x + self.last(mixed.view(x.shape))
        return found


class UNet(nn.Module):
    """A U-Net over two axes: O. Ronneberger et al. (MICCAI 2015), with the blocks of diffusion models.

    Some residual blocks per level on the way down, one more on the way up, attention at the lowest level. For spectra
    the axes are bands and frames, with one plane; for images rows and columns.
    """

    def __init__(
        self, planes: int, channels: int, multipliers: Sequence[int], condition: int, width: int, blocks: int = 2
    ) -> None:
        """Makes the network.

        Args:
            planes: P, channels of what is cleaned.
            channels: C of the first level.
            multipliers: channels of each level, as multiples of C; both axes halve between levels.
            condition: D.
            width: E.
            blocks: residual blocks per level on the way down.
        """
        super().__init__()
        self.describe = Description(condition, width)
        self.first = nn.Conv2d(planes, channels, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        now, lowest, skips = channels, len(multipliers) - 1, [channels]
        for level, multiplier in enumerate(multipliers):
            after = channels * multiplier
            for _ in range(blocks):
                self.down.append(_Stage(now, after, width, attends=level == lowest))
                now = after
                skips.append(now)
            if level < lowest:
                self.down.append(_Resized(now, smaller=True))
                skips.append(now)
        self.middle = nn.ModuleList([_Stage(now, now, width, attends=True), _Stage(now, now, width, attends=False)])
        for level in range(lowest, -1, -1):
            after = channels * multipliers[level]
            for _ in range(blocks + 1):
                self.up.append(_Stage(now + skips.pop(), after, width, attends=level == lowest))
                now = after
            if level > 0:
                self.up.append(_Resized(now, smaller=False))
        self.norm = nn.GroupNorm(GROUPS, now)
        self.last = nn.Conv2d(now, planes, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.multiple = 2**lowest

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor, dropped: Tensor) -> Tensor:
        """Noisy (B, P, H, W), times (B,), conditions (B, D), left out bool (B,) -> clean (B, P, H, W)."""
        height, width = noisy.shape[2:]
        description = self.describe(time, condition, dropped)
        x = self.first(F.pad(noisy, (0, -width % self.multiple, 0, -height % self.multiple)))
        skips = [x]
        for part in self.down:
            x = part(x, description)
            skips.append(x)
        for part in self.middle:
            x = part(x, description)
        for part in self.up:
            x = part(x if isinstance(part, _Resized) else torch.cat([x, skips.pop()], dim=1), description)
        found: Tensor = self.last(F.silu(self.norm(x)))
        return found[:, :, :height, :width]


class _Stage(nn.Module):
    """A residual block, and attention where its level has it."""

    def __init__(self, before: int, after: int, width: int, *, attends: bool) -> None:
        super().__init__()
        self.block = _FilmBlock(before, after, width, 2)
        self.attention = _Attention(after) if attends else None

    def forward(self, x: Tensor, description: Tensor) -> Tensor:
        """(B, before, M, N) -> (B, after, M, N)."""
        found: Tensor = self.block(x, description)
        return found if self.attention is None else self.attention(found)


class _Resized(nn.Module):
    """Half or twice the size, by a convolution with a stride or after a repetition."""

    def __init__(self, channels: int, *, smaller: bool) -> None:
        super().__init__()
        self.smaller = smaller
        self.convolution = nn.Conv2d(channels, channels, 3, stride=2 if smaller else 1, padding=1)

    def forward(self, x: Tensor, _description: Tensor) -> Tensor:
        """(B, C, M, N) -> (B, C, M / 2, N / 2), or twice."""
        found: Tensor = self.convolution(x if self.smaller else F.interpolate(x, scale_factor=2.0))
        return found
