"""Log-mel spectra against an independent computation, and Griffin-Lim against torchaudio's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from xmbench.networks.spectra import LogMel, frames_of, griffin_lim, initial_phases, magnitudes_of

RATE = 22_050
SAMPLES = 18_140
IDS = ("mnist-00001", "mnist-00002", "mnist-00003")


def waves(count: int = 3, samples: int = SAMPLES) -> Tensor:
    """Voiced sounds: harmonics of a gliding pitch, with a rise and a decay, and a little noise."""
    random = np.random.default_rng(5)
    time = np.arange(samples) / RATE
    found = []
    for number in range(count):
        phase = 2 * np.pi * np.cumsum(110.0 + 25.0 * number + 40.0 * time) / RATE
        tone = sum(np.sin(k * phase) / k for k in range(1, 25))
        found.append(0.1 * tone * np.sin(np.pi * time / time[-1]) ** 2 + 1e-3 * random.standard_normal(samples))
    return torch.from_numpy(np.stack(found).astype(np.float32))


def slaney_mel(hertz: float) -> float:
    """M. Slaney's Auditory Toolbox (1998): linear below 1,000 Hz, logarithmic above."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000)) / float(np.log(6.4))


def slaney_hertz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * float(np.exp((mel - 15) * np.log(6.4) / 27))


def reference_log_mel(
    wave: NDArray[np.float64], window: int, hop: int, bands: int, f_min: float, f_max: float, floor: float
) -> NDArray[np.float64]:
    """The definition, frame by frame and band by band, in double precision and without torch."""
    padded = np.pad(wave, window // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = [padded[start : start + window] * hann for start in range(0, len(wave) + 1, hop)]
    magnitudes = np.abs(np.fft.rfft(frames, axis=1))  # (N, F)
    edges = [slaney_hertz(mel) for mel in np.linspace(slaney_mel(f_min), slaney_mel(f_max), bands + 2)]
    hertz = np.fft.rfftfreq(window, 1 / RATE)
    found = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        triangle = np.maximum(0, np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)))
        found.append(magnitudes @ triangle * 2 / (high - low))
    return np.asarray(np.log(np.maximum(np.stack(found), floor)))


