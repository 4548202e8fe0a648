"""Image annotators against other implementations of the same networks, on real pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conftest import shared
from xmbench import registry
from xmbench.annotators import _imagenet, mobilenet_v2, squeezenet
from xmbench.errors import PrerequisiteError
from xmbench.media import image
from xmbench.media.signal import Picture
from xmbench.networks import weight_files as _weights


def _pictures(number: int = 10) -> list[Picture]:
    files = sorted(shared("data", "instrument_photos").glob("*/*.jpg"))
    return [Picture(image.decode(file.read_bytes())) for file in files[:: max(1, len(files) // number)][:number]]


def _weights_file(name: str) -> Path:
    return shared("data", "weights", name)


def test_squeezenet_is_that_of_torchvision_with_caffes_padding() -> None:
    from torchvision.models import squeezenet1_0  # type: ignore[import-untyped]

    arrays = _weights.read_npz(_weights_file("squeezenet1_0_deepcompression_f32.npz"))
    network = squeezenet1_0(weights=None).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    network.classifier[1].padding = (1, 1)
    pictures = _pictures()
    inputs = torch.from_numpy(np.stack([squeezenet._prepared(picture) for picture in pictures]))
    with torch.no_grad():
        reference = network(inputs).softmax(1).numpy()
    found = registry.annotator("squeezenet").load(_weights_file("squeezenet1_0_deepcompression_f32.npz"))
    np.testing.assert_allclose(found.probabilities(pictures)["objects"], reference, atol=1e-5)


def test_the_published_file_of_deep_compression_holds_the_same_weights() -> None:
    decoded = squeezenet.decompressed(_weights_file("compressed_SqueezeNet.net"), squeezenet.weight_shapes())
    reference = _weights.read_npz(_weights_file("squeezenet1_0_deepcompression_f32.npz"))
    for name, values in reference.items():
        np.testing.assert_array_equal(decoded[name], values, err_msg=name)


def test_mobilenet_is_that_of_timm_with_tensorflows_padding() -> None:
    import timm

    arrays = _weights.read_npz(_weights_file("mobilenet_v2_1.0_224_u8.npz"))
    network = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=1001, pad_type="same").eval()
    _fill(network, mobilenet_v2.restored(arrays))
    pictures = _pictures()
    inputs = torch.from_numpy(np.stack([mobilenet_v2._prepared(picture) for picture in pictures]))
    with torch.no_grad():
        reference = network(inputs)[:, 1:].softmax(1).numpy()
    found = registry.annotator("mobilenet-v2").load(_weights_file("mobilenet_v2_1.0_224_u8.npz"))
    np.testing.assert_allclose(found.probabilities(pictures)["objects"], reference, atol=1e-5)


def _fill(network: Any, layers: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
    """Folded layers into timm's network: its batch normalisations only add the bias."""
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    norms: list[Any] = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    names = list(layers)
    for name, convolution, norm in zip(names[:-1], convolutions, norms, strict=True):
        weight, bias = layers[name]
        convolution.weight.data = torch.from_numpy(weight)
        norm.weight.data.fill_(1)
        norm.bias.data = torch.from_numpy(bias)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    weight, bias = layers["logits"]
    network.classifier.weight.data = torch.from_numpy(weight[:, :, 0, 0])
    network.classifier.bias.data = torch.from_numpy(bias)


@pytest.mark.parametrize(("name", "file"), [("mobilenet-v2", "mobilenet_v2_1.0_224_u8.npz")])
def test_photographs_of_instruments_get_their_synsets(name: str, file: str) -> None:
    synsets = {"saxophone": "n04141076", "violin": "n04536866", "drum": "n03249569", "trombone": "n04487394"}
    loaded = registry.annotator(name).load(_weights_file(file))
    ids = [label.id for label in loaded.heads["objects"]]
    right = total = 0
    for folder, synset in synsets.items():
        files = sorted((shared("data", "instrument_photos") / folder).glob("*.jpg"))[:5]
        for row in loaded.probabilities([Picture(image.decode(f.read_bytes())) for f in files])["objects"]:
            right += synset in [ids[k] for k in np.argsort(-row)[:3]]
            total += 1
    assert right / total >= 0.85, f"{right} of {total}"


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    loaded = registry.annotator("squeezenet").load(_weights_file("compressed_SqueezeNet.net"))
    pictures = _pictures(9)
    together = loaded.probabilities(pictures)["objects"]
    alone = loaded.probabilities(pictures[8:])["objects"]
    np.testing.assert_array_equal(together[8:], alone)
    assert loaded.probabilities([])["objects"].shape == (0, 1000)


def test_the_labels_are_imagenets_thousand_synsets() -> None:
    labels = _imagenet.labels()
    assert len({label.id for label in labels}) == 1000
    assert {label.id: label.name for label in labels}["n09428293"].startswith("seashore")
    assert len(_imagenet.dogs()) == 118


def test_names_become_synsets_wherever_they_stand() -> None:
    names = [label.name for label in _imagenet.labels()]
    assert _imagenet.named(names[::-1][:3], "x") == _imagenet.labels()[::-1][:3]
    cranes = _imagenet.named(["crane", "tench, Tinca tinca", "crane"], "x")
    assert [label.id for label in cranes] == ["n02012849", "n01440764", "n03126707"]
    with pytest.raises(PrerequisiteError, match="helicopter"):
        _imagenet.named(["helicopter"], "x")


def test_weights_of_another_layout_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "w.npz"
    np.savez(wrong, conv=np.zeros(3))
    for name in ("mobilenet-v2", "squeezenet"):
        with pytest.raises(PrerequisiteError, match="missing"):
            registry.annotator(name).load(wrong)
    cut = tmp_path / "cut.net"
    cut.write_bytes(b"\x10\x00\x00\x00" * 300)
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        registry.annotator("squeezenet").load(cut)
    with pytest.raises(PrerequisiteError, match="no such file"):
        registry.annotator("inception-resnet-v2").load(tmp_path / "none.safetensors")


def test_weights_with_code_in_them_are_not_run(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    for name, annotator in (("w.pth", "inception-resnet-v2"), ("w.pth", "soundnet-8")):
        (tmp_path / name).write_bytes(pickle.dumps({"conv1.0.weight": Bomb()}))
        with pytest.raises(PrerequisiteError):
            registry.annotator(annotator).load(tmp_path / name)
    np.save(tmp_path / "w.npy", np.array({"conv1": {"weights": Bomb()}}, dtype=object), allow_pickle=True)
    with pytest.raises(PrerequisiteError, match=r"refused|find_class|asks for"):
        registry.annotator("soundnet-8").load(tmp_path / "w.npy")
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow  # the network has 56 million weights
@pytest.mark.parametrize("layout", ["safetensors", "pth"])
def test_inception_reads_timms_weights_and_its_range_of_pixels(tmp_path: Path, layout: str) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model("inception_resnet_v2", pretrained=False).eval()
    path = tmp_path / f"weights.{layout}"
    if layout == "safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    picture = Picture(np.random.default_rng(0).integers(0, 256, (333, 333, 3), np.uint8))
    values = torch.from_numpy(picture.pixels[17:316, 17:316].astype(np.float32)).permute(2, 0, 1)[None]
    with torch.no_grad():
        reference = network((values / 255 - 0.5) / 0.5).softmax(1).numpy()
    found = registry.annotator("inception-resnet-v2").load(path).probabilities([picture])["objects"]
    np.testing.assert_allclose(found, reference, atol=1e-5)
