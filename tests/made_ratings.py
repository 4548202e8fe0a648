"""Keys and raters' files for tests: as the command and the page write them, without a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xmbench.formats.rating_kit import RatedSet, RatedSystem, RatingKey

Score = Callable[[RatedSet, int, bool], int | None]
MEANINGS = ("unrealistic", "fair", "realistic", "right")


def make_key(sets: int = 6, twice: int = 1, failed: dict[int, dict[int, str]] | None = None) -> RatingKey:
    """Two systems and the ground truth; three classes in turn, each item a group of its own.

    Args:
        sets: number of items.
        twice: how many of them, from the first on, come twice.
        failed: number of a set -> position of a system -> status.
    """
    made = []
    for number in range(sets):
        lost = (failed or {}).get(number, {})
        outputs = {f"o{10 * number + place:04d}": place for place in range(3) if place not in lost}
        name = ("cello", "flute", "violin")[number % 3]
        made.append(
            RatedSet(
                name=f"s{number:03d}",
                item=f"item-{number:03d}",
                **{"class": name},
                group=f"take-{number:03d}",
                twice=number < twice,
                outputs=outputs,
                failed=lost,
            )
        )
    systems = [
        RatedSystem(name="good, they say", outputs_digest="a" * 64, kind="learned"),
        RatedSystem(name="bad", outputs_digest="b" * 64, kind="floor"),
        RatedSystem(name="ground truth"),
    ]
    return RatingKey(
        page="f" * 64,
        track="made/a2i",
        split="test",
        dataset_digest="d" * 64,
        seed=1,
        per_class=2,
        per_group=1,
        meanings=MEANINGS,
        systems=tuple(systems),
        sets=tuple(made),
    )


def rater_file(folder: Path, key: RatingKey, rater: str, score: Score, **changes: Any) -> Path:
    """Writes what a rater saves; `score` gets the set, the position of the system, and whether it is shown again."""
    showings = []
    for again in (False, True):
        for one in key.sets:
            if again and not one.twice:
                continue
            scores = [score(one, which, again) for which in one.outputs.values()]
            plays = [1] * len(scores)
            showings.append(
                {"set": one.name, "again": again, "outputs": list(one.outputs), "scores": scores, "plays": plays}
            )
    document = {
        "schema": "xmbench/rater/1",
        "page": key.page,
        "rater": rater,
        "session": f"{sum(rater.encode()):016x}",
        "started": "2026-01-01T10:00:00.000Z",
        "saved": "2026-01-01T11:00:00.000Z",
        "finished": True,
        "showings": showings,
        **changes,
    }
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{document.get('file', rater)}.json"
    document.pop("file", None)
    path.write_text(json.dumps(document))
    return path
