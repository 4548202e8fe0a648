"""The benchmark of a training step: what it counts is right, and it runs without a GPU in a narrow form."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xmbench import content
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu_step.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_step", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("recipe", "side", "channels"), [("mnist-ad", 28, 1), ("cifar10-ad", 32, 3)])
def test_the_counted_operations_are_those_of_table_1(script: ModuleType, recipe: str, side: int, channels: int) -> None:
    """By hand: per pixel a 1x1 and two 3x3 convolutions per stage; two operations a product, three passes."""
    config = script.config_of(tiny=False)
    widths = (channels, *config.widths)
    trunk = sum(a * b + 2 * 9 * b * b for a, b in itertools.pairwise(widths))
    found = script.flop_per_image(load_toml(content.find("recipes", recipe), Recipe).task, config)
    assert found == pytest.approx(2 * 3 * trunk * side * side, rel=0.02)
    assert found / 1e9 == pytest.approx({28: 121.8, 32: 159.0}[side], rel=0.01)


def test_epochs_that_fit_leave_time_for_validation_and_outputs(script: ModuleType) -> None:
    # 600 s at 1,000 images a second; 3,333 for the outputs; an epoch is 55,000 + 1,667
    assert script.epochs_in(600, 1000, 55_000) == 10
    assert script.epochs_in(1, 1000, 55_000) == 0


def test_it_runs_without_a_gpu(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "SETS", {"MNIST": script.SETS["MNIST"]})
    monkeypatch.setattr(
        sys, "argv", ["gpu_step.py", "--tiny", "--device", "cpu", "--seconds", "0.01", "--minutes", "3"]
    )
    script.main()
    shown = capsys.readouterr().out
    assert "tiny: a narrow network" in shown
    assert all(way in shown for way in ("fp32, eager", "bf16", "+ channels-last", "+ space-to-batch", "by batch"))
    assert "in 3 minutes: " in shown


def test_the_gpu_preset_changes_how_and_not_what_is_computed(script: ModuleType) -> None:
    baseline = load_toml(content.find("baselines", "mtnet"), Baseline)
    plain, fast = baseline.configured(None, {}), baseline.configured("gpu", {})
    assert {key for key in fast if fast[key] != plain.get(key)} == {"precision", "channels_last"}