@pytest.mark.parametrize(
    ("window", "hop", "bands", "f_min", "f_max"),
    [(1024, 256, 80, 30.0, 8000.0), (2048, SAMPLES // 33, 128, 0.0, RATE / 2)],
)
def test_log_mel_spectra_are_those_of_the_definition(
    window: int, hop: int, bands: int, f_min: float, f_max: float
) -> None:
    given = waves(2)
    found = LogMel(RATE, window, hop, bands, f_min, f_max, 1e-3)(given)
    assert found.shape == (2, bands, frames_of(SAMPLES, hop))
    for spectrum, wave in zip(found, given.double().numpy(), strict=True):
        expected = reference_log_mel(wave, window, hop, bands, f_min, f_max, 1e-3)
        np.testing.assert_allclose(spectrum.numpy(), expected, atol=2e-4)


def test_a_wide_window_gives_the_published_128_by_34() -> None:
    mel = LogMel(RATE, 2048, SAMPLES // 33, 128, 0.0, RATE / 2, 1e-5)
    assert mel(waves(1)).shape == (1, 128, 34)


def test_mel_bands_of_power_are_torchaudios() -> None:
    given = waves(1)
    mel = LogMel(RATE, 1024, 256, 40, 30.0, 8000.0, 1e-6, power=2.0)
    reference = torchaudio.transforms.MelSpectrogram(
        RATE, 1024, hop_length=256, f_min=30.0, f_max=8000.0, n_mels=40, norm="slaney", mel_scale="slaney"
    )
    torch.testing.assert_close(mel(given).exp(), reference(given).clamp_min(1e-6), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_inverted_bands_come_back_and_steps_bring_them_nearer(power: float) -> None:
    mel = LogMel(RATE, 1024, 256, 80, 30.0, 8000.0, 1e-4, power=power)
    given = waves()
    spectra = mel(given)

    def error(steps: int) -> float:
        found = mel.invert(spectra, steps)
        assert found.shape == magnitudes_of(given, 1024, 256).shape
        assert (found >= 0).all()
        back = torch.matmul(mel.bank, found**power)
        return float((back - spectra.exp()).norm() / spectra.exp().norm())

    assert error(0) < 0.1
    assert error(20) < error(5) < error(0)


@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_griffin_lim_from_phase_zero_is_torchaudios(momentum: float) -> None:
    magnitudes = magnitudes_of(waves(), 1024, 256)
    found = griffin_lim(magnitudes, torch.zeros_like(magnitudes), 1024, 256, SAMPLES, 8, momentum)
    expected = torchaudio.functional.griffinlim(
        magnitudes, torch.hann_window(1024), 1024, 256, 1024, 1.0, 8, momentum, SAMPLES, rand_init=False
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_griffin_lim_comes_nearer_to_the_magnitudes_with_iterations() -> None:
    magnitudes = magnitudes_of(waves(), 1024, 256)
    phases = initial_phases(0, IDS, *magnitudes.shape[1:])

    def error(iterations: int) -> float:
        found = griffin_lim(magnitudes, phases, 1024, 256, SAMPLES, iterations)
        assert found.shape == (3, SAMPLES)
        return float((magnitudes_of(found, 1024, 256) - magnitudes).norm() / magnitudes.norm())

    assert error(32) < 0.6 * error(4) < 0.6 * error(0)


def test_an_item_sounds_the_same_alone_and_in_any_order() -> None:
    magnitudes = magnitudes_of(waves(), 1024, 256)
    together = griffin_lim(magnitudes, initial_phases(3, IDS, *magnitudes.shape[1:]), 1024, 256, SAMPLES, 32)
    for number, item in enumerate(IDS):
        phases = initial_phases(3, [item], *magnitudes.shape[1:])
        alone = griffin_lim(magnitudes[number : number + 1], phases, 1024, 256, SAMPLES, 32)
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-5)
    backwards = initial_phases(3, IDS[::-1], *magnitudes.shape[1:]).flip(0)
    other = griffin_lim(magnitudes.flip(0), backwards.flip(0), 1024, 256, SAMPLES, 32).flip(0)
    torch.testing.assert_close(other, together, rtol=0, atol=1e-5)


def test_phases_differ_between_items_and_seeds_and_cover_the_circle() -> None:
    first, second = initial_phases(0, IDS[:2], 513, 71)
    assert not torch.equal(first, second)
    assert not torch.equal(first, initial_phases(1, IDS[:1], 513, 71)[0])
    assert first.min() >= 0
    assert first.max() < 2 * np.pi
    assert abs(float(first.mean()) - np.pi) < 0.05


def test_magnitudes_of_another_length_are_refused() -> None:
    magnitudes = magnitudes_of(waves(1), 1024, 256)
    with pytest.raises(ValueError, match="expected"):
        griffin_lim(magnitudes[:, :, :-1], magnitudes[:, :, :-1], 1024, 256, SAMPLES, 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_computes_the_same_spectra() -> None:
    mel, given = LogMel(RATE, 1024, 256, 80, 30.0, 8000.0, 1e-3), waves()
    torch.testing.assert_close(mel.cuda()(given.cuda()).cpu(), mel.cpu()(given), rtol=0, atol=1e-3)
    magnitudes = magnitudes_of(given, 1024, 256)
    phases = initial_phases(0, IDS, *magnitudes.shape[1:])
    found = griffin_lim(magnitudes.cuda(), phases.cuda(), 1024, 256, SAMPLES, 4)
    torch.testing.assert_close(found.cpu(), griffin_lim(magnitudes, phases, 1024, 256, SAMPLES, 4), rtol=0, atol=1e-3)
