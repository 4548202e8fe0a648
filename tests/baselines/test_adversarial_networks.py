"""Generators, discriminators, encoders, wrong pairs and spectrograms of the adversarial baselines."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xmbench.baselines import cmcgan
from xmbench.baselines._adversarial import pixels_of, square
from xmbench.errors import DatasetError
from xmbench.interfaces import AudioFormat, ImageFormat, Task
from xmbench.networks.class_encoders import ImageClassifier, SoundClassifier
from xmbench.networks.dcgan import (
    ConditionDiscriminator,
    ImageGenerator,
    ImageTrunk,
    Residual,
    SpectrogramGenerator,
    SpectrogramTrunk,
    dcgan_weights,
    generator_loss,
    match_discriminator_loss,
)
from xmbench.networks.mel_decibels import LmsScale, MelDecibels, native_hop, numpy_resized
from xmbench.networks.spec2wav import Spec2Wav, waveform_loss
from xmbench.networks.wrong_pairs import WrongPairs


def million(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


# ------------------------------------------------------------------------------- full width (meta device)
def test_full_width_shapes_and_parameter_counts() -> None:
    with torch.device("meta"):
        encodings, noise = torch.empty(2, 128), torch.empty(2, 100)
        draw, say = ImageGenerator(128), SpectrogramGenerator(128)
        images, sounds = draw(encodings, noise), say(encodings, noise)
        assert (images.shape, sounds.shape) == ((2, 3, 64, 64), (2, 1, 128, 34))
        for trunk, items, count in ((ImageTrunk(), images, 3.9), (SpectrogramTrunk(), sounds, 6.3)):
            judge = ConditionDiscriminator(trunk, 128)
            assert trunk(items).shape == (2, 512, 4, 4)
            assert judge(items, encodings).shape == (2,)
            assert million(judge) == pytest.approx(count, abs=0.05)
        speak = Spec2Wav(18140, (32, 64, 128), (2048, 4096))
        assert speak.convolutions(sounds).shape == (2, 10240)
        assert speak(sounds).shape == (2, 18140)
        see, hear = ImageClassifier(13), SoundClassifier(13)
        assert see.convolutions(images).shape == (2, 128, 8, 8)
        assert hear.convolutions(sounds).shape == (2, 256, 8, 2)
        assert see.encode(images).shape == hear.encode(sounds).shape == (2, 128)
        assert see(images).shape == hear(sounds).shape == (2, 13)
    assert million(draw) == pytest.approx(17.7, abs=0.05)
    assert million(say) == pytest.approx(17.9, abs=0.05)
    assert million(speak) == pytest.approx(103.8, abs=0.05)


def test_the_maps_of_the_paper_are_32x32_between_the_rectangular_layers() -> None:
    with torch.device("meta"):
        stem = SpectrogramGenerator(128).stem(torch.empty(2, 128), torch.empty(2, 100))
        assert stem.shape == (2, 128, 32, 32)
        first = nn.Sequential(*list(SpectrogramTrunk())[:5])(torch.empty(2, 1, 128, 34))
        assert first.shape == (2, 64, 32, 32)


def test_twelve_more_convolutions_in_the_spectrogram_discriminator() -> None:
    with torch.device("meta"):
        blocks = [layer for layer in SpectrogramTrunk() if isinstance(layer, Residual)]
    assert sum(isinstance(layer, nn.Conv2d) for block in blocks for layer in block.modules()) == 12


def test_initial_weights_are_those_of_dcgan() -> None:
    torch.manual_seed(0)
    net = ImageTrunk(16)
    dcgan_weights(net)
    weights = torch.cat([layer.weight.flatten() for layer in net.modules() if isinstance(layer, nn.Conv2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert torch.cat([layer.weight for layer in norms]).mean().item() == pytest.approx(1.0, abs=0.01)
    assert all((layer.bias == 0).all() for layer in norms)
    assert all(layer.bias is None for layer in net.modules() if isinstance(layer, nn.Conv2d))


# ---------------------------------------------------------------------------------------------- losses
def logits(*scores: float) -> Tensor:
    return torch.tensor([math.log(score / (1.0 - score)) for score in scores])


def test_discriminator_loss_is_zero_when_it_is_right_and_equation_4_otherwise() -> None:
    sure = torch.full((4,), 200.0)
    assert match_discriminator_loss(sure, -sure, -sure).item() == 0.0
    found = match_discriminator_loss(logits(0.9, 0.8), logits(0.3, 0.1), logits(0.2, 0.4))
    terms = [(0.9, 0.3, 0.2), (0.8, 0.1, 0.4)]
    printed = [math.log(r) + (math.log(1 - w) + math.log(1 - f)) / 2 for r, w, f in terms]
    assert found.item() == pytest.approx(-sum(printed) / 2, abs=1e-6)
    for wrong in (logits(0.99), None):
        without = match_discriminator_loss(logits(0.9), wrong, logits(0.2), wrong_weight=0.0)
        assert without.item() == pytest.approx(-math.log(0.9) - math.log(0.8), abs=1e-6)
    assert match_discriminator_loss(sure, None, -sure).item() == 0.0


def test_generator_loss_is_equation_3() -> None:
    assert generator_loss(logits(0.2, 0.4)).item() == pytest.approx(-(math.log(0.2) + math.log(0.4)) / 2, abs=1e-6)


def test_pair_discriminator_loss_is_the_mean_over_kinds_of_negatives() -> None:
    found = cmcgan.pair_discriminator_loss(logits(0.9), [logits(0.3), logits(0.2), logits(0.5)])
    printed = -math.log(0.9) - (math.log(0.7) + math.log(0.8) + math.log(0.5)) / 3
    assert found.item() == pytest.approx(printed, abs=1e-6)
    sure = torch.full((4,), 200.0)
    assert cmcgan.pair_discriminator_loss(sure, [-sure, -sure, -sure]).item() == 0.0


def test_waveform_loss_sums_over_samples() -> None:
    assert waveform_loss(torch.zeros(4, 100), torch.full((4, 100), 0.5)).item() == pytest.approx(0.125 * 100)


def test_spec2wav_overfits_eight_pairs() -> None:
    torch.manual_seed(0)
    sounds, clips = torch.rand(8, 1, 128, 34) * 2 - 1, torch.randn(8, 400).clamp(-1, 1) * 0.3
    net = Spec2Wav(400, (4, 8, 8), (64, 64))
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    silence = waveform_loss(torch.zeros_like(clips), clips).item()
    for _ in range(150):
        loss = waveform_loss(net(sounds), clips)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert waveform_loss(net.eval()(sounds), clips).item() < 0.05 * silence


# ---------------------------------------------------------------------------------------------- wrong pairs
@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 5), min_size=2, max_size=40), seed=st.integers(0, 2**31))
def test_a_wrong_pair_is_never_of_its_class_or_never_itself(labels: list[int], seed: int) -> None:
    random, classes = np.random.default_rng(seed), np.array(labels)
    counts = np.bincount(classes)
    items, draws = torch.arange(len(labels)), torch.from_numpy(random.random(len(labels)))
    pairs = WrongPairs(torch.from_numpy(classes))
    if len(set(labels)) > 1:
        other = pairs.of_other_classes(items, draws).numpy()
        assert (classes[other] != classes).all()
    else:
        with pytest.raises(DatasetError, match="one class"):
            pairs.of_other_classes(items, draws)
    company = torch.from_numpy(np.flatnonzero(counts[classes] > 1))
    same = pairs.of_same_class(company, draws[company]).numpy()
    assert (classes[same] == classes[company]).all()
    assert (same != company.numpy()).all()


def test_every_wrong_item_is_equally_likely() -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 2, 1])
    grid = (torch.arange(5040, dtype=torch.float64) + 0.5) / 5040
    pairs = WrongPairs(labels)
    for item in range(7):
        items = torch.full((5040,), item)
        other = torch.bincount(pairs.of_other_classes(items, grid), minlength=7)
        assert set(other[labels != labels[item]].tolist()) == {5040 // int((labels != labels[item]).sum())}
        same = torch.bincount(pairs.of_same_class(items, grid), minlength=7)
        alike = (labels == labels[item]) & (torch.arange(7) != item)
        assert set(same[alike].tolist()) == {5040 // int(alike.sum())}
    with pytest.raises(DatasetError, match="one item only"):
        WrongPairs(torch.tensor([0, 0, 1])).of_same_class(torch.tensor([2]), grid[:1])


@settings(max_examples=80, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 12)), min_size=2, max_size=30),
    gap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 3.0]),
    seed=st.integers(0, 2**31),
)
def test_wrong_pairs_of_one_recording_are_a_gap_apart(items: list[tuple[int, int, int]], gap: float, seed: int) -> None:
    classes, starts = np.array([item[0] for item in items]), np.array([item[2] for item in items]) * 0.1
    recordings = [f"{label}-{recording}" for label, recording, _ in items]
    pairs = WrongPairs(torch.from_numpy(classes), recordings, starts, gap)
    grid = (torch.arange(2520, dtype=torch.float64) + 0.5) / 2520
    for item in np.random.default_rng(seed).integers(0, len(items), 4).tolist():
        near = np.array([recordings[item] == other for other in recordings])
        near &= np.abs(starts - starts[item]) < gap - 1e-6
        allowed = (classes == classes[item]) & ~near
        allowed[item] = False
        positions = torch.full((2520,), item)
        if not allowed.any():
            with pytest.raises(DatasetError, match="far enough"):
                pairs.of_same_class(positions, grid)
            continue
        drawn = np.bincount(pairs.of_same_class(positions, grid).numpy(), minlength=len(items))
        assert set(np.flatnonzero(drawn)) == set(np.flatnonzero(allowed))
        assert drawn[allowed].max() - drawn[allowed].min() <= 1  # each as likely as the next


def test_without_known_starts_there_is_no_gap() -> None:
    labels, grid = torch.tensor([0, 0, 0]), torch.tensor([0.0, 0.6, 0.999], dtype=torch.float64)
    drawn = WrongPairs(labels, ["a", "a", "a"], None, 5.0).of_same_class(torch.tensor([0, 0, 0]), grid)
    assert drawn.tolist() == [1, 2, 2]


# ---------------------------------------------------------------------------------------------- spectrograms
@pytest.mark.parametrize(("samples", "hop"), [(18140, 549), (24020, 727), (29356, 889), (22050, 668)])
def test_native_spectrograms_have_34_frames(samples: int, hop: int) -> None:
    audio = AudioFormat(22050, samples, 0.0, 2.0)
    assert native_hop(samples) == hop
    mel = MelDecibels(audio, hop, "cpu")
    assert mel.frames == 34
    assert mel.decibels(torch.randn(2, samples)).shape == (2, 128, 34)


@pytest.mark.parametrize("samples", [100, 2047, 33824 + 1000])
def test_clips_that_do_not_fit_34_frames_are_refused(samples: int) -> None:
    with pytest.raises(DatasetError, match="34 frames"):
        native_hop(samples)


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(2048, 33824))
def test_every_accepted_length_has_34_frames(samples: int) -> None:
    assert 1 + samples // native_hop(samples) == 34


def test_the_scale_is_inverted_exactly_down_to_its_floor() -> None:
    scale = LmsScale(17.5)
    decibels = torch.linspace(17.5 - 80.0, 17.5, 161)
    scaled = scale.scaled(decibels)
    assert (scaled.min().item(), scaled.max().item()) == (-1.0, 1.0)
    assert torch.allclose(scale.decibels(scaled), decibels, atol=1e-4)
    assert scale.scaled(torch.tensor([-200.0])).item() == -1.0


def test_a_vowel_survives_the_way_through_the_spectrogram() -> None:
    time = np.arange(18140) / 22050
    wave = sum(np.sin(2 * math.pi * 140 * k * time) / k for k in range(1, 12)) * np.hanning(18140) * 0.2
    clips = torch.from_numpy(wave.astype(np.float32))[None]
    mel = MelDecibels(AudioFormat(22050, 18140, 0.0, 2.0), 549, "cpu")
    spectrogram = mel.decibels(clips)
    found = mel.waveforms(spectrogram, 0, ("a",))
    assert found.shape == (1, 18140)
    again = mel.decibels(found)
    loud = spectrogram > spectrogram.max() - 40
    assert (again - spectrogram)[loud].abs().mean() < 2.5  # dB
    np.testing.assert_allclose(mel.waveforms(spectrogram.repeat(3, 1, 1), 0, ("b", "a", "c"))[1], found[0], atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 9), before=st.integers(1, 9), after=st.integers(1, 12))
def test_wrapping_is_numpy_resize(height: int, before: int, after: int) -> None:
    picture = torch.randn(3, height, before)
    for one, found in zip(picture, numpy_resized(picture, after), strict=True):
        np.testing.assert_array_equal(np.resize(one.numpy(), (height, after)), found.numpy())


def test_wrapping_to_34_frames_and_back_restores_rows_0_to_97_only() -> None:
    picture = torch.randn(1, 128, 44)
    back = numpy_resized(numpy_resized(picture, 34), 44)
    assert torch.equal(back[:, :98], picture[:, :98])
    assert not (back[:, 99:] == picture[:, 99:]).any()
    assert torch.equal(back[0].flatten()[4352:], picture[0].flatten()[: 128 * 44 - 4352])  # copies of the lowest rows


# ---------------------------------------------------------------------------------------------- images
@pytest.mark.parametrize(("size", "channels"), [((28, 28), 1), ((32, 32), 3), ((64, 64), 3), ((90, 160), 3)])
def test_images_come_back_from_64x64(size: tuple[int, int], channels: int) -> None:
    height, width = size
    ramp = np.linspace(0, 255, width)[None, None, :, None].repeat(height, 1).repeat(channels, 3)
    images = torch.from_numpy(ramp.round().astype(np.uint8))
    task = Task(("a",), (), ImageFormat(height, width, channels), AudioFormat(8000, 100, 0.0, 1.0))
    big = square(images)
    assert big.shape == (1, 3, 64, 64)
    assert -1.0 <= big.min() < -0.9 < 0.9 < big.max() <= 1.0
    found = pixels_of(big, task)
    assert found.shape == (1, height, width, channels)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - images.numpy()).mean() < 3
