"""Any judge from its weights, with one interface: media in, probabilities and embeddings out.

A metric that needs a judge does not depend on its kind: the record names the kind, or it is found by the format in the
header of the weights.
"""

from __future__ import annotations

import functools

from xmbench import registry
from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Judge, JudgeKind
from xmbench.judges.header import header


@functools.lru_cache(maxsize=8)
def load(weights: bytes, kind: str = "", device: str = "cpu") -> Judge:
    """The judge of a weights file; the last few stay loaded.

    Args:
        weights: the content of the file.
        kind: name of its kind; "" for the one that reads the format of the header.
        device: where it computes.

    Raises:
        PrerequisiteError: not the weights of a judge, or of an unknown kind or version; no such device.
        UnknownNameError: no kind has that name.
    """
    return (registry.judge(kind) if kind else kind_of(weights)).load(weights, device)


def kind_of(weights: bytes) -> JudgeKind:
    """The kind of judge that reads a file, by the format that its header names.

    Raises:
        PrerequisiteError: not the weights of a judge, or of a kind that is not installed.
    """
    wanted = header(weights)["format"]
    kinds = [registry.judge(name) for name in registry.names("judges")]
    for kind in kinds:
        if wanted in kind.formats:
            return kind
    raise PrerequisiteError(
        "the weights are of an unknown kind of judge",
        where=wanted,
        expected=" or ".join(known for kind in kinds for known in kind.formats),
        todo="install the version of xmbench, or the package, that made them",
    )
