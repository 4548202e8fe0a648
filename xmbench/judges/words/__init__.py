"""Judges that recognise which word of a list is spoken: networks, features, fitting, weights."""

from __future__ import annotations

from xmbench.judges.words.kind import WordJudges

JUDGE = WordJudges()
