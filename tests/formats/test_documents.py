"""Documents: every mistake is named, with the nearest right name."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from xmbench import content
from xmbench.errors import DatasetError, DocumentError, OutputError, UnknownNameError, XmbenchError
from xmbench.formats.dataset import open_dataset
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Direction
from xmbench.storage import files

RECIPES = content.names("recipes")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_right_and_named_after_its_file(name: str) -> None:
    recipe = load_toml(content.find("recipes", name), Recipe)
    assert recipe.name == name
    assert recipe.licence
    assert all(source.licence and source.attribution for source in recipe.sources.values())
    for track in recipe.tracks:
        many_words = "corr2d-best5" if len(recipe.classes.words) == 100 else "word-accuracy-agreed"
        spoken = "corr2d-floored" if recipe.regime == "single-take" else many_words
        heard = spoken if recipe.classes.words else "class-frechet-distance"  # music: both directions alike
        if track.judge is None:  # nobody says whether the instrument is right: only what compares with a reference
            assert track.primary in {"i2a": ("corr2d-floored", "corr2d-best5"), "a2i": ("ssim",)}[track.direction]
            continue
        assert track.primary == {"i2a": heard, "a2i": "class-frechet-distance"}[track.direction]


def gates(name: str, direction: Direction) -> list[tuple[str, str, float]]:
    track = load_toml(content.find("recipes", name), Recipe).track(direction)
    return [(gate.metric, gate.baseline, gate.share) for gate in track.gates] if track else []


@pytest.mark.parametrize("name", RECIPES)
def test_a_track_of_sounds_that_ranks_by_judges_has_the_gate_against_sounds_made_for_them(name: str) -> None:
    """And music, where one stored recording per class is always right, those against one."""
    track = load_toml(content.find("recipes", name), Recipe).track("i2a")
    assert track is not None
    against_noise, against_one_clip = (
        ("corr2d-best5", "random-clip", 1.0),
        [("coverage", "random-clip", 0.5), ("diversity", "random-clip", 0.5)],
    )
    if track.judge and not load_toml(content.find("recipes", name), Recipe).classes.words:
        assert gates(name, "i2a") == [against_noise, *against_one_clip]
    else:
        assert gates(name, "i2a") == ([against_noise] if track.primary == "word-accuracy-agreed" else [])


@pytest.mark.parametrize("name", RECIPES)
def test_a_track_of_images_has_the_gate_against_one_image_per_class(name: str) -> None:
    recipe = load_toml(content.find("recipes", name), Recipe)
    track = recipe.track("a2i")
    expected = [("coverage", "random-image", 0.5), ("diversity", "random-image", 0.5)]
    assert gates(name, "a2i") == (expected[: 1 if recipe.classes.words else 2] if track and track.judge else [])


@pytest.mark.parametrize("name", RECIPES)
def test_what_an_output_carries_beyond_its_class_is_asked_where_each_item_has_a_reference_of_its_own(name: str) -> None:
    recipe = load_toml(content.find("recipes", name), Recipe)
    for track in recipe.tracks:
        assert ("within-class-retrieval" in track.metrics) == (recipe.pairing.joint and track.judge is not None)


def test_digests_are_of_the_content_not_of_the_text() -> None:
    path = content.find("recipes", "digits-ad")
    recipe = load_toml(path, Recipe)
    assert recipe.digest == Recipe.model_validate(recipe.model_dump(by_alias=True)).digest
    assert recipe.model_copy(update={"version": "99"}).digest != recipe.digest


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mnist-ad'"):
        content.find("recipes", "mnits-ad")
    with pytest.raises(UnknownNameError, match="no such recipe file"):
        content.find("recipes", "./nowhere.toml")


def test_all_mistakes_in_a_recipe_are_listed(tmp_path: Path) -> None:
    text = content.find("recipes", "digits-ad").read_text()
    text = text.replace("sample_rate_hz", "sample_rate").replace('regime = "single-take"', 'regime = "one-take"')
    text = text.replace('primary = "corr2d-floored"', 'primary = "corr2"').replace("title = ", "titel = ", 1)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        load_toml(path, Recipe)
    said = str(caught.value)
    assert str(path) in said
    for mistake in (
        "audio.sample_rate: unknown key; did you mean 'sample_rate_hz'?",
        "audio.sample_rate_hz: missing",
        "titel: unknown key; did you mean 'title'?",
        "title: missing",
        "regime:",
        "tracks.0: ",
    ):
        assert mistake in said, mistake


@pytest.mark.parametrize(
    ("text", "said"),
    [("schema = ", "not a TOML file"), ('schema = "other/1"', "schema is 'other/1'"), ("a = 1", "schema is None")],
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(DocumentError, match=said):
        load_toml(path, Recipe)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_no_json_document(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(DocumentError):
        load_json(path, Recipe)


def test_a_directory_that_is_not_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set here"):
        open_dataset(tmp_path)
    (tmp_path / ".build").mkdir()
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "no space left"), (errno.EDQUOT, "no space left"), (errno.EROFS, "be written")]
)
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    files.write_text(path, "old")

    def failing(self: Path, data: bytes) -> int:
        self.open("wb").close()
        raise OSError(number, "reason")

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(OutputError, match=said):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_survive_a_process_border() -> None:
    import pickle

    error = XmbenchError("what", where="where", expected="right", todo="do", problems=["a", "b"])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.problems == ("a", "b")
