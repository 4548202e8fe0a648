"""Multimodal layers: fusion, losses by hand, nearest points; features of VGG-16 and SoundNet-8."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmbench.errors import PrerequisiteError
from xmbench.networks import published, soundnet
from xmbench.networks.joint_space import MultimodalLayers, Standardised, joint_losses, nearest, softmax_distance
from xmbench.networks.vgg import Vgg16, VggClassifier


# ----------------------------------------------------------------------------------------- multimodal layers
@given(seed=st.integers(0, 2**31), hidden=st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_both_inputs_give_the_mean_of_one_and_the_other(seed: int, hidden: int) -> None:
    torch.manual_seed(seed)
    layers = MultimodalLayers(5, 7, hidden, 3)
    torch.nn.init.normal_(layers.bias)
    image, sound = torch.randn(4, 5), torch.randn(4, 7)
    mean = (layers.before(image) + layers.before(sound=sound)) / 2
    torch.testing.assert_close(layers.before(image, sound), mean)
    # The paper halves the sum: up to the bias, both inputs give twice the value before that.
    twice = layers.image(image) + layers.sound(sound)
    torch.testing.assert_close(layers.before(image, sound) - layers.bias, twice / 2)


def test_the_losses_of_two_hidden_values_by_hand() -> None:
    layers = MultimodalLayers(2, 2, 2, 2)
    for linear in (layers.image, layers.sound, layers.head):
        torch.nn.init.eye_(linear.weight)
    torch.nn.init.zeros_(layers.head.bias)
    image, sound = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.0, 1.0]])
    found = {name: float(v.detach()) for name, v in joint_losses(layers, image, sound, torch.tensor([0])).items()}
    assert found["distance"] == pytest.approx((2 + 1) / 2)  # ReLU: (2, 0) and (0, 1)

    def crossed(a: tuple[float, float], b: tuple[float, float]) -> float:
        p, q = ([math.exp(x) / sum(map(math.exp, h)) for x in h] for h in (a, b))
        return -sum(x * math.log(y) for x, y in zip(p, q, strict=True))

    def both(a: tuple[float, float], b: tuple[float, float]) -> float:
        return (crossed(a, b) + crossed(b, a)) / 2

    assert found["agreement"] == pytest.approx(both((2, -1), (0, 1)) + both((2, 0), (0, 1)), rel=1e-5)
    # Labels: I (2, 0), S (0, 1) and both, before the activation (1, 0)
    entropies = [math.log(1 + math.exp(-2)), math.log(1 + math.e), math.log(1 + math.exp(-1))]
    assert found["labels"] == pytest.approx(sum(entropies), rel=1e-5)


def test_cross_entropy_of_hidden_vectors_is_symmetric_and_least_where_they_agree() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(6, 9), torch.randn(6, 9)
    assert float(softmax_distance(one, other)) == pytest.approx(float(softmax_distance(other, one)), rel=1e-5)
    assert float(softmax_distance(one, one)) < float(softmax_distance(one, other))


def test_a_feature_that_never_varies_is_zero_and_comes_back() -> None:
    scale = Standardised(3)
    values = torch.tensor([[1.0, 1e4 + 0.1, -2.0], [3.0, 1e4 + 0.1, 2.0]])
    scale.measure(values)
    torch.testing.assert_close(scale(values), torch.tensor([[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]))
    torch.testing.assert_close(scale.restored(scale(values)), values)
    assert torch.isfinite(scale.deviation).all()


def test_nearest_is_that_of_all_distances_and_ties_go_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.networks.joint_space._BLOCK", 7)
    random = np.random.default_rng(0)
    points = random.integers(0, 4, (40, 3)).astype(np.float32)  # many are equal
    queries = random.integers(0, 4, (25, 3)).astype(np.float32)
    distances = ((queries[:, None] - points) ** 2).sum(axis=2)
    found = nearest(torch.from_numpy(queries), torch.from_numpy(points))
    np.testing.assert_array_equal(found.numpy(), distances.argmin(axis=1))


# ------------------------------------------------------------------------------------------------- SoundNet-8
TABLE = {  # time steps after each convolution and, where there is one, after its pool: 7.1 of the layer table
    20.0: (220501, 27562, 13782, 1722, 862, 432, 217, 54, 28, 15),
    5.0: (55126, 6890, 3446, 430, 216, 109, 55, 13, 7, 4),
    0.5: (5513, 689, 345, 43, 22, 12, 7, 1, 1, 1),
}


@pytest.mark.parametrize("seconds", TABLE)
def test_the_time_steps_of_soundnet_are_those_of_the_published_table(seconds: float) -> None:
    steps, found = round(seconds * soundnet.SAMPLE_RATE_HZ), []
    for layer in soundnet.LAYERS:
        steps = (steps + 2 * layer.padding - layer.kernel) // layer.stride + 1
        found.append(steps)
        if layer.pool > 1:
            steps //= layer.pool
            found.append(steps)
    assert tuple(found) == TABLE[seconds]
    with torch.device("meta"):
        pool5 = soundnet.SoundNetLayers(last=5).features(torch.empty(2, round(seconds * soundnet.SAMPLE_RATE_HZ)))
    assert pool5.shape == (2, 256, found[7])


def test_narrow_soundnet_keeps_its_proportions_and_hears_every_part_of_a_sound() -> None:
    network = soundnet.SoundNetClassifier(5, width=2).eval()
    widths = [network.get_parameter(f"conv{number}.weight").shape[0] for number in range(1, 8)]
    assert widths == [2, 4, 8, 16, 32, 64, 128]
    samples = torch.randn(1, 11_025).requires_grad_()
    network(samples).square().sum().backward()
    assert samples.grad is not None
    assert float((samples.grad != 0).float().mean()) > 0.9  # maxima leave some out


# ----------------------------------------------------------------------------------------------------- VGG-16
def test_the_layers_of_vgg_are_the_published_ones() -> None:
    with torch.device("meta"):
        network = Vgg16()
    assert sum(p.numel() for p in network.parameters()) == 14_714_688 + 25_088 * 4096 + 4096
    convolutions = [name for name in network.state_dict() if name.endswith("weight")]
    numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # of torchvision
    assert convolutions == [*(f"features.{n}.weight" for n in numbers), "classifier.0.weight"]


@pytest.mark.parametrize(("shape", "size"), [((28, 28, 1), 32), ((48, 40, 3), 32), ((64, 64, 3), 64)])
def test_every_pixel_reaches_fc6(shape: tuple[int, int, int], size: int) -> None:
    torch.manual_seed(0)
    network = VggClassifier(4, 4, size, 16).eval().body
    images = torch.randint(0, 256, (1, *shape)).float().requires_grad_()
    features = network(images)
    assert features.shape == (1, 16)
    assert (features < 0).any()  # before the ReLU
    features.square().sum().backward()
    assert images.grad is not None
    assert (images.grad.abs().sum(dim=3) > 0).float().mean() > 0.98


def test_grey_white_and_black_are_normalised_as_for_imagenet() -> None:
    found = Vgg16(1, 32, 4).prepared(torch.tensor([0, 255], dtype=torch.uint8).repeat_interleave(64).view(2, 8, 8, 1))
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))
    torch.testing.assert_close(found[1, 0], torch.full((32, 32), (1 - 0.485) / 0.229))


# ------------------------------------------------------------------------------------------ published weights
def stored(folder: Path, content: bytes, name: str = "weights.pth") -> str:
    """Puts a file where the cache has it; its sha256."""
    digest = hashlib.sha256(content).hexdigest()
    path = folder / "weights" / digest / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return digest


def test_published_weights_are_found_by_their_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path))
    torch.manual_seed(0)
    source, image = Vgg16(2, 32, 8), torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    more = {**source.state_dict(), "classifier.6.weight": torch.zeros(10, 8)}  # the file goes on where fc6 ends
    torch.save(more, tmp_path / "w.pth")
    digest = stored(tmp_path, (tmp_path / "w.pth").read_bytes())
    loaded = Vgg16(2, 32, 8)
    published.load_vgg_16(loaded, digest)
    torch.testing.assert_close(loaded(image), source(image))
    with pytest.raises(PrerequisiteError, match="do not fit"):
        published.load_vgg_16(Vgg16(3, 32, 8), digest)


def test_soundnets_weights_in_the_layout_of_soundnet_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path))
    torch.manual_seed(0)
    source = soundnet.SoundNetLayers(width=2, last=5)
    theirs = {}
    for name, value in source.state_dict().items():
        layer, part = name.split(".")
        block = f"conv{layer[4:]}." + ("1." if layer.startswith("norm") else "0.")
        theirs[block + part] = value[..., None] if part == "weight" and value.ndim == 3 else value
    torch.save(theirs, tmp_path / "sound8.pth")
    loaded = soundnet.SoundNetLayers(width=2, last=5)
    published.load_soundnet_8(loaded, stored(tmp_path, (tmp_path / "sound8.pth").read_bytes()))
    for name, value in source.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)


def test_weights_that_are_missing_or_another_file_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="missing") as missing:
        published.load_vgg_16(Vgg16(1, 32, 4), "0" * 64)
    assert "vgg16-397923af.pth" in str(missing.value)
    digest = stored(tmp_path, b"weights")
    (tmp_path / "weights" / digest / "weights.pth").write_bytes(b"a page that says 404")
    with pytest.raises(PrerequisiteError, match="another file"):
        published.load_soundnet_8(soundnet.SoundNetLayers(1, 5), digest)
