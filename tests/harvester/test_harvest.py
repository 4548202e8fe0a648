"""Harvests: every candidate has a row, whatever is wrong with it; the same command finishes an interrupted one."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.harvester import corpus
from tests.harvester.conftest import Run
from xmbench.errors import DatasetError, PrerequisiteError, UpstreamError
from xmbench.execution.engine import Workers
from xmbench.formats.harvest import CandidateSpec, HarvestSpec
from xmbench.harvester import read
from xmbench.harvester.candidates import Candidate, Place, collected
from xmbench.harvester.harvest import Request, harvest, open_harvest
from xmbench.media import audio, image


def _rows(out: Path) -> dict[str, dict[str, Any]]:
    files = sorted((out / "candidates").glob("*.parquet"))
    return {row["id"]: row for file in files for row in pq.read_table(file).to_pylist()}


def _bytes(out: Path) -> dict[str, str]:
    files = sorted((out / "candidates").iterdir())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos of three frames, in SoundNet's layout."""
    root = tmp_path_factory.mktemp("soundnet")
    corpus.soundnet(root, range(6))
    return root


@pytest.fixture(scope="module")
def harvested(released: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harvest of them."""
    out = tmp_path_factory.mktemp("harvests") / "one"
    run(released, out)
    return out


def test_a_row_has_the_middle_frame_and_the_five_seconds_that_it_stands_for(released: Path, harvested: Path) -> None:
    rows = _rows(harvested)
    assert len(rows) == 6
    row = rows["videos-0-1000-mp4-00000002"]
    assert (row["status"], row["group"], row["start_s"]) == ("ok", "videos/0/1000.mp4", 5.0)
    assert row["image"]["bytes"] == (released / "frames/videos/0/1000.mp4/00000002.jpg").read_bytes()
    samples, rate = audio.decode_mono_int16(row["audio"]["bytes"])
    assert (len(samples), rate) == (5 * 22_050, 22_050)
    whole, _ = audio.decode((released / "mp3/videos/0/1000.mp4.mp3").read_bytes())
    part = whole[5 * 22_050 : 10 * 22_050, 0]
    assert np.corrcoef(part, samples.astype(float))[0, 1] > 0.99
    assert -40 < row["level_db"] < 0
    assert row["contrast"] > 20
    assert row["motion"] is None


def test_a_row_has_the_most_probable_labels_of_every_annotator(harvested: Path) -> None:
    for row in _rows(harvested).values():
        for name in ("squeezenet:objects", "esc10-sounds:objects"):
            probabilities = [label["probability"] for label in row[name]]
            assert len(probabilities) == 5
            assert probabilities == sorted(probabilities, reverse=True)


def test_the_document_balances_and_the_list_is_without_media(harvested: Path) -> None:
    done = open_harvest(harvested)
    assert done.tally.balanced
    assert (done.tally.candidates, done.tally.ok) == (6, 6)
    assert [record.name for record in done.annotators] == ["squeezenet", "esc10-sounds"]
    listed = pq.read_table(harvested / "list.parquet")
    assert listed.num_rows == 6
    assert not {"image", "audio"} & set(listed.column_names)


def test_archives_give_the_same_rows_as_directories(harvested: Path, released: Path, run: Run, tmp_path: Path) -> None:
    files = {path.relative_to(released).as_posix(): path.read_bytes() for path in released.rglob("*") if path.is_file()}
    corpus.archived(tmp_path, {name: data for name, data in files.items() if not name.startswith("lists")})
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train_frames4_0001.txt").write_bytes(files["lists/train_frames4_0001.txt"])
    run(tmp_path, tmp_path / "out")
    assert _rows(tmp_path / "out") == _rows(harvested)
    assert not (tmp_path / "out/.harvest/unpacked").exists()


def test_an_archive_that_was_cut_off_loses_only_what_is_missing(run: Run, tmp_path: Path) -> None:
    files = corpus.soundnet(tmp_path / "there", range(3), frames=1)
    corpus.archived(tmp_path, files, packed=False)
    (tmp_path / "lists").mkdir()
    text = (tmp_path / "there/lists/train_frames4_0001.txt").read_text()
    (tmp_path / "lists/train_frames4_0001.txt").write_text(text)
    whole = (tmp_path / "frames_public.tar").read_bytes()
    (tmp_path / "frames_public.tar").write_bytes(whole[: len(whole) // 3])
    done = run(tmp_path, tmp_path / "out")
    assert done.tally.failed["missing-frame"] in (1, 2)
    assert done.tally.ok == 3 - done.tally.failed["missing-frame"]
    assert any("cut off" in note for note in done.notes)


def test_whatever_is_wrong_with_a_candidate_is_its_status(run: Run, tmp_path: Path) -> None:
    extra = ["", "no such thing", "frames/../../etc/passwd 1", "x/frames/videos/9/absent.mp4/00000001.jpg"]
    corpus.soundnet(tmp_path, range(9), frames=1, extra=extra)
    spoilt = {
        0: ("frames", b"<!DOCTYPE html><html>quota</html>", "web-page"),
        1: ("frames", b"\xff\xd8\xff\xe0 no picture", "corrupt-image"),
        2: ("frames", corpus.frame(1, side=16), "too-small"),
        3: ("frames", None, "missing-frame"),
        4: ("mp3", None, "missing-sound"),
        5: ("mp3", b"ID3\x03\x00\x00\x00\x00\x00\x0f" + b"\x00" * 400, None),  # an mp3 file without frames
        6: ("mp3", b"<html>private video</html>", "web-page"),
        7: ("mp3", b"", "empty-file"),
    }
    for number, (tree, data, _) in spoilt.items():
        name = corpus.video_name(number) + ("/00000001.jpg" if tree == "frames" else ".mp3")
        path = tmp_path / tree / name
        path.unlink()
        if data is not None:
            path.write_bytes(data)
    done = run(tmp_path, tmp_path / "out")
    rows = _rows(tmp_path / "out")
    for number, (_, _, status) in spoilt.items():
        row = rows[f"videos-{number % 3}-{1000 + number}-mp4-00000001"]
        assert row["status"] == status or (status is None and row["status"] != "ok"), row
        assert row["detail"]
        assert row["image"] is None
    assert rows["videos-2-1008-mp4-00000001"]["status"] == "ok"
    assert rows["videos-9-absent-mp4-00000001"]["status"] == "missing-frame"
    assert done.tally.balanced
    assert (done.tally.candidates, done.tally.ok) == (10, 1)
    assert any("2 of" in note for note in done.notes)


def test_a_list_that_names_frames_twice_counts_them_once(run: Run, tmp_path: Path) -> None:
    corpus.soundnet(tmp_path, range(2), frames=1)
    text = (tmp_path / "lists/train_frames4_0001.txt").read_text()
    (tmp_path / "lists/val_frames4_0001.txt").write_text(text)
    done = run(tmp_path, tmp_path / "out")
    assert (done.tally.candidates, done.duplicates) == (2, 2)


def test_sources_whose_names_become_one_id_stay_apart() -> None:
    places = [Candidate("a-b", "g", source, Place(source), Place("s")) for source in ("a_b", "a-b", "a_b")]
    found = collected([*places, Candidate("z", "g", "z", Place("z"), Place("s"))])
    ids = [candidate.id for candidate in found.part(0, 9)]
    assert found.duplicates == 1
    assert len(set(ids)) == 3
    assert "z" in ids
    assert all(name == "z" or name.startswith("a-b-") for name in ids)


def test_an_interrupted_harvest_is_finished_by_the_same_command(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmbench.harvester.harvest.shard_rows", lambda candidates: 4)
    corpus.soundnet(tmp_path, range(30), frames=1)
    reference = tmp_path / "whole"
    run(tmp_path, reference, quick=True)
    assert len(list((reference / "candidates").glob("*.parquet"))) == 8
    out, seed = tmp_path / "resumed", random.Random(4)
    written: list[str] = []

    def stop_sometimes(line: str) -> None:
        if "left" in line:
            written.append(line)
            if seed.random() < 0.7:
                raise KeyboardInterrupt

    for _ in range(10):
        try:
            run(tmp_path, out, progress=stop_sometimes, quick=True)
            break
        except KeyboardInterrupt:
            assert not list((out / "candidates").glob(".*"))
    run(tmp_path, out, quick=True)
    assert _bytes(out) == _bytes(reference)
    assert len(written) == 8  # what is finished is not written again
    assert "0 s left" in written[-1]


def test_a_damaged_or_missing_shard_is_written_again(released: Path, harvested: Path, run: Run) -> None:
    before = _bytes(harvested)
    shard = next((harvested / "candidates").glob("*.parquet"))
    shard.unlink()
    run(released, harvested)
    assert _bytes(harvested) == before
    os.truncate(shard, 100)
    run(released, harvested)
    assert _bytes(harvested) == before


def test_a_directory_of_another_harvest_or_of_other_files_is_refused(
    released: Path, harvested: Path, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="another harvest"):
        run(released, harvested, frames_per_video=2)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="other files"):
        run(released, tmp_path)


def test_retrying_reads_only_what_failed_for_a_temporary_reason(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.soundnet(tmp_path, range(4), frames=1)
    seen: list[str] = []
    real = read.Reader._picture

    def flaky(self: read.Reader, path: Path) -> Any:
        seen.append(path.as_posix())
        if "1002.mp4" in path.as_posix() and len(seen) <= 4:
            raise OSError(5, "Input/output error")
        return real(self, path)

    monkeypatch.setattr(read.Reader, "_picture", flaky)
    done = run(tmp_path, tmp_path / "out")
    assert (done.tally.failed, done.tally.temporary) == ({"io-error": 1}, 1)
    assert run(tmp_path, tmp_path / "out").tally.temporary == 1  # not without --retry
    before = {key: row for key, row in _rows(tmp_path / "out").items() if row["status"] == "ok"}
    done = run(tmp_path, tmp_path / "out", again=True)
    assert (done.tally.ok, done.tally.temporary, len(seen)) == (4, 0, 5)
    after = _rows(tmp_path / "out")
    assert {key: after[key] for key in before} == before


def test_a_picture_that_breaks_an_annotator_costs_only_its_own_row(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xmbench.annotators import esc10_sounds

    corpus.soundnet(tmp_path, range(3), frames=1)
    real = esc10_sounds._Loaded.probabilities
    calls: list[int] = []

    def broken(self: Any, items: Any) -> Any:
        calls.append(len(items))
        if len(items) > 1 or len(calls) == 3:
            raise ValueError("no")
        return real(self, items)

    monkeypatch.setattr(esc10_sounds._Loaded, "probabilities", broken)
    done = run(tmp_path, tmp_path / "out")
    assert (done.tally.ok, done.tally.failed) == (2, {"not-labelled": 1})


def test_folders_pair_each_photograph_with_one_sound_of_the_linked_class(run: Run, tmp_path: Path) -> None:
    for kind in ("dog", "oboe"):
        for i in range(5):
            path = tmp_path / "photographs" / kind / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(corpus.frame(i))
    for kind in ("bark", "rain"):
        for i in range(2):
            path = tmp_path / "sounds" / kind / f"{i}.mp3"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(corpus.mp3(i, seconds=2.6))
    done = run(tmp_path, tmp_path / "out", layout="folders", links={"bark": "dog"})
    rows = _rows(tmp_path / "out").values()
    assert done.tally.ok == 10
    assert {row["group"].split("/")[1] for row in rows if "/dog/" in row["source"]} == {"bark"}
    assert {row["group"].split("/")[1] for row in rows if "/oboe/" in row["source"]} == {"rain"}
    assert {row["sound_s"] for row in rows} == {2.5}  # repeated to 5 s
    samples, _ = audio.decode_mono_int16(next(iter(rows))["audio"]["bytes"])
    np.testing.assert_array_equal(samples[: len(samples) // 2], samples[len(samples) // 2 :])


def test_directories_without_candidates_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="no list"):
        run(tmp_path, tmp_path / "out")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train_frames4_0001.txt").write_text("frames/a/b.jpg\n")
    with pytest.raises(UpstreamError, match="no frames"):
        run(tmp_path, tmp_path / "out")


def test_missing_weights_say_where_they_are_published(released: Path, tmp_path: Path) -> None:
    spec = HarvestSpec(annotators=("squeezenet",), candidates=(CandidateSpec(layout="soundnet"),))
    with pytest.raises(PrerequisiteError) as error:
        harvest(Request(spec, released), tmp_path / "out", workers=Workers(1))
    for part in (
        "compressed_SqueezeNet.net",
        "github.com/songhan",
        "659.9 KiB",
        "e4ab6960ae8c",
        "--weights squeezenet=",
    ):
        assert part in str(error.value)


def test_weights_of_another_sha256_are_refused(weights: Path, tmp_path: Path) -> None:
    from xmbench.execution.progress import silent
    from xmbench.harvester import weights as chosen_weights

    digest = chosen_weights.sha256_of(weights)
    given = {"squeezenet": f"{weights}#sha256={digest}"}
    assert chosen_weights.chosen(["squeezenet"], given, offline=True, progress=silent)[0].sha256 == digest
    wrong = {"squeezenet": f"{weights}#sha256={'0' * 64}"}
    with pytest.raises(PrerequisiteError, match="another file"):
        chosen_weights.chosen(["squeezenet"], wrong, offline=True, progress=silent)


def test_two_frames_that_look_alike_have_near_hashes() -> None:
    one, other = image.decode(corpus.frame(1)), image.decode(corpus.frame(2))
    lighter = np.clip(one.astype(int) + 6, 0, 255).astype(np.uint8)
    assert _distance(read.frame_hash(one), read.frame_hash(lighter)) <= 4
    assert _distance(read.frame_hash(one), read.frame_hash(other)) > 10


def _distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()
