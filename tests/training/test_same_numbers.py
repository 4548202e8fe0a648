"""MT-Net trains to the weights that are on record: those of a phase with one optimiser."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from xmbench import content, runner
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml

SETTINGS = {
    "autoencoder_epochs": 1,
    "autoencoder_min_steps": 6,
    "autoencoder_warmup": 0.0,
    "joint_epochs": 1,
    "joint_min_steps": 6,
    "joint_warmup": 0.0,
}
DATA = "1746a9ca6363214cfd3942d6b1c9137c2073bae3e8293d480e0fbdeceb31afa7"
# The autoencoder's are those of the first version; those of the joint phase belong to `lite` without holes, where a
# stride is a mean of pixels.
# sha256 over the names and bytes of all weights, sorted by name.
DIGESTS = {
    "autoencoder": "6ae8fa7776a66c9f1f8ebe7bf060d1677f2fe2d0c6624d80c78a32b8aa5c15a4",
    "joint": "fadde3de93e7ba3e69a55e9f6b9f44dc4a76a85ee0c565bb299fa2c918bfb21e",
}
# Mean absolute biases and statistics: all begin at zero, so that they are what the six steps made, and nothing else.
MEANS = {
    ("autoencoder", "encoder.0.0.bias"): 0.0003731160103,
    ("autoencoder", "encoder.2.0.bias"): 0.0002586921606,
    ("autoencoder", "decoder.0.0.bias"): 0.0005046283418,
    ("joint", "features.trunk.1.bias"): 0.0007875818592,
    ("joint", "features.trunk.19.second_norm.bias"): 0.0008111891741,
    ("joint", "features.trunk.17.running_mean"): 0.3282387392537,
    ("joint", "features.fc2.bias"): 0.0006794121661,
    ("joint", "mapping.2.bias"): 0.0008845898852,
    ("joint", "generator.blocks.1.project.bias"): 0.0013447326153,
    ("joint", "generator.fc1.bias"): 0.0012216971375,
}
# What the machine that the digests come from makes of a step of plain PyTorch. Kernels of another processor add in
# another order: there the digests cannot hold, whatever the training loop does, and the means alone are compared.
KERNELS = "7c7aa6ef9eddc97daa5b08a972c8b7fc8a1c99a88884da8d703b103096806450"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums are taken in another order with another number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def kernels() -> str:
    """Digest of one step of convolutions, norms and large matrix products, by nothing of ours."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=2, dilation=2), nn.BatchNorm2d(16), nn.Tanh(), nn.Flatten()
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not among torch's own overloads
    head = nn.Linear(16 * 14 * 14, 18140)
    images = torch.rand(32, 1, 28, 28).contiguous(memory_format=torch.channels_last)
    torch.tanh(head(net(images))).square().sum().backward()  # type: ignore[no-untyped-call]
    total = hashlib.sha256(torch.__version__.encode())
    for parameter in (*net.parameters(), *head.parameters()):
        assert parameter.grad is not None
        total.update(parameter.grad.contiguous().numpy().tobytes())
    return total.hexdigest()


def test_the_weights_of_a_lite_training_are_those_on_record(tmp_path: Path, digits: Dataset) -> None:
    if digits.digest != DATA:
        pytest.skip("this speech engine speaks otherwise: the training data are not those of the stored weights")
    baseline = load_toml(content.find("baselines", "mtnet"), Baseline)
    options = {"preset": "lite", "device": "cpu", "overrides": SETTINGS, "progress": lambda _line: None}
    runner.run(baseline, digits, tmp_path / "run", **options)  # type: ignore[arg-type]
    comparable = kernels() == KERNELS
    for phase, digest in DIGESTS.items():
        weights = load_file(tmp_path / "run" / "checkpoints" / f"{phase}.safetensors")
        for (_, name), mean in ((key, mean) for key, mean in MEANS.items() if key[0] == phase):
            assert weights[name].double().abs().mean().item() == pytest.approx(mean, rel=0.01), name
        if comparable:
            total = hashlib.sha256()
            for name in sorted(weights):
                total.update(name.encode())
                total.update(weights[name].contiguous().numpy().tobytes())
            assert total.hexdigest() == digest, phase
