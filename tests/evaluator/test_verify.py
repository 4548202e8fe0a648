"""`verify`: a result holds only if the submission gives every digit of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.making import submit
from xmbench.evaluator.evaluate import items_digest
from xmbench.evaluator.save import items_path, score_and_save
from xmbench.evaluator.verify import verify
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import Result

METRICS = ["corr2d", "stoi", "stoi-strict", "word-accuracy"]


def noisy(item_id: str, label: int, reference: np.ndarray) -> np.ndarray | None:
    seed = zlib.crc32(item_id.encode())
    if seed % 9 == 0:
        return None
    return np.asarray(0.5 * reference + np.random.default_rng(seed).normal(0, 0.02, len(reference)))


@pytest.fixture(scope="module")
def made(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A result and its submission."""
    folder = tmp_path_factory.mktemp("verify")
    sent = submit(digits, folder / "s", noisy)
    score_and_save(sent, digits, folder / "result.json", metrics=METRICS, command="some command")
    return folder / "result.json", sent


@pytest.fixture
def result(made: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the result and its table, to be changed."""
    for path in (made[0], items_path(made[0])):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / "result.json"


def fields(result: Path, made: tuple[Path, Path], digits: Dataset, **options: Any) -> list[str]:
    return [difference.field for difference in verify(result, made[1], digits, **options).differences]


def test_an_honest_result_is_verified_with_and_without_its_table(
    result: Path, made: tuple[Path, Path], digits: Dataset
) -> None:
    found = verify(result, made[1], digits)
    assert (found.differences, found.table_checked) == ((), True)
    items_path(result).unlink()
    found = verify(result, made[1], digits)
    assert (found.differences, found.table_checked) == ((), False)


def test_one_changed_digit_in_any_number_is_found(result: Path, made: tuple[Path, Path], digits: Dataset) -> None:
    """The last digit of every number in the scores, the intervals, the coverages and the judge's accuracy."""
    text = result.read_text()
    document = json.loads(text)
    places: list[tuple[str, ...]] = []
    for name in document["scores"]:
        places += [("scores", name, key) for key in ("value", "low", "high", "n", "coverage", "floor")]
    places += [("bootstrap", key) for key in document["bootstrap"]]
    places += [("judge", "accuracy", key) for key in document["judge"]["accuracy"]]
    again = verify(result, made[1], digits).result  # the expensive part is shared: compare documents below
    assert again == load_json(result, Result)
    for place in places:
        changed = json.loads(text)
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = next_digit(inner[place[-1]])
        result.write_text(json.dumps(changed))
        load_json(result, Result)  # still a result by its form
        if place in (places[0], places[7], places[-1]):
            assert fields(result, made, digits) == [".".join(place)]
        else:
            assert differs(document, changed) == [".".join(place)]


def next_digit(value: float | int) -> float | int:
    return value + 1 if isinstance(value, int) else float(np.nextafter(value, np.inf))


def differs(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    from xmbench.evaluator.verify import _flat, _same

    left, right = (_flat(Result.model_validate(d).model_dump(mode="json", by_alias=True)) for d in (a, b))
    return [name for name in left if not _same(left[name], right[name], 0.0)]


def test_every_other_claim_is_compared(result: Path, made: tuple[Path, Path], digits: Dataset) -> None:
    document = json.loads(result.read_text())
    document["outputs_digest"] = "0" * 64
    document["scores"]["corr2d"]["statuses"]["ok"] += 1
    document["submission"]["system"] = "a better one"
    document["regime"] = "multi-take"
    document["judge"]["sha256"] = "1" * 64
    document["scores"]["stoi"]["metric_version"] = "99"
    document["limit"] = 7
    result.write_text(json.dumps(document))
    assert set(fields(result, made, digits)) == {
        "outputs_digest",
        "scores.corr2d.statuses.ok",
        "submission.system",
        "regime",
        "judge.sha256",
        "scores.stoi.metric_version",
        "limit",
    }


def test_where_and_when_and_the_status_may_differ(result: Path, made: tuple[Path, Path], digits: Dataset) -> None:
    document = json.loads(result.read_text())
    document["environment"].update(machine="another machine", command="other words", created="2001-01-01")
    document["environment"]["packages"]["numpy"] = "1.0"
    document["status"] = "verified"
    result.write_text(json.dumps(document))
    found = verify(result, made[1], digits)
    assert found.differences == ()
    assert any(note.startswith("numpy: made with 1.0") for note in found.notes)


def test_a_changed_digit_in_the_table_is_named_even_if_its_digest_was_changed_too(
    result: Path, made: tuple[Path, Path], digits: Dataset
) -> None:
    items = pq.read_table(items_path(result))
    values = items.column("corr2d").to_pylist()
    row = next(i for i, value in enumerate(values) if value is not None)
    values[row] = float(np.nextafter(values[row], 1.0))
    position = items.column_names.index("corr2d")
    forged = items.set_column(position, "corr2d", pa.array(values, pa.float64()))
    pq.write_table(forged, items_path(result))
    cell = f"items.corr2d[{items.column('id')[row].as_py()}]"
    assert fields(result, made, digits) == ["items_table: sha256 of its content", cell]
    document = json.loads(result.read_text())
    document["items_digest"] = items_digest(forged)
    result.write_text(json.dumps(document))
    assert fields(result, made, digits) == ["items_digest", cell]
    items_path(result).unlink()
    assert fields(result, made, digits) == ["items_digest"]


def test_a_damaged_or_shortened_table_is_found(result: Path, made: tuple[Path, Path], digits: Dataset) -> None:
    items = pq.read_table(items_path(result))
    pq.write_table(items.slice(1), items_path(result))
    assert "items.id" in fields(result, made, digits)
    items_path(result).write_bytes(b"PAR1")
    assert "items.id" in fields(result, made, digits)


def test_a_changed_output_is_found(result: Path, made: tuple[Path, Path], digits: Dataset, tmp_path: Path) -> None:
    sent = tmp_path / "s"
    shutil.copytree(made[1], sent)
    first = sorted((sent / "outputs").iterdir())[0]
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    found = [d.field for d in verify(result, sent, digits).differences]
    assert {"outputs_digest", "items_digest", f"items.output_sha256[{first.stem}]"} <= set(found)


def test_a_metric_that_the_track_does_not_have_is_a_difference(
    result: Path, made: tuple[Path, Path], digits: Dataset
) -> None:
    document = json.loads(result.read_text())
    document["scores"]["made-up"] = document["scores"]["stoi"]
    result.write_text(json.dumps(document))
    assert all(field.startswith("scores.made-up.") for field in fields(result, made, digits))


def test_a_tolerance_forgives_rounding_and_nothing_else(result: Path, made: tuple[Path, Path], digits: Dataset) -> None:
    document = json.loads(result.read_text())
    document["scores"]["corr2d"]["value"] += 1e-12
    result.write_text(json.dumps(document))
    assert fields(result, made, digits) == ["scores.corr2d.value"]
    assert fields(result, made, digits, tolerance=1e-9) == []
    document["scores"]["corr2d"]["value"] += 1e-6
    result.write_text(json.dumps(document))
    assert fields(result, made, digits, tolerance=1e-9) == ["scores.corr2d.value"]


def test_the_command_exits_0_or_1_and_writes_the_status_only_when_asked(
    result: Path, made: tuple[Path, Path], digits: Dataset
) -> None:
    command = [
        sys.executable,
        "-m",
        "xmbench",
        "verify",
        str(result),
        str(made[1]),
        "--data",
        str(digits.folder),
        "--workers",
        "1",
    ]
    before = result.read_text()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is what the submission scores" in done.stdout
    assert result.read_text() == before
    changed = re.sub(r'("value": 0\.\d*)(\d)', lambda m: f"{m[1]}{(int(m[2]) + 1) % 10}", before, count=1)
    result.write_text(changed)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is NOT what the submission scores: 1 differences" in done.stdout
    assert result.read_text() == changed
    found = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=False).stdout)
    assert [d["field"] for d in found["differences"]] == ["scores.corr2d.value"]
