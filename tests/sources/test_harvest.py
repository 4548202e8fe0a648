"""Harvests as a source: the agreement of labels, what is left out, what a build makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harvester import corpus
from tests.harvester.folder import Folder
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.errors import DocumentError, UpstreamError
from xmbench.formats import ledger
from xmbench.formats.harvest import LabelRecord, Labels, schema
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import validate
from xmbench.interfaces import Entry, RawPair, Rejected
from xmbench.media import audio
from xmbench.sources.harvest import SOURCE, HarvestOptions
from xmbench.statistics.agreement import NONE, Vocabulary

DOG, SEASHORE, POODLE, WHIPPET = "n02084071", "n09428293", "n02113799", "n02091134"
KINDS = {DOG: (POODLE, WHIPPET), SEASHORE: (), POODLE: (), WHIPPET: (), "esc10:rain": ()}
IMAGE, SOUND = "mobilenet-v2:objects", "esc10-sounds:objects"
Top = Sequence[tuple[str, float]]


def reference(image: Top, sound: Top, kinds: Mapping[str, Sequence[str]], top: int = 3) -> str | None:
    """The rule, in ten lines."""
    found: dict[str, float] = {}
    for i, p in image[:top]:
        for s, q in sound[:top]:
            if i == s or i in kinds.get(s, ()):
                found[s] = found.get(s, 0.0) + p * q
            elif s in kinds.get(i, ()):
                found[i] = found.get(i, 0.0) + p * q
    return min(found, key=lambda name: (-found[name], name)) if found else None


TOPS = st.lists(
    st.tuples(st.sampled_from([*KINDS, "other"]), st.floats(0, 1, width=32)), max_size=5, unique_by=lambda one: one[0]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(TOPS, TOPS), min_size=1, max_size=20), st.integers(1, 4))
def test_the_agreed_label_is_that_of_ten_plain_lines(rows: list[tuple[Top, Top]], top: int) -> None:
    vocabulary = Vocabulary({**KINDS, "other": ()})
    sides = []
    for side in (0, 1):
        codes = np.full((len(rows), top), NONE, np.int64)
        probabilities = np.zeros((len(rows), top))
        for n, row in enumerate(rows):
            listed = [name for name, _ in row[side][:top]]
            codes[n, : len(listed)] = vocabulary.codes(listed)
            probabilities[n, : len(listed)] = [p for _, p in row[side][:top]]
        sides.append((codes, probabilities))
    found = vocabulary.agreed(sides[0], sides[1])
    names = [None if code == NONE else vocabulary.ids[code] for code in found.labels]
    assert names == [reference(image, sound, KINDS, top) for image, sound in rows]


def test_the_probabilities_are_those_of_the_labels_that_agree() -> None:
    vocabulary = Vocabulary(KINDS)
    image = vocabulary.codes([POODLE, SEASHORE, WHIPPET])[None], np.array([[0.5, 0.3, 0.1]])
    sound = vocabulary.codes(["esc10:rain", DOG])[None], np.array([[0.6, 0.4]])
    found = vocabulary.agreed(image, sound)
    assert vocabulary.ids[found.labels[0]] == DOG
    assert found.image[0] == pytest.approx(0.6)
    assert found.sound[0] == pytest.approx(0.4)
    assert found.scores[0] == pytest.approx(0.24)
    assert vocabulary.agreed(image, sound, [SEASHORE]).labels[0] == NONE


# ------------------------------------------------------------------------------------------- a small harvest
def _row(number: int, image: Top, sound: Top, changed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    time = np.arange(5 * 22_050) / 22_050
    samples = audio.to_int16((0.3 * np.sin(2 * np.pi * (200 + 10 * number) * time)).astype(np.float32))
    bits = np.random.default_rng(number).bytes(8).hex()
    tops = {
        column: [{"label": name, "probability": p} for name, p in top]
        for column, top in ((IMAGE, image), (SOUND, sound))
    }
    row = {
        **{"id": f"video-{number:03d}", "group": f"video-{number}", "source": f"{number}.mp4", "status": "ok"},
        **{"stage": "", "filtered": False, "temporary": False, "detail": "", "start_s": 0.0, "sound_s": 5.0},
        **{"brightness": 100.0, "contrast": 50.0, "motion": None, "level_db": -20.0, "frame_hash": bits},
        **{"picture_digest": f"p{number}", "sound_digest": f"s{number}"},
        "image": {"bytes": corpus.frame(number), "path": "f.jpg"},
        "audio": {"bytes": audio.encode_flac(samples, 22_050), "path": "s.flac"},
        **tops,
    }
    return {**row, **(changed or {})}


def _harvest(root: Path, rows: Sequence[dict[str, Any]], per_file: int = 10) -> Path:
    folder = root / "candidates"
    folder.mkdir(parents=True)
    for i in range(0, len(rows), per_file):
        table = pa.Table.from_pylist(list(rows[i : i + per_file]), schema=schema([IMAGE, SOUND]))
        pq.write_table(table, folder / f"part-{i // per_file:05d}-of-00002.parquet", row_group_size=3)
    known = {name: LabelRecord(name=name, kinds=kinds) for name, kinds in KINDS.items()}
    (folder / "labels.json").write_text(Labels(labels=known).to_json())
    return root


AGREES: tuple[Top, Top] = ([("other", 0.5), (POODLE, 0.3)], [(DOG, 0.9)])
WAVES: tuple[Top, Top] = ([(SEASHORE, 0.5)], [("esc10:rain", 0.6), (SEASHORE, 0.3)])
NOTHING: tuple[Top, Top] = ([(SEASHORE, 0.9)], [(DOG, 0.9)])


def _mini(**options: Any) -> tuple[Recipe, HarvestOptions]:
    recipe = load_recipe("scenes-mini")
    return recipe, HarvestOptions(**{**recipe.sources["candidates"].options, **options})


def _entries(root: Path, **options: Any) -> list[Entry]:
    recipe, chosen = _mini(**options)
    return SOURCE.entries(Folder(root), chosen, recipe.task)


def test_candidates_become_items_of_the_class_that_both_annotators_find(tmp_path: Path) -> None:
    rows = [_row(0, *AGREES), _row(1, *NOTHING), _row(2, *WAVES), _row(3, *AGREES, {"status": "web-page"})]
    found = _entries(_harvest(tmp_path, rows))
    assert [(entry.key, entry.label, entry.group) for entry in found] == [
        ("video-000", 0, "video-0"),
        ("video-002", 1, "video-2"),
    ]
    assert found[0].attributes["agreed"] == DOG
    assert found[0].attributes["image_probability"] == pytest.approx(0.3)


def test_labels_below_the_first_three_do_not_count(tmp_path: Path) -> None:
    late: Top = [("other", 0.4), (SEASHORE, 0.3), (WHIPPET, 0.2), (POODLE, 0.1)]
    root = _harvest(tmp_path, [_row(0, [*late[:2], late[3]], [(DOG, 1.0)]), _row(1, [late[0], late[1]], [(DOG, 1.0)])])
    assert [entry.key for entry in _entries(root)] == ["video-000"]
    assert not _entries(root, top=2)


def test_what_a_rule_leaves_out_is_an_item_with_its_reason(tmp_path: Path) -> None:
    near = _row(0, *AGREES)["frame_hash"]
    rows = [
        _row(0, *AGREES),
        _row(1, *AGREES, {"brightness": 3.0}),
        _row(2, *AGREES, {"contrast": 1.0}),
        _row(3, *AGREES, {"motion": 0.1}),
        _row(4, *AGREES, {"level_db": -90.0}),
        _row(5, *AGREES, {"frame_hash": f"{int(near, 16) ^ 0b101:016x}", "group": "video-0"}),
        _row(6, *AGREES, {"frame_hash": near}),  # of another video
        _row(7, *AGREES, {"sound_digest": "s0"}),
        _row(8, *AGREES, {"picture_digest": "p6"}),
        _row(9, *AGREES, {"sound_digest": "s6", "group": "video-6"}),
    ]
    root = _harvest(tmp_path, rows)
    recipe, options = _mini()
    entries = _entries(root)
    values = list(SOURCE.read(Folder(root), options, recipe.task, entries))
    reasons = [value.reason if isinstance(value, Rejected) else "" for value in values]
    assert reasons == [
        "",
        "black-frame",
        "flat-frame",
        "still-video",
        "silent",
        "near-duplicate",
        "",
        "repeated",
        "repeated",
        "",
    ]
    assert all(value.filtered for value in values if isinstance(value, Rejected))
    assert [isinstance(value, RawPair) for value in values] == [not reason for reason in reasons]


def test_a_class_has_at_most_so_many_items_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    rows = [_row(number, *AGREES) for number in range(20)]
    some = [entry.key for entry in _entries(_harvest(tmp_path / "a", rows), per_class=5)]
    assert len(some) == 5
    assert some == [entry.key for entry in _entries(_harvest(tmp_path / "b", rows, per_file=7), per_class=5)]
    assert set(some) < {entry.key for entry in _entries(tmp_path / "a", per_class=9)}
    assert some != [entry.key for entry in _entries(tmp_path / "a", per_class=5, seed=1)]


def test_a_harvest_of_other_annotators_or_labels_is_refused(tmp_path: Path) -> None:
    root = _harvest(tmp_path, [_row(0, *AGREES)])
    with pytest.raises(UpstreamError, match="squeezenet:objects and esc10-sounds:objects among mobilenet-v2:objects"):
        _entries(root, image="squeezenet:objects")
    with pytest.raises(DocumentError, match="seashore: n00000001"):
        _entries(root, labels={"dog": DOG, "seashore": "n00000001"})
    with pytest.raises(DocumentError, match="no label for the class 'seashore'"):
        _entries(root, labels={"dog": DOG})
    (root / "candidates/labels.json").unlink()
    with pytest.raises(UpstreamError, match="not finished"):
        _entries(root)
    for file in (root / "candidates").iterdir():
        file.unlink()
    with pytest.raises(UpstreamError, match="no harvest"):
        _entries(root)


def test_a_harvest_is_built_validated_and_rebuilt_to_the_same_digest(tmp_path: Path) -> None:
    rows = [_row(n, *(AGREES if n % 2 else WAVES), {"level_db": -99.0} if n == 7 else None) for n in range(16)]
    root = _harvest(tmp_path / "harvest", rows)
    recipe = load_recipe("scenes-mini")
    made = [
        build(recipe, tmp_path / name, source=root, accept_changed=True, workers=1, limit=None) for name in ("a", "b")
    ]
    assert made[0].digest == made[1].digest
    assert validate(made[0]).holds
    counts = [record.counts for record in made[0].manifest.splits.values()]
    assert sum(part.written for part in counts) == 15
    lost = ledger.read(tmp_path / "a" / "ledger.parquet")
    assert [(row.id, row.reason, row.filtered) for row in lost] == [("video-007", "silent", True)]
    assert "dog" in json.dumps(made[0].manifest.model_dump(mode="json")["sources"]["candidates"]["differences"])
