"""The former name of `xmbench.conformance`, for plug-ins whose tests import it."""

from __future__ import annotations

from xmbench.conformance import check_metric
from xmbench.conformance.judges import check_judge

__all__ = ["check_judge", "check_metric"]
