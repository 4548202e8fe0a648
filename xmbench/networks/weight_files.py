"""Files of weights, read without executing anything in them."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DocumentError, PrerequisiteError
from xmbench.storage.files import regular_size

LARGEST = 1 << 31
_NPZ, _NPY = b"PK\x03\x04", b"\x93NUMPY"
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, MemoryError, TypeError, NotImplementedError)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of an npz file.

    Raises:
        PrerequisiteError: not an npz file of numbers and text.
    """
    check_size(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except _DAMAGE as error:
        raise wrong_layout(path, "an npz file of plain arrays", error) from error


def read_torch(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a file of `torch.save`, as arrays; it is unpickled with torch's list of harmless types only.

    Raises:
        PrerequisiteError: anything but a dict of tensors.
    """
    import torch

    check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickles: what they may hold is limited all the same
            stored = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): value.numpy() for name, value in stored.items() if isinstance(value, torch.Tensor)}
    except (pickle.UnpicklingError, RuntimeError, AttributeError, *_DAMAGE) as error:
        raise wrong_layout(path, "a state dict of torch.save", error) from error


def read_nested_npy(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """The dict of dicts of arrays that some TensorFlow networks store as one `.npy` object.

    numpy can only unpickle such a file, which may run anything; here the pickle may name arrays and their types, and
    nothing else.

    Raises:
        PrerequisiteError: anything else in it.
    """
    check_size(path)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(file)
            if shape != () or not kind.hasobject:
                raise ValueError(f"an array of shape {shape}, not a dict")
            found = _Arrays(file, encoding="latin1").load().item()
        return {
            str(outer): {str(inner): np.asarray(value, np.float32) for inner, value in part.items()}
            for outer, part in found.items()
        }
    except (pickle.UnpicklingError, AttributeError, ImportError, IndexError, *_DAMAGE) as error:
        raise wrong_layout(path, "a dict of arrays in an npy file", error) from error


class _Arrays(pickle.Unpickler):
    """Unpickles numpy arrays, dicts, lists, numbers and text; names of anything else are refused, not imported."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        super().__init__(file, encoding=encoding)

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if (module, name) == ("_codecs", "encode"):
            return _encoded
        raise pickle.UnpicklingError(f"it asks for {module}.{name}: refused, and nothing was run")


def _empty(kind: type, shape: tuple[int, ...], code: bytes | str) -> NDArray[Any]:
    """An array without content; its state follows in the pickle."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("an array of another kind")
    return np.ndarray((0,), np.int8)


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes as {encoding[:20]}")
    return text.encode("latin-1")


def layout_of(path: Path) -> str:
    """By the first bytes: "npz", "npy" or "other"; a torch file of today is a zip file as well, but no npz."""
    check_size(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(_NPY):
        return "npy"
    if head.startswith(_NPZ):
        with zipfile.ZipFile(path) as packed:
            return "npz" if all(name.endswith(".npy") for name in packed.namelist()) else "other"
    return "other"


def check_size(path: Path) -> None:
    """Raises PrerequisiteError for what is no regular file, or too large."""
    try:
        regular_size(path, LARGEST)
    except DocumentError as error:
        raise PrerequisiteError(
            f"the weights cannot be read: {error.what}", where=path, expected=error.expected, todo=error.todo
        ) from error


def check_shapes(path: Path, found: Mapping[str, NDArray[Any]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raises PrerequisiteError where arrays are missing or of another shape."""
    problems = [f"{name}: missing" for name in wanted if name not in found]
    problems += [
        f"{name}: {found[name].shape}, expected {shape}"
        for name, shape in wanted.items()
        if name in found and tuple(found[name].shape) != tuple(shape)
    ]
    problems += [f"{name}: not finite" for name in wanted if name in found and not _finite(found[name])]
    if problems:
        raise PrerequisiteError("the weights do not fit their network", where=path, problems=problems)


def _finite(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iub" or (values.dtype.kind == "f" and bool(np.isfinite(values).all()))


def wrong_layout(path: Path, expected: str, error: Exception | None = None) -> PrerequisiteError:
    """The error of a file that is not of a known layout."""
    why = f" ({' '.join(str(error).split())[:160]})" if error else ""
    return PrerequisiteError(
        f"the weights cannot be read{why}", where=path, expected=expected, todo="check that it is the published file"
    )
