"""The stack machine of a pickle, with the instructions that make plain data. It cannot call or import anything.

Format: Python's `pickletools`.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any

_LONG = 1 << 16  # texts of this length are copied only once their use is known
_STEP = 1 << 20
_MOST_DIGITS = 4_000  # Python's own limit


class DamagedError(Exception):
    """An invalid instruction; the text says why."""


class RefusedError(Exception):
    """Something other than data; the text names it."""


class LongText:
    """UTF-8 bytes of a long text."""

    def __init__(self, data: memoryview) -> None:
        self.data = data

    def latin1(self) -> memoryview:
        """Every character as one byte."""
        decoder, out = codecs.getincrementaldecoder("utf-8")(), bytearray()
        for start in range(0, len(self.data), _STEP):
            last = start + _STEP >= len(self.data)
            out += decoder.decode(self.data[start : start + _STEP], last).encode("latin-1")
        return memoryview(out)


class Machine:
    """The stack machine of a pickle. `at` is the position of the current instruction."""

    def __init__(self, data: bytes) -> None:
        self.raw, self.data = data, memoryview(data)
        self.at = self.next = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, instructions: Mapping[int, Instruction]) -> Any:
        """Executes every instruction up to the stop; returns the value that it leaves."""
        while True:
            self.at = self.next
            code = self.take(1)[0]
            if code == ord("."):
                return self.pop()
            execute = instructions.get(code)
            if execute is None:
                raise RefusedError(_REFUSED.get(code, f"the instruction 0x{code:02x}, which data does not need"))
            execute(self)

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        part = self.data[self.next : self.next + count]
        if len(part) != count:
            raise DamagedError("it ends in the middle")
        self.next += count
        return part

    def number(self, form: str) -> Any:
        """The next number, little-endian."""
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]

    def line(self) -> bytes:
        """The next line, without its end."""
        end = self.raw.find(b"\n", self.next)
        if end < 0:
            raise DamagedError("an unterminated line")
        line = bytes(self.data[self.next : end])
        self.next = end + 1
        return line

    def pop(self) -> Any:
        """The topmost value of the stack above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise DamagedError("nothing on the stack")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        """The topmost value, which must be of the given type."""
        value = self.pop()
        self.stack.append(value)
        if not isinstance(value, kind):
            raise DamagedError(f"a {type(value).__name__} where a {kind.__name__} should be")
        return value

    def marked(self) -> list[Any]:
        """The values above the last mark; removes the mark."""
        if not self.marks:
            raise DamagedError("no mark on the stack")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values


Instruction = Callable[[Machine], None]


# ----------------------------------------------------------------------------------------- instructions
def _push(make: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


def _bytes(machine: Machine, form: str) -> bytes | memoryview:
    part = machine.take(machine.number(form))
    return part if len(part) >= _LONG else bytes(part)


def _unicode(machine: Machine, form: str) -> str | LongText:
    part = machine.take(machine.number(form))
    return LongText(part) if len(part) >= _LONG else str(part, "utf-8", "surrogatepass")


def _integer(machine: Machine, form: str) -> int:
    return int.from_bytes(machine.take(machine.number(form)), "little", signed=True)


def _decimal(machine: Machine) -> int | bool:
    """A number in decimal digits; `01` and `00` are booleans."""
    line = machine.line().removesuffix(b"L")
    if len(line) > _MOST_DIGITS:
        raise DamagedError(f"a number of {len(line):,} digits")
    return line == b"01" if line in (b"00", b"01") else int(line)


def _quoted(machine: Machine) -> bytes:
    """A text of Python 2 in quotes."""
    line = machine.line()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise DamagedError("a text without quotes")
    return codecs.escape_decode(line[1:-1])[0]


def _protocol(machine: Machine) -> None:
    version = machine.take(1)[0]
    if version > 5:
        raise DamagedError(f"protocol {version}")


def _tuple(count: int) -> Callable[[Machine], None]:
    def execute(machine: Machine) -> None:
        values = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(values)))

    return execute


