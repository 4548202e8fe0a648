"""The data set card: README.md with a header that `load_dataset` and the Hub read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc

from xmbench.builder.card_header import header
from xmbench.formats import columns
from xmbench.formats.columns import features
from xmbench.formats.dataset import Dataset, Manifest
from xmbench.formats.layout import LEDGER_FILE, MANIFEST_FILE, SPLITS
from xmbench.formats.limit import SplitLimits, limit_argument
from xmbench.formats.recipe import Recipe, SourceSpec
from xmbench.formats.tables import read_schema
from xmbench.interfaces import AttributeTypes

_COLUMNS = {
    "id": "the item; the same on every build",
    "image": "PNG",
    "audio": "the clip, zero-padded at the end",
    "label": "class, in the order of the table above",
    "take": "the distinct clip",
    "group": "what must not cross splits where there are many takes (a speaker, a piece)",
    "duration_s": "seconds of the clip before the padding",
    "source": "where the image comes from",
    "text": "what is spoken",
    "speaker": "who speaks: a voice of the engine, or a person",
    "engine": "what made the clip, and its version",
    "rate_wpm": "requested words per minute",
    "pitch": "requested pitch, on the engine's scale",
}
_SPLITTING = {
    "published": "as the image source publishes them",
    "stratified": "a seeded share of each class is the test split",
}
_NO_MEDIA = (
    "**This repository is without the media**: a source forbids redistribution, or they were left out. It holds what "
    "is needed to build the same data set, row by row, from the sources."
)
_BINS = 12
_BAR = 40
# The paper that introduced the task of describing an image by speech, and its metrics.
_PAPER = """
@article{ning2021audio,
  title   = {Audio description from image by modal translation network},
  author  = {Ning, Hailong and Zheng, Xiangtao and Yuan, Yuan and Lu, Xiaoqiang},
  journal = {Neurocomputing},
  volume  = {423},
  year    = {2021},
}"""


def render(dataset: Dataset, attributes: AttributeTypes, *, media: bool = True) -> str:
    """The card of a data set whose shards are in place.

    Args:
        dataset: its manifest and shards.
        attributes: name and type of the columns that the sources add.
        media: False for the card of a repository without shards: it says so, and lists no files.
    """
    manifest, recipe = dataset.manifest, dataset.recipe
    body = [
        f"# {recipe.title}",
        recipe.description.strip(),
        *_part_note(manifest),
        "" if media else _NO_MEDIA,
        "## How to use it",
        _use(manifest, media),
        "## Contents",
        _contents(dataset),
        "### Columns",
        _columns(dataset, attributes),
        "### Durations",
        _histogram(dataset),
        "## Licences",
        _licences(recipe),
        "## How it was made",
        _making(dataset, attributes),
        "## Known limits",
        _limits(recipe),
        "## Citation",
        f"```bibtex\n{_citations(recipe)}\n```",
    ]
    text = "\n\n".join(paragraph for paragraph in body if paragraph)
    return f"---\n{header(manifest, attributes, media)}\n---\n\n{text}\n"


def _part_note(manifest: Manifest) -> list[str]:
    notes = []
    if manifest.limit is not None:
        notes.append(f"**A part**: built with `--limit {limit_argument(manifest.limit)}` ({_limit_meaning(manifest)}).")
    changed = [name for record in manifest.sources.values() for name in record.changed]
    if changed:
        notes.append(
            f"**Not the published bytes**: {', '.join(f'`{name}`' for name in changed)} came from copies of other "
            "content (re-encoded or re-ordered), taken by `--accept-changed-sources`. Scores on this set do "
            "not compare with those on the published one."
        )
    for record in manifest.sources.values():
        if record.differences:
            notes.append(f"**Not the published items**: {'; '.join(record.differences)}.")
        if not record.repeatable:
            notes.append(
                f"**Not repeatable**: {', '.join(record.versions)} never speaks the same way twice, so another build "
                "has other clips and another digest."
            )
    return notes


def _limit_meaning(manifest: Manifest) -> str:
    if isinstance(manifest.limit, SplitLimits):
        return "items of each named split, stratified by class and speaker; any other split is complete"
    return "items per split, stratified by class"


def _use(manifest: Manifest, media: bool) -> str:
    """How to load it, and how to rebuild it."""
    recipe = manifest.recipe
    limit = "" if manifest.limit is None else f" --limit {limit_argument(manifest.limit)}"
    speech = f" --speech {manifest.speech}" if manifest.speech else ""
    lines = (
        [
            "```python",
            "from datasets import load_dataset",
            "",
            'dataset = load_dataset("PATH")  # the name of this repository, or a directory that xmbench built',
            "```",
            "",
        ]
        if media
        else []
    )
    lines += [
        "The same data set from its sources, with the same digest wherever the versions below are installed:",
        "",
        f"    xmbench build {recipe.name}{limit} --seed {manifest.seed}{speech}",
        "",
        f"Data set digest (ids, labels, decoded pixels and samples): `{manifest.dataset_digest}`. "
        f"Recipe `{recipe.name}` {recipe.version}, digest of what shapes its rows `{manifest.data_digest}`; "
        "`manifest.json` holds all of it.",
    ]
    return "\n".join(lines)


def _columns(dataset: Dataset, attributes: AttributeTypes) -> str:
    lines = ["| column | type | what |", "|---|---|---|"]
    for name, kind in features(dataset.recipe, attributes).items():
        shown = getattr(kind, "dtype", "") if type(kind).__name__ == "Value" else type(kind).__name__
        lines.append(f"| `{name}` | {shown} | {_COLUMNS.get(name, 'of its source')} |")
    return "\n".join(lines)


def _histogram(dataset: Dataset) -> str:
    """Rows per span of durations, all splits together, as a table of text."""
    parts = [dataset.table(split, ["duration_s"])["duration_s"] for split in SPLITS if dataset.count(split)]
    values = np.concatenate([part.to_numpy() for part in parts])
    shortest, longest = values.min(), values.max()
    if shortest == longest:  # numpy would widen the range by half a second to both sides, below zero
        counts, edges = np.array([len(values)]), np.array([shortest, longest])
    else:
        counts, edges = np.histogram(values, bins=_BINS)
    lines = ["| seconds | rows | |", "|---|---:|:---|"]
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        bar = "█" * -(-int(count) * _BAR // int(counts.max()))
        lines.append(f"| {low:.3f} to {high:.3f} | {count:,} | {bar} |")
    return "\n".join(lines)


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
    lines = ["| part | what | licence | redistributable |", "|---|---|---|---|"]
    for role, source in recipe.sources.items():
        licence = f"[{source.licence}]({source.licence_url})" if source.licence_url else source.licence
        lines.append(f"| {role} | {_titled(source)} | {licence} | {'yes' if source.redistributable else 'no'} |")
    lines += ["", f"The complete set: {recipe.licence}."]
    lines += [f"\n{source.attribution.strip()}" for source in recipe.sources.values() if source.attribution]
    return "\n".join(lines)


def _titled(source: SourceSpec) -> str:
    return f"[{source.title}]({source.homepage})" if source.homepage else source.title


def _making(dataset: Dataset, attributes: AttributeTypes) -> str:
    manifest, recipe = dataset.manifest, dataset.recipe
    regime = {
        "single-take": "one waveform per class, the same in every split",
        "multi-take": "many takes per class; no group (a speaker, a piece) of one split is in another",
    }[recipe.regime]
    paired = (
        "Each image has the clip that belongs to it (`joint`)."
        if recipe.pairing.joint
        else "Each image got, by a seeded hash of its id, a clip of its class "
        f"(`{recipe.pairing.method}`, seed {manifest.seed})."
    )
    lines = [
        f"{paired} Splits: {_SPLITTING[recipe.splits.method]}. Clips are within "
        f"{recipe.audio.min_duration_s:.3f} to {recipe.audio.max_duration_s:.3f} s. What was left out, and why, is "
        f"in `{LEDGER_FILE}`.",
        "",
        f"- regime: {recipe.regime} ({regime})",
        f"- xmbench {manifest.xmbench_version}; "
        + ", ".join(f"{name} {version}" for name, version in manifest.tools.items()),
    ]
    if "engine" in attributes:
        engines = {
            str(name) for split in SPLITS if dataset.count(split) for name in _distinct(dataset, split, "engine")
        }
        lines.append(f"- clips made by {', '.join(sorted(engines))}")
    if manifest.mirror:
        lines.append(f"- upstream files from {manifest.mirror}")
    for role, record in manifest.sources.items():
        lines += [f"- {role}: {name} {version}" for name, version in record.versions.items()]
        for name, digest in record.files.items():
            other = ", **not the published bytes**" if name in record.changed else ""
            lines.append(f"- {role}: `{name}`, sha256 `{digest}`{other}")
        if record.fetched:
            tools = ", ".join(sorted({fetched.fetched_by for fetched in record.fetched.values()}))
            lines.append(
                f"- {role}: {len(record.fetched):,} linked recordings, fetched with {tools}; address, licence, format "
                f"and sha256 of each are in `{MANIFEST_FILE}`"
            )
    return "\n".join(lines)


def _distinct(dataset: Dataset, split: str, column: str) -> list[Any]:
    found: list[Any] = pc.unique(dataset.table(split, [column])[column]).to_pylist()
    return found


def _limits(recipe: Recipe) -> str:
    notes = [
        *recipe.notes,
        "Equal clips are stored once per row group of the parquet files; loading expands them to about "
        f"{2 * recipe.audio.samples / 1000:.0f} kB a row.",
    ]
    return "\n".join(f"- {note}" for note in notes)


def _citations(recipe: Recipe) -> str:
    paper = _PAPER if recipe.track("i2a") and recipe.classes.words else ""
    texts = [
        recipe.citation,
        "" if _cited(recipe.citation) else paper,
        *(source.citation for source in recipe.sources.values()),
    ]
    return "\n\n".join(dict.fromkeys(text.strip() for text in texts if text.strip()))


def _cited(text: str) -> bool:
    return "modal translation network" in text.lower()


def attributes_of(dataset: Dataset) -> AttributeTypes:
    """Name and type of the columns beyond those that every data set has, in the order of the files."""
    return columns.attributes_of(read_schema(next(path for name in SPLITS for path in dataset.shards(name))))
