"""What a sound encoder of 128x44 reads: spectrograms of clips of any length, and the stacked autoencoder of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from xmbench.interfaces import AudioFormat
from xmbench.networks.class_encoders import SoundClassifier
from xmbench.networks.mel_decibels import EncodedMel
from xmbench.networks.sound_autoencoder import SoundAutoencoder
from xmbench.networks.sound_features import MelInDecibels


def audio(samples: int, rate: int = 44100) -> AudioFormat:
    return AudioFormat(rate, samples, 0.0, 60.0)


def test_half_a_second_at_44100_hz_has_the_printed_hop_and_44_frames() -> None:
    mel, waves = EncodedMel(audio(22050), "cpu"), torch.randn(2, 22050) * 0.1
    assert mel.hop == 512
    found = mel.decibels(waves)
    assert found.shape == (2, 128, 44)
    np.testing.assert_allclose(found, MelInDecibels(44100)(waves), atol=1e-3)


@settings(max_examples=10, deadline=None)
@given(samples=st.integers(1, 120_000))
def test_a_clip_of_any_length_has_44_frames(samples: int) -> None:
    found = EncodedMel(audio(samples), "cpu").decibels(torch.full((1, samples), 0.1))
    assert found.shape == (1, 128, 44)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(("samples", "hop"), [(18140, 421), (8000, 186), (44074, 1024), (44100, 1024), (441000, 1024)])
def test_the_hop_is_a_43rd_of_the_clip_and_at_most_half_a_window(samples: int, hop: int) -> None:
    assert EncodedMel(audio(samples), "cpu").hop == hop


def test_frames_of_a_long_clip_are_means_in_the_order_of_time() -> None:
    samples = 44100 * 6
    waves = torch.zeros(1, samples)
    waves[:, samples // 2 :] = torch.randn(1, samples - samples // 2)
    found = EncodedMel(audio(samples), "cpu").decibels(waves)[0].mean(dim=0)
    assert (found[:21] < -150).all()
    assert (found[23:] > -40).all()


def test_a_short_clip_is_continued_by_silence() -> None:
    waves = torch.randn(1, 500)
    short = EncodedMel(audio(500), "cpu").decibels(waves)
    padded = EncodedMel(audio(2048), "cpu").decibels(nn.functional.pad(waves, (0, 1548)))
    assert torch.equal(short, padded)


# ------------------------------------------------------------------------------------------- stacked autoencoder
def test_shapes_of_the_four_stacks_are_the_printed_ones() -> None:
    net, x = SoundAutoencoder(), torch.rand(3, 1, 128, 44) * 2 - 1
    shapes = []
    for number in range(4):
        given_to = net.before(x, number)
        assert net.stack(number)(given_to).shape == given_to.shape
        shapes.append(tuple(given_to.shape[1:]))
    assert shapes == [(1, 128, 44), (1, 124, 40), (1, 122, 38), (1, 120, 36)]
    assert net.encode(x).shape == (3, 128)
    weights = sum(parameter.numel() for parameter in net.parameters())
    assert weights == 2 * (26 + 10 + 10) + (4320 * 128 + 128) + (128 * 4320 + 4320)  # 1.1 M


@pytest.mark.parametrize("encoder", [SoundAutoencoder(), SoundClassifier(13)])
def test_every_value_of_a_128x44_spectrogram_counts(encoder: SoundAutoencoder | SoundClassifier) -> None:
    torch.manual_seed(0)
    x = (torch.rand(4, 1, 128, 44) * 2 - 1).requires_grad_()
    encoded = encoder.eval().encode(x)
    assert encoded.shape == (4, 128)
    (encoded * torch.randn_like(encoded)).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=0) > 0).all()


def test_a_stack_learns_to_repeat_what_it_gets() -> None:
    torch.manual_seed(0)
    net, x = SoundAutoencoder(), torch.rand(8, 1, 128, 44) - 0.5
    for number in range(4):
        given_to = net.before(x, number).detach()
        stack = net.stack(number)
        adam = torch.optim.Adam(stack.parameters(), 1e-2 if number < 3 else 1e-3)
        before = nn.functional.mse_loss(stack(given_to), given_to).item()
        for _ in range(8):
            loss = nn.functional.mse_loss(stack(given_to), given_to)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        assert loss.item() < 0.9 * before
