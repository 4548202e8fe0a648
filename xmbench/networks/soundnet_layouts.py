"""Files of SoundNet-8's weights, in the layouts in which they are passed on.

- `sound8.npy` of SoundNet-tensorflow: a dict of `conv1` ... `conv8`, `conv8_2`, each of `weights` (T, 1, in, out),
  `biases`, `mean`, `var`, `gamma`, `beta`;
- `sound8.pth` of SoundNet_Pytorch: `conv1.0.weight` (out, in, T, 1), `conv1.1.running_mean` ...;
- an npz file with the names of either (`conv1.0.weight`, or `conv1/weights`), as converted from torch7.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from xmbench.networks import weight_files

_BLOCKS = (*(f"conv{number}" for number in range(1, 9)), "conv8_2")
_OURS = {"conv8": "objects", "conv8_2": "scenes"}
_TENSORFLOW = {"weights": "0.weight", "biases": "0.bias", "gamma": "1.weight", "beta": "1.bias"}
_TENSORFLOW |= {"mean": "1.running_mean", "var": "1.running_var"}


def canonical(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays under the names of `networks.soundnet.SoundNet8`, whatever the layout of the file.

    Raises:
        PrerequisiteError: none of the layouts.
    """
    layout = weight_files.layout_of(path)
    if layout == "npy":
        nested = weight_files.read_nested_npy(path)
        found = {f"{block}/{part}": value for block, values in nested.items() for part, value in values.items()}
    else:
        found = weight_files.read_npz(path) if layout == "npz" else weight_files.read_torch(path)
    if any("/" in name for name in found):
        found = {name: value for name, value in map(_as_torch, found.items()) if name}
    return {name: _as_1d(value) for name, value in map(_as_ours, found.items()) if name}


def _as_torch(item: tuple[str, NDArray[Any]]) -> tuple[str, NDArray[Any]]:
    """TensorFlow's name and order of axes -> SoundNet_Pytorch's; "" for a name that is neither's."""
    block, _, part = item[0].partition("/")
    value = item[1].transpose(3, 2, 0, 1) if part == "weights" and item[1].ndim == 4 else item[1]
    return (f"{block}.{_TENSORFLOW[part]}" if part in _TENSORFLOW else ""), value


def _as_ours(item: tuple[str, NDArray[Any]]) -> tuple[str, NDArray[Any]]:
    """SoundNet_Pytorch's name -> ours; "" for counters, and for a normalisation after the last layers."""
    block, _, rest = item[0].removeprefix("module.").partition(".")
    number, _, part = rest.partition(".")
    if block not in _BLOCKS or part == "num_batches_tracked" or (block in _OURS and number != "0"):
        return "", item[1]
    norm = number == "1"
    return f"{'norm' + block[4:] if norm else _OURS.get(block, block)}.{part}", item[1]


def _as_1d(values: NDArray[Any]) -> NDArray[Any]:
    """Weights (out, in, T, 1) without the last axis."""
    return values[:, :, :, 0] if values.ndim == 4 and values.shape[3] == 1 else values
