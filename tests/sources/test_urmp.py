"""URMP's layout: parts, takes, silence and boxes are found; every window is a row or in the ledger."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import shared
from tests.upstreams import Memory
from tests.urmp_corpus import REAL, photograph, real_corpus
from xmbench import content
from xmbench.builder.build import build
from xmbench.errors import DocumentError, UpstreamError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import validate
from xmbench.interfaces import Entry, RawPair, Rejected
from xmbench.media import image, video
from xmbench.sources import _urmp, _urmp_rendering, urmp_mini
from xmbench.sources._urmp import WindowOptions
from xmbench.sources._urmp_rendering import PIECES, render
from xmbench.sources.urmp_mini import _Rendered
from xmbench.views.preview import write_preview

SIZE_PX = (108, 192)
SECONDS = 2.4
SMALL = {name: PIECES[name] for name in ("03_Waltz", "05_Air", "06_Round")}


def recipe_of(name: str, **options: object) -> Recipe:
    recipe = load_toml(content.find("recipes", name), Recipe)
    raw = recipe.model_dump(mode="json", by_alias=True)
    raw["sources"]["performances"]["options"].update(options)
    return Recipe.model_validate(raw)


TASK = recipe_of("urmp-windows").task


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rendered pieces with all traps, small and short."""
    folder = tmp_path_factory.mktemp("urmp") / "corpus"
    render(folder, SMALL, SECONDS, SIZE_PX)
    return folder


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "corpus"))