def _append(machine: Machine) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: Machine) -> None:
    values = machine.marked()
    machine.top(list).extend(values)


def _fill(target: dict[Any, Any], values: list[Any]) -> None:
    if len(values) % 2:
        raise DamagedError("a key without a value")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, bytes | str | int):
            raise DamagedError(f"a {type(key).__name__} as a key")
        target[key] = value


def _dict(machine: Machine) -> None:
    values, made = machine.marked(), dict[Any, Any]()
    _fill(made, values)
    machine.stack.append(made)


def _setitem(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _fill(machine.top(dict), [key, value])


def _setitems(machine: Machine) -> None:
    values = machine.marked()
    _fill(machine.top(dict), values)


def _keep(index: Callable[[Machine], int]) -> Callable[[Machine], None]:
    def execute(machine: Machine) -> None:
        machine.memo[index(machine)] = machine.top(object)

    return execute


PLAIN: dict[int, Instruction] = {
    0x80: _protocol,
    0x95: lambda m: m.number("Q"),  # a frame: only its length
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("0"): lambda m: m.pop(),
    ord("1"): lambda m: m.marked().clear(),
    ord("2"): _push(lambda m: m.top(object)),
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("J"): _push(lambda m: m.number("i")),
    ord("K"): _push(lambda m: m.number("B")),
    ord("M"): _push(lambda m: m.number("H")),
    0x8A: _push(lambda m: _integer(m, "B")),
    0x8B: _push(lambda m: _integer(m, "I")),
    ord("I"): _push(_decimal),
    ord("L"): _push(_decimal),
    ord("F"): _push(lambda m: float(m.line())),
    ord("S"): _push(_quoted),
    ord("V"): _push(lambda m: m.line().decode("raw-unicode-escape")),
    ord("G"): _push(lambda m: struct.unpack(">d", m.take(8))[0]),
    ord("U"): _push(lambda m: _bytes(m, "B")),
    ord("T"): _push(lambda m: _bytes(m, "I")),
    ord("C"): _push(lambda m: _bytes(m, "B")),
    ord("B"): _push(lambda m: _bytes(m, "I")),
    0x8E: _push(lambda m: _bytes(m, "Q")),
    0x96: _push(lambda m: _bytes(m, "Q")),
    0x8C: _push(lambda m: _unicode(m, "B")),
    ord("X"): _push(lambda m: _unicode(m, "I")),
    0x8D: _push(lambda m: _unicode(m, "Q")),
    ord("]"): _push(lambda m: []),
    ord("}"): _push(lambda m: {}),
    ord(")"): _push(lambda m: ()),
    ord("l"): _push(lambda m: m.marked()),
    ord("d"): _dict,
    ord("t"): _push(lambda m: tuple(m.marked())),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("a"): _append,
    ord("e"): _appends,
    ord("s"): _setitem,
    ord("u"): _setitems,
    ord("q"): _keep(lambda m: int(m.number("B"))),
    ord("r"): _keep(lambda m: int(m.number("I"))),
    0x94: _keep(lambda m: len(m.memo)),
    ord("p"): _keep(lambda m: int(m.line())),
    ord("g"): _push(lambda m: m.memo[int(m.line())]),
    ord("h"): _push(lambda m: m.memo[m.number("B")]),
    ord("j"): _push(lambda m: m.memo[m.number("I")]),
}
_REFUSED = {
    ord("i"): "an instance of a class (instruction 'i')",
    ord("o"): "an instance of a class (instruction 'o')",
    0x81: "a new object of a class",
    0x92: "a new object of a class",
    0x82: "a registered extension",
    0x83: "a registered extension",
    0x84: "a registered extension",
    ord("P"): "an object from outside the file",
    ord("Q"): "an object from outside the file",
    0x97: "a buffer from outside the file",
    0x98: "a buffer from outside the file",
    0x8F: "a set",
    0x90: "a set",
    0x91: "a set",
}
