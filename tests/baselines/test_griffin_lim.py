"""Copy-synthesis of real speech: nearly the reference to the ear and to every metric, never its waveform."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from xmbench import registry
from xmbench.evaluator.pair import score_pair
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.interfaces import Conditions, Run
from xmbench.media.audio import to_float


def test_it_keeps_the_magnitudes_and_not_the_phase(digits: Dataset, tmp_path: Path) -> None:
    model = registry.model("griffin-lim")
    examples = read_examples(digits, "test")
    run = Run(tmp_path, 0, "cpu", False, lambda _line: None)
    generator = model.fit(examples, digits.recipe.task, model.Config(), run)
    ids, clips = examples.ids[:4], examples.clips[examples.clip_index[:4]]
    found = generator.generate(Conditions(ids, examples.images[:4], examples.labels[:4], clips), "i2a")
    assert found.shape == clips.shape
    assert found.dtype == np.float32
    last = Conditions(ids[3:], examples.images[3:4], examples.labels[3:4], clips[3:])
    np.testing.assert_array_equal(generator.generate(last, "i2a")[0], found[3])  # the same in any batch
    for output, clip in zip(found, clips, strict=True):
        reference = to_float(clip)
        scores = score_pair(reference, output, digits.recipe.audio.sample_rate_hz)
        assert scores["corr2d"] > 0.97
        assert scores["stoi"] > 0.9
        assert abs(np.corrcoef(reference, output)[0, 1]) < 0.95


@pytest.mark.parametrize("settings", [{"hop": 99_999}, {"hop": 1024}, {"window": 10**9}])
def test_windows_that_lose_samples_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        registry.model("griffin-lim").Config(**settings)
