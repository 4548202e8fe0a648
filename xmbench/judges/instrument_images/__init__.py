"""Judges that recognise which musical instrument an image shows: networks, fitting, weights."""

from __future__ import annotations

from xmbench.judges.instrument_images.kind import InstrumentImageJudges

JUDGE = InstrumentImageJudges()
