"""Pickles of plain data and numpy arrays, read by an interpreter that cannot call anything.

Python's `pickle` runs whatever a file names. Here only the instructions that build dicts, lists, tuples, bytes, text
and numbers are executed, and the few names with which numpy writes an array are mapped to functions of this module.
Any other name, and any instruction that would call or import something, is refused and named. Nothing is imported,
no attribute is set, and memory stays in proportion to the file.

All protocols of Python 2 and 3 are read (text of Python 2 as bytes), and arrays of numpy 1 and 2.
Format: Python's `pickletools`; numpy's `ndarray.__reduce__`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import UpstreamError
from xmbench.sources._pickle_machine import PLAIN, DamagedError, Instruction, LongText, Machine, RefusedError

# What numpy and Python write for arrays and bytes. The values are names of functions below.
_ALLOWED = {
    **{f"numpy.{core}.multiarray._reconstruct": "array" for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": "frombuffer" for core in ("core", "_core")},
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",
    "__builtin__.bytes": "bytes",
    "builtins.bytes": "bytes",
}
_NUMBERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"b1", "f4", "f8"}


class _Name(str):
    """A name of `_ALLOWED`; only `_call` uses it."""


class _Type:
    """A numpy type of plain numbers."""

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """An array, empty until its state is set."""

    def __init__(self) -> None:
        self.values: NDArray[Any] = np.zeros(0)


def read_pickle(data: bytes, name: str) -> dict[str, Any]:
    """Reads the dict in a pickle without running any of it.

    Args:
        data: the content of the file.
        name: its name, for messages.

    Returns:
        The dict; keys as text. Arrays are views of `data` where they can be.

    Raises:
        UpstreamError: it holds anything but data, it is damaged or truncated, or it is not a dict.
    """
    machine = Machine(data)
    try:
        found = machine.run(_INSTRUCTIONS)
        return _plain(found)
    except RefusedError as error:
        raise UpstreamError(
            f"the pickle asks for {error}: refused, and nothing was run",
            where=name,
            expected="dicts, lists, numbers, text, bytes and numpy arrays",
            todo="fetch the file from its publisher",
        ) from error
    except (DamagedError, ValueError, TypeError, OverflowError, IndexError, KeyError, MemoryError) as error:
        raise UpstreamError(
            f"damaged pickle, at byte {machine.at:,} of {len(data):,} ({str(error)[:120] or type(error).__name__})",
            where=name,
            expected="a complete pickle",
            todo="fetch the file again",
        ) from error


def _plain(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise DamagedError(f"it holds a {type(found).__name__} instead of a dict")
    values = {_text(key): value for key, value in found.items() if isinstance(key, bytes | str)}
    return {key: value.values if isinstance(value, _Array) else value for key, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value
    raise DamagedError(f"a {type(value).__name__} instead of a text")


# ------------------------------------------------------------------------------------- names and arrays
def _allowed(name: str) -> _Name:
    if name not in _ALLOWED:
        raise RefusedError(f"'{name[:80]}'")
    return _Name(_ALLOWED[name])


def _global(machine: Machine) -> _Name:
    module, name = machine.line(), machine.line()
    return _allowed(str(module + b"." + name, "utf-8", "replace"))


def _stack_global(machine: Machine) -> _Name:
    name, module = machine.pop(), machine.pop()
    return _allowed(f"{_text(module)}.{_text(name)}")


def _call(machine: Machine) -> None:
    """A call in a pickle: one of the functions below, by its name."""
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise DamagedError("a call of something that is not a function")
    match function, arguments:
        case "array", (_Name("ndarray"), _, _):
            made: Any = _Array()
        case "dtype", (str() | bytes() as code, *_):
            made = _type(_text(code))
        case "encode", (LongText() as text, "latin1" | "latin-1"):
            made = text.latin1()
        case "encode", (str() as text, "latin1" | "latin-1"):
            made = text.encode("latin-1")
        case "bytes", ():
            made = b""
        case "frombuffer", (bytes() | memoryview() as data, _Type() as kind, tuple() as shape, "C" | "F" as order):
            made = _Array()
            made.values = _shaped(data, kind, shape, order == "F")
        case _:
            raise DamagedError(f"'{function}' with arguments of another kind")
    machine.stack.append(made)


def _type(code: str) -> _Type:
    if code.lstrip("<>|=") not in _NUMBERS:
        raise DamagedError(f"an array of type '{code[:20]}', expected numbers")
    made = _Type(code.lstrip("<>|="))
    made.order = ">" if code.startswith(">") else "<"
    return made


def _build(machine: Machine) -> None:
    """Sets the state of an array or of its type; nothing else has one."""
    state = machine.pop()
    target = machine.top(object)
    match target, state:
        case _Type(), (int(), str() | bytes() as order, None, None, None, *_):
            target.order = ">" if _text(order) == ">" else "<"
        case _Array(), (int(), tuple() as shape, _Type() as kind, fortran, bytes() | memoryview() as data):
            target.values = _shaped(data, kind, shape, bool(fortran))
        case _:
            raise DamagedError(f"a state for a {type(target).__name__.strip('_').lower()}")


def _shaped(data: bytes | memoryview, kind: _Type, shape: tuple[Any, ...], fortran: bool) -> NDArray[Any]:
    if not all(isinstance(size, int) and 0 <= size < 1 << 40 for size in shape) or len(shape) > 8:
        raise DamagedError("an array of an impossible shape")
    if math.prod(shape) * kind.numpy.itemsize != len(data):
        raise DamagedError(f"an array of shape {shape} with {len(data):,} bytes")
    return np.frombuffer(data, kind.numpy).reshape(shape, order="F" if fortran else "C")


_INSTRUCTIONS: dict[int, Instruction] = {
    **PLAIN,
    ord("c"): lambda machine: machine.stack.append(_global(machine)),
    0x93: lambda machine: machine.stack.append(_stack_global(machine)),
    ord("R"): _call,
    ord("b"): _build,
}
