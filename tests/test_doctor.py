"""`doctor`: the shipped vectors are small, independent and matched; what is missing is named with the next step."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xmbench import conformance, doctor, registry
from xmbench.errors import CheckError
from xmbench.interfaces import ItemState, JudgeWeights, Pair
from xmbench.media.signal import Sound

SPEECH = ("corr2d", "corr2d-linear", "pesq", "pesq-nb", "pesq-wb", "stoi", "stoi-strict", "estoi")


def test_the_vectors_are_small_and_cover_every_speech_metric() -> None:
    assert sum(path.stat().st_size for path in conformance.FOLDER.iterdir()) < 120_000
    vectors = conformance.speech_vectors()
    assert 6 <= len(vectors) <= 8
    assert all(tuple(vector.expected) == SPEECH for vector in vectors)
    assert any(vector.expected["stoi-strict"] is None for vector in vectors)


def test_every_metric_matches_its_reference() -> None:
    found = {agreement.metric: agreement for agreement in conformance.agreements()}
    assert tuple(found) == SPEECH
    for agreement in found.values():
        assert agreement.holds, str(agreement)
    assert found["corr2d"].largest < 1e-6
    assert str(found["pesq-wb"]).startswith("pesq-wb matches the reference ")


def test_the_vectors_agree_with_the_libraries_here() -> None:
    """The stored values came from other environments; pesq and pystoi say the same in this one."""
    import pesq
    from pystoi import stoi

    for vector in conformance.speech_vectors():
        reference, output = vector.pair.reference, vector.pair.output
        assert isinstance(reference, Sound)
        assert isinstance(output, Sound)
        lqo = pesq.pesq(16_000, reference.samples, output.samples, "nb")
        assert lqo == pytest.approx(vector.expected["pesq-nb"], abs=1e-6)
        if vector.expected["stoi-strict"] is not None:
            value = stoi(reference.samples, output.samples, 16_000)
            assert value == pytest.approx(vector.expected["stoi-strict"], abs=1e-9)


def test_a_metric_that_is_off_is_said_with_how_much_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = registry.metric("stoi")

    def off(pair: Pair) -> ItemState:
        state: ItemState = real.measure(pair)
        assert state.state is not None
        return replace(state, state=state.state + 0.01 * (pair.id == "noise-5-db"))

    monkeypatch.setattr(registry, "metric", lambda name: replace(real, measure=off))
    (found,) = conformance.agreements(["stoi"])
    assert not found.holds
    assert (found.worst, found.largest) == ("noise-5-db", pytest.approx(0.01))
    assert "stoi does NOT match the reference: is off by 0.01, 1e-06 allowed at 'noise-5-db'" in str(found)


def test_a_value_where_the_reference_has_none_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    stoi: Any = registry.metric("stoi")
    monkeypatch.setattr(registry, "metric", lambda name: stoi)
    (found,) = conformance.agreements(["stoi-strict"])
    assert found.largest == float("inf")
    assert "has a value where the reference has none" in str(found)


def test_a_package_that_is_missing_costs_its_own_metrics_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    found = {agreement.metric: agreement for agreement in conformance.agreements()}
    assert not found["pesq"].holds
    assert "pesq could NOT be measured: PrerequisiteError" in str(found["pesq"])
    assert found["stoi"].holds
    assert found["corr2d"].holds


@pytest.mark.parametrize("name", SPEECH)
def test_every_built_in_speech_metric_keeps_the_contract(name: str) -> None:
    conformance.check_metric(registry.metric(name))


@pytest.mark.parametrize("name", ["precision", "recall", "diversity", "collapse", "frechet-distance"])
def test_metrics_of_all_items_together_keep_the_contract(name: str) -> None:
    """Their states are embeddings: only what they give at the end has bounds."""
    judge = (files("xmbench") / "judges" / "words" / "weights" / "digits.safetensors").read_bytes()
    pairs = [vector.pair for vector in conformance.speech_vectors()]
    context = replace(conformance._context(pairs[0]), judges={"first": JudgeWeights(judge)})
    conformance.check_metric(registry.metric(name), pairs, context)


def test_every_violation_of_a_plug_in_is_listed() -> None:
    real: Any = registry.metric("stoi")
    with pytest.raises(CheckError, match=r"the floor 7\.0 is outside"):
        conformance.check_metric(replace(real, floor=7.0))
    with pytest.raises(CheckError, match="is outside the bounds"):
        conformance.check_metric(replace(real, high=0.5, floor=0.0))
    with pytest.raises(CheckError, match="judges third: no such role"):
        conformance.check_metric(replace(real, judges=("third",)))
    calls: list[int] = []

    def drifting(pair: Pair) -> ItemState:
        calls.append(1)
        return ItemState("ok", np.array([len(calls) / 100]))

    with pytest.raises(CheckError, match="another state if the pairs are in another order"):
        conformance.check_metric(replace(real, measure=drifting))
    with pytest.raises(CheckError, match="status ok without a value"):
        conformance.check_metric(replace(real, measure=lambda pair: ItemState("ok")))
    with pytest.raises(CheckError, match="'reduce' is missing"):
        conformance.check_metric(object())  # type: ignore[arg-type]


def test_what_is_missing_is_named_with_the_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> str:
        if name in ("ray", "soxr"):
            raise PackageNotFoundError(name)
        return "1.0"

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(doctor, "version", missing)
    monkeypatch.setattr(doctor, "agreements", lambda: [])
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "file" / "cache"))
    found = {finding.name: finding for finding in doctor.diagnose().findings}
    assert (found["ray"].state, found["ray"].needed, found["ray"].todo) == (
        "missing",
        False,
        "pip install 'xmbench[ray]'",
    )
    assert (found["soxr"].state, found["soxr"].needed) == ("missing", True)
    assert found["cache folder"].state == "missing"
    assert "XMBENCH_CACHE" in found["cache folder"].todo
    assert not doctor.diagnose().healthy


def test_a_damaged_judge_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kind = registry.judge("words")
    assert kind.weights is not None
    for file in ("digits.json", "digits.safetensors"):
        (tmp_path / file).write_bytes((kind.weights / file).read_bytes())
    (tmp_path / "digits.safetensors").write_bytes(b"other")
    other: Any = kind
    monkeypatch.setattr(registry, "names", lambda _: ["words"])
    monkeypatch.setattr(registry, "judge", lambda _: replace(other, weights=tmp_path))
    finding = doctor._judges()
    assert finding.state == "broken"
    assert "digits.safetensors is not the judge" in finding.version


def test_the_command_says_what_works() -> None:
    command = [sys.executable, "-m", "xmbench", "doctor"]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert plain.returncode == 0, plain.stdout
    assert "corr2d matches the reference to" in plain.stdout
    assert "everything needed works" in plain.stdout
    found = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    parts = {part["name"] for part in found["findings"]}
    assert {
        "torch",
        "pesq",
        "numba",
        "espeak-ng",
        "pyttsx3",
        "gtts",
        "ray",
        "naplib",
        "ffmpeg",
        "cache folder",
    } <= parts
    assert found["healthy"]
    assert all(metric["holds"] for metric in found["metrics"])
