"""MT-Net's trunk: dilated convolutions as dense ones on parts of the image, and strides that see every pixel."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from xmbench.networks.images import Residual2d, Transition, Trunk, batch_to_space, space_to_batch
from xmbench.training import place

WIDTHS = (4, 8, 12)


def trunks(dilation: int = 2) -> tuple[Trunk, nn.Sequential]:
    """The trunk, and the same layers one after the other: dilated convolutions as PyTorch computes them."""
    torch.manual_seed(0)
    trunk = Trunk(3, WIDTHS, (1, 1, 1), dilation)
    return trunk, nn.Sequential(*copy.deepcopy(list(trunk)))


@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 3),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    parts=st.integers(1, 4),
)
def test_division_into_parts_and_back(batch: int, channels: int, rows: int, columns: int, parts: int) -> None:
    images = torch.arange(float(batch * channels * rows * columns * parts * parts))
    images = images.view(batch, channels, rows * parts, columns * parts)
    divided = space_to_batch(images, parts)
    assert divided.shape == (parts * parts * batch, channels, rows, columns)
    assert torch.equal(divided[-batch:], images[:, :, parts - 1 :: parts, parts - 1 :: parts])
    assert torch.equal(batch_to_space(divided, parts), images)


@pytest.mark.parametrize("dilation", [2, 4])
@pytest.mark.parametrize("channels_last", [False, True])
def test_dense_convolutions_on_parts_are_the_dilated_ones(dilation: int, channels_last: bool) -> None:
    divided, dilated = trunks(dilation)
    images = torch.randn(5, 3, 16, 24)
    assert (copy.deepcopy(divided).pooled(images) - copy.deepcopy(dilated)(images).mean(dim=(2, 3))).abs().max() < 1e-5
    # From here on in double precision: the difference of the two orders of summation, not of two computations.
    divided, dilated, images = divided.double(), dilated.double(), images.double()
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
        divided, dilated = place(divided, "cpu", channels_last=True), place(dilated, "cpu", channels_last=True)
    pixels = [images.clone().requires_grad_(), images.clone().requires_grad_()]
    found, expected = divided.pooled(pixels[0]), dilated(pixels[1]).mean(dim=(2, 3))
    assert (found - expected).abs().max() < 1e-12
    weights = torch.randn_like(expected)
    torch.autograd.backward([(found * weights).sum(), (expected * weights).sum()])
    assert close(pixels[0].grad, pixels[1].grad)
    plain = dict(dilated.named_parameters())
    for name, weight in divided.named_parameters():
        # Before batch normalisation a bias has no effect: its gradient is rounding.
        assert name.endswith(".bias") or close(weight.grad, plain[name].grad), name
    statistics = dict(dilated.named_buffers())
    for name, statistic in divided.named_buffers():
        assert (statistic - statistics[name]).abs().max() < 1e-12, name
    assert (divided.eval()(images) - dilated.eval()(images)).abs().max() < 1e-12


def close(ours: Tensor | None, theirs: Tensor | None) -> bool:
    assert ours is not None
    assert theirs is not None
    return bool((ours - theirs).norm() < 1e-10 * theirs.norm())


def test_weights_have_the_names_that_they_had() -> None:
    trunk, plain = trunks()
    assert list(trunk.state_dict()) == list(plain.state_dict())
    assert {"0.weight", "1.running_mean", "3.first.weight", "3.second_norm.bias"} <= set(trunk.state_dict())


def test_an_image_that_does_not_divide_is_convolved_with_holes() -> None:
    divided, dilated = trunks()
    images = torch.randn(2, 3, 15, 16)
    assert torch.equal(divided.eval().pooled(images), dilated.eval()(images).mean(dim=(2, 3)))
    assert Trunk(3, WIDTHS, (1, 2, 1), 2).parts == 1  # parts of a strided stage would be of other pixels


def test_the_trunk_makes_no_dilated_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_layer: nn.Conv2d, _x: Tensor) -> Tensor:
        raise AssertionError("a convolution of a residual block was called with its holes")

    divided, _ = trunks()
    for block in divided:
        if isinstance(block, Residual2d):
            monkeypatch.setattr(block.first, "forward", refuse)
            monkeypatch.setattr(block.second, "forward", refuse)
    assert divided.pooled(torch.randn(2, 3, 8, 8)).shape == (2, WIDTHS[-1])


def test_a_stride_takes_the_mean_of_its_pixels() -> None:
    transition = Transition(1, 1, 2)
    nn.init.ones_(transition.weight)
    assert transition.bias is not None
    nn.init.zeros_(transition.bias)
    image = torch.tensor([[0.0, 2.0, 5.0], [4.0, 6.0, 7.0], [1.0, 3.0, 9.0]])[None, None]
    assert torch.equal(transition(image)[0, 0], torch.tensor([[3.0, 6.0], [2.0, 9.0]]))  # an odd edge is not lost
