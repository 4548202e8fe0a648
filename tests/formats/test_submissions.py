"""Submissions: what the runner says of them in fields, and what older ones say only in their command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xmbench.errors import DocumentError
from xmbench.formats.document import load_json
from xmbench.formats.submission import Submission

COMMAND = "xmbench run-baseline mtnet --data data/mnist-ad --preset lite --seed 3"


def written(folder: Path, *, schema: int = 1, **fields: Any) -> Submission:
    data = {
        "schema": f"xmbench/submission/{schema}",
        "track": "mnist-ad/i2a",
        "recipe_digest" if schema == 1 else "data_digest": "0" * 64,
        "dataset_digest": "0" * 64,
        "system": "MT-Net",
        **fields,
    }
    (folder / "submission.json").write_text(json.dumps(data))
    return load_json(folder / "submission.json", Submission)


def facts(made: Submission) -> tuple[str, str, dict[str, Any], str]:
    return made.baseline, made.preset, made.changed, made.control


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (COMMAND, ("mtnet", "lite", {}, "")),
        (f"{COMMAND} --shuffle-conditions", ("mtnet", "lite", {}, "shuffled-conditions")),
        (
            "xmbench run-baseline mtnet --data data/mnist-ad --seed 0 --set 'joint_lr=0.001' --set 'widths=[4, 6]'",
            ("mtnet", "", {"joint_lr": 0.001, "widths": [4, 6]}, ""),
        ),
        ("python my_model.py --preset lite", ("", "", {}, "")),
        ("xmbench run-baseline 'unbalanced", ("", "", {}, "")),
        ("", ("", "", {}, "")),
    ],
)
def test_a_submission_of_the_first_schema_gets_the_facts_of_its_command(
    tmp_path: Path, command: str, expected: tuple[Any, ...]
) -> None:
    made = written(tmp_path, command=command, authors=["xmbench"])
    assert facts(made) == expected
    assert made.schema_ == "xmbench/submission/3"
    (tmp_path / "submission.json").write_text(made.to_json())
    assert load_json(tmp_path / "submission.json", Submission) == made


def test_a_command_of_another_author_is_not_read(tmp_path: Path) -> None:
    assert facts(written(tmp_path, command=COMMAND, authors=["somebody"])) == ("", "", {}, "")
    assert facts(written(tmp_path, command=COMMAND)) == ("", "", {}, "")


@pytest.mark.parametrize("schema", [2, 3])
def test_a_command_of_a_schema_with_the_facts_is_not_read(tmp_path: Path, schema: int) -> None:
    made = written(tmp_path, schema=schema, command=COMMAND, authors=["xmbench"])
    assert facts(made) == ("", "", {}, "")


@pytest.mark.parametrize("fields", [{"baseline": "../mine.toml"}, {"preset": "Lite!"}, {"control": "none"}])
def test_facts_are_names(tmp_path: Path, fields: dict[str, str]) -> None:
    with pytest.raises(DocumentError, match=next(iter(fields))):
        written(tmp_path, schema=3, **fields)


def test_a_later_schema_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="new enough"):
        written(tmp_path, schema=4)


@pytest.mark.parametrize(
    "stated", [{"parameters": 10**400}, {"threads": 10**400}, {"training_seconds": 1e300}, {"head_accuracy": 1.01}]
)
def test_numbers_that_no_board_could_show_are_refused(tmp_path: Path, stated: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        written(tmp_path, schema=3, **stated)
