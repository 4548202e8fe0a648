"""What only a GPU can show: resident and pinned data, bf16, memory formats, compiling, out of memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Examples, Run
from xmbench.training import Optimiser, Phase, Tensors, Update, autocast, place, seed_everything, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def run_in(folder: Path, resume: bool = False) -> Run:
    return Run(folder, 0, "cuda", resume, lambda _line: None)


def examples_of(count: int = 200) -> Examples:
    random = np.random.default_rng(0)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    images = random.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    clips = random.integers(-9000, 9000, (7, 300)).astype(np.int16)
    return Examples(ids, np.arange(count) % 3, images, clips, np.arange(count) % 7, ids)


@pytest.mark.parametrize("free", [2**40, 0, 2 * 200 * 8 * 8 * 3])
def test_rows_are_the_same_resident_or_through_pinned_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (free, free))
    examples = examples_of()
    data = Tensors(examples, run_in(tmp_path))
    for rows in torch.split(torch.randperm(200), 30):
        clips = data.clip_index[rows]
        data.ahead(rows, clips)
        pixels, waveforms = data.pixels(rows), data.waveforms(clips)
        assert pixels.is_cuda
        assert waveforms.is_cuda
        np.testing.assert_array_equal(pixels.cpu().numpy(), examples.images[rows.numpy()])
        np.testing.assert_array_equal(waveforms.cpu().numpy(), examples.clips[clips.numpy()] / np.float32(32768))


@pytest.mark.parametrize("compiled", [False, True])
def test_bf16_channels_last_and_compiled_networks_learn_and_resume(tmp_path: Path, compiled: bool) -> None:
    data = Tensors(examples_of(), run_in(tmp_path))
    seed_everything("weights")
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    place(net.append(nn.Linear(16, 3)), "cuda", channels_last=True, compiled=compiled)
    names = set(net.state_dict())

    def loss(positions: Tensor) -> Mapping[str, Tensor]:
        pixels = data.pixels(positions).permute(0, 3, 1, 2).float() / 255
        return {"loss": nn.functional.cross_entropy(net(pixels).float(), data.labels[positions].cuda())}

    update = Update(net, Optimiser("adamw", 1e-3), loss)
    phase = Phase("fit", net, 200, 20, 32, (update,), precision="bf16", average=0.9)
    train(phase, run_in(tmp_path))
    assert set(net.state_dict()) == names
    with torch.no_grad(), autocast("cuda", "bf16"):
        before = net(torch.ones(2, 3, 8, 8, device="cuda"))
    train(phase, run_in(tmp_path, resume=True))
    with torch.no_grad(), autocast("cuda", "bf16"):
        assert torch.equal(before, net(torch.ones(2, 3, 8, 8, device="cuda")))


def test_out_of_memory_of_the_gpu_is_a_message(tmp_path: Path) -> None:
    net = place(nn.Linear(2, 2), "cuda")

    def greedy(_positions: Tensor) -> Mapping[str, Tensor]:
        return {"loss": torch.empty(2**42, device="cuda")}

    with pytest.raises(PrerequisiteError, match="out of memory while training"):
        train(Phase("fit", net, 8, 2, 4, (Update(net, Optimiser(), greedy),)), run_in(tmp_path))
