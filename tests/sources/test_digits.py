"""The digits inside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from tests.upstreams import Memory
from xmbench.errors import UpstreamError
from xmbench.interfaces import AudioFormat, ImageFormat, RawImage, Task
from xmbench.sources import digits
from xmbench.sources.digits import SOURCE, DigitsOptions

TASK = Task(tuple("0123456789"), (), ImageFormat(28, 28, 1), AudioFormat(22050, 18140, 0.322, 0.823))


def test_all_digits_are_there_in_the_format_of_the_task() -> None:
    entries = SOURCE.entries(Memory(), DigitsOptions(), TASK)
    assert len(entries) == 1797
    assert np.bincount([entry.label for entry in entries]).min() == 174
    assert {entry.split for entry in entries} == {"any"}
    pixels = [
        raw.pixels for raw in SOURCE.read(Memory(), DigitsOptions(), TASK, entries[:50]) if isinstance(raw, RawImage)
    ]
    assert len(pixels) == 50
    assert {p.shape for p in pixels} == {(28, 28, 1)}
    assert min(p.max() for p in pixels) > 200  # ink reaches nearly full scale


def test_other_data_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    digits._embedded.cache_clear()
    monkeypatch.setattr(digits, "SHA256", "0" * 64)
    with pytest.raises(UpstreamError, match="not the known ones"):
        SOURCE.entries(Memory(), DigitsOptions(), TASK)


def test_too_few_classes() -> None:
    task = Task(("0", "1"), (), TASK.image, TASK.audio)
    with pytest.raises(UpstreamError, match="10 classes"):
        SOURCE.entries(Memory(), DigitsOptions(), task)
