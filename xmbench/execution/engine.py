"""Where the work of a command runs: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

Engine = Literal["local", "ray"]


@dataclass(frozen=True, slots=True)
class Workers:
    """Where the tasks of a command run. Results do not depend on it.

    Attributes:
        count: processes of this machine; a Ray cluster has its own number.
        engine: "local" or "ray".
        address: of the Ray cluster ("auto" for a running one); "" for $RAY_ADDRESS, or a cluster of this machine alone.
    """

    count: int = 1
    engine: Engine = "local"
    address: str = ""


def available_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
