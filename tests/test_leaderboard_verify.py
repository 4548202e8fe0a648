"""`leaderboard verify`: only outputs that are scored again make a row verified."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.admission.edits import contents, edited, named, noisy, ran, scored
from tests.cli.test_scoring import xmbench
from xmbench import leaderboard
from xmbench.errors import DocumentError
from xmbench.evaluator import resume, save
from xmbench.evaluator.save import items_path
from xmbench.formats.dataset import Dataset
from xmbench.leaderboard.admit import admit
from xmbench.leaderboard.places import place
from xmbench.leaderboard.verification import Checked, Options, verify


@pytest.fixture(scope="module")
def made(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the submissions of two rows, and the boards with three: a floor has no submission here."""
    folder = tmp_path_factory.mktemp("verified")
    honest = scored(digits, folder / "submissions" / "honest", noisy(0.05), system="Honest Net")
    clip = ran("random-clip", digits, folder / "submissions" / "random-clip")
    silence = ran("silence", digits, folder / "elsewhere")
    for path in (honest, clip, silence):
        leaderboard.add(folder / "boards", path, dataset=digits)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "boards", tmp_path / "boards"))


def checked(root: Path, made: Path, digits: Dataset, *names: str, **changes: Any) -> dict[str, Checked]:
    options = Options(made / "submissions", digits.folder, command="xmbench leaderboard verify --all", **changes)
    return {found.system: found for found in verify(root, names, options)}


def statuses(root: Path) -> dict[str, str]:
    return {result.submission.system: result.status for result in leaderboard.load(root).results}


def test_what_the_outputs_give_is_marked_with_who_found_it(root: Path, made: Path, digits: Dataset) -> None:
    assert set(statuses(root).values()) == {"self-reported"}
    found = checked(root, made, digits)
    assert {name: one.differences for name, one in found.items()} == dict.fromkeys(found, ())
    assert found["Silence"].source == "made again"
    assert set(statuses(root).values()) == {"verified"}
    for result in leaderboard.load(root).results:
        assert result.verified is not None
        assert result.verified.command == "xmbench leaderboard verify --all"
        assert result.verified.machine


def test_a_submission_that_is_scored_here_is_admitted_as_what_a_verification_would_find(
    made: Path, digits: Dataset, tmp_path: Path
) -> None:
    submission = Path(shutil.copytree(made / "submissions" / "honest" / "submission", tmp_path / "run" / "submission"))
    result = tmp_path / "run" / "result.json"
    shutil.copy(made / "submissions" / "honest" / "result.json", result)
    typed = json.loads(result.read_text())
    typed["scores"]["corr2d"]["value"] = 0.9999  # whatever was claimed is not read
    result.write_text(json.dumps(typed))
    added = admit(tmp_path / "boards", submission, digits, command="xmbench leaderboard admit")
    (row,) = leaderboard.load(tmp_path / "boards").results
    assert row.status == "verified"
    assert row.verified is not None
    assert row.verified.command == "xmbench leaderboard admit"
    assert added.path == place(tmp_path / "boards", row)
    (found,) = checked(tmp_path / "boards", made, digits, write=False).values()
    assert found.differences == ()


