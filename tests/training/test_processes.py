"""Two processes train as one: the same weights on both, and those of one process up to rounding."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from xmbench.errors import PrerequisiteError
from xmbench.execution.ranks import rank, world_size
from xmbench.training.processes import Processes

SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
from torch import nn
from xmbench.execution.ranks import rank
from xmbench.interfaces import Run
from xmbench.training import Optimiser, Phase, Update, seed_everything, train

torch.set_num_threads(1)
folder, stop, resume = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "resume"
seed_everything("data")
data, wanted = torch.randn(40, 5), torch.randn(40, 2)
net = nn.ModuleDict({"g": nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)), "d": nn.Linear(2, 1)})
if rank():  # only the weights of process 0 count
    nn.init.zeros_(net["d"].weight)
calls = [0]

def fit(positions):
    calls[0] += 1
    if calls[0] == stop and rank() == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    made = net["g"](data[positions])
    return {"loss": (made - wanted[positions]).square().mean() - 0.1 * net["d"](made).mean()}

def judge(positions):
    return {"loss": net["d"](net["g"](data[positions])).square().mean()}

adam = Optimiser("adam", 1e-2, schedule="constant", clip_norm=1.0)
phase = Phase("fit", net, 40, 40, 9, (Update(net["g"], adam, fit, "g"), Update(net["d"], adam, judge, "d", every=2)),
              validate=lambda: {"selection": float((net["g"](data) - wanted).square().mean())}, validate_every=10,
              average=0.9, snapshot_every=20)
try:
    train(phase, Run(folder, 3, "cpu", resume, lambda line: None))
except KeyboardInterrupt:
    sys.exit(0)
torch.save(net.state_dict(), folder / f"rank-{rank()}.pt")
"""


def launch(folder: Path, size: int, stop: int = 0, resume: bool = False) -> list[dict[str, torch.Tensor]]:
    """Runs the script in `size` processes with the variables that torchrun sets."""
    folder.mkdir(exist_ok=True)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for number in range(size):
        place = {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1"}
        words = [sys.executable, str(script), str(folder), str(stop), "resume" if resume else "start"]
        environment = {**os.environ, **place, "MASTER_PORT": port, "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True))
    for process in started:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("rank-*.pt"))]


def test_two_processes_train_the_weights_of_one_and_only_the_first_writes(tmp_path: Path) -> None:
    first, second = launch(tmp_path / "two", 2)
    (alone,) = launch(tmp_path / "one", 1)
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], tensor, rtol=1e-4, atol=1e-5)
    names = sorted(path.name for path in (tmp_path / "two" / "checkpoints").iterdir())
    assert names == ["fit-20.safetensors", "fit-40.safetensors", "fit.safetensors"]
    curves = [(tmp_path / name / "curves.csv").read_text().splitlines() for name in ("one", "two")]
    assert [line.rsplit(",", 1)[0] for line in curves[0]] == [line.rsplit(",", 1)[0] for line in curves[1]]


def test_two_processes_stop_together_and_resume_to_the_bit(tmp_path: Path) -> None:
    whole = launch(tmp_path / "whole", 2)
    assert launch(tmp_path / "broken", 2, stop=13) == []
    assert (tmp_path / "broken" / "checkpoints" / "fit.pt").is_file()
    resumed = launch(tmp_path / "broken", 2, resume=True)
    assert all(torch.equal(whole[0][name], resumed[1][name]) for name in whole[0])


def test_shares_cover_a_batch() -> None:
    batch = torch.arange(9)
    shares = [Processes(number, 2).share(batch) for number in range(2)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()


def test_an_environment_that_does_not_say_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PrerequisiteError, match="RANK is not set"):
        rank()
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(PrerequisiteError, match="WORLD_SIZE"):
        world_size()
