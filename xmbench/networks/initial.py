"""Initial weights."""

from __future__ import annotations

import math

from torch import nn


def truncated_normal(module: nn.Module) -> None:
    """Fills convolutions and FC layers from a normal distribution cut at two deviations; biases with zeros.

    The standard deviation is sqrt(2 / fan_in) before ReLU (2-D convolutions) and 1 / sqrt(fan_in) elsewhere.
    TensorFlow's default of 1 would saturate every tanh.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            gain = 2.0 if isinstance(layer, nn.Conv2d) else 1.0
            deviation = math.sqrt(gain / layer.weight[0].numel())
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
