"""The batched spectrogram against the one that the metric uses, which is tested against naplib and the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xmbench.measures.auditory_spectrogram import auditory_spectrogram
from xmbench.measures.auditory_spectrogram_batched import auditory_spectrograms


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("length", [1, 159, 160, 5000, 19_200])
def test_a_batch_equals_its_clips(kind: torch.dtype, tolerance: float, length: int) -> None:
    rng = np.random.default_rng(length)
    clips = 0.1 * rng.standard_normal((3, length)) * np.hanning(length + 2)[1:-1]
    found = auditory_spectrograms(torch.from_numpy(clips).to(kind)).double().numpy()
    wanted = np.stack([auditory_spectrogram(clip) for clip in clips])
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= tolerance * wanted.max()


def test_a_gain_scales_and_gradients_flow() -> None:
    clip = torch.from_numpy(0.1 * np.random.default_rng(0).standard_normal((1, 3200))).requires_grad_()
    found = auditory_spectrograms(clip)
    assert torch.allclose(auditory_spectrograms(3.0 * clip), 3.0 * found)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert clip.grad is not None
    assert bool(torch.isfinite(clip.grad).all())
    assert float(clip.grad.abs().max()) > 0


@pytest.mark.parametrize(
    "bad", [torch.zeros(5), torch.zeros(1, 0), torch.zeros(1, 5, dtype=torch.int16), torch.full((1, 5), torch.nan)]
)
def test_what_is_no_batch_is_refused(bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected"):
        auditory_spectrograms(bad)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_same_on_a_gpu() -> None:
    clips = 0.1 * torch.from_numpy(np.random.default_rng(1).standard_normal((4, 16_000)))
    there = auditory_spectrograms(clips.cuda()).cpu()
    assert float((there - auditory_spectrograms(clips)).abs().max()) <= 1e-9 * float(there.max())
