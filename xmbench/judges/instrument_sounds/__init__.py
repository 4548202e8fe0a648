"""Judges that recognise which musical instrument sounds: networks, front ends, fitting, weights."""

from __future__ import annotations

from xmbench.judges.instrument_sounds.kind import InstrumentSoundJudges

JUDGE = InstrumentSoundJudges()
