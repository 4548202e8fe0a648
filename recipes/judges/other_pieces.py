"""Renders other pieces than those of urmp-mini, with other seeds, for the judges of its drawn and synthesised players.

usage: python other_pieces.py OUT

Writes OUT/Dataset in URMP's layout, as `urmp-mini` renders its own corpus: melodies, timings and looks have seeds from
1,001 on (urmp-mini: below 100). Build a data set of it, which no board uses, and train on that:

  xmbench build recipes/judges/other-pieces.toml --source OUT --accept-changed-sources --out data/other-pieces
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

from xmbench.sources import _urmp_rendering
from xmbench.sources._urmp_rendering import Part

FIRST_SEED = 1001
INSTRUMENTS = ("cello", "flute", "trumpet", "violin")
ROUNDS = 2  # of all pairs, and of a trio of each


def pieces() -> dict[str, tuple[Part, ...]]:
    """Duos of all pairs and trios, each part with a seed of its own."""
    seed, found = FIRST_SEED, {}
    for number in range(ROUNDS):
        for group in (*combinations(INSTRUMENTS, 2), *combinations(INSTRUMENTS, 3)):
            order = group if number % 2 == 0 else group[::-1]
            found[f"{len(found) + 1:02d}_Other"] = tuple(Part(name, seed + i, seed + i) for i, name in enumerate(order))
            seed += len(order)
    return found


def main() -> None:
    """Renders them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    _urmp_rendering.render(parser.parse_args().out, pieces())


if __name__ == "__main__":
    main()
