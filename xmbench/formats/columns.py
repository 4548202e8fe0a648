"""The columns of every data set, as `datasets` reads them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Attribute, AttributeTypes

# Every data set has these; what a source adds are its attributes.
FIXED = ("id", "image", "audio", "label", "take", "group", "duration_s", "source")
_VALUES = {str: "string", int: "int64", float: "float64"}
_TYPES: dict[pa.DataType, type[Attribute]] = {pa.string(): str, pa.int64(): int, pa.float64(): float}


def features(recipe: Recipe, attributes: AttributeTypes) -> Any:
    """Columns of the data set as `datasets.Features`.

    Args:
        recipe: names of the classes, sample rate.
        attributes: name and type (str, int or float) of each column that the sources add.
    """
    from datasets import Audio, ClassLabel, Features, Image, Value

    text = Value("string")
    return Features(
        {
            "id": text,
            "image": Image(),
            "audio": Audio(sampling_rate=recipe.audio.sample_rate_hz),
            "label": ClassLabel(names=list(recipe.classes.names)),
            "take": text,
            "group": text,
            "duration_s": Value("float64"),
            "source": text,
            **{name: Value(_VALUES[kind]) for name, kind in attributes.items()},
        }
    )


def schema(recipe: Recipe, attributes: AttributeTypes) -> pa.Schema:
    """Arrow schema whose metadata tells `datasets` the columns' types."""
    columns = features(recipe, attributes)
    metadata = {b"huggingface": json.dumps({"info": {"features": columns.to_dict()}}).encode()}
    return columns.arrow_schema.with_metadata(metadata)


def attributes_of(columns: pa.Schema) -> AttributeTypes:
    """Name and type of each column beyond those that every data set has, in their order."""
    return {field.name: _TYPES.get(field.type, str) for field in columns if field.name not in FIXED}


def row_bytes(recipe: Recipe) -> int:
    """Bytes of a row's pixels and samples before any compression: shards and row groups are cut by it."""
    image = recipe.task.image
    return image.height_px * image.width_px * image.channels + 2 * recipe.audio.samples
