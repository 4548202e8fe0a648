"""Where the files of a result are under `leaderboards/`, by what the result says."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xmbench.formats.limit import limit_argument
from xmbench.formats.result import Result
from xmbench.printable import hyphenated

REPORTED = "reported-"
ITEMS = "items-"
FRONT_PAGE = "index.html"
PAIRS = "pairs.json"  # of protocol 1, whose boards kept which systems were found to differ
_LONGEST_SLUG = 100  # a file name has at most 255 bytes, with its extension


def slug(name: str) -> str:
    """A system's name as a file name: `MT-Net (lite)` -> `mt-net-lite`.

    A name that gives an empty, too long or reserved file name gets its digest.
    """
    plain = hyphenated(name)
    if plain and len(plain) <= _LONGEST_SLUG and is_result(Path(f"{plain}.json")):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return "-".join(filter(None, ("system", plain[:_LONGEST_SLUG], digest)))


def place(root: Path, result: Result) -> Path:
    """The path of a result: its track, its system, and the number of items if the build was limited.

    The first run of a system has the plain name; other seeds have names with the seed.
    """
    with_seed = seeded_place(root, result)
    return with_seed if with_seed.is_file() else plain_place(root, result)


def plain_place(root: Path, result: Result) -> Path:
    """The path of the first run of a system."""
    return root / result.track / f"{_stem(result)}.json"


def seeded_place(root: Path, result: Result) -> Path:
    """The path of a further seed of a system."""
    return root / result.track / f"{_stem(result)}--seed-{result.submission.seed}.json"


def items_place(root: Path, result: Result) -> Path:
    """The path of the items of a result's data set."""
    return root / result.track / f"{ITEMS}{result.dataset_digest[:12]}.parquet"


def track_page(track: str, ending: str = "html") -> str:
    """The name of a track's generated page."""
    return f"{track.replace('/', '-')}.{ending}"


def is_result(path: Path) -> bool:
    """Whether a JSON file of a board is a result by its name."""
    return path.name != PAIRS and not path.name.startswith(REPORTED)


def _stem(result: Result) -> str:
    limit = f"--limit-{limit_argument(result.limit).replace('=', '-').replace(',', '-')}" if result.limit else ""
    return f"{slug(result.submission.system)}{limit}"
