"""run(baseline, dataset, out) -> a submission: train, generate, write. Models come from the registry only.

::

    OUT/run.json                  what was run, with which settings; how long it took
    OUT/checkpoints/ curves*      of the training, losses by step
    OUT/submission/               the outputs: ready for `xmbench score`
    OUT/submission-shuffled/      the control: each item generated from another item's condition
    OUT/submission-i2a/  OUT/submission-a2i/   of a baseline that generates in both directions
    OUT/seed-0/ OUT/seed-1/ ...   of `run_seeds`: the same for each seed
"""

from __future__ import annotations

from xmbench.runner.output_tables import OutputForm
from xmbench.runner.pieces import parse_duration
from xmbench.runner.presets import canonical
from xmbench.runner.recording import (
    HEAD_ACCURACY,
    diagnosed,
    expectations,
    metrics_to_record,
    record,
    require_recordable,
)
from xmbench.runner.run import RunSummary, Written, run
from xmbench.runner.seeds import parse_seeds, run_seeds
from xmbench.runner.settings import RUN_FILE, Generation, PhaseRecord, RunRecord, expected, unmet

__all__ = [
    "HEAD_ACCURACY",
    "RUN_FILE",
    "Generation",
    "OutputForm",
    "PhaseRecord",
    "RunRecord",
    "RunSummary",
    "Written",
    "canonical",
    "diagnosed",
    "expectations",
    "expected",
    "metrics_to_record",
    "parse_duration",
    "parse_seeds",
    "record",
    "require_recordable",
    "run",
    "run_seeds",
    "unmet",
]
