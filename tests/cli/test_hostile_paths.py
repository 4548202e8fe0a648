"""Paths that are not files: pipes, devices, links, names that no disk can hold, a disk that is full."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.test_hostile import refused
from tests.cli.test_scoring import PROGRAM, xmbench
from tests.making import submit
from xmbench.builder import workspace
from xmbench.builder.build import build
from xmbench.cli.running import parse_settings
from xmbench.errors import OutputError
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.storage.files import make_folder, output_file, write_text
from xmbench.training.board import Board


def outputs(folder: Path) -> dict[str, Path]:
    """Places that are not files, by their name in a message."""
    os.mkfifo(folder / "pipe")
    (folder / "to-pipe").symlink_to(folder / "pipe")
    (folder / "to-null").symlink_to("/dev/null")
    (folder / "file").write_text("mine")
    (folder / "loop").symlink_to(folder / "loop")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket"))
    listening.close()
    return {
        "a pipe": folder / "pipe",
        "a pipe, not": folder / "to-pipe",
        "a device": folder / "to-null",
        "a device, not": Path("/dev/full"),
        "a socket": folder / "socket",
        "a directory, not a file": folder,
        "Not a directory": folder / "file" / "out.html",
        "name too long": folder / f"{'n' * 300}.html",
        "symbolic links": folder / "loop",
    }


def test_an_output_that_is_not_a_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    for told, path in outputs(tmp_path).items():
        for write in (output_file, lambda path: write_text(path, "new")):
            with pytest.raises(OutputError, match=f"(?i){told}"):
                write(path)
    assert Path("/dev/full").is_char_device()
    assert (tmp_path / "file").read_text() == "mine"
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_link_to_a_file_is_replaced_and_its_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("link", "dangling"):
        write_text(output_file(tmp_path / name), "new")
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_text() == "new"
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("place", ["pipe", "to-null", "file", "socket"])
def test_a_directory_that_is_not_one_is_refused(tmp_path: Path, place: str) -> None:
    outputs(tmp_path)
    with pytest.raises(OutputError, match="Not a directory"):
        make_folder(tmp_path / place)


def test_commands_refuse_such_outputs_and_inputs_without_waiting(digits: Dataset, tmp_path: Path) -> None:
    places = outputs(tmp_path)
    pipe, run = tmp_path / "pipe", submit(digits, tmp_path / "s")
    refused(xmbench("preview", digits.folder, "--out", pipe), "a pipe, not a file")
    refused(xmbench("score", run, "--data", digits.folder, "--out", tmp_path / "to-null"), "a device, not a file")
    refused(xmbench("build", "digits-ad", "--out", places["a device, not"]), "cannot be written")
    refused(xmbench("report", pipe), "a pipe, not a file")
    refused(xmbench("build", tmp_path), "no such recipe file")
    (run / "submission.json").unlink()
    os.mkfifo(run / "submission.json")
    refused(xmbench("check", run, "--data", digits.folder))
    assert Path("/dev/full").is_char_device()


def test_settings_that_would_break_the_reader_are_taken_as_text() -> None:
    deep, digits, half = "[" * 100_000, "9" * 10_000, "\udcff"
    found = parse_settings([f"a={deep}", f"b={digits}", f"c={half}", "d=[1, 2]"])
    assert found == {"a": deep, "b": digits, "c": "\\udcff", "d": [1, 2]}


# ------------------------------------------------------------------------------------------------ --rebuild
@pytest.fixture
def built(digits: Dataset, tmp_path: Path) -> Path:
    build(digits.recipe, tmp_path / "built", limit=10, workers=1)
    return tmp_path / "built"


@pytest.mark.parametrize("part", ["data", ".build", ".build/data"])
def test_rebuilding_removes_nothing_that_a_link_points_to(
    digits: Dataset, built: Path, tmp_path: Path, part: str
) -> None:
    outside = tmp_path / "outside"
    if part == "data":
        shutil.move(built / "data", outside)
    else:
        outside.mkdir()
        (outside / "train-00000-of-00001.parquet").write_text("mine")
    (built / part).parent.mkdir(exist_ok=True)
    (built / part).symlink_to(outside)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    with pytest.raises(OutputError, match=f"{part} is a link"):
        build(digits.recipe, built, limit=10, workers=1, rebuild=True)
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before


def test_a_data_set_directory_may_be_a_link(digits: Dataset, built: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(built)
    (built / "mine.txt").write_text("mine")
    made = build(digits.recipe, tmp_path / "link", limit=10, workers=1, rebuild=True)
    assert (tmp_path / "link").is_symlink()
    assert open_dataset(built).digest == made.digest
    assert (built / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", "3", '["../../mine"]', '[["train"]]', "[" * 100_000])
def test_a_list_of_replacements_that_was_edited_moves_nothing(digits: Dataset, built: Path, text: str) -> None:
    (built / ".build").mkdir()
    (built / ".build" / "replacing.json").write_text(text)
    with pytest.raises(OutputError, match="not a list of shards"):
        build(digits.recipe, built, limit=10, workers=1)
    (built / ".build" / "replacing.json").unlink()
    assert build(digits.recipe, built, limit=10, workers=1).digest


def test_a_plan_and_a_report_that_were_edited_are_made_again(digits: Dataset, tmp_path: Path) -> None:
    for text in ("", "[" * 100_000, "[]", '{"a": {"b": 1}}'):
        folder = tmp_path / str(len(text))
        (folder / ".build" / "reports").mkdir(parents=True)
        (folder / ".build" / "plan.json").write_text(text)
        (folder / ".build" / "reports" / "train-00000-of-00001.parquet.json").write_text(text)
        made = build(digits.recipe, folder, limit=5, workers=1)
        assert made.count("train") == 5


def test_a_directory_that_is_removed_while_it_is_in_use(tmp_path: Path) -> None:
    def use() -> None:
        with workspace.opened(tmp_path / "d") as space:
            shutil.rmtree(space.folder)
            space.claim({"a": "b"}, [])
            shutil.rmtree(space.folder)
            write_text(space.work / "x", "text")

    with pytest.raises(OutputError, match="was removed while it was in use"):
        use()


# ------------------------------------------------------------------------------------------------ a full disk
def limited(*arguments: object, largest: int) -> subprocess.CompletedProcess[str]:
    """A command that may write no file beyond a size, as on a full disk."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_full_disk_is_one_message_and_the_same_command_resumes(digits: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    refused(
        limited("build", "digits-ad", "--limit", 20, "--workers", 1, "--out", folder, largest=20_000), "no space left"
    )
    assert not (folder / "manifest.json").exists()
    refused(limited("preview", digits.folder, "--out", tmp_path / "p.html", largest=20_000), "no space left")
    assert not list(tmp_path.glob("*p.html*"))
    run = submit(digits, tmp_path / "s")
    refused(
        limited("score", run, "--data", digits.folder, "--metrics", "corr2d", "--workers", 1, largest=500), "no space"
    )
    assert not (tmp_path / "result.json").exists()


def test_curves_on_a_full_disk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before, hook = resource.getrlimit(resource.RLIMIT_FSIZE), threading.excepthook
    board = Board(tmp_path / "curves", purge_step=0)

    def draw() -> None:
        for step in range(2000):
            board.add_scalar("loss", 1.0, step)
            if step % 100 == 99:
                board.flush()

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match="no space left"):
            draw()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        board.close()
    assert threading.excepthook is hook
    assert "Traceback" not in capfd.readouterr().err
