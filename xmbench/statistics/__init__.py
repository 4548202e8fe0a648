"""What enters a mean, how sure a score is, and which systems the data separate.

Everything that is printed comes from here: `counting` says which items enter a mean and with what, `means` how a mean
varies over groups and seeds, `intervals` makes intervals and p-values of that, `resampling` those of scores that are no
means, `crossed` those of means over items and raters, `agreement` says how far raters agree, and `several` judges all
pairs of a board together.
"""

from __future__ import annotations

from xmbench.statistics.agreement import ordinal_alpha
from xmbench.statistics.counting import Counted, counted
from xmbench.statistics.crossed import crossed_mean, of_crossed
from xmbench.statistics.intervals import EQUAL, LEVEL, Difference, Interval, Method, of_difference, of_mean, of_runs
from xmbench.statistics.means import (
    FEW_GROUPS,
    FEW_SEEDS,
    Part,
    Spread,
    clustered,
    exact_mean,
    members,
    over_seeds,
    quantile,
)
from xmbench.statistics.resampling import RESAMPLES, SEED, of_reduction, one_thread, resampled_weights
from xmbench.statistics.several import holm

__all__ = [
    "EQUAL",
    "FEW_GROUPS",
    "FEW_SEEDS",
    "LEVEL",
    "RESAMPLES",
    "SEED",
    "Counted",
    "Difference",
    "Interval",
    "Method",
    "Part",
    "Spread",
    "clustered",
    "counted",
    "crossed_mean",
    "exact_mean",
    "holm",
    "members",
    "of_crossed",
    "of_difference",
    "of_mean",
    "of_reduction",
    "of_runs",
    "one_thread",
    "ordinal_alpha",
    "over_seeds",
    "quantile",
    "resampled_weights",
]
