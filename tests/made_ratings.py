"""Pages, keys and raters' files for tests: as the command and the page write them, without a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xmbench.evaluator.rated_systems import open_rated
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_image
from xmbench.formats.rating_kit import RatedSet, RatedSystem, RatingKey
from xmbench.formats.submission import Submission
from xmbench.media import image
from xmbench.views.rating import Options, write_rating_page

Score = Callable[[RatedSet, int, bool], int | None]
NAMES = ("an unmistakable name", "Zweitname 7")
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


def submit_images(dataset: Dataset, root: Path) -> list[Path]:
    """Two submissions of images: each reference upside down, and its negative."""
    for number, name in enumerate(NAMES):
        outputs = root / str(number) / "outputs"
        outputs.mkdir(parents=True)
        for row in dataset.rows("test", ["image"]):
            pixels = read_image(row, dataset)
            made = 255 - pixels if number else np.ascontiguousarray(pixels[::-1])
            (outputs / f"{row['id']}.png").write_bytes(image.encode_png(made))
        made_for = Submission(track=f"{dataset.recipe.name}/a2i", dataset_digest=dataset.digest, system=name)
        (outputs.parent / "submission.json").write_text(made_for.to_json())
    return [root / "0", root / "1"]


def written(folder: Path, paths: list[Path], dataset: Dataset, options: Options) -> RatingKey:
    """Writes `page.html` and `key.json` into a directory."""
    rated, opened = open_rated(paths, dataset.folder)
    return write_rating_page(rated, opened, folder / "page.html", folder / "key.json", options).key
