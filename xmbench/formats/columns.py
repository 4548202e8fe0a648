"""The columns of every data set, as `datasets` reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from xmbench.formats.recipe import Recipe


def features(recipe: Recipe, attributes: Sequence[str]) -> Any:
    """Columns of the data set as `datasets.Features`."""
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
            **dict.fromkeys(attributes, text),
        }
    )


def schema(recipe: Recipe, attributes: Sequence[str]) -> pa.Schema:
    """Arrow schema whose metadata tells `datasets` the columns' types."""
    columns = features(recipe, attributes)
    metadata = {b"huggingface": json.dumps({"info": {"features": columns.to_dict()}}).encode()}
    return columns.arrow_schema.with_metadata(metadata)
