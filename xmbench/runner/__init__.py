"""run(baseline, dataset, out) -> a submission: train, generate, write. Models come from the registry only.

::

    OUT/run.json                  what was run, with which settings; how long it took
    OUT/checkpoints/ curves*      of the training
    OUT/submission/               the outputs: ready for `xmbench score`
    OUT/submission-shuffled/      the control: each item generated from another item's condition
    OUT/submission-i2a/  OUT/submission-a2i/   instead, of a baseline that generates in both directions
"""

from __future__ import annotations

from xmbench.runner.run import RunSummary, Written, run
from xmbench.runner.settings import RUN_FILE, Generation, RunRecord, expected, unmet

__all__ = ["RUN_FILE", "Generation", "RunRecord", "RunSummary", "Written", "expected", "run", "unmet"]
