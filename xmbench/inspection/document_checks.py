"""What `validate` compares with the rows: manifest, ledger, card, and the other files in the directory."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xmbench.errors import DatasetError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, SourceRecord
from xmbench.formats.layout import CARD_FILE, DATA_FOLDER, LEDGER_FILE, SPLITS
from xmbench.formats.limit import limit_of
from xmbench.formats.recipe import SourceSpec
from xmbench.inspection.findings import Findings, brief

_DIGEST = re.compile(r"data set digest[^`\n]*`([0-9a-f]{64})`", re.IGNORECASE)
_SPAN = re.compile(r"[\d.]+ to [\d.]+$")


def features_of(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The column types for `datasets` in the metadata of a parquet file; empty where there are none."""
    try:
        found = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def check_counts(
    dataset: Dataset, classes: Counter[tuple[str, int]], takes: Mapping[str, Counter[int]], found: Findings
) -> None:
    """Compares the manifest's counts with the rows.

    Args:
        dataset: with the manifest.
        classes: rows of each split and label.
        takes: distinct takes of each label, by split.
        found: receives the problems.
    """
    for split, record in dataset.manifest.splits.items():
        rows = sum(number for (name, _), number in classes.items() if name == split)
        if rows != record.counts.written:
            found.add("count", f"{split}: {rows} rows, the manifest says {record.counts.written}")
        for k, name in enumerate(dataset.recipe.classes.names):
            there = record.classes.get(name)
            if there is None or there.written != classes[split, k]:
                said = there.written if there else "nothing"
                found.add("count", f"{split}, class '{name}': {classes[split, k]} rows, the manifest says {said}")
            if record.takes.get(name) != takes[split][k]:
                said = record.takes.get(name, "nothing")
                found.add("count", f"{split}, class '{name}': {takes[split][k]} takes, the manifest says {said}")
            if classes[split, k] == 0 and there is not None and there.planned:
                found.add("count", f"{split}, class '{name}': none of {there.planned} planned rows")


def check_manifest(dataset: Dataset, found: Findings) -> None:
    """Compares the parts of the manifest with each other."""
    manifest, recipe = dataset.manifest, dataset.recipe
    if recipe.digest != manifest.recipe_digest:
        found.add("manifest", f"its recipe has the digest {recipe.digest}, but it says {manifest.recipe_digest}")
    if recipe.data_digest != manifest.data_digest:
        found.add(
            "manifest", f"its recipe has the data digest {recipe.data_digest}, but it says {manifest.data_digest}"
        )
    if set(manifest.splits) != set(SPLITS):
        found.add("manifest", f"its splits are {', '.join(manifest.splits)}, expected {', '.join(SPLITS)}")
    for path, number in Counter(shard.path for shard in manifest.shards).items():
        if number > 1:
            found.add("manifest", f"it lists {path} {number} times")
    for split, record in manifest.splits.items():
        rows = sum(shard.rows for shard in manifest.shards if shard.split == split)
        if rows != record.counts.written:
            found.add("manifest", f"{split}: its shards have {rows} rows, but it says {record.counts.written}")
        limit = limit_of(manifest.limit, split)
        if limit is not None and record.counts.planned > limit:
            found.add("manifest", f"{split}: {record.counts.planned} planned, but the limit is {limit}")
        for name in sorted((record.classes.keys() | record.takes.keys()) - set(recipe.classes.names)):
            found.add("manifest", f"{split}: the recipe has no class '{name}'")
    _check_sources(dataset, found)


def _check_sources(dataset: Dataset, found: Findings) -> None:
    """Licences and checksums are in the recipe and in the list of sources; both must agree."""
    sources, records = dataset.recipe.sources, dataset.manifest.sources
    for role in sorted(sources.keys() ^ records.keys()):
        found.add("manifest", f"the source '{role}' is in only one of the recipe and the list of sources")
    for role in sorted(sources.keys() & records.keys()):
        wanted: dict[str, Any] = {"licence": sources[role].licence, "redistributable": sources[role].redistributable}
        for key, value in wanted.items():
            if getattr(records[role], key) != value:
                found.add("manifest", f"the {key} of the source '{role}' differ(s) from its recipe")
        if not _published(sources[role], records[role]):
            found.add("manifest", f"the files of the source '{role}' differ from its recipe")


def _published(source: SourceSpec, record: SourceRecord) -> bool:
    """Whether a record lists the files of one published form, each with its sha256 or marked as changed."""
    forms = [{file.name: file.sha256 for file in source.files_of(layout)} for layout in source.layouts] or [{}]
    form = next((form for form in forms if form.keys() == record.files.keys()), None)
    return form is not None and set(record.changed) == {name for name in form if form[name] != record.files[name]}


