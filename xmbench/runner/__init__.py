"""run(baseline, dataset, out) -> a submission: train, generate, write. Models come from the registry only.

::

    OUT/run.json                  what was run, with which settings; how long it took
    OUT/checkpoints/ curves*      of the training
    OUT/submission/               the outputs: ready for `xmbench score`
    OUT/submission-shuffled/      the control: each item generated from another item's condition
"""

from __future__ import annotations

from xmbench.runner.run import RunSummary, run
from xmbench.runner.settings import RUN_FILE, Generation, RunRecord, expected, unmet

__all__ = ["RUN_FILE", "Generation", "RunRecord", "RunSummary", "expected", "run", "unmet"]
