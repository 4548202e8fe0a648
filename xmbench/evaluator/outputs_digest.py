"""The digest of a submission's outputs: which outputs a result was scored from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from xmbench.evaluator.check import OpenedSubmission


def digest_of(outputs: Iterable[tuple[str, str]]) -> str:
    """sha256 over the lines "id sha256" in the order of the ids; an item without an output has an empty sha256."""
    return hashlib.sha256("".join(f"{i} {digest}\n" for i, digest in outputs).encode()).hexdigest()


def outputs_digest(opened: OpenedSubmission) -> str:
    """The digest of a submission's outputs, without decoding any.

    Raises:
        SubmissionError: the table of outputs is damaged.
    """
    raw = opened.outputs.read(opened.ids)
    return digest_of(
        (item, hashlib.sha256(output.data).hexdigest() if output else "")
        for item, output in zip(opened.ids, raw, strict=True)
    )