def check_ledger(dataset: Dataset, found: Findings) -> Iterator[str]:
    """Checks that every planned item is accounted for; yields what was left out."""
    manifest = dataset.manifest
    counts = {
        (split, label): part for split, record in manifest.splits.items() for label, part in record.classes.items()
    }
    for line in ledger.imbalances(counts):
        found.add("ledger", line)
    for split, record in manifest.splits.items():
        if ledger.total(record.classes.values()) != record.counts:
            found.add("ledger", f"{split}: the counts of its classes do not add up to its own")
    try:
        rows = ledger.read(dataset.folder / LEDGER_FILE, ledger.rows_allowed(manifest))
    except DatasetError as error:
        found.add("ledger", f"{LEDGER_FILE}: {error.what}")
        return
    written = {place: part.written for place, part in counts.items()}
    counted = ledger.count({place: part.planned for place, part in counts.items()}, written, rows)
    for (split, label), part in counts.items():
        if counted[split, label] != part:
            found.add("ledger", f"{LEDGER_FILE}: {split}, class '{label}' does not agree with the manifest")
    for place in sorted({(row.split, row.label) for row in rows if row.kind == "item"} - counts.keys()):
        found.add("ledger", f"{LEDGER_FILE}: items of {place[0]}, class '{place[1]}', which are not in the manifest")
    left_out = Counter(f"{row.reason} ({row.kind}s)" for row in rows)
    yield from (f"left out: {number:,} x {reason}" for reason, number in sorted(left_out.items()))


def check_card(dataset: Dataset, durations: Mapping[str, Sequence[float]], found: Findings) -> None:
    """Compares the card's header and tables with the manifest and, for durations, with the rows."""
    from huggingface_hub import DatasetCard

    try:
        card = DatasetCard.load(dataset.folder / CARD_FILE, ignore_metadata_errors=False)
        info = card.data.to_dict().get("dataset_info", {})
        said = {part["name"]: part["num_examples"] for part in info.get("splits", [])}
        names = [feature.get("dtype", {}) for feature in info.get("features", []) if feature["name"] == "label"]
    except Exception as error:  # the Hub's reader raises whatever YAML and its own checks raise
        found.add("card", f"{CARD_FILE}: cannot be read ({brief(error)})")
        return
    wanted = {split: record.counts.written for split, record in dataset.manifest.splits.items()}
    if said != wanted:
        found.add("card", f"{CARD_FILE}: it says {said} rows, the manifest says {wanted}")
    for name in names:
        labels = name.get("class_label", {}).get("names", {}) if isinstance(name, dict) else {}
        if list(labels.values()) != list(dataset.recipe.classes.names):
            found.add("card", f"{CARD_FILE}: its class names are not those of the recipe")
    for digest in _DIGEST.findall(card.text):
        if digest != dataset.digest:
            found.add("card", f"{CARD_FILE}: it says the data set digest {digest}, the manifest {dataset.digest}")
    expected, cells = _card_numbers(dataset, durations), list(_tables(card.text))
    for (row, column), cell in cells:
        if (row, column) in expected and cell != expected[row, column]:
            found.add("card", f"{CARD_FILE}: {row}, {column}: it says {cell}, expected {expected[row, column]}")
    bins = [cell.replace(",", "") for (row, column), cell in cells if column == "rows" and _SPAN.match(row)]
    if bins and sum(int(number) for number in bins if number.isdecimal()) != sum(map(len, durations.values())):
        found.add("card", f"{CARD_FILE}: the rows of its table of durations do not add up")


def _card_numbers(dataset: Dataset, durations: Mapping[str, Sequence[float]]) -> dict[tuple[str, str], str]:
    """What the cells of the card's tables must say, by the first cell of the row and the header of the column."""
    cells: dict[tuple[str, str], str] = {}
    for split, record in dataset.manifest.splits.items():
        for name, part in record.classes.items():
            cells[name, f"{split} rows"] = f"{part.written:,}"
            cells[name, f"{split} takes"] = f"{record.takes.get(name, 0):,}"
        cells["all", f"{split} rows"] = f"{record.counts.written:,}"
        cells["all", f"{split} takes"] = f"{sum(record.takes.values()):,}"
        counts = record.counts
        for column, number in (
            ("planned", counts.planned),
            ("written", counts.written),
            ("filtered", sum(counts.filtered.values())),
            ("failed", sum(counts.failed.values())),
        ):
            cells[split, column] = f"{number:,}"
        seconds = durations.get(split)
        if seconds:
            for column, value in (("shortest s", min(seconds)), ("longest s", max(seconds))):
                cells[split, column] = f"{value:.3f}"
    return cells


def _tables(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Every cell of the Markdown tables of a card: (first cell of its row, header of its column), its text."""
    heads: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            heads = []
            continue
        cells = [cell.strip().strip("*") for cell in line.strip().strip("|").split("|")]
        if not heads:
            heads = cells
        elif set(line) - set("|-: "):
            yield from (((cells[0], head), cell) for head, cell in zip(heads[1:], cells[1:], strict=False))


def check_strays(dataset: Dataset, found: Findings) -> None:
    """`load_dataset` would read any file in the directory of the shards."""
    known = {Path(shard.path).name for shard in dataset.manifest.shards}
    folder = dataset.folder / DATA_FOLDER
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for name in sorted(there - known):
        found.add("stray", f"{DATA_FOLDER}/{name}: not part of the data set")
