"""xmbench: benchmarks for cross-modal image <-> audio generation."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "score_pair"]


def __getattr__(name: str) -> Any:
    """`xmbench.score_pair` without importing the evaluator at `import xmbench`."""
    if name == "score_pair":
        from xmbench.evaluator.pair import score_pair

        return score_pair
    raise AttributeError(f"module 'xmbench' has no attribute '{name}'")
