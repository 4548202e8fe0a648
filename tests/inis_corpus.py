"""A corpus for INIS from real photographs and real sounds: as files, or as a list of links to a site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests import link_site
from tests.conftest import shared
from tests.link_site import Site


def real_corpus(folder: Path, classes: Sequence[str]) -> None:
    """Six photographs and three recordings of two seconds of each class; skips the test without the material."""
    _photographs(folder, classes)
    for name, stem, samples, rate in _recordings(classes):
        place = folder / "recordings" / name
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{stem}.wav", samples, rate)


def linked_corpus(folder: Path, classes: Sequence[str], site: Site) -> None:
    """The same with two recordings of each class, as a list of links to a site that has them."""
    _photographs(folder, classes)
    lines = ["link,class,licence"]
    for name, stem, samples, _ in _recordings(classes, 2):
        lines.append(f"{site.offers(f'{stem}.ogg', link_site.ogg(samples))},{name},CC0-1.0")
    (folder / "links").mkdir()
    (folder / "links" / "solos.csv").write_text("\n".join(lines))


def _photographs(folder: Path, classes: Sequence[str]) -> None:
    for name in classes:
        place = folder / "images" / name
        place.mkdir(parents=True)
        for path in sorted(shared("data", "instrument_photos", name).iterdir())[:6]:
            (place / path.name).write_bytes(path.read_bytes())


def _recordings(classes: Sequence[str], number: int = 3) -> Iterator[tuple[str, str, NDArray[np.float32], int]]:
    for name in classes:
        for path in sorted(shared("data", "instrument_sounds", name).iterdir())[3 : 3 + number]:
            samples, rate = soundfile.read(path, dtype="float32")
            yield name, path.stem, np.tile(samples, 8)[: 2 * rate], rate