@pytest.fixture(scope="module")
def built(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    recipe = recipe_of("urmp-windows")
    return build(recipe, tmp_path_factory.mktemp("built") / "out", source=made, accept_changed=True, workers=1)


def entries(folder: Path, **options: object) -> list[Entry]:
    return _urmp.entries(_Rendered(folder), WindowOptions.model_validate(options), TASK)


def reasons(folder: Path, **options: object) -> Counter[str]:
    chosen = WindowOptions.model_validate(options)
    found = _urmp.entries(_Rendered(folder), chosen, TASK)
    values = list(_urmp.read(_Rendered(folder), chosen, TASK, found))
    assert len(values) == len(found)
    return Counter(value.reason if isinstance(value, Rejected) else "row" for value in values)


# --------------------------------------------------------------------------------------------------- entries
def test_every_part_has_the_windows_that_fit(made: Path) -> None:
    counted = Counter((entry.attributes["piece"], entry.attributes["part"]) for entry in entries(made))
    assert set(counted) == {(name, part) for name, parts in SMALL.items() for part in range(1, len(parts) + 1)}
    for (name, _), number in counted.items():
        found = video.facts(next(made.glob(f"Dataset/{name}*/Vid_*")))
        assert number == video.window_count(min(found.duration_s, Fraction(12, 5)), 0.5, 0.1)


def test_the_directory_says_which_instrument_a_part_is(made: Path) -> None:
    assert (made / "Dataset" / "06_Round_vn_tpt_fl" / "AuSep_3_tpt_06_Round.wav").is_file()
    names = {(e.attributes["piece"], e.attributes["part"]): TASK.class_names[e.label] for e in entries(made)}
    assert names["06_Round", 3] == "flute"
    assert [names["03_Waltz", part] for part in (1, 2, 3)] == ["violin", "flute", "cello"]


def test_a_recording_in_two_pieces_is_one_take(made: Path) -> None:
    groups = {(e.attributes["piece"], e.attributes["part"]): e.group for e in entries(made)}
    assert groups["03_Waltz", 3] == groups["05_Air", 3] == "take-03-p3"
    assert len(set(groups.values())) == len(groups) - 1


def test_the_same_samples_in_another_file_are_one_take(corpus: Path) -> None:
    path = next(corpus.glob("Dataset/05_Air*/AuSep_3*"))
    samples, rate = soundfile.read(path, dtype="int32")
    soundfile.write(path, samples, rate, subtype="PCM_24", format="WAVEX")  # another header
    assert path.read_bytes() != next(corpus.glob("Dataset/03_Waltz*/AuSep_3*")).read_bytes()
    groups = {(e.attributes["piece"], e.attributes["part"]): e.group for e in entries(corpus)}
    assert groups["03_Waltz", 3] == groups["05_Air", 3]


def test_windows_before_a_player_enters_are_left_out_and_counted(made: Path) -> None:
    for entry in entries(made):
        start, rejected = entry.attributes["start_s"], entry.locator[4]
        part = SMALL[str(entry.attributes["piece"])][int(entry.attributes["part"]) - 1]
        enters = 0.6 + 0.1 * (part.take % 5)
        assert isinstance(start, float)
        if abs(start - enters) > 0.03:  # the attack of a note takes a moment to reach -40 dB
            assert (rejected is not None and rejected.reason == "leading-silence") == (start < enters)


def test_pieces_that_are_not_in_the_layout_are_all_named(corpus: Path) -> None:
    root = corpus / "Dataset"
    (root / "03_Waltz_vn_fl_vc").rename(root / "03_Waltz_vn_fl_kazoo")
    next(root.glob("05*/AuSep_2*")).unlink()
    next(root.glob("05*/Vid*")).unlink()
    shutil.copytree(root / "06_Round_vn_tpt_fl", root / "06_Again_vn_tpt_fl")
    with pytest.raises(UpstreamError) as caught:
        entries(corpus)
    text = str(caught.value)
    for said in ("'kazoo' is no instrument", "0 files AuSep_2_*", "0 files Vid_*", "two pieces have the number 06"):
        assert said in text


def test_an_instrument_that_the_recipe_lacks_is_named(made: Path) -> None:
    fewer = recipe_of("urmp-windows").model_dump(mode="json", by_alias=True)
    fewer["classes"]["names"].remove("cello")
    with pytest.raises(UpstreamError, match="'cello' is not a class of the recipe"):
        _urmp.entries(_Rendered(made), WindowOptions(), Recipe.model_validate(fewer).task)


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([[0, 0, 64, 108], [64, 0, 64, 108], [129, 0, 64, 108]], "part 3: [129, 0, 64, 108]"),
        ([[0, 0, 64, 108], [64, 0, 64, 108], [0, -1, 64, 108]], "part 3: [0, -1, 64, 108]"),
        ([[0, 0, 64, 108]], "1 boxes for 3 parts"),
    ],
)
def test_a_box_outside_the_frame_is_refused(made: Path, boxes: list[list[int]], said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        entries(made, crops={"03_Waltz_vn_fl_vc": boxes})
    assert said in str(caught.value)
    assert "inside 192 x 108 pixels" in str(caught.value)


# --------------------------------------------------------------------------------------------------- reading
def test_the_picture_is_the_box_of_the_player_and_the_sound_the_players_own(made: Path) -> None:
    options = WindowOptions()
    found = _urmp.entries(_Rendered(made), options, TASK)
    seen = 0
    for entry, value in zip(found, _urmp.read(_Rendered(made), options, TASK, found), strict=True):
        if not isinstance(value, RawPair) or entry.attributes["piece"] != "03_Waltz":
            continue
        time, part = Fraction(entry.locator[2], 10), int(entry.attributes["part"])
        whole = next(video.frames(made / entry.locator[0], [time]))
        assert whole is not None
        assert np.array_equal(value.image.pixels, whole[:, 64 * (part - 1) : 64 * part])
        alone = next(video.sound(made / entry.locator[1], [time], 0.5, 44_100))
        assert alone is not None
        assert np.abs(value.clip.samples / 32768 - alone).max() <= 0.5 / 32768 + 1e-9
        assert len(value.clip.samples) == 22_050
        seen += 1
        if seen == 8:
            break
    assert seen == 8


def test_given_boxes_are_used_and_any_order_gives_the_same(made: Path) -> None:
    options = WindowOptions(crops={"03_Waltz_vn_fl_vc": ((0, 0, 50, 60), (70, 8, 50, 60), (142, 48, 50, 60))})
    found = [e for e in _urmp.entries(_Rendered(made), options, TASK) if e.locator[4] is None][:20]
    forward = list(_urmp.read(_Rendered(made), options, TASK, found))
    backward = list(_urmp.read(_Rendered(made), options, TASK, found[::-1]))[::-1]
    for one, other in zip(forward, backward, strict=True):
        assert isinstance(one, RawPair)
        assert isinstance(other, RawPair)
        assert one.image.pixels.shape == (60, 50, 3)
        assert np.array_equal(one.image.pixels, other.image.pixels)
        assert np.array_equal(one.clip.samples, other.clip.samples)


def empty_video(root: Path) -> None:
    next(root.glob("03*/Vid*")).write_bytes(b"")


def cut_video(root: Path) -> None:
    path = next(root.glob("03*/Vid*"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_track(root: Path) -> None:
    next(root.glob("03*/AuSep_2*")).write_bytes(b"")


def short_track(root: Path) -> None:
    soundfile.write(next(root.glob("03*/AuSep_2*")), np.ones(4800) / 2, 48_000, subtype="PCM_24")


def silent_track(root: Path) -> None:
    soundfile.write(next(root.glob("03*/AuSep_2*")), np.zeros(115_200), 48_000, subtype="PCM_24")


@pytest.mark.parametrize(
    ("damage", "reason", "number"),
    [
        (empty_video, "video-empty-file", None),
        (cut_video, "video-unreadable", None),
        (empty_track, "corrupt-audio", 19),
        (short_track, "too-short", 1),
        (silent_track, "leading-silence", None),
    ],
)
def test_damage_in_one_file_is_counted_and_the_rest_is_read(
    made: Path, corpus: Path, damage: Callable[[Path], None], reason: str, number: int | None
) -> None:
    before = reasons(made)
    damage(corpus / "Dataset")
    after = reasons(corpus)
    assert after[reason] > before[reason]
    assert number is None or after[reason] == number
    assert 0.5 * before["row"] < after["row"] < before["row"]


# ---------------------------------------------------------------------------------------------------- builds
def test_a_build_is_whole_valid_repeatable_and_loads_offline(built: Dataset, made: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    assert validate(built).problems == []
    rows = ledger.read(built.folder / "ledger.parquet")
    written = sum(built.count(split) for split in ("train", "test"))
    assert written + len(rows) == len(entries(made))
    assert {row.reason for row in rows} == {"leading-silence"}
    assert all(row.filtered for row in rows)
    assert write_preview(built, tmp_path / "page.html").clips > 0
    recipe = recipe_of("urmp-windows")
    again = build(recipe, tmp_path / "again", source=made, accept_changed=True, workers=1)
    assert again.digest == built.digest
    loaded = load_dataset("parquet", data_dir=str(built.folder / "data"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows == built.count("train")


def test_no_take_is_in_both_splits_and_a_planted_one_is_found(built: Dataset, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    groups = {split: {row["group"] for row in built.rows(split, ["group"])} for split in ("train", "test")}
    assert groups["train"]
    assert groups["test"]
    assert not groups["train"] & groups["test"]
    shutil.copytree(built.folder, tmp_path / "leak")
    leak = open_dataset(tmp_path / "leak")
    path = leak.shards("test")[0]
    table = pq.read_table(path)
    values = [sorted(groups["train"])[0], *table["group"].to_pylist()[1:]]
    place = table.schema.get_field_index("group")
    pq.write_table(table.set_column(place, table.schema.field("group"), pa.array(values)), path)
    assert "is in several splits" in "\n".join(validate(leak).problems)


def test_a_built_row_shows_the_player_of_its_label(built: Dataset, made: Path) -> None:
    """Each image is nearest, among the columns of its video at its time, to that of its own part."""
    for row in list(built.rows("train", ["id", "image", "part", "start_s", "piece"]))[::17]:
        pixels = image.decode(row["image"]["bytes"]).astype(float)
        path = next(made.glob(f"Dataset/{row['piece']}*/Vid_*"))
        whole = next(video.frames(path, [Fraction(str(row["start_s"]))]))
        assert whole is not None
        columns = [image.resize(np.ascontiguousarray(whole[:, 64 * i : 64 * i + 64]), 64, 64) for i in range(3)]
        assert int(np.argmin([np.abs(pixels - column).mean() for column in columns])) == row["part"] - 1


def test_urmp_mini_is_made_once_and_read_as_urmp_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    made = []

    def small(folder: Path) -> None:
        made.append(folder)
        render(folder, {name: PIECES[name] for name in ("01_Scale", "02_March")}, 1.6, (54, 96))

    monkeypatch.setattr(_urmp_rendering, "render", small)
    recipe = recipe_of("urmp-mini")
    first = urmp_mini.SOURCE.entries(Memory(), WindowOptions(), recipe.task)
    again = urmp_mini.SOURCE.entries(Memory(), WindowOptions(), recipe.task)
    assert first == again
    assert len(made) == 1
    values = list(urmp_mini.SOURCE.read(Memory(), WindowOptions(), recipe.task, first))
    assert any(isinstance(value, RawPair) for value in values)


# ------------------------------------------------------------------------------------------ real sounds, frames
def test_a_corpus_of_real_sounds_and_frames(tmp_path: Path) -> None:
    real_corpus(tmp_path / "URMP" / "Dataset")
    photos = shared("data", "suburmp_pairs", "img")
    recipe = recipe_of("urmp-windows")
    dataset = build(recipe, tmp_path / "out", source=tmp_path / "URMP", accept_changed=True, workers=1)
    splits = ("train", "test")
    rows = [row for split in splits for row in dataset.rows(split, ["label", "piece", "part", "group", "image"])]
    names = dataset.recipe.classes.names
    found = {(row["piece"], row["part"]): names[row["label"]] for row in rows}
    assert found == {(title, part): cast[part - 1] for title, cast in REAL.items() for part in (1, 2)}
    assert {row["group"] for row in rows if names[row["label"]] == "viola"} == {"take-24-p2"}
    for row in rows[::9]:
        wanted = photograph(photos / names[row["label"]], 64).astype(float)
        assert np.abs(image.decode(row["image"]["bytes"]) - wanted).mean() < 12
