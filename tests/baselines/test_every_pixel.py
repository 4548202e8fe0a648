"""No network for images may leave pixels out: a stride in a 1x1 convolution, or holes in step with it, would."""

from __future__ import annotations

import functools

import pytest
import torch

from xmbench import content, registry
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, ImageFormat, Model, ReadsImages, Task
from xmbench.runner.settings import resolve_config

DIGITS = Task(tuple("0123456789"), tuple("0123456789"), ImageFormat(28, 28, 1), AudioFormat(22050, 18140, 0.0, 10.0))


def rows() -> list[tuple[str, str | None]]:
    """Every preset of every baseline that has a network for images, or that learns from images."""
    found: list[tuple[str, str | None]] = []
    for name in content.names("baselines"):
        baseline = load_toml(content.find("baselines", name), Baseline)
        learned = baseline.kind == "learned" and "i2a" in baseline.directions
        if learned or isinstance(registry.model(baseline.model), ReadsImages):
            found += [(name, preset) for preset in (None, *baseline.presets)]
    return found


@functools.cache
def pixels_with_gradient(network: str) -> int:
    """How many pixels of random images change what a network gives; `network` is a key of `NETWORKS`."""
    module = NETWORKS[network].eval()
    images = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0)).requires_grad_()
    module(images).square().sum().backward()
    assert images.grad is not None
    return int((images.grad != 0).sum())


NETWORKS: dict[str, torch.nn.Module] = {}


@pytest.mark.parametrize(("name", "preset"), rows())
def test_every_pixel_of_an_image_counts(name: str, preset: str | None) -> None:
    baseline = load_toml(content.find("baselines", name), Baseline)
    model: Model = registry.model(baseline.model)
    assert isinstance(model, ReadsImages), f"{name} learns from images: its model needs `image_network(task, config)`"
    config = resolve_config(baseline, model, preset, {})
    with torch.device("meta"):
        described = repr(model.image_network(DIGITS, config))
    if described not in NETWORKS:  # presets of the same network are computed once
        torch.manual_seed(0)
        NETWORKS[described] = model.image_network(DIGITS, config)
    assert pixels_with_gradient(described) == 28 * 28
