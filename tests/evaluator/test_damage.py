"""A thousand outputs in which every kind of damage occurs once: no traceback, every item listed, the mean by hand."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pesq
import pytest
import soundfile
from PIL import Image

import xmbench
from tests.making import submit, wav
from xmbench import content
from xmbench.builder.build import build
from xmbench.evaluator.check import check
from xmbench.evaluator.evaluate import Scored, score
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.items import read_examples
from xmbench.formats.recipe import Recipe
from xmbench.media import audio

ITEMS, LENGTH, RATE = 1000, 18140, 22050
METRICS = ["corr2d", "pesq-nb", "stoi", "stoi-strict"]
FLOORS = {"corr2d": -1.0, "pesq-nb": 0.999, "stoi": -1.0}

Write = Callable[[Path, np.ndarray], None]


@dataclass(frozen=True)
class Damage:
    """What replaces the wav file of an id; the status that it must get, and a part of the detail.

    Scored: "ok", and "too-long", which the fixed length cuts and which is a problem all the same.
    """

    write: Write
    status: str
    said: str = ""

    @property
    def scored(self) -> bool:
        """Whether the item has values of its own, not the floors."""
        return self.status in ("ok", "too-long")


def data(make: Callable[[np.ndarray], bytes]) -> Write:
    def write(path: Path, clip: np.ndarray) -> None:
        path.write_bytes(make(clip))

    return write


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=pickled)
    return stream.getvalue()


def false_header(clip: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    return stream.getvalue() + b"\0" * 64


def png(clip: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((28, 28), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def twice(path: Path, clip: np.ndarray) -> None:
    path.write_bytes(wav(clip))
    path.with_suffix(".flac").write_bytes(audio.encode_flac(audio.to_int16(clip), RATE))


def renamed(suffix: str, make: Callable[[np.ndarray], bytes]) -> Write:
    def write(path: Path, clip: np.ndarray) -> None:
        path.with_suffix(suffix).write_bytes(make(clip))

    return write


def at(place: int, value: float) -> Callable[[np.ndarray], bytes]:
    def make(clip: np.ndarray) -> bytes:
        changed = clip.astype(np.float64)
        changed[place] = value
        return wav(changed, subtype="FLOAT")

    return make


DAMAGES: dict[str, Damage] = {
    "missing": Damage(lambda path, clip: None, "missing", "no output"),
    "duplicate": Damage(twice, "unreadable", "more than one output"),
    "header only": Damage(data(lambda x: wav(x)[:30]), "unreadable", "not a readable audio file"),
    "truncated": Damage(data(lambda x: wav(x)[: 44 + LENGTH]), "ok", "9070 samples, expected 18140"),
    "empty": Damage(data(lambda x: b""), "unreadable", "empty file"),
    "text": Damage(data(lambda x: b"this is no sound\n" * 9), "unreadable", "not a readable audio file"),
    "wrong rate": Damage(data(lambda x: wav(x, rate=16000)), "unreadable", "16000 Hz; expected 22050 Hz"),
    "stereo": Damage(data(lambda x: wav(np.stack([x, x], axis=1))), "unreadable", "2 channels"),
    "nan": Damage(data(at(77, np.nan)), "non-finite", "1 samples"),
    "inf": Damage(data(at(77, -np.inf)), "non-finite", "1 samples"),
    "silent": Damage(data(lambda x: wav(0 * x)), "silent", "every sample is zero"),
    "too short": Damage(data(lambda x: wav(x[:9000])), "ok", "9000 samples, expected 18140"),
    "too long": Damage(data(lambda x: wav(np.tile(x, 2))), "too-long", "36280 samples, expected 18140"),
    "silence after the end": Damage(data(lambda x: wav(np.pad(x, (0, LENGTH)))), "ok", "36280 samples, expected 18140"),
    "clipped": Damage(data(lambda x: wav(20 * x, subtype="FLOAT")), "ok", "clipped"),
    "8 bit": Damage(data(lambda x: wav(x, subtype="PCM_U8")), "ok"),
    "24 bit": Damage(data(lambda x: wav(x, subtype="PCM_24")), "ok"),
    "float": Damage(data(lambda x: wav(x, subtype="FLOAT")), "ok"),
    "npy": Damage(renamed(".npy", lambda x: npy(x)), "ok"),
    "object array": Damage(
        renamed(".npy", lambda x: npy(np.array([{}]), pickled=True)), "unreadable", "not a readable"
    ),
    "array of texts": Damage(renamed(".npy", lambda x: npy(np.array(["a"]))), "unreadable", "not an array of numbers"),
    "false header": Damage(renamed(".npy", false_header), "unreadable", "not a readable array"),
    "three dimensions": Damage(renamed(".npy", lambda x: npy(np.zeros((2, 2, 2)))), "unreadable", "shape (2, 2, 2)"),
    "folder": Damage(lambda path, clip: path.mkdir(), "unreadable", "a directory, not a file"),
    "dead link": Damage(lambda path, clip: path.symlink_to("nowhere.wav"), "unreadable", "no such file"),
    "no permission": Damage(data(wav), "unreadable", "Permission denied"),
    "upper case": Damage(renamed(".WAV", wav), "ok"),
    "picture": Damage(data(png), "unreadable", "not a readable audio file"),
    "one sample": Damage(data(lambda x: wav(np.array([0.5]))), "ok", "1 samples, expected 18140"),
}


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """`digits-ad` with a thousand test items: real handwriting, really spoken."""
    folder = tmp_path_factory.mktemp("thousand") / "digits-ad"
    recipe = load_toml(content.find("recipes", "digits-ad"), Recipe)
    splits = recipe.splits.model_copy(update={"test_fraction": 0.9})
    build(recipe.model_copy(update={"splits": splits}), folder, limit=ITEMS, workers=1)
    return open_dataset(folder)


def output_for(item_id: str, label: int, reference: np.ndarray) -> np.ndarray:
    """One of three noisy versions of the clip: thirty distinct pairs in a thousand items."""
    kind = int(item_id.split("-")[-1]) % 3
    return reference + np.random.default_rng(kind).normal(0, 0.004 * (kind + 1), len(reference))


@pytest.fixture(scope="module")
def damaged(thousand: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The submission, and which id has which damage."""
    ids = thousand.table("test", []).column("id").to_pylist()
    assert len(ids) == ITEMS
    victims = dict(zip(ids[5 :: ITEMS // len(DAMAGES)], DAMAGES, strict=False))
    assert len(victims) == len(DAMAGES)
    clips: dict[str, np.ndarray] = {}

    def make(item_id: str, label: int, reference: np.ndarray) -> np.ndarray | None:
        clips[item_id] = output_for(item_id, label, reference)
        return None if item_id in victims else clips[item_id]

    folder = submit(thousand, tmp_path_factory.mktemp("damaged") / "s", make)
    for item_id, name in victims.items():
        DAMAGES[name].write(folder / "outputs" / f"{item_id}.wav", clips[item_id])
    (folder / "outputs" / "no-such-item.wav").write_bytes(wav(np.full(LENGTH, 0.1)))
    (folder / "outputs" / "Thumbs.db").write_bytes(b"\0")
    return folder, victims


@pytest.fixture(scope="module")
def scored(thousand: Dataset, damaged: tuple[Path, dict[str, str]]) -> Scored:
    folder, victims = damaged
    forbidden = next(item_id for item_id, name in victims.items() if name == "no permission")
    real = Path.read_bytes

    def refusing(path: Path) -> bytes:  # root may read everything, so a mode alone would prove nothing there
        if path.stem == forbidden:
            raise PermissionError(13, os.strerror(13), str(path))
        return real(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", refusing)
        return score(folder, thousand, metrics=METRICS)


def test_every_damaged_item_is_listed_with_its_status(scored: Scored, damaged: tuple[Path, dict[str, str]]) -> None:
    rows = {row["id"]: row for row in scored.items.to_pylist()}
    assert len(rows) == ITEMS
    listed = {problem.id: problem for problem in scored.problems}
    for item_id, name in damaged[1].items():
        damage = DAMAGES[name]
        assert rows[item_id]["status"] == damage.status, name
        assert damage.said in rows[item_id]["detail"], name
        if damage.status != "ok":
            assert item_id in listed, name
        if damage.scored:
            assert rows[item_id]["pesq-nb"] is not None or name == "one sample"
        else:
            assert all(rows[item_id][metric] is None for metric in METRICS), name
    assert listed["no-such-item"].kind == "extra"
    assert any("Thumbs.db" in problem.detail for problem in scored.problems)
    untouched = [row for item_id, row in rows.items() if item_id not in damaged[1]]
    assert {row["status"] for row in untouched} == {"ok"}
    assert all(row["corr2d"] is not None and row["pesq-nb"] is not None for row in untouched)


def by_hand(path: Path, reference: np.ndarray, known: dict[bytes, dict[str, float]]) -> dict[str, float]:
    """The values of one readable output: PESQ by the package itself, the rest pair by pair."""
    raw = path.read_bytes()
    key = raw + reference.tobytes()
    if key not in known:
        samples = np.load(path) if path.suffix == ".npy" else soundfile.read(io.BytesIO(raw), dtype="float32")[0]
        fitted = np.zeros(LENGTH, dtype=np.float32)
        fitted[: min(len(samples), LENGTH)] = samples[:LENGTH]
        fitted = np.clip(fitted, -1.0, 1.0)
        alone = xmbench.score_pair(reference, fitted, RATE)
        wide = [audio.resample(clip, RATE, 16_000) for clip in (reference, fitted)]
        try:
            alone["pesq-nb"] = float(pesq.pesq(16_000, *wide, "nb"))
        except (pesq.PesqError, ValueError):
            alone["pesq-nb"] = None
        known[key] = {name: floor if alone[name] is None else alone[name] for name, floor in FLOORS.items()}
        known[key]["strict"] = np.nan if alone["stoi-strict"] is None else alone["stoi-strict"]
    return known[key]


def test_the_penalised_mean_is_the_one_computed_by_hand(
    scored: Scored, damaged: tuple[Path, dict[str, str]], thousand: Dataset
) -> None:
    folder, victims = damaged
    examples = read_examples(thousand, "test")
    values: dict[str, list[float]] = {name: [] for name in (*FLOORS, "strict")}
    known: dict[bytes, dict[str, float]] = {}
    for i, item_id in enumerate(examples.ids):
        reference = audio.to_float(examples.clips[examples.clip_index[i]])
        if item_id in victims and not DAMAGES[victims[item_id]].scored:
            itself = xmbench.score_pair(reference, reference, RATE)["stoi-strict"]
            found = {**FLOORS, "strict": np.nan if itself is None else -1.0}  # too short for any output
        else:
            (path,) = (folder / "outputs").glob(f"{item_id}.*")
            found = by_hand(path, reference, known)
        for name, own in values.items():
            own.append(found[name])
    for name in FLOORS:
        assert scored.result.scores[name].value == pytest.approx(np.mean(values[name]), abs=1e-9), name
        assert scored.result.scores[name].n == ITEMS
    assert scored.result.scores["stoi-strict"].value == pytest.approx(np.nanmean(values["strict"]), abs=1e-9)
    broken = sum(not damage.scored for damage in DAMAGES.values())
    measured = scored.items.column("corr2d").is_valid().to_pylist()
    assert ITEMS - sum(measured) in (broken, broken + 1)  # the clip of one sample may have no spectrogram
    assert scored.result.scores["corr2d"].coverage == sum(measured) / ITEMS


def test_check_lists_the_same_items(thousand: Dataset, damaged: tuple[Path, dict[str, str]]) -> None:
    folder, victims = damaged
    listed = {problem.id for problem in check(folder, thousand).problems}
    harmless = {"8 bit", "24 bit", "float", "npy", "upper case", "clipped", "no permission"}
    assert {item_id for item_id, name in victims.items() if name not in harmless} <= listed
