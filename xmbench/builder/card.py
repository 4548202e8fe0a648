"""The data set card: README.md with a header that `load_dataset` and the Hub read."""

from __future__ import annotations

import re
from typing import Any

import pyarrow.compute as pc

from xmbench.builder.assemble import features
from xmbench.formats.dataset import SPLITS, Dataset, Manifest
from xmbench.formats.recipe import Recipe, SourceSpec

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HUB_LICENCES = re.compile(r"^(cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-\d\.\d|apache-2\.0|mit)$")


def render(dataset: Dataset, attributes: tuple[str, ...]) -> str:
    """The card of a data set whose shards are in place.

    Args:
        dataset: its manifest and shards.
        attributes: names of the columns that the takes bring along.
    """
    manifest, recipe = dataset.manifest, dataset.recipe
    body = [
        f"# {recipe.title}", recipe.description.strip(), *_part_note(manifest),
        "## Contents", _contents(dataset),
        "## Licences", _licences(recipe),
        "## How it was made", _making(manifest),
        "## Known limits", _limits(recipe),
        "## Citation", f"```bibtex\n{_citations(recipe)}\n```",
    ]  # fmt: skip
    text = "\n\n".join(paragraph for paragraph in body if paragraph)
    return f"---\n{_header(manifest, attributes)}\n---\n\n{text}\n"


def _header(manifest: Manifest, attributes: tuple[str, ...]) -> str:
    """YAML: licence, tags, where the splits lie, columns and counts."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    recipe = manifest.recipe
    rows = {name: record.counts.written for name, record in manifest.splits.items()}
    size = {name: sum(s.bytes for s in manifest.shards if s.split == name) for name in rows}
    licence = recipe.licence.lower()
    known = bool(_HUB_LICENCES.match(licence))
    card = DatasetCardData(
        language=list(recipe.languages) or None,
        license=licence if known else "other",
        license_name=None if known else licence,
        pretty_name=recipe.title,
        size_categories=[_size_category(sum(rows.values()))],
        task_categories=["other"],  # the Hub has no task between image and audio
        tags=["image-to-audio", "audio-to-image", "xmbench", recipe.regime],
    )
    splits = SplitDict(dataset_name=recipe.name)
    for name, number in rows.items():
        splits.add(SplitInfo(name=name, num_bytes=size[name], num_examples=number))
    info = DatasetInfo(
        features=features(recipe, attributes), splits=splits,
        download_size=sum(size.values()), dataset_size=sum(size.values()),
    )  # fmt: skip
    DatasetInfosDict({"default": info}).to_dataset_card_data(card)
    files = [{"split": name, "path": f"data/{name}-*"} for name in rows]
    MetadataConfigs({"default": {"data_files": files}}).to_dataset_card_data(card)
    return str(card.to_yaml()).strip()


def _size_category(rows: int) -> str:
    return next((name for bound, name in _SIZES if rows < bound), "n>1M")


def _part_note(manifest: Manifest) -> list[str]:
    if manifest.limit is None:
        return []
    return [f"**A part**: built with `--limit {manifest.limit}` (items per split, stratified by class)."]


def _contents(dataset: Dataset) -> str:
    """Rows per class and split, takes, durations."""
    recipe, splits = dataset.recipe, dataset.manifest.splits
    lines = ["| class | spoken | " + " | ".join(f"{name} rows | {name} takes" for name in splits) + " |"]
    lines.append("|---|---|" + "---:|---:|" * len(splits))
    for i, label in enumerate(recipe.classes.names):
        word = recipe.classes.words[i] if recipe.classes.words else ""
        cells = [f"{s.classes[label].written:,} | {s.takes[label]:,}" for s in splits.values()]
        lines.append(f"| {label} | {word} | " + " | ".join(cells) + " |")
    totals = [f"{s.counts.written:,} | {sum(s.takes.values()):,}" for s in splits.values()]
    lines.append("| **all** | | " + " | ".join(totals) + " |")
    lines += ["", "| split | planned | written | filtered | failed | shortest s | mean s | longest s |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, record in splits.items():
        counts = record.counts
        numbers = [counts.planned, counts.written, sum(counts.filtered.values()), sum(counts.failed.values())]
        lines.append(
            f"| {name} | " + " | ".join(f"{number:,}" for number in numbers) + f" | {_durations(dataset, name)} |"
        )
    spec = recipe.audio
    lines += [
        "",
        f"Images: {recipe.image.height_px} x {recipe.image.width_px} pixels, "
        f"{'grey' if recipe.image.mode == 'L' else 'RGB'}. Clips: mono, 16 bit, {spec.sample_rate_hz:,} Hz, "
        f"{spec.samples:,} samples ({spec.samples / spec.sample_rate_hz:.3f} s), padded with zeros at the end; "
        "`duration_s` is the time before the padding.",
    ]
    return "\n".join(lines)


def _durations(dataset: Dataset, split: str) -> str:
    """Shortest, mean and longest duration of a split's rows, as cells of a table."""
    if dataset.count(split) == 0:
        return "- | - | -"
    column = dataset.table(split, ["duration_s"])["duration_s"]
    values: list[Any] = [pc.min(column), pc.mean(column), pc.max(column)]
    return " | ".join(f"{value.as_py():.3f}" for value in values)


