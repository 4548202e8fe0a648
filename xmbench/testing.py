"""The former name of `xmbench.conformance`, for plug-ins whose tests import it."""

from __future__ import annotations

from xmbench.conformance import check_metric

__all__ = ["check_metric"]
