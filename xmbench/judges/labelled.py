"""What the judges of instruments are trained on and tested with: items of data sets and of directories, with groups.

A group is a performance, a recording, a file: what training and test must never share.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError, MediaError, UnknownNameError
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.items import read_clip, read_image
from xmbench.interfaces import Judge, Modality
from xmbench.judges.instruments import canonical
from xmbench.judges.licences import licences
from xmbench.judges.measuring import Judged
from xmbench.media import audio, image
from xmbench.media.signal import Media, Picture, Sound

ENDINGS: dict[Modality, tuple[str, ...]] = {"audio": (".wav", ".flac", ".ogg"), "image": (".png", ".jpg", ".jpeg")}
TESTED = 4  # one file in so many
CALIBRATED = 8  # one group in so many
_FEWEST = 5  # groups of a class, below which none is kept for the calibration


@dataclass(slots=True)
class Items:
    """Items with labels and groups; label K is none of the classes."""

    media: list[Media] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.media)

    def add(self, media: Media, label: int, group: str) -> None:
        """Adds one."""
        self.media.append(media)
        self.labels.append(label)
        self.groups.append(group)

    def __iter__(self) -> Iterator[tuple[Media, int, str]]:
        return zip(self.media, self.labels, self.groups, strict=True)

    def judged(self, judge: Judge) -> Judged:
        """What a judge makes of them."""
        found = judge.probabilities(self.media)
        return Judged(tuple(judge.class_names), found, np.asarray(self.labels, np.int64), tuple(self.groups))


@dataclass(slots=True)
class Material:
    """All items of a fitting, by what they are for.

    Attributes:
        class_names: the K instruments, by their one spelling.
        training: source ("data", "more", "rejects") -> items.
        calibrating: items of groups of their own, for the confidence.
        tests: name -> items of the classes.
        none: kind -> items of none of the classes, for tests.
        licences: what the training is made of -> its licence.
    """

    class_names: tuple[str, ...]
    training: dict[str, Items] = field(default_factory=lambda: defaultdict(Items))
    calibrating: Items = field(default_factory=Items)
    tests: dict[str, Items] = field(default_factory=lambda: defaultdict(Items))
    none: dict[str, Items] = field(default_factory=lambda: defaultdict(Items))
    licences: dict[str, str] = field(default_factory=dict)


def gather(
    datasets: Sequence[Dataset],
    modality: Modality,
    *,
    more: Path | None = None,
    rejects: Path | None = None,
    strangers: Path | None = None,
    without: Sequence[str] = (),
    test_on: Sequence[Path] = (),
) -> Material:
    """Reads everything that a judge is fitted with.

    Args:
        datasets: their training items are for training, their test items a test.
        modality: of the items.
        more: directory `<class>/*` of more items; a quarter of the files, by the digest of their names, is a test.
            Its classes join those of the data sets. It may have a `licences.json`.
        rejects: directory `<kind>/*` of what is none of the classes, for training.
        strangers: the same, for a test only.
        without: groups of the training items that are a test of their own instead.
        test_on: directories of more data sets, of some of the classes, whose test items are tests.

    Raises:
        DatasetError: the data sets differ in classes, or one has no training items; a class has none.
        UnknownNameError, MediaError: a directory has no such items, or one that cannot be read; an unknown group.
    """
    own = _common(datasets)
    added = {canonical(folder.name): files for folder, files in _folders(more, modality)} if more else {}
    names = (*own, *sorted(set(added) - set(own)))
    material = Material(names)
    for dataset in datasets:
        _add_dataset(material, dataset, modality, without)
    _check_without(material, without)
    for place in test_on:
        _add_test(material, open_dataset(place), modality)
    for name, files in added.items():
        for path in files:
            group = f"{name}/{path.stem}"
            to = (
                material.tests[f"held-out files of {more.name}"]
                if more and tested(group)
                else material.training["more"]
            )
            to.add(read(path, modality), names.index(name), group)
    for folder, files in _folders(rejects, modality) if rejects else ():
        for path in files:
            material.training["rejects"].add(read(path, modality), len(names), folder.name)
    for folder, files in _folders(strangers, modality) if strangers else ():
        for path in files:
            material.none[folder.name].add(read(path, modality), len(names), folder.name)
    for dataset in datasets:
        material.licences |= {f"{dataset.recipe.name}: {s.title}": s.licence for s in dataset.recipe.sources.values()}
    for home in (more, rejects):
        if home is not None:
            known = licences(home, [folder.name for folder, _ in _folders(home, modality)])
            material.licences |= {f"{home.name}: {name}": licence for name, licence in known.items()}
    _set_apart(material)
    _check_classes(material)
    return material


def tested(group: str) -> bool:
    """Whether a file is for the test: one in four, by the digest of its name."""
    return hashlib.sha256(group.encode()).digest()[0] % TESTED == 0


def read(path: Path, modality: Modality) -> Media:
    """The first channel of a sound file, or an image in colour.

    Raises:
        MediaError: it cannot be read.
    """
    try:
        if modality == "audio":
            samples, rate = audio.decode(path.read_bytes())
            return Sound(np.ascontiguousarray(samples[:, 0]), rate)
        return Picture(square(image.decode(path.read_bytes())))
    except (OSError, MediaError) as error:
        raise MediaError(f"an item cannot be read ({error})", where=path) from error


def square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The centred square of an image, uint8 (S, S, C)."""
    height, width = pixels.shape[:2]
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    return pixels[top : top + size, left : left + size]


