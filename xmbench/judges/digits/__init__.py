"""The judge that classifies handwritten digits: network, fitting, weights."""

from __future__ import annotations

from xmbench.judges.digits.kind import DigitJudges

JUDGE = DigitJudges()
