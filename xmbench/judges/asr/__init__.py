"""Judges made of a published speech recogniser: how probable each word of a list is, against anything else."""

from __future__ import annotations

from xmbench.judges.asr.kind import RecogniserJudges

JUDGE = RecogniserJudges()
