"""The digest of a submission's outputs: which outputs a result was scored from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from xmbench.evaluator.check import OpenedSubmission
from xmbench.media import audio


def digest_of(outputs: Iterable[tuple[str, str]]) -> str:
    """sha256 over the lines "id sha256" in the order of the ids; an item without an output has an empty sha256."""
    return hashlib.sha256("".join(f"{i} {digest}\n" for i, digest in outputs).encode()).hexdigest()


def as_flac(data: bytes) -> bytes:
    """A 16-bit sound as the runner writes it with `--outputs flac`."""
    return audio.encode_flac(*audio.decode_mono_int16(data))


def outputs_digest(opened: OpenedSubmission, form: Callable[[bytes], bytes] = bytes) -> str:
    """The digest of a submission's outputs, without decoding any.

    Args:
        opened: the submission.
        form: `as_flac` for the digest that the same outputs have in that form.

    Raises:
        SubmissionError: the table of outputs is damaged.
    """
    raw = opened.outputs.read(opened.ids)
    return digest_of(
        (item, hashlib.sha256(form(output.data)).hexdigest() if output else "")
        for item, output in zip(opened.ids, raw, strict=True)
    )