def test_measurements_that_were_sent_beside_the_outputs_are_not_used(
    made: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = Path(shutil.copytree(made / "submissions" / "honest" / "submission", tmp_path / "sent" / "submission"))
    result = tmp_path / "sent" / "result.json"
    with monkeypatch.context() as patch:
        patch.setattr(resume, "INTERVAL_S", 0.0)
        patch.setattr(save, "remove", lambda folder: None)
        save.score_and_save(submission, digits, result)
    parts = list(save.partial_path(result).glob("*.arrow"))
    assert parts
    for part in parts:  # as if every item had been measured half as large
        table = pa.ipc.open_file(pa.BufferReader(part.read_bytes())).read_all()
        halves = [None if state is None else [value / 2 for value in state] for state in table["state"].to_pylist()]
        forged = table.set_column(4, table.schema.field("state"), pa.array(halves, table.schema.field("state").type))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(forged)
        data = sink.getvalue().to_pybytes()
        part.rename(part.with_name(f"{hashlib.sha256(data).hexdigest()}.arrow")).write_bytes(data)
    admit(tmp_path / "boards", submission, digits, command="xmbench leaderboard admit")
    (found,) = checked(tmp_path / "boards", made, digits, write=False).values()
    assert found.differences == ()


def test_checking_alone_writes_nothing(root: Path, made: Path, digits: Dataset) -> None:
    before = contents(root)
    assert checked(root, made, digits, "Honest Net", write=False)["Honest Net"].differences == ()
    assert contents(root) == before


def test_outputs_that_nobody_published_verify_nothing(root: Path, made: Path, digits: Dataset, tmp_path: Path) -> None:
    path = edited(made / "submissions" / "honest" / "result.json", tmp_path / "x", named("Invented"))
    leaderboard.add(root, path)
    (found,) = checked(root, made, digits, "Invented").values()
    assert "no submission with its outputs" in found.differences[0]
    assert statuses(root)["Invented"] == "self-reported"


def test_numbers_that_fit_each_other_but_not_the_outputs_are_named(
    root: Path, made: Path, digits: Dataset, tmp_path: Path
) -> None:
    """A table, its scores and its intervals of another system, with the digest of published outputs."""
    better = scored(digits, tmp_path / "better", noisy(0.03), system="Honest Net")
    published = pq.read_table(items_path(made / "submissions" / "honest" / "result.json")).column("output_sha256")

    def claimed(items: pa.Table) -> pa.Table:
        return items.set_column(items.column_names.index("output_sha256"), "output_sha256", published)

    path = edited(better, tmp_path / "x", named("Honest Net"), claimed, outputs="")
    leaderboard.add(root, path, replace=True)
    (found,) = checked(root, made, digits, "Honest Net").values()
    assert any(one.startswith("scores.corr2d.value") for one in found.differences)
    assert any(one.startswith("items_digest") for one in found.differences)
    assert any("the board says" in one for one in found.differences)
    assert statuses(root)["Honest Net"] == "self-reported"


def test_a_typed_status_does_not_load_and_a_typed_record_does_not_verify(
    root: Path, made: Path, digits: Dataset, tmp_path: Path
) -> None:
    result = next(one for one in leaderboard.load(root).results if one.submission.system == "Honest Net")
    path = place(root, result)
    path.write_text(result.model_copy(update={"status": "verified"}).to_json())
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(root)
    assert any("without a record of a verification" in problem for problem in caught.value.problems)
    record = {"xmbench": "1", "commit": "c", "machine": "m", "command": "x", "created": "2026"}
    score = result.scores["pesq"].model_copy(update={"value": (result.scores["pesq"].value or 0.0) + 1e-6})
    typed = {**json.loads(result.model_copy(update={"scores": {**result.scores, "pesq": score}}).to_json())}
    path.write_text(json.dumps({**typed, "status": "verified", "verified": record}))
    leaderboard.load(root)  # the file alone cannot tell
    (found,) = checked(root, made, digits, "Honest Net", write=False).values()
    assert any(one.startswith("scores.pesq.value") for one in found.differences)


def test_the_command_marks_and_names(root: Path, made: Path, digits: Dataset, tmp_path: Path) -> None:
    shutil.copytree(made / "submissions" / "honest", tmp_path / "sent" / "honest")
    words = ["leaderboard", "verify", "--data", digits.folder, "--submissions", tmp_path / "sent", "--dir", root]
    done = xmbench(*words, "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "marked as verified" in done.stdout
    assert (root / "index.html").is_file()
    shutil.rmtree(tmp_path / "sent")
    done = xmbench(*words, "Honest Net", "Silence", "--check")
    assert done.returncode == 1
    assert "no submission with its outputs" in done.stdout
    assert "honest-net--limit-40.json: 1 differences" in done.stderr
    assert xmbench(*words).returncode == 2
    assert "no result is called 'Honest'" in xmbench(*words, "Honest").stderr
