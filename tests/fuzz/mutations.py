"""Damaged files: real ones with a few bytes changed, cut, repeated or moved, and now and then mere noise."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_KINDS = ("flip", "set", "cut", "drop", "insert", "repeat", "swap")
_EDGES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff" * 8)


def mutated(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A strategy of damaged copies of `seeds`."""
    return st.one_of(_damaged(seeds), _damaged(seeds), _damaged(seeds), st.binary(max_size=300))


@st.composite
def _damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    data = draw(st.sampled_from(list(seeds)))
    # Headers are a small part of a file and most of what can go wrong: half of the damage goes there.
    for _ in range(draw(st.integers(1, 4))):
        reach = draw(st.sampled_from([64, 512, len(data)]))
        at = draw(st.integers(0, max(0, min(reach, len(data)) - 1)))
        if draw(st.booleans()):
            at = max(0, len(data) - 1 - at)
        data = _once(data, draw(st.sampled_from(_KINDS)), at, draw(st.integers(0, 255)), draw(st.sampled_from(_EDGES)))
    return data


def _once(data: bytes, kind: str, at: int, number: int, edge: bytes) -> bytes:
    head, rest = data[:at], data[at:]
    match kind:
        case "flip":
            return head + bytes(byte ^ (1 << number % 8) for byte in rest[:1]) + rest[1:]
        case "set":
            return head + edge + rest[len(edge) :]
        case "cut":
            return head
        case "drop":
            return head + rest[1 + number % 16 :]
        case "insert":
            return head + edge + rest
        case "repeat":
            return head + rest[: 1 + number] * 2 + rest[1 + number :]
        case _:
            return rest + head
