"""Outputs as flac, and divided among several tables: smaller files, the same scores."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from xmbench import content, runner
from xmbench.errors import DocumentError, SubmissionError
from xmbench.evaluator.check import check, open_checked
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.outputs_digest import as_flac, outputs_digest
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.leaderboard.remake import not_remade
from xmbench.runner.output_tables import OutputForm, output_table
from xmbench.storage.sizes import parse_size, size_text

LIMIT = 120_000


def run(name: str, dataset: Dataset, out: Path, form: OutputForm | None = None, **options: Any) -> Path:
    baseline = load_toml(content.find("baselines", name), Baseline)
    return runner.run(baseline, dataset, out, form=form, progress=lambda _line: None, **options).submission


def tables(folder: Path) -> list[Path]:
    return sorted(folder.glob("outputs*.parquet"))


def test_the_same_samples_in_every_form_have_the_same_scores(digits: Dataset, tmp_path: Path) -> None:
    plain = run("random-clip", digits, tmp_path / "plain")
    parts = run("random-clip", digits, tmp_path / "parts", OutputForm("flac", LIMIT))
    names = [path.name for path in tables(parts)]
    count = len(names)
    assert count > 2
    assert names == [f"outputs-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    assert all(path.stat().st_size <= LIMIT for path in tables(parts))
    first = pq.read_table(tables(parts)[0])["bytes"][0].as_py()
    assert soundfile.info(io.BytesIO(first)).format == "FLAC"
    assert check(parts, digits).problems == check(plain, digits).problems
    scored = [score(folder, digits, metrics=["corr2d", "stoi"], workers=1) for folder in (plain, parts)]
    assert scored[0].result.scores == scored[1].result.scores
    opened = [open_checked(folder, digits) for folder in (plain, parts)]
    assert outputs_digest(opened[0]) != outputs_digest(opened[1])
    assert outputs_digest(opened[0], as_flac) == outputs_digest(opened[1])


def test_a_row_of_the_tool_is_known_again_in_either_form(digits: Dataset, tmp_path: Path) -> None:
    parts = run("white-noise", digits, tmp_path / "parts", OutputForm("flac", LIMIT))
    result = score(parts, digits, metrics=["corr2d"], workers=1).result
    assert not_remade(result, digits, lambda _line: None) == []
    other = result.model_copy(update={"outputs_digest": "0" * 64})
    assert len(not_remade(other, digits, lambda _line: None)) == 1


def test_a_finished_run_is_written_again_in_another_form(digits: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "run"
    plain = run("random-clip", digits, out)
    before = (plain / "outputs.parquet").read_bytes()
    run("random-clip", digits, out, OutputForm("flac", LIMIT), resume=True)
    assert "outputs.parquet" not in [path.name for path in tables(plain)]
    run("random-clip", digits, out, OutputForm("wav", 10**9), resume=True)
    assert [path.name for path in tables(plain)] == ["outputs.parquet"]
    run("random-clip", digits, out, OutputForm("flac", LIMIT), resume=True)
    run("random-clip", digits, out, resume=True)
    assert [path.name for path in tables(plain)] == ["outputs.parquet"]
    assert (plain / "outputs.parquet").read_bytes() == before
    assert sorted(path.name for path in plain.iterdir()) == ["outputs.parquet", "submission.json"]


def test_a_missing_or_foreign_table_is_named(digits: Dataset, tmp_path: Path) -> None:
    whole = run("random-clip", digits, tmp_path / "run", OutputForm("flac", LIMIT))
    count = len(tables(whole))
    lacking, mixed, twice = (Path(shutil.copytree(whole, tmp_path / name)) for name in ("lacking", "mixed", "twice"))
    gone = lacking / f"outputs-00001-of-{count:05d}.parquet"
    gone.unlink()
    with pytest.raises(SubmissionError, match=f"1 of {count} tables of outputs are missing") as caught:
        check(lacking, digits)
    assert gone.name in str(caught.value)
    shutil.copy(tables(whole)[0], mixed / "outputs-00000-of-00002.parquet")
    with pytest.raises(SubmissionError, match="2 divisions"):
        check(mixed, digits)
    shutil.copy(tables(whole)[0], twice / "outputs.parquet")
    with pytest.raises(SubmissionError, match="two places"):
        check(twice, digits)
    (whole / f"outputs-00001-of-{count:05d}.parquet").write_bytes(tables(whole)[0].read_bytes())
    assert {problem.kind for problem in check(whole, digits).problems} >= {"duplicate", "missing"}


def test_a_link_out_of_the_submission_is_refused_among_several_tables(digits: Dataset, tmp_path: Path) -> None:
    whole = run("random-clip", digits, tmp_path / "run", OutputForm("flac", LIMIT))
    secret = tmp_path / "secret.parquet"
    tables(whole)[1].rename(secret)
    (whole / f"outputs-00001-of-{len(tables(whole)) + 1:05d}.parquet").symlink_to(secret)
    with pytest.raises(SubmissionError, match="link out of the submission"):
        check(whole, digits)


def test_many_tables_hold_no_more_rows_than_one(digits: Dataset, tmp_path: Path) -> None:
    folder = run("silence", digits, tmp_path / "run")
    (folder / "outputs.parquet").unlink()
    rows = [(f"x-{i}", b"") for i in range(900)]
    for part in range(3):
        (tmp_path / f"t{part}").mkdir()
        with output_table(tmp_path / f"t{part}", OutputForm()) as made:
            made.add(rows)
        (tmp_path / f"t{part}" / "outputs.parquet").rename(folder / f"outputs-{part:05d}-of-00003.parquet")
    with pytest.raises(SubmissionError, match="rows"):
        check(folder, digits)


def test_no_table_is_larger_than_the_limit_whatever_the_outputs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    distinct = [rng.bytes(int(size)) for size in rng.integers(10, 9_000, 40)]
    rows = [(f"i-{i:05d}", distinct[int(rng.integers(40))] if i % 2 else rng.bytes(500)) for i in range(3_000)]
    with output_table(tmp_path, OutputForm(max_file_bytes=150_000)) as table:
        for start in range(0, len(rows), 64):
            table.add(rows[start : start + 64])
    found = [row for path in tables(tmp_path) for row in pq.read_table(path).to_pylist()]
    assert [(row["id"], row["bytes"]) for row in found] == rows
    assert 5 < len(tables(tmp_path)) < 40
    assert all(path.stat().st_size <= 150_000 for path in tables(tmp_path))


def test_an_output_beyond_the_limit_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(DocumentError, match="one output takes"),
        output_table(tmp_path, OutputForm(max_file_bytes=6_000)) as table,
    ):
        table.add([("a", np.random.default_rng(0).bytes(20_000))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "size"), [("15MiB", 15 * 2**20), ("60 MB", 60 * 10**6), ("1.5kB", 1500), ("700", 700), ("2gib", 2**31)]
)
def test_sizes_as_people_type_them(text: str, size: int) -> None:
    assert parse_size(text, "--max-file") == size


@pytest.mark.parametrize("text", ["", "15Mi", "MiB", "-3MB", "0", "1e6", "٣MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="--max-file"):
        parse_size(text, "--max-file")
    assert size_text(15 * 2**20) == "15.0 MiB"


def test_the_options_of_the_command(digits: Dataset, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from xmbench.cli.program import app

    options = ["--data", str(digits.folder), "--out", str(tmp_path / "run"), "--outputs", "flac", "--max-file"]
    refused = CliRunner().invoke(app, ["run-baseline", "random-clip", *options, "15 potatoes"])
    assert refused.exit_code == 2
    assert "'15 potatoes' is not a size" in refused.stderr
    done = CliRunner().invoke(app, ["run-baseline", "random-clip", *options, "100kB"])
    assert done.exit_code == 0, done.output
    assert len(tables(tmp_path / "run" / "submission")) > 1
    shown = CliRunner().invoke(app, ["check", str(tmp_path / "run" / "submission"), "--data", str(digits.folder)])
    assert shown.exit_code == 0, shown.output
    assert json.loads((tmp_path / "run" / "submission" / "submission.json").read_text())["baseline"] == "random-clip"
