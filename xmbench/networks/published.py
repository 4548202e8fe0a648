"""Networks with weights that others published: found by their sha256 in the cache, read without executing anything.

A file lies at `<cache>/weights/<sha256>/`, under any name, where `xmbench harvest --weights` puts what it fetches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from xmbench.errors import PrerequisiteError
from xmbench.networks import weight_files
from xmbench.networks.soundnet import SoundNetLayers
from xmbench.networks.soundnet_layouts import canonical
from xmbench.networks.vgg import Vgg16
from xmbench.storage.cache import cache_folder

VGG_16 = "vgg16-397923af.pth, https://download.pytorch.org/models/vgg16-397923af.pth, 528 MB"
SOUNDNET_8 = "sound8.npy of github.com/eborboihuc/SoundNet-tensorflow, sound8.pth of SoundNet_Pytorch, or an npz file"


def load_vgg_16(network: Vgg16, sha256: str) -> None:
    """Loads a torch file with torchvision's names; raises PrerequisiteError for a file that is missing or another."""
    path = weights_of(sha256, VGG_16)
    _load(network, path, weight_files.read_torch(path))


def load_soundnet_8(network: SoundNetLayers, sha256: str) -> None:
    """Loads a file in any layout of `soundnet_layouts`; raises PrerequisiteError as `load_vgg_16`."""
    path = weights_of(sha256, SOUNDNET_8)
    _load(network, path, canonical(path))


def weights_of(sha256: str, published: str) -> Path:
    """The file with this sha256 in the cache.

    Args:
        sha256: hexadecimal.
        published: what the file is and where it is published, for the message.

    Raises:
        PrerequisiteError: it is not there, or its content has another sha256.
    """
    folder = cache_folder() / "weights" / sha256
    files = sorted(path for path in folder.glob("*") if path.is_file() and path.suffix not in (".part", ".lock"))
    files = [path for path in files if path.name != "lock"]
    if not files:
        raise PrerequisiteError(
            "published weights are missing",
            where=folder,
            expected=f"a file with sha256 {sha256}: {published}",
            todo="put the file into this directory",
        )
    for path in files:
        weight_files.check_size(path)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return path
    raise PrerequisiteError(
        "published weights are another file",
        where=files[0],
        expected=f"sha256 {sha256}: {published}",
        todo="fetch the file again",
    )


def _load(network: nn.Module, path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Loads what the network has of a file; the file may have more (later layers)."""
    own = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    weight_files.check_shapes(path, arrays, {name: tuple(value.shape) for name, value in own.items()})
    network.load_state_dict({name: torch.from_numpy(arrays[name].copy()).float() for name in own}, strict=False)
