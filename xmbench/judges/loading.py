"""Weights -> the judge that they belong to, by the format in their header."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xmbench.errors import PrerequisiteError

if TYPE_CHECKING:
    from xmbench.judges.recurrent_word import RecurrentWordJudge
    from xmbench.judges.spoken_word import SpokenWordJudge


def load(data: bytes) -> SpokenWordJudge | RecurrentWordJudge:
    """The judge of these weights.

    Raises:
        PrerequisiteError: these are no weights of a judge, or of one that this version does not know.
    """
    from xmbench.judges import recurrent_word, spoken_word
    from xmbench.judges.stored import read_about

    known: dict[str, Callable[[bytes], SpokenWordJudge | RecurrentWordJudge]] = {
        spoken_word.FORMAT: spoken_word.SpokenWordJudge.from_bytes,
        recurrent_word.FORMAT: recurrent_word.RecurrentWordJudge.from_bytes,
    }
    found = read_about(data, "a known judge")["format"]
    if found not in known:
        raise PrerequisiteError("the weights belong to another judge", where=found, expected=" or ".join(known))
    return known[found](data)
