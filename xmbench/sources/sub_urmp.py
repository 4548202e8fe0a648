"""Sub-URMP as its authors released it: frames of solo performances, each with the half second of sound that it begins.

`img/<split>/<instrument>/<name>.jpg` and `chunk/<split>/<instrument>/<name>.wav`, where the name is
`<instrument><take>_<start in ms>`, like `violin06_2400`, and the split `train`, and `validation` or `test`: some copies
have the one name, some the other. A frame and a chunk of one split, instrument and name belong together; takes are
numbered through both splits. Of a frame, a square of columns around the player is used; channels are averaged.

Source: L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep Cross-Modal Audio-Visual Generation", 2017, section 4.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import AttributeTypes, Entry, Modality, Raw, RawImage, RawPair, Rejected, Task, Upstream
from xmbench.media import image
from xmbench.printable import hyphenated
from xmbench.sources._mono import read_mono

_SPLITS = {"train": "train", "validation": "test", "test": "test"}  # of the release -> ours
_KINDS = {"img": ".jpg", "chunk": ".wav"}
_STEM = re.compile(r"(?P<instrument>[A-Za-z_-]+?)_?(?P<take>[0-9]{1,4})_(?P<ms>[0-9]{1,8})")
_LAYOUT = "img|chunk / train|validation|test / <instrument> / <instrument><take>_<ms>.jpg|wav"


class SubUrmpOptions(BaseModel):
    """Which part of a frame is used, and how many pairs were released.

    Attributes:
        crop_columns: first column of a frame that is used, and the first one after it.
        published: pairs of each split and instrument in the release. Files that differ from it are used, and the
            differences are reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop_columns: tuple[int, int] = (100, 1180)
    published: Mapping[Literal["train", "test"], Mapping[str, int]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _columns(self) -> SubUrmpOptions:
        if not 0 <= self.crop_columns[0] < self.crop_columns[1]:
            raise ValueError(f"crop_columns are {list(self.crop_columns)}, expected [first, first after]")
        return self


class SubUrmp:
    """Frames with their sounds; keys like `violin06-2400`, grouped by take, splits as released."""

    name = "sub-urmp"
    yields: frozenset[Modality] = frozenset({"image", "audio"})
    Options = SubUrmpOptions

    def versions(self, options: SubUrmpOptions) -> dict[str, str]:
        """The JPEG decoder: others round pixels differently."""
        return {"libjpeg": image.jpeg_decoder()}

    def attributes(self, options: SubUrmpOptions) -> AttributeTypes:
        """Columns of every row: the take, and where in it the window starts."""
        return {"piece": str, "start_s": float}

    def counts(self, sizes: Mapping[str, int], options: SubUrmpOptions) -> dict[str, int]:
        """Items of each split, as released."""
        return {split: sum(found.values()) for split, found in options.published.items()}

    def entries(self, upstream: Upstream, options: SubUrmpOptions, task: Task) -> list[Entry]:
        """One entry per name, also where the frame or the chunk is missing; sorted by key.

        Raises:
            UpstreamError: files in other places, of other names or instruments, or one item in two places.
        """
        labels = {hyphenated(name): k for k, name in enumerate(task.class_names)}
        found: dict[tuple[str, str], dict[str, str]] = {}
        problems: Counter[str] = Counter()
        for name in upstream.names():
            place = _place(name, labels)
            if isinstance(place, str):
                problems[place] += 1
                continue
            split, instrument, stem = place
            kind = name.split("/")[0]
            parts = found.setdefault((f"{instrument}/{stem}", split), {})
            if kind in parts:
                problems[f"{parts[kind]} and {name} are one item"] += 1
            parts[kind] = name
        items = [item for item, _ in found]
        problems += Counter(f"{item} is in both splits" for item, number in Counter(items).items() if number > 1)
        if problems:
            raise UpstreamError(
                "the files are not those of Sub-URMP",
                expected=_LAYOUT,
                problems=[f"{what} ({number:,} files)" if number > 1 else what for what, number in problems.items()],
                todo="remove or rename them",
            )
        made = [_entry(item, split, parts, labels) for (item, split), parts in found.items()]
        return sorted(made, key=lambda entry: entry.key)

    def differences(self, entries: Sequence[Entry], options: SubUrmpOptions, task: Task) -> list[str]:
        """How the pairs of each split and instrument differ from the release, one line each."""
        pairs = Counter((entry.split, task.class_names[entry.label]) for entry in entries if all(entry.locator))
        return [
            f"{split}, {name}: {pairs[split, name]:,} pairs, {number:,} were released"
            for split, published in options.published.items()
            for name, number in published.items()
            if pairs[split, name] != number
        ]

    def read(
        self, upstream: Upstream, options: SubUrmpOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """A frame uint8 (1080, 1080, 3), cropped, with its clip int16 (22050,) at 44,100 Hz, per entry."""
        for entry in entries:
            yield _pair(upstream, options, *entry.locator)


def _place(name: str, labels: Mapping[str, int]) -> tuple[str, str, str] | str:
    """Split, instrument and stem of a file; or what is wrong with its name, the same text for a whole directory."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] not in _KINDS or not parts[3].endswith(_KINDS[parts[0]]):
        return f"{name}: not in the layout"
    if parts[1] not in _SPLITS:
        return f"{parts[0]}/{parts[1]}: not a split of the release"
    if hyphenated(parts[2]) not in labels:
        return f"{'/'.join(parts[:3])}: not an instrument of the recipe"
    stem = parts[3].removesuffix(_KINDS[parts[0]])
    named = _STEM.fullmatch(stem)
    if named is None:
        return f"{name}: not <instrument><take>_<ms>"
    if hyphenated(named["instrument"]) in labels.keys() - {hyphenated(parts[2])}:
        return f"{name}: named after another instrument than its directory"
    return _SPLITS[parts[1]], hyphenated(parts[2]), stem


def _entry(item: str, split: str, parts: Mapping[str, str], labels: Mapping[str, int]) -> Entry:
    instrument, stem = item.split("/")
    # `double_bass01_100` and `bass01_100` are both names of a window of the double bass.
    take = f"{instrument}{int(_STEM.fullmatch(stem)['take']):02d}"  # type: ignore[index]
    start_ms = int(stem.rpartition("_")[2])
    return Entry(
        key=f"{take}-{start_ms}",
        split=split,
        label=labels[instrument],
        group=take,
        locator=(parts.get("img", ""), parts.get("chunk", "")),
        attributes={"piece": take, "start_s": start_ms / 1000},
    )


def _pair(upstream: Upstream, options: SubUrmpOptions, frame: str, chunk: str) -> RawPair | Rejected:
    if not frame:
        return Rejected("read", "no-image", f"{chunk} has no frame of its name")
    if not chunk:
        return Rejected("read", "no-sound", f"{frame} has no chunk of its name")
    picture = _cropped(upstream.read(frame), frame, options.crop_columns)
    if isinstance(picture, Rejected):
        return picture
    clip = read_mono(upstream.read(chunk), chunk)
    return clip if isinstance(clip, Rejected) else RawPair(picture, clip)


def _cropped(data: bytes, name: str, columns: tuple[int, int]) -> RawImage | Rejected:
    try:
        pixels = image.decode(data)
    except MediaError as error:
        return Rejected("read", "corrupt-image", f"{name}: {error.what}")
    height, width = pixels.shape[:2]
    if width < columns[1]:
        detail = f"{name}: {height} x {width} pixels (height x width), the crop ends at column {columns[1]}"
        return Rejected("crop", "outside-frame", detail)
    return RawImage(pixels[:, columns[0] : columns[1]])


SOURCE = SubUrmp()
