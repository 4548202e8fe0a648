"""Planned items -> encoded rows, one at a time: read from their source, converted to the recipe's format, digested."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench.builder.readers import Reader
from xmbench.builder.shards import Item
from xmbench.builder.takes import EncodedClip, Take, conformed, stored_clip
from xmbench.errors import DocumentError, OutputError
from xmbench.formats.columns import attributes_of
from xmbench.formats.dataset import content_digest, row_digest
from xmbench.formats.ledger import LedgerRow
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Attribute, Raw, RawImage, RawPair, Rejected
from xmbench.media import image

_KEPT_BYTES = 96_000_000  # of clips shared by many rows, per worker
_WANTED = {str: "text", int: "integers", float: "numbers"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row, encoded.

    Attributes:
        id, label, take: of the item.
        digest: of its split, id, label, pixels and samples.
        values: of every column, by name; media as (bytes, path).
    """

    id: str
    label: int
    take: str
    digest: str
    values: dict[str, Any]


class Rows:
    """Reads the items of a shard.

    Attributes:
        ledger: items that did not become rows.
    """

    def __init__(
        self, recipe: Recipe, reader: Reader, columns: pa.Schema, clips: Path, takes: Mapping[str, Take]
    ) -> None:
        self.ledger: list[LedgerRow] = []
        self._recipe, self._reader, self._takes = recipe, reader, takes
        self._clips = _Clips(clips)
        self._attributes = attributes_of(columns)

    def read(self, items: Sequence[Item]) -> Iterator[Row]:
        """Rows in the order of the items; unusable items go to the ledger."""
        reader, names = self._reader, self._recipe.classes.names
        entries = [item.entry for item in items]
        raws = reader.source.read(reader.files, reader.options, self._recipe.task, entries)
        for item, raw in zip(items, raws, strict=True):
            made = self._row(item, raw)
            if isinstance(made, Rejected):
                self.ledger.append(LedgerRow.of("item", item.id, item.split, names[item.label], made))
            else:
                yield made

    def _row(self, item: Item, raw: Raw | Rejected) -> Row | Rejected:
        if isinstance(raw, Rejected):
            return raw
        if self._recipe.pairing.joint:
            return self._joint(item, raw)
        if not isinstance(raw, RawImage):
            raise TypeError(f"the source '{self._reader.source.name}' gave no image for '{item.id}'")
        take = self._takes[item.take]
        clip = EncodedClip(self._clips.read(take.file), take.digest, take.duration_s)
        group = item.id if self._recipe.regime == "single-take" else take.group
        return self._made(item, raw, clip, group, {**item.entry.attributes, **raw.attributes, **take.attributes})

    def _joint(self, item: Item, raw: Raw) -> Row | Rejected:
        if not isinstance(raw, RawPair):
            raise TypeError(f"the source '{self._reader.source.name}' gave no image with a clip for '{item.id}'")
        clip = conformed(raw.clip, self._recipe.task.audio)
        if isinstance(clip, Rejected):
            return clip
        attributes = {**item.entry.attributes, **raw.image.attributes, **raw.clip.attributes, **raw.attributes}
        return self._made(item, raw.image, stored_clip(clip, self._recipe.audio), item.entry.group, attributes)

    def _made(
        self, item: Item, raw: RawImage, clip: EncodedClip, group: str, attributes: Mapping[str, Attribute]
    ) -> Row:
        pixels = fitted(raw.pixels, self._recipe)
        values: dict[str, Any] = {
            "id": item.id,
            "image": (image.encode_png(pixels), f"{item.id}.png"),
            "audio": (clip.data, f"{item.take}.{self._recipe.audio.encoding}"),
            "label": item.label,
            "take": item.take,
            "group": group,
            "duration_s": clip.duration_s,
            "source": f"{self._reader.source.name}/{item.id}",
            **self._columns(item, attributes),
        }
        digest = row_digest(item.split, item.id, item.label, content_digest(pixels), clip.digest)
        return Row(item.id, item.label, item.take, digest, values)

    def _columns(self, item: Item, attributes: Mapping[str, Attribute]) -> dict[str, Attribute | None]:
        """A value for every declared column; empty text, or None, where the source has none."""
        if not attributes.keys() <= self._attributes.keys():
            extra = ", ".join(sorted(attributes.keys() - self._attributes.keys()))
            raise _undeclared(self._reader, item, f"the column(s) {extra}, which it does not declare")
        values: dict[str, Attribute | None] = {}
        for name, kind in self._attributes.items():
            value = attributes.get(name, "" if kind is str else None)
            if value is not None and not isinstance(value, (int, float) if kind is float else kind):
                raise _undeclared(self._reader, item, f"{value!r} in the column '{name}' of {_WANTED[kind]}")
            values[name] = value
        return values


class _Clips:
    """Clips of a build, read from their files; the last used ones are cached."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def read(self, name: str) -> bytes:
        known = self._kept.get(name)
        if known is not None:
            self._kept.move_to_end(name)
            return known
        try:
            data = (self._folder / name).read_bytes()
        except OSError as error:
            raise OutputError(
                f"a clip of this build cannot be read ({error.strerror})",
                where=self._folder / name,
                todo="run the same command again",
            ) from error
        self._kept[name] = data
        self._bytes += len(data)
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data


def fitted(pixels: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8]:
    """Pixels (H, W, C) in the recipe's format: grey becomes three equal channels, colour its luminance."""
    wanted = recipe.task.image
    if pixels.shape[2] != wanted.channels:
        if wanted.channels == 3:
            pixels = np.repeat(pixels, 3, axis=2)
        else:
            luminance = pixels @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
            pixels = np.rint(luminance).astype(np.uint8)[:, :, None]
    if pixels.shape[:2] != (wanted.height_px, wanted.width_px):
        pixels = image.resize(pixels, wanted.height_px, wanted.width_px)
    return pixels


def _undeclared(reader: Reader, item: Item, what: str) -> DocumentError:
    return DocumentError(
        f"the reader '{reader.source.name}' gives {what}",
        where=item.id,
        expected="the columns, and their types, that its `attributes(options)` names",
    )