def _common(datasets: Sequence[Dataset]) -> tuple[str, ...]:
    classes = tuple(canonical(name) for name in datasets[0].recipe.task.class_names)
    for dataset in datasets:
        if tuple(canonical(name) for name in dataset.recipe.task.class_names) != classes:
            raise DatasetError("the data sets have other classes", where=dataset.folder, expected=", ".join(classes))
        if not dataset.count("train"):
            raise DatasetError("the split 'train' has no items", where=dataset.folder)
    return classes


def _folders(home: Path, modality: Modality) -> list[tuple[Path, list[Path]]]:
    """The directories of a directory, with their files of the modality."""
    found = []
    for folder in sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else ():
        if files := sorted(path for path in folder.rglob("*") if path.suffix.casefold() in ENDINGS[modality]):
            found.append((folder, files))
    if not found:
        raise UnknownNameError(
            "no such items", where=home, expected=f"directories with files {', '.join(ENDINGS[modality])}"
        )
    return found


def _items(dataset: Dataset, split: str, modality: Modality) -> Iterator[tuple[Media, int, str]]:
    """Items, labels and groups of a split. Where clips are paired with images, an image is a group of its own."""
    column: str = modality
    group = "id" if modality == "image" and dataset.recipe.pairing.method != "joint" else "group"
    for row in dataset.rows(split, [column, "label", group]) if dataset.count(split) else ():
        media: Media
        if modality == "audio":
            media = Sound(audio.to_float(read_clip(row, dataset)), dataset.recipe.audio.sample_rate_hz)
        else:
            media = Picture(read_image(row, dataset))
        yield media, int(row["label"]), str(row[group])


def _add_dataset(material: Material, dataset: Dataset, modality: Modality, without: Sequence[str]) -> None:
    for media, label, group in _items(dataset, "train", modality):
        to = material.tests["groups left out"] if group in without else material.training["data"]
        to.add(media, label, group)
    for media, label, group in _items(dataset, "test", modality):
        material.tests[f"test items of {dataset.recipe.name}"].add(media, label, group)


def _add_test(material: Material, dataset: Dataset, modality: Modality) -> None:
    names = [canonical(name) for name in dataset.recipe.task.class_names]
    if unknown := sorted(set(names) - set(material.class_names)):
        raise DatasetError(
            f"the judge does not know {', '.join(unknown)}",
            where=dataset.folder,
            expected=", ".join(material.class_names),
        )
    for media, label, group in _items(dataset, "test", modality):
        place = material.class_names.index(names[label])
        material.tests[f"test items of {dataset.recipe.name}"].add(media, place, group)


def _check_without(material: Material, without: Sequence[str]) -> None:
    left_out = material.tests.get("groups left out", Items())
    if missing := sorted(set(without) - set(left_out.groups)):
        raise UnknownNameError(
            f"no training items of the groups {', '.join(missing)}",
            expected=", ".join(sorted(set(material.training["data"].groups))[:20]),
        )


def _check_classes(material: Material) -> None:
    present = {label for source in ("data", "more") for label in material.training[source].labels}
    missing = [name for label, name in enumerate(material.class_names) if label not in present]
    if missing:
        raise DatasetError("classes without a training item", expected=f"items of {', '.join(missing)}")


def _set_apart(material: Material) -> None:
    """Moves one group in eight of every class that has enough of them to the calibration."""
    for source in ("data", "more"):
        items = material.training.get(source, Items())
        groups: dict[int, list[str]] = defaultdict(list)
        for label, group in sorted(set(zip(items.labels, items.groups, strict=True))):
            groups[label].append(group)
        moved = {
            group
            for known in groups.values()
            for group in _by_digest(known)[: len(known) // CALIBRATED if len(known) >= _FEWEST + CALIBRATED else 0]
        }
        kept = Items()
        for media, label, group in items:
            (material.calibrating if group in moved else kept).add(media, label, group)
        material.training[source] = kept


def _by_digest(groups: Sequence[str]) -> list[str]:
    return sorted(groups, key=lambda group: hashlib.sha256(f"calibration {group}".encode()).digest())


def counted(items: Items, names: Sequence[str]) -> dict[str, int]:
    """Groups of each class."""
    pairs = set(zip(items.labels, items.groups, strict=True))
    several = Counter(label for label, _ in pairs)
    return {name: several[label] for label, name in enumerate(names) if several[label]}
