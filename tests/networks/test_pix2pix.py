"""The networks of pix2pix, planes of features, and the residual networks of the modern form."""

from __future__ import annotations

import math

import pytest
import torch

from xmbench.networks.pix2pix import (
    PatchDiscriminator,
    UNet,
    discriminator_loss,
    from_plane,
    generator_losses,
    pix2pix_weights,
    to_plane,
)
from xmbench.networks.residual_images import FeatureDecoder, ImageDiscriminator, Translator, hinge_discriminator_loss


def test_unet_128_has_the_published_layers() -> None:
    with torch.device("meta"):
        network = UNet(1, 3)
        levels = network.encoded(torch.empty(2, 1, 128, 128))
        assert network(torch.empty(2, 1, 128, 128)).shape == (2, 3, 128, 128)
    assert [level.shape[1] for level in levels] == [64, 128, 256, 512, 512, 512, 512]
    assert levels[-1].shape[2:] == (1, 1)
    norms = [any(isinstance(layer, torch.nn.BatchNorm2d) for layer in part.modules()) for part in network.down]
    assert norms == [False, True, True, True, True, True, False]
    dropped = [any(isinstance(layer, torch.nn.Dropout) for layer in part.modules()) for part in network.up]
    assert dropped == [True, True, True, False, False, False, False]
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(41.8e6, rel=2e-3)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_smaller_networks_end_at_one_pixel_too(size: int) -> None:
    network = UNet(1, 3, size, width=2).eval()
    assert network.encoded(torch.randn(1, 1, size, size))[-1].shape[2:] == (1, 1)
    made = network(torch.randn(2, 1, size, size))
    assert made.shape == (2, 3, size, size)
    assert float(made.detach().abs().max()) <= 1.0


def test_a_side_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        UNet(1, 3, 96)


def test_a_patch_is_70_pixels_wide() -> None:
    network = PatchDiscriminator(4, width=4).eval()
    planes = torch.randn(1, 4, 128, 128).requires_grad_()
    logits = network(planes)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    assert planes.grad is not None
    rows = planes.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


def test_initial_weights_are_those_of_pix2pix() -> None:
    torch.manual_seed(0)
    network = UNet(1, 3, 32, width=16)
    pix2pix_weights(network)
    widest = max(network.parameters(), key=lambda p: p.numel())
    assert float(widest.detach().std()) == pytest.approx(0.02, rel=0.02)
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    assert all(float(bias.detach().abs().max()) == 0.0 for bias in biases)


def test_losses_by_hand() -> None:
    real, fake = torch.tensor([[2.0]]), torch.tensor([[-1.0], [1.0]])
    of_real = -math.log(1 / (1 + math.exp(-2)))
    of_fake = (-math.log(1 - 1 / (1 + math.exp(1))) - math.log(1 - 1 / (1 + math.exp(-1)))) / 2
    assert float(discriminator_loss(real, fake)) == pytest.approx(0.5 * (of_real + of_fake), rel=1e-5)
    assert float(discriminator_loss(real, fake, 0.001)) == pytest.approx(0.0005 * (of_real + of_fake), rel=1e-5)
    made, target = torch.tensor([0.5, -0.5]), torch.tensor([0.0, -0.25])
    losses = generator_losses(fake, made, target)
    deceived = (math.log(1 + math.exp(1)) + math.log(1 + math.exp(-1))) / 2
    assert float(losses["adversarial"]) == pytest.approx(deceived, rel=1e-5)
    assert float(losses["error"]) == pytest.approx(0.375)
    assert float(losses["loss"]) == pytest.approx(deceived + 37.5, rel=1e-5)


def test_hinge_loss_by_hand() -> None:
    real, fakes = torch.tensor([0.5, 3.0]), (torch.tensor([-2.0, 0.0]), torch.tensor([1.0, -1.0]))
    assert float(hinge_discriminator_loss(real, fakes)) == pytest.approx(0.25 + (0.5 + 1.0) / 2)


def test_a_factor_of_the_loss_changes_next_to_nothing_under_adam() -> None:
    """Why the printed penalty of 0.001 does not slow the discriminator, and a smaller rate does."""

    def moved(scale: float, rate: float) -> float:
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 1)
        before = layer.weight.detach().clone()
        adam = torch.optim.Adam(layer.parameters(), rate, betas=(0.5, 0.999))
        real, fake = torch.randn(16, 4) + 1, torch.randn(16, 4) - 1
        for _ in range(20):
            adam.zero_grad()
            discriminator_loss(layer(real), layer(fake), scale).backward()  # type: ignore[no-untyped-call]
            adam.step()
        return float((layer.weight.detach() - before).abs().sum())

    plain = moved(1.0, 2e-4)
    assert moved(0.001, 2e-4) == pytest.approx(plain, rel=0.01)
    assert moved(1.0, 2e-5) == pytest.approx(0.1 * plain, rel=0.05)


# -------------------------------------------------------------------------------------------------- planes
def test_planes_give_back_what_lies_within_three_deviations() -> None:
    features = torch.linspace(-4, 4, 32).view(2, 16)
    plane = to_plane(features)
    assert plane.shape == (2, 1, 8, 8)
    assert float(plane.abs().max()) == 1.0
    torch.testing.assert_close(plane[0, 0, :2, :2], torch.full((2, 2), -1.0))
    torch.testing.assert_close(plane[1, 0, 2:4, 2:4], (features[1, 5].clamp(-3, 3) / 3).expand(2, 2))
    torch.testing.assert_close(from_plane(plane), features.clamp(-3, 3))


def test_4096_features_become_128_pixels_and_are_averaged_over_four() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 4096).clamp(-3, 3)
    plane = to_plane(features)
    assert plane.shape == (1, 1, 128, 128)
    noise = torch.randn_like(plane)
    error = from_plane(plane + 0.1 * noise) - features
    assert float(error.std()) == pytest.approx(3 * 0.1 / 2, rel=0.1)  # four pixels halve the noise


# ----------------------------------------------------------------------------------------------- modern form
@pytest.mark.parametrize(("size", "blocks"), [(16, 4), (64, 8), (128, 9)])
def test_residual_networks_of_the_modern_form(size: int, blocks: int) -> None:
    torch.manual_seed(0)
    decoder, discriminator = FeatureDecoder(16, size, width=1), ImageDiscriminator(size, width=1)
    images = decoder(torch.randn(2, 16))
    assert images.shape == (2, 3, size, size)
    assert float(images.detach().abs().max()) <= 1.0
    assert discriminator(images).shape == (2,)
    assert len(decoder.blocks) == blocks  # 64 and 128: with squeeze and excitation, and attention, at 32


def test_the_full_decoder_is_that_of_the_later_network() -> None:
    with torch.device("meta"):
        decoder = FeatureDecoder(4096, 256)
        shapes = []
        x = torch.empty(2, 4096, 1, 1)
        for block in decoder.blocks:
            x = block(x)
            shapes.append(tuple(x.shape[1:3]))
    sizes = [(512, 2), (256, 4), (128, 8), (64, 16), (64, 32), (64, 32), (64, 32), (32, 64), (32, 128), (16, 256)]
    assert shapes == sizes


def test_a_translator_begins_as_the_identity() -> None:
    x = torch.randn(3, 8)
    torch.testing.assert_close(Translator(8)(x), x)
