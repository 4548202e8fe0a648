"""The judge that sees which handwritten digit an image shows: network, fitting, weights."""

from __future__ import annotations

from xmbench.judges.digits.kind import DigitJudges

JUDGE = DigitJudges()
