"""What a result states beside its scores, and what this installation, its table or its board know better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from xmbench.errors import XmbenchError
from xmbench.evaluator.evaluate import PROTOCOL
from xmbench.evaluator.outputs_digest import digest_of
from xmbench.formats import item_scores
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import Recipe
from xmbench.formats.result import JudgeCard, Result
from xmbench.interfaces import Status
from xmbench.judges.records import LoadedJudge, read_record, shipped
from xmbench.leaderboard.board import installed_track
from xmbench.statistics import RESAMPLES, SEED

TOO_LONG: Status = "too-long"
_OF_DATA = ("data_digest", "limit", "regime", "split")


def misstated(result: Result, items: pa.Table, recipe: Recipe | None) -> Iterator[str]:
    """Facts that contradict the evaluator, the per-item table, the installed judges or the installed recipe."""
    if result.protocol != PROTOCOL:
        yield f"scored under {result.protocol}, and this is {PROTOCOL}"
    if result.data_digest is None:
        yield "it does not say which recipe its data set is of (data_digest)"
    ids, outputs = (items.column(name).to_pylist() for name in ("id", "output_sha256"))
    if digest_of(zip(ids, outputs, strict=True)) != result.outputs_digest:
        yield "its per-item table has other outputs than its outputs_digest"
    score = result.scores.get(result.primary)
    if score is not None:
        drawn = {"resamples": RESAMPLES, "seed": SEED, "clusters": len(set(item_scores.clusters(items, score)))}
        if result.bootstrap != drawn:
            yield f"bootstrap {result.bootstrap}, but its per-item table gives {drawn}"
    longer = items.column("status").to_pylist().count(TOO_LONG) if "status" in items.column_names else 0
    if longer:
        yield f"{longer:,} outputs continue after the fixed length, which hides the rest of them from every metric"
    for what, card in (("judge", result.judge), ("second judge", result.second_judge)):
        yield from _card(what, card)
    if recipe is not None and installed_track(result, recipe) is not None and result.regime != recipe.regime:
        yield f"regime {result.regime!r}, but the recipe says {recipe.regime!r}"


def _card(what: str, card: JudgeCard | None) -> Iterator[str]:
    """What a result says of an installed judge, and its record does not."""
    known = _installed(card.sha256) if card is not None else None
    if card is None or known is None:
        return
    for name in JudgeCard.model_fields:
        if name not in ("local", "device") and getattr(card, name) != getattr(known, name):
            yield f"{what}: {name} {getattr(card, name)}, but the record of the judge has {getattr(known, name)}"


def _installed(sha256: str) -> JudgeCard | None:
    for path in shipped():
        try:
            record = read_record(path)
        except XmbenchError:  # of a plug-in
            continue
        if record.sha256 == sha256:
            return LoadedJudge(b"", record).card
    return None


def of_other_data(result: Result, items: pa.Table, dataset: Dataset | None) -> list[str]:
    """Facts and items that are not those of the data set."""
    if dataset is None:
        return []
    if dataset.digest != result.dataset_digest:
        return [f"made for the data set {result.dataset_digest[:12]}, but this one is {dataset.digest[:12]}"]
    manifest = dataset.manifest
    said = (("data_digest", manifest.data_digest), ("limit", manifest.limit), ("regime", manifest.recipe.regime))
    found = [
        f"{name}: {getattr(result, name)!r}, but the data set has {known!r}"
        for name, known in said
        if getattr(result, name) != known
    ]
    shared = ("id", "label", "group", "take")
    table = dataset.table(result.split, [name for name in shared if name != "id"])
    return found + [
        f"the column '{name}' of its per-item table is not that of the data set"
        for name in shared
        if name not in items.column_names or items.column(name).to_pylist() != table.column(name).to_pylist()
    ]


def of_other_rows(result: Result, others: Sequence[Result], recipe: Recipe | None) -> list[str]:
    """Facts of the data set that the other results of the same digest state otherwise.

    If the result is of the installed recipe, results that claim another one do not count: they are wrong, and block
    nobody.
    """
    same = [other for other in others if other.dataset_digest == result.dataset_digest]
    if installed_track(result, recipe) is not None:
        same = [other for other in same if other.data_digest == result.data_digest]
    return [
        f"{name}: {getattr(result, name)!r}, but {other.submission.system!r} of the same data set has "
        f"{getattr(other, name)!r}"
        for name in _OF_DATA
        for other in same[:1]
        if getattr(result, name) != getattr(other, name)
    ]