def _licences(recipe: Recipe) -> str:
    lines = ["| part | what | licence | may be passed on |", "|---|---|---|---|"]
    for role, source in recipe.sources.items():
        licence = f"[{source.licence}]({source.licence_url})" if source.licence_url else source.licence
        lines.append(f"| {role} | {_titled(source)} | {licence} | {'yes' if source.redistributable else 'no'} |")
    lines += ["", f"The set as a whole: {recipe.licence}."]
    lines += [f"\n{source.attribution.strip()}" for source in recipe.sources.values() if source.attribution]
    return "\n".join(lines)


def _titled(source: SourceSpec) -> str:
    return f"[{source.title}]({source.homepage})" if source.homepage else source.title


def _making(manifest: Manifest) -> str:
    recipe = manifest.recipe
    limit = "" if manifest.limit is None else f" --limit {manifest.limit}"
    regime = {
        "single-take": "one recorded waveform per class, the same in every split",
        "multi-take": "many takes per class; no speaker of one split is heard in another",
    }[recipe.regime]
    lines = [
        f"    xmbench build {recipe.name}{limit} --seed {manifest.seed}",
        "",
        f"- recipe `{recipe.name}` {recipe.version}, digest `{manifest.recipe_digest}`",
        f"- data set digest `{manifest.dataset_digest}` (ids, labels, decoded pixels and samples)",
        f"- regime: {recipe.regime} ({regime})",
        f"- xmbench {manifest.xmbench_version}; "
        + ", ".join(f"{name} {version}" for name, version in manifest.tools.items()),
    ]
    for role, record in manifest.sources.items():
        lines += [f"- {role}: {name} {version}" for name, version in record.versions.items()]
        lines += [f"- {role}: `{name}`, sha256 `{digest}`" for name, digest in record.files.items()]
    return "\n".join(lines)


def _limits(recipe: Recipe) -> str:
    notes = [
        *recipe.notes,
        "Equal clips are stored once per row group of the parquet files; loading expands them to about "
        f"{2 * recipe.audio.samples / 1000:.0f} kB a row.",
    ]
    return "\n".join(f"- {note}" for note in notes)


def _citations(recipe: Recipe) -> str:
    texts = [recipe.citation, *(source.citation for source in recipe.sources.values())]
    return "\n\n".join(dict.fromkeys(text.strip() for text in texts if text.strip()))


def attributes_of(dataset: Dataset) -> tuple[str, ...]:
    """Names of the columns beyond those that every data set has, in the order of the files."""
    import pyarrow.parquet as pq

    fixed = {"id", "image", "audio", "label", "take", "group", "duration_s", "source"}
    path = next(path for name in SPLITS for path in dataset.shards(name))
    return tuple(name for name in pq.read_schema(path).names if name not in fixed)
