"""Images in one directory per class, as ImageNet has them: `<class>/<name>.jpg`, without published splits.

A class may have several directories, and they need not be named after it (`n03249569` holds drums). Images are cut to
the centred square of their shorter side, so that resizing them stretches nothing.

Source of the layout: J. Deng et al., "ImageNet: a large-scale hierarchical image database", CVPR 2009.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import Entry, Modality, Raw, RawImage, Rejected, Task, Upstream
from xmbench.media import image
from xmbench.media.image import centred_square
from xmbench.printable import hyphenated

ENDINGS = (".jpg", ".jpeg", ".png")


class ImageFoldersOptions(BaseModel):
    """Which directories hold which class.

    Attributes:
        directories: of each class, besides the one of its own name.
        crop: "centre" for the square of the shorter side, "none" for the whole image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    directories: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    crop: Literal["centre", "none"] = "centre"


class ImageFolders:
    """One image per file; keys like `n03249569-4502` or `drum-17`, each its own group."""

    name = "image-folders"
    yields: frozenset[Modality] = frozenset({"image"})
    Options = ImageFoldersOptions

    def versions(self, options: ImageFoldersOptions) -> dict[str, str]:
        """The JPEG decoder: others round pixels differently."""
        return {"libjpeg": image.jpeg_decoder()}

    def entries(self, upstream: Upstream, options: ImageFoldersOptions, task: Task) -> list[Entry]:
        """One entry per image, sorted by key; files of other kinds are no items.

        Raises:
            UpstreamError: a directory that is no class, or a class without an image.
        """
        labels = labels_of(options.directories, task)
        found, problems = [], Counter[str]()
        for name in upstream.names():
            if not name.lower().endswith(ENDINGS):
                continue
            directory = name.rpartition("/")[0].rpartition("/")[2]
            if directory.lower() not in labels:
                problems[f"{directory}: not a class of the recipe"] += 1
                continue
            key = _key(directory, name.rpartition("/")[2].rpartition(".")[0])
            found.append(Entry(key, "any", labels[directory.lower()], key, (name,)))
        there = {entry.label for entry in found}
        missing = [f"no image of '{name}'" for k, name in enumerate(task.class_names) if k not in there]
        if problems or missing:
            raise UpstreamError(
                "the directories of images are not those of the recipe",
                expected=", ".join(sorted(labels)),
                problems=[*(f"{what} ({number:,} images)" for what, number in problems.items()), *missing],
                todo="name the directories as the recipe does, or remove them",
            )
        return sorted(found, key=lambda entry: entry.key)

    def read(
        self, upstream: Upstream, options: ImageFoldersOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Pixels uint8 (H, W, C) per entry, cropped as the options say."""
        for entry in entries:
            name = entry.locator[0]
            try:
                pixels = image.decode(upstream.read(name))
            except MediaError as error:
                yield Rejected("read", "corrupt-image", f"{name}: {error.what}")
                continue
            yield RawImage(centred_square(pixels) if options.crop == "centre" else pixels)


def labels_of(directories: Mapping[str, Sequence[str]], task: Task) -> dict[str, int]:
    """Label of each directory, by its name in lower case.

    Raises:
        UpstreamError: directories of a class that the recipe does not have, or one directory of two classes.
    """
    found = {name.lower(): k for k, name in enumerate(task.class_names)}
    problems = [f"'{name}' is not a class" for name in directories if name.lower() not in found]
    for name, others in directories.items():
        for other in others:
            label = found.get(name.lower(), -1)
            if found.setdefault(other.lower(), label) != label:
                problems.append(f"'{other}' is of two classes")
    if problems:
        raise UpstreamError("the recipe's directories contradict its classes", problems=problems)
    return found


def _key(directory: str, stem: str) -> str:
    first, second = hyphenated(directory), hyphenated(stem)
    return second if second.startswith(f"{first}-") else f"{first}-{second}"


SOURCE = ImageFolders()
