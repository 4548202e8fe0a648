"""How many threads a run computes with on the processor, and the return to what was set before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xmbench.formats.baseline import Baseline
from xmbench.runner.settings import DEFAULT_THREADS, depends_on_threads


def used_threads(stated: int | None, device: str) -> int | None:
    """Threads of a run on a device: those stated; else one on a CPU, and None (PyTorch's choice) beside a GPU."""
    return stated if stated is not None or device != "cpu" else DEFAULT_THREADS


@contextmanager
def computing_with(threads: int | None, baseline: Baseline, stated: int | None) -> Iterator[None]:
    """Training and generation within it use so many threads of PyTorch; afterwards as many as before.

    Args:
        threads: as `used_threads` gives them.
        baseline: a bound that has not imported PyTorch is not made to wait for the import.
        stated: as `resolve_threads` gives them.
    """
    if threads is None or not ("torch" in sys.modules or depends_on_threads(baseline, stated)):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
