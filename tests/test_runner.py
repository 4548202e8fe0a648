"""The runner: what it writes, what it refuses, how a run is resumed."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from numpy.typing import NDArray

from xmbench import content, registry, runner
from xmbench.errors import (
    CheckError,
    DatasetError,
    DocumentError,
    OutputError,
    PrerequisiteError,
    UnknownNameError,
    XmbenchError,
)
from xmbench.evaluator.check import check
from xmbench.formats.baseline import Baseline, Expected
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import Part, load_json, load_toml
from xmbench.formats.items import read_clip, read_conditions, read_image
from xmbench.formats.submission import SUBMISSION_FILE, Submission
from xmbench.interfaces import SIDES, Conditions, Direction, Examples, Run
from xmbench.media import image
from xmbench.runner.outputs import Outputs, shuffled
from xmbench.runner.settings import RUN_FILE, RunRecord, resolve_config

SMALL: dict[str, Any] = {
    "widths": [4, 6],
    "strides": [2, 2],
    "autoencoder_widths": [24, 16, 16, 16, 24],
    "code_shape": [4, 4],
    "generator_hidden": 8,
    "autoencoder_min_steps": 3,
    "autoencoder_epochs": 1,
    "joint_min_steps": 4,
    "joint_epochs": 1,
    "joint_batch": 8,
}
FLOW: dict[str, Any] = {
    "encoder_width": 8,
    "channels": 8,
    "multipliers": [1, 1],
    "bands": 16,
    "batch": 8,
    "min_steps": 2,
}
HEAR: dict[str, Any] = {
    "encoder_widths": [8],
    "embedding": 8,
    "classifier_epochs": 1,
    "classifier_min_steps": 2,
    "classifier_batch": 8,
}
FLOW_IMAGE: dict[str, Any] = {
    **HEAR,
    "judge_width": 4,
    "patch": 4,
    "channels": 8,
    "multipliers": [1, 1],
    "blocks": 1,
    "batch": 8,
    "min_steps": 2,
    "steps": 1,
}
TWO_STEPS: dict[str, Any] = {"min_steps": 2, "epochs": 1}
NAME_A_WORD: dict[str, Any] = {"widths": [4, 6], "strides": [2, 2], **TWO_STEPS}
ADVERSARIES: dict[str, Any] = {
    "image_widths": [4, 8, 8],
    "image_hidden": 16,
    "sound_widths": [4, 4, 8, 8],
    "sound_hidden": 16,
    "classifier_epochs": 1,
    "classifier_min_steps": 2,
    "generator_width": 4,
    "discriminator_width": 4,
    "epochs": 1,
    "min_steps": 2,
    "batch": 8,
    "spec2wav_channels": [4, 4, 4],
    "spec2wav_hidden": [16, 16],
    "spec2wav_epochs": 1,
    "spec2wav_min_steps": 2,
}
DRAWERS: dict[str, Any] = {
    **{name: value for name, value in ADVERSARIES.items() if "spec2wav" not in name},
    "autoencoder_epochs": 1,
    "autoencoder_min_steps": 2,
}
JOINT_SPACE: dict[str, Any] = {
    "feature_side": 4,
    "image_size": 32,
    "image_width": 2,
    "sound_width": 2,
    "sound_seconds": 0.5,
    "feature_epochs": 1,
    "feature_min_steps": 2,
    "feature_batch": 8,
    "joint_epochs": 1,
    "joint_min_steps": 2,
    "joint_batch": 8,
}
STACKED: dict[str, Any] = {
    **JOINT_SPACE,
    "feature_side": 16,
    "generator_width": 2,
    "discriminator_width": 2,
    "epochs": 1,
    "min_steps": 2,
    "batch": 8,
}
QUICK: dict[str, dict[str, Any]] = {
    "mtnet": SMALL,
    "i2t2a": NAME_A_WORD,
    "i2t2a-same-voice": NAME_A_WORD,
    "nearest-class-clip": TWO_STEPS,
    "nearest-feature-clip": TWO_STEPS,
    "class-medoid": TWO_STEPS,
    "class-mean": TWO_STEPS,
    "class-mean-spectrum": TWO_STEPS,
    "class-log-mel": {**TWO_STEPS, "iterations": 1},
    "flow-speech": {**FLOW, "steps": 1, "vocoder_iterations": 1},
    "flow-image": FLOW_IMAGE,
    "nearest-sound-image": HEAR,
    "heard-class-image": HEAR,
    "flow-sound": {**FLOW, "steps": 1, "vocoder_iterations": 1},
    "dcmavg-i2s": ADVERSARIES,
    "cmcgan": ADVERSARIES,
    "cmcgan-i2s": ADVERSARIES,
    **{f"dcmavg-s2i-{variant}": DRAWERS for variant in ("c", "n", "a", "pose")},
    "stacked-gan": STACKED,
    "nearest-multimodal": JOINT_SPACE,
    "seen-image-gan": STACKED,
}
HEADLESS = {"cmcgan", "cmcgan-i2s", "dcmavg-s2i-a", "seen-image-gan"}
CLASSIFY = {*QUICK, "nearest-class-image", "nearest-image-clip"} - HEADLESS


def baseline_of(name: str) -> Baseline:
    return load_toml(content.find("baselines", name), Baseline)


def test_no_row_is_trained_here_at_its_full_width() -> None:
    assert {name for name in content.names("baselines") if baseline_of(name).kind == "learned"} <= set(QUICK)


def run(name: str, dataset: Dataset, out: Path, **options: Any) -> runner.RunSummary:
    options = {"overrides": QUICK.get(name, {}), "progress": lambda _line: None, **options}
    return runner.run(baseline_of(name), dataset, out, **options)


def outputs(folder: Path) -> dict[str, bytes]:
    table = pq.read_table(folder / "outputs.parquet")
    return dict(zip(table["id"].to_pylist(), table["bytes"].to_pylist(), strict=True))


@pytest.mark.parametrize("name", content.names("baselines"))
def test_every_baseline_writes_a_submission_that_passes_the_check(tmp_path: Path, digits: Dataset, name: str) -> None:
    summary = run(name, digits, tmp_path / "run")
    found = check(summary.submission, digits)
    assert [problem for problem in found.problems if problem.kind != "silent"] == []
    document = load_json(summary.submission / "submission.json", Submission)
    assert document.track == f"digits-ad/{baseline_of(name).directions[0]}"
    assert (document.dataset_digest, document.data_digest) == (digits.digest, digits.manifest.data_digest)
    assert document.kind == baseline_of(name).kind
    assert document.seed == 0
    assert (document.baseline, document.preset, document.control) == (name, "", "")
    assert document.changed == QUICK.get(name, {})
    assert "xmbench run-baseline" in document.command
    first = next(iter(outputs(summary.submission).values()))
    if SIDES[baseline_of(name).directions[0]].output == "image":
        assert image.decode(first, formats=("PNG",)).shape == (28, 28, 1)
    else:
        samples, rate = soundfile.read(io.BytesIO(first), dtype="int16")
        assert (samples.shape, rate) == ((18140,), 22050)
    record = load_json(tmp_path / "run" / "run.json", runner.RunRecord)
    generation = record.generations[summary.submission.name]
    assert generation.items == digits.count("test") == len(outputs(summary.submission))
    own = generation.head_accuracy
    assert (own is not None) == (name in CLASSIFY)
    assert load_json(summary.submission / "submission.json", Submission).head_accuracy == own
    assert not list(summary.submission.glob(".*"))


@pytest.mark.parametrize("name", content.names("baselines"))
def test_every_toml_fits_its_model(name: str) -> None:
    baseline = baseline_of(name)
    assert baseline.name == name
    model = registry.model(baseline.model)
    assert set(baseline.directions) <= set(model.directions)
    assert baseline.kind in ("floor", "ceiling") or not model.oracle
    assert model.oracle or baseline.kind != "ceiling"
    for preset in (None, *baseline.presets):
        config = resolve_config(baseline, model, preset, {})
        if preset is None:  # every setting stands in the TOML, save those that are off, and the code says the same
            if baseline.model == name:  # a second row of a model differs from its own row
                assert config == model.Config()
            unset = {key for key, value in config.model_dump().items() if value is not None} - set(baseline.config)
            assert unset == set()


def test_the_oracle_equals_the_references_of_single_take_data(tmp_path: Path, digits: Dataset) -> None:
    found = outputs(run("oracle-class", digits, tmp_path / "run").submission)
    for row in digits.rows("test", ["audio"]):
        samples, _ = soundfile.read(io.BytesIO(found[row["id"]]), dtype="int16")
        np.testing.assert_array_equal(samples, read_clip(row, digits))


def test_repeated_clips_are_stored_once(tmp_path: Path, digits: Dataset) -> None:
    summary = run("oracle-class", digits, tmp_path / "run")
    assert (summary.submission / "outputs.parquet").stat().st_size < 10 * 2 * 18140


def test_with_shuffled_conditions_no_item_keeps_its_own(tmp_path: Path, digits: Dataset) -> None:
    plain = list(read_conditions(digits, "test", "i2a", 7, True))
    mixed = list(shuffled(iter(plain), 0))
    ids = [item for part in plain for item in part.ids]
    assert [item for part in mixed for item in part.ids] == ids
    inputs, labels = (np.concatenate([getattr(part, name) for part in plain]) for name in ("inputs", "labels"))
    given = np.concatenate([part.inputs for part in mixed])
    same = [int(np.flatnonzero((inputs == image).all(axis=(1, 2, 3)))[0]) for image in given]
    assert sorted(same) == list(range(len(ids)))
    assert all(own != other for own, other in enumerate(same))
    np.testing.assert_array_equal(np.concatenate([part.labels for part in mixed]), labels[same])
    again = np.concatenate([part.inputs for part in shuffled(iter(plain), 0)])
    np.testing.assert_array_equal(given, again)
    with pytest.raises(DatasetError, match="fewer than two"):
        list(shuffled(iter([Conditions(("a",), inputs[:1])]), 0))


def test_the_control_is_written_next_to_the_run_without_a_training(tmp_path: Path, digits: Dataset) -> None:
    run("nearest-class-clip", digits, tmp_path / "run")
    lines: list[str] = []
    summary = run(
        "nearest-class-clip", digits, tmp_path / "run", resume=True, shuffle_conditions=True, progress=lines.append
    )
    assert summary.submission.name == "submission-shuffled"
    assert "[conditions shuffled]" in summary.system
    document = load_json(summary.submission / "submission.json", Submission)
    assert (document.baseline, document.control, document.kind) == (
        "nearest-class-clip",
        "shuffled-conditions",
        "floor",
    )
    assert any("already trained" in line for line in lines)
    assert check(summary.submission, digits).problems == ()
    record = load_json(tmp_path / "run" / "run.json", runner.RunRecord)
    assert set(record.generations) == {"submission", "submission-shuffled"}


# -------------------------------------------------------------------------------------------- resuming a run
def test_interrupted_and_resumed_gives_the_same_outputs(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("mtnet", digits, tmp_path / "whole")

    def interrupt(line: str) -> None:
        if line.startswith("joint:"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run("mtnet", digits, tmp_path / "broken", progress=interrupt)
    assert not (tmp_path / "broken" / "submission").exists()
    with pytest.raises(OutputError, match="unfinished"):
        run("mtnet", digits, tmp_path / "broken")
    resumed = run("mtnet", digits, tmp_path / "broken", resume=True)
    assert outputs(whole.submission) == outputs(resumed.submission)


def test_a_finished_run_is_not_overwritten_silently(tmp_path: Path, digits: Dataset) -> None:
    first = run("random-clip", digits, tmp_path / "run")
    before = outputs(first.submission)
    with pytest.raises(OutputError, match="finished") as caught:
        run("random-clip", digits, tmp_path / "run")
    assert "--resume" in str(caught.value)
    run("random-clip", digits, tmp_path / "run", resume=True)
    assert outputs(first.submission) == before


def test_resuming_with_other_settings_is_refused_and_names_them(tmp_path: Path, digits: Dataset) -> None:
    run("nearest-class-clip", digits, tmp_path / "run")
    changed = {**QUICK["nearest-class-clip"], "width": 8}
    with pytest.raises(OutputError, match="other settings") as caught:
        run("nearest-class-clip", digits, tmp_path / "run", resume=True, overrides=changed, seed=5)
    assert caught.value.problems == ("seed: 0 there, 5 here", "width: 16 there, 8 here")


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path, digits: Dataset) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match="other files"):
        run("silence", digits, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_directory(tmp_path: Path, digits: Dataset) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError):
            run("silence", digits, out)


# ---------------------------------------------------------------------------------------------------- seeds
def run_seeds(name: str, dataset: Dataset, out: Path, seeds: list[int], **options: Any) -> list[runner.RunSummary]:
    options = {"overrides": QUICK.get(name, {}), "progress": lambda _line: None, **options}
    return runner.run_seeds(baseline_of(name), dataset, out, seeds, **options)


def test_each_seed_has_its_own_directory_and_outputs(tmp_path: Path, digits: Dataset) -> None:
    summaries = run_seeds("random-clip", digits, tmp_path, [2, 0])
    assert [summary.submission for summary in summaries] == [tmp_path / f"seed-{k}" / "submission" for k in (2, 0)]
    documents = [load_json(summary.submission / "submission.json", Submission) for summary in summaries]
    assert [document.seed for document in documents] == [2, 0]
    assert len({document.system for document in documents}) == 1
    first, second = (outputs(summary.submission) for summary in summaries)
    assert first != second
    assert second == outputs(run("random-clip", digits, tmp_path / "alone", seed=0).submission)


def test_resuming_seeds_leaves_finished_ones_and_gives_the_same_outputs(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_seeds("mtnet", digits, tmp_path / "whole", [0, 1, 2])
    joint: list[str] = []

    def interrupt(line: str) -> None:
        """In the joint phase of the second seed."""
        joint.append(line)
        if line.startswith("joint:") and any(said.startswith("seed 1 ") for said in joint):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run_seeds("mtnet", digits, tmp_path / "broken", [0, 1, 2], progress=interrupt)
    assert sorted(path.parent.name for path in (tmp_path / "broken").glob("seed-*/submission")) == ["seed-0"]
    before = (tmp_path / "broken" / "seed-0" / "submission" / "outputs.parquet").stat().st_mtime_ns
    with pytest.raises(OutputError, match="finished"):
        run_seeds("mtnet", digits, tmp_path / "broken", [0, 1, 2])
    lines: list[str] = []
    resumed = run_seeds("mtnet", digits, tmp_path / "broken", [0, 1, 2], resume=True, progress=lines.append)
    assert "seed 0 (1 of 3): already finished" in lines
    assert (resumed[0].submission / "outputs.parquet").stat().st_mtime_ns == before
    for one, other in zip(whole, resumed, strict=True):
        assert outputs(one.submission) == outputs(other.submission)
        assert (one.track, one.system) == (other.track, other.system)


def test_seeds_that_cannot_resume_are_found_before_any_work(tmp_path: Path, digits: Dataset) -> None:
    run("silence", digits, tmp_path / "seed-1", seed=1)
    (tmp_path / "seed-2").mkdir()
    (tmp_path / "seed-2" / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match="finished"):
        run_seeds("silence", digits, tmp_path, [0, 1])
    with pytest.raises(OutputError, match="other files"):
        run_seeds("silence", digits, tmp_path, [0, 2], resume=True)
    assert not (tmp_path / "seed-0").exists()


def test_seeds_and_a_single_run_do_not_share_a_directory(tmp_path: Path, digits: Dataset) -> None:
    run("silence", digits, tmp_path / "run")
    with pytest.raises(OutputError, match="a run with one seed"):
        run_seeds("silence", digits, tmp_path / "run", [0])
    run_seeds("silence", digits, tmp_path / "seeds", [0])
    with pytest.raises(OutputError, match="other files"):
        run("silence", digits, tmp_path / "seeds")


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("2, 0,1", (2, 0, 1)), ("4294967295", (4294967295,))])
def test_lists_of_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert runner.parse_seeds(text) == seeds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "(nothing): not a seed"),
        ("0,", "(nothing): not a seed"),
        ("a", "a: not a seed"),
        ("1e5", "1e5: not a seed"),
        ("-1", "-1: not a seed"),
        ("0,0", "0: more than once"),
        ("0,00", "0: more than once"),
        ("4294967296", "4294967296: not a seed"),
        ("٣", "٣: not a seed"),
        ("9" * 5000, f"{'9' * 40}: not a seed"),
        (",".join(map(str, range(100_000))), "100,000 seeds"),
    ],
)
def test_lists_that_are_not_seeds(text: str, problem: str) -> None:
    with pytest.raises(DocumentError, match="list of different seeds") as caught:
        runner.parse_seeds(text)
    assert problem in caught.value.problems


# ------------------------------------------------------------------------------------------------- settings
def test_unknown_settings_name_the_nearest(tmp_path: Path, digits: Dataset) -> None:
    with pytest.raises(DocumentError, match="did you mean 'joint_lr'") as caught:
        run("mtnet", digits, tmp_path / "run", overrides={"jont_lr": 1e-3, "dilation": 0})
    assert len(caught.value.problems) == 2
    with pytest.raises(UnknownNameError, match="did you mean 'lite'"):
        run("mtnet", digits, tmp_path / "run", preset="light")
    assert not (tmp_path / "run").exists()


def test_presets_go_together_in_their_order() -> None:
    mtnet = baseline_of("mtnet")
    model = registry.model("mtnet")
    lite, both = resolve_config(mtnet, model, "lite", {}), resolve_config(mtnet, model, "lite,gen-only", {})
    assert both == lite.model_copy(update={"use_per": False, "use_rep": False})
    assert resolve_config(mtnet, model, "literal,lite", {}).joint_lr == lite.joint_lr  # the later one wins
    assert resolve_config(mtnet, model, "lite,literal", {}).joint_lr == 1e-3
    assert runner.canonical(mtnet, " lite , gen-only") == "lite,gen-only"
    assert runner.canonical(mtnet, None) is None


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("lite,gen-onli", "did you mean 'gen-only'"),
        ("lite,", "mtnet has no preset ''"),
        ("lite,gen-only,lite", "'lite' is named twice"),
        ("gen-only,gen-rep", "'gen-rep' changes nothing beside 'gen-only'"),
        ("lite,balanced,gen-only", "balanced needs a second term"),
        ("spectral,ae-decoder", 'needs decoder = "generator"'),
    ],
)
def test_presets_that_do_not_go_together_are_named(preset: str, message: str) -> None:
    with pytest.raises(XmbenchError) as caught:
        resolve_config(baseline_of("mtnet"), registry.model("mtnet"), preset, {})
    assert message in str(caught.value)
    assert "mtnet" in str(caught.value)


def test_a_run_of_two_presets_names_both(tmp_path: Path, digits: Dataset) -> None:
    settings = {**SMALL, "autoencoder_min_steps": 1, "joint_min_steps": 1}
    run("mtnet", digits, tmp_path / "run", preset="lite, gen-only", overrides=settings)
    record = load_json(tmp_path / "run" / RUN_FILE, RunRecord)
    document = load_json(tmp_path / "run" / "submission" / SUBMISSION_FILE, Submission)
    assert record.preset == document.preset == "lite,gen-only"
    assert "--preset lite,gen-only" in document.command
    assert document.system.startswith("MT-Net lite (our re-implementation, CPU-sized), L_gen only")
    assert any(note.startswith("lite: ") for note in document.notes)
    with pytest.raises(OutputError, match="other settings"):
        run("mtnet", digits, tmp_path / "run", preset="gen-only,lite", overrides=settings)


def test_settings_of_a_recipe_stand_between_the_file_and_its_presets() -> None:
    mtnet, model = baseline_of("mtnet"), registry.model("mtnet")
    assert [resolve_config(mtnet, model, None, {}, name).joint_epochs for name in ("mnist-ad", "cifar100-ad")] == [
        20,
        60,
    ]
    lite = resolve_config(mtnet, model, "lite", {})
    assert resolve_config(mtnet, model, "lite", {}, "cifar10-ad").joint_epochs == lite.joint_epochs
    assert resolve_config(mtnet, model, None, {"joint_epochs": 7}, "cifar10-ad").joint_epochs == 7
    assert set(mtnet.recipes) <= set(content.names("recipes"))


class _TwoWays:
    """A generator that counts how often it computes."""

    passes = 0

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        raise AssertionError("one pass gives both")

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        self.passes += 1
        count = len(conditions.ids)
        return np.zeros((count, 18140), np.float32), np.zeros(count, np.int64)


def test_outputs_and_classes_come_from_one_pass(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = _TwoWays()
    model = registry.model("silence")
    monkeypatch.setattr(type(model), "fit", lambda _self, examples, task, config, run: generator)
    generation = run("silence", digits, tmp_path / "run").generation
    labels = digits.table("test", ["label"])["label"].to_pylist()
    assert generation.head_accuracy == pytest.approx(labels.count(0) / len(labels), abs=1e-6)
    assert generator.passes == math.ceil(len(labels) / 64)


def test_presets_and_changes_always_show_in_the_name() -> None:
    from xmbench.runner.describe import deviations, system_name

    mtnet = baseline_of("mtnet")
    assert "lite" in system_name(mtnet, "lite", {})
    assert system_name(mtnet, "gen-only", {"joint_lr": 0.001}).endswith("[gen-only] [joint_lr=0.001]")
    assert system_name(mtnet, None, {}, shuffle=True) == f"{mtnet.title} [conditions shuffled]"
    assert set(deviations(mtnet, None)) < set(deviations(mtnet, "lite"))
    assert set(deviations(mtnet, "lite,spectral")) == {*deviations(mtnet, "lite"), *deviations(mtnet, "spectral")}
    assert system_name(mtnet, "gen-only,lite", {}) == (
        "MT-Net (our re-implementation), L_gen only, MT-Net lite (our re-implementation, CPU-sized) [gen-only]"
    )


def test_a_data_set_without_the_track_or_the_items(tmp_path: Path, digits: Dataset) -> None:
    silence = baseline_of("silence")
    other = silence.model_copy(update={"directions": ("a2i",)})
    with pytest.raises(UnknownNameError, match="cannot generate"):
        runner.run(other, digits, tmp_path / "run", progress=lambda _line: None)
    track = digits.recipe.tracks[0].model_copy(update={"direction": "a2i"})
    recipe = digits.recipe.model_copy(update={"name": "turned", "tracks": (track,)})
    reversed_only = Dataset(digits.folder, digits.manifest.model_copy(update={"recipe": recipe}))
    with pytest.raises(DatasetError, match="no track turned/i2a"):
        runner.run(silence, reversed_only, tmp_path / "run", progress=lambda _line: None)
    empty = Dataset(digits.folder, digits.manifest.model_copy(update={"splits": {}}))
    with pytest.raises(DatasetError, match="no items"):
        runner.run(silence, empty, tmp_path / "run", progress=lambda _line: None)


def test_cuda_where_there_is_none(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(PrerequisiteError, match="CUDA"):
        run("mtnet", digits, tmp_path / "run", device="cuda")


# -------------------------------------------------------------------------------------------------- outputs
class Odd:
    """A model whose outputs are wrong in the way a test asks for."""

    name, directions, oracle = "odd", ("i2a",), False

    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make, self.Config = make, Part

    def fit(self, examples: Examples, task: Any, config: Any, run: Run) -> Odd:
        return self

    def generate(self, conditions: Conditions, direction: Any) -> Any:
        return self.make(len(conditions.ids))


def odd_run(monkeypatch: pytest.MonkeyPatch, digits: Dataset, out: Path, make: Callable[[int], Any]) -> Any:
    monkeypatch.setattr(registry, "model", lambda _name: Odd(make))
    return runner.run(baseline_of("silence"), digits, out, progress=lambda _line: None)


def test_outputs_of_the_wrong_shape_or_not_finite(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckError, match="shape"):
        odd_run(monkeypatch, digits, tmp_path / "short", lambda count: np.zeros((count, 5), dtype=np.float32))
    with pytest.raises(CheckError, match="not finite") as caught:
        odd_run(monkeypatch, digits, tmp_path / "nan", lambda count: np.full((count, 18140), np.nan))
    assert len(caught.value.problems) == digits.count("test")
    for name in ("short", "nan"):
        assert list((tmp_path / name / "submission").iterdir()) == []


def test_clipped_samples_are_counted(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def loud(count: int) -> Any:
        made = np.zeros((count, 18140), dtype=np.float32)
        made[:, :3] = [1.5, -1.5, -1.0]  # two beyond full scale, one exactly there
        return made

    summary = odd_run(monkeypatch, digits, tmp_path / "run", loud)
    assert summary.generation.clipped_samples == 2 * digits.count("test")


def test_a_full_disk_leaves_no_submission(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(OutputError, match="no space left"):
        run("random-clip", digits, tmp_path / "run")
    assert list((tmp_path / "run" / "submission").iterdir()) == []


def test_images_are_written_for_the_other_direction(tmp_path: Path, digits: Dataset) -> None:
    writer = Outputs(digits, "a2i")
    pixels = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28, 1)
    with writer.open(tmp_path):
        writer.add(("a", "b"), pixels)
        writer.finish()
    found = outputs(tmp_path)
    np.testing.assert_array_equal(image.decode(found["b"]), pixels[1])


def test_pixels_of_another_type_are_refused(tmp_path: Path, digits: Dataset) -> None:
    writer = Outputs(digits, "a2i")
    with writer.open(tmp_path):
        writer.add(("a", "b"), np.full((2, 28, 28, 1), 0.5))
        with pytest.raises(CheckError, match="2 of 2 outputs are not finite or not 8-bit") as caught:
            writer.finish()
    assert caught.value.problems[0] == "a: pixels of type float64, not uint8"


def test_identity_is_the_reference_in_both_directions_and_only_it_sees_references(
    tmp_path: Path, digits: Dataset
) -> None:
    sounds = outputs(run("identity", digits, tmp_path / "sounds").submission)
    pictures = outputs(run("identity-image", digits, tmp_path / "pictures").submission)
    for row in digits.rows("test", ["audio", "image"]):
        samples, _ = soundfile.read(io.BytesIO(sounds[row["id"]]), dtype="int16")
        np.testing.assert_array_equal(samples, read_clip(row, digits))
        np.testing.assert_array_equal(image.decode(pictures[row["id"]]), read_image(row, digits))
    assert all(batch.references is None for batch in read_conditions(digits, "test", "a2i", 7, True))
    shown = list(read_conditions(digits, "test", "a2i", 7, True, True))
    moved = list(shuffled(iter(shown), 0))
    assert moved[0].references is not None
    assert (moved[0].references.shape, moved[0].references.dtype) == ((40, 28, 28, 1), np.uint8)


def test_a_model_that_sees_labels_is_not_a_system(tmp_path: Path, digits: Dataset) -> None:
    disguised = baseline_of("oracle-class").model_copy(update={"kind": "learned"})
    with pytest.raises(DocumentError, match="sees labels"):
        runner.run(disguised, digits, tmp_path / "run", progress=lambda _line: None)


# ------------------------------------------------------------------------------------------ expected scores
def test_expected_scores() -> None:
    wanted = Expected(track="t/i2a", preset="lite", metric="corr2d", value=0.9, tolerance=0.02)
    baseline = baseline_of("mtnet").model_copy(update={"expected": (wanted,)})
    assert runner.expected(baseline, "t/i2a", "lite") == [wanted]
    with pytest.raises(DocumentError, match="no expected scores"):
        runner.expected(baseline, "t/i2a", None)
    assert runner.unmet([wanted], {"corr2d": 0.885}) == []
    assert len(runner.unmet([wanted], {"corr2d": 0.87})) == len(runner.unmet([wanted], {"corr2d": None})) == 1


def test_the_record_is_json_for_people(tmp_path: Path, digits: Dataset) -> None:
    run("silence", digits, tmp_path / "run", seed=7)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["schema"] == "xmbench/run/1"
    assert record["settings"]["seed"] == 7
    assert record["command"] == "xmbench run-baseline silence --data data/digits-ad --seed 7"
    assert record["training_seconds"] >= 0
