"""The header of a data set card: YAML that the Hub filters by and that `load_dataset` reads."""

from __future__ import annotations

from typing import Any

from xmbench.formats.columns import features
from xmbench.formats.dataset import Manifest
from xmbench.interfaces import AttributeTypes

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
# Of the Hub's list (its documentation, "Licenses"): any other is "other", with its name and address.
_HUB_LICENCES = {
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "cc0-1.0",
    "pddl",
    "odc-by",
    "odbl",
    "gpl-3.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
}


def header(manifest: Manifest, attributes: AttributeTypes, media: bool) -> str:
    """YAML for the Hub: what it filters by, and, with media, the files of the splits, columns and counts.

    Left out of its list: `task_ids`, `train-eval-index` and `paperswithcode_id`, which have no value for this task,
    and the `extra_gated` fields, since nothing here is gated.
    """
    from huggingface_hub import DatasetCardData

    recipe = manifest.recipe
    licence = recipe.licence.lower()
    known = licence in _HUB_LICENCES
    links = [s.licence_url for s in recipe.sources.values() if s.licence == recipe.licence and s.licence_url]
    spoken = recipe.sources[recipe.pairing.clip_source].reader == "speech"
    made = ["original", f"extended|other-{recipe.pairing.item_source}"] if spoken else ["extended|other"]
    card = DatasetCardData(
        language=list(recipe.languages) or None,
        license=licence if known else "other",
        license_name=None if known else licence,
        license_link=None if known or not links else links[0],
        annotations_creators=["found"],  # labels are those of the image source
        language_creators=["machine-generated" if spoken else "found"],
        multilinguality=["monolingual" if len(recipe.languages) == 1 else "multilingual"] if recipe.languages else None,
        pretty_name=recipe.title,
        size_categories=[_size_category(sum(record.counts.written for record in manifest.splits.values()))],
        source_datasets=made,
        task_categories=["other"],  # the Hub has no task between image and audio
        tags=["image-to-audio", "audio-to-image", "cross-modal", "benchmark", "xmbench", recipe.regime],
    )
    if media:
        _add_files(card, manifest, attributes)
    return str(card.to_yaml()).strip()


def _add_files(card: Any, manifest: Manifest, attributes: AttributeTypes) -> None:
    """Adds what `load_dataset` reads: files of the splits, columns, counts."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    recipe = manifest.recipe
    rows = {name: record.counts.written for name, record in manifest.splits.items()}
    size = {name: sum(s.bytes for s in manifest.shards if s.split == name) for name in rows}
    splits = SplitDict(dataset_name=recipe.name)
    for name, number in rows.items():
        splits.add(SplitInfo(name=name, num_bytes=size[name], num_examples=number))
    info = DatasetInfo(
        features=features(recipe, attributes),
        splits=splits,
        download_size=sum(size.values()),
        dataset_size=sum(size.values()),
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(card)
    files = [{"split": name, "path": f"data/{name}-*"} for name in rows]
    MetadataConfigs({"default": {"data_files": files}}).to_dataset_card_data(card)


def _size_category(rows: int) -> str:
    return next((name for bound, name in _SIZES if rows < bound), "n>1M")
