"""The books balance, or say where not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmbench.errors import DatasetError
from xmbench.formats import ledger
from xmbench.formats.dataset import Counts
from xmbench.formats.ledger import LedgerRow

rows = st.builds(
    LedgerRow,
    kind=st.sampled_from(["item", "take"]),
    id=st.text("ab-0", min_size=1, max_size=4),
    split=st.sampled_from(["train", "test"]),
    label=st.sampled_from(["0", "1"]),
    stage=st.just("read"),
    reason=st.sampled_from(["silent", "too-long"]),
    filtered=st.booleans(),
    temporary=st.booleans(),
    detail=st.text(max_size=5),
    attempts=st.integers(1, 3),
)
PLACES = [(split, label) for split in ("train", "test") for label in ("0", "1")]


@given(st.lists(rows, max_size=30), st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_counts_balance_exactly_when_every_item_is_accounted_for(lost: list[LedgerRow], numbers: list[int]) -> None:
    written = dict(zip(PLACES, numbers, strict=True))
    items = [row for row in lost if row.kind == "item"]
    planned = {place: written[place] + sum((row.split, row.label) == place for row in items) for place in PLACES}
    counts = ledger.count(planned, written, lost)
    assert ledger.imbalances(counts) == []
    whole = ledger.total(counts.values())
    assert whole.balanced
    assert whole.planned == sum(planned.values())
    one_more = {**planned, PLACES[0]: planned[PLACES[0]] + 1}
    problems = ledger.imbalances(ledger.count(one_more, written, lost))
    assert len(problems) == 1
    assert "train, class '0'" in problems[0]


@given(lost=st.lists(rows, max_size=10))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, lost: list[LedgerRow]) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.parquet"
    ledger.write(path, lost)
    assert sorted(ledger.read(path), key=repr) == sorted(lost, key=repr)


def test_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        ledger.read(tmp_path / "ledger.parquet")


def test_total_of_nothing() -> None:
    assert ledger.total([]) == Counts(planned=0, written=0)
