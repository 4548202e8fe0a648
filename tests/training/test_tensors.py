"""Training data on the device, and derived forms that are computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xmbench.interfaces import Examples, Run
from xmbench.storage.arrays import create_array, open_array
from xmbench.training import Tensors, prepared


def examples_of(folder: Path | None, count: int = 50) -> Examples:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 4, 5, 3)).astype(np.uint8)
    clips = random.integers(-32768, 32768, (7, 30)).astype(np.int16)
    if folder is not None:
        for name, array in (("images.npy", images), ("clips.npy", clips)):
            create_array(folder / name, array.shape, array.dtype)[:] = array
        images, clips = open_array(folder / "images.npy"), open_array(folder / "clips.npy")
    ids = tuple(f"item-{i:02d}" for i in range(count))
    return Examples(ids, np.arange(count) % 3, images, clips, np.arange(count) % 7, ids, folder)


def run_in(folder: Path) -> Run:
    return Run(folder, 0, "cpu", False, lambda _line: None)


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_are_the_same_read_ahead_or_not(tmp_path: Path, mapped: bool) -> None:
    examples = examples_of(tmp_path if mapped else None)
    data = Tensors(examples, run_in(tmp_path))
    assert sorted([*data.rows.tolist(), *data.held_out.tolist()]) == list(range(50))
    assert data.validation_ids == tuple(examples.ids[i] for i in data.held_out)
    batches = torch.split(torch.randperm(50), 12)
    for rows, coming in zip(batches, [*batches[1:], None], strict=True):
        clips = data.clip_index[rows]
        pixels, waveforms = data.pixels(rows), data.waveforms(clips)
        if coming is not None:
            data.ahead(coming, data.clip_index[coming])
            data.ahead(coming)  # asked twice
        np.testing.assert_array_equal(pixels.numpy(), examples.images[rows.numpy()])
        np.testing.assert_array_equal(waveforms.numpy(), examples.clips[clips.numpy()] / np.float32(32768))
        held = data.pixels(data.held_out)  # a validation between two batches
        np.testing.assert_array_equal(held.numpy(), examples.images[data.held_out.numpy()])
    assert (data.pixels(batches[0]).dtype, data.waveforms(clips).dtype) == (torch.uint8, torch.float32)


@pytest.mark.parametrize("mapped", [False, True])
def test_prepared_forms_are_computed_once_where_the_data_are_kept(tmp_path: Path, mapped: bool) -> None:
    examples, calls = examples_of(tmp_path if mapped else None, 600), []

    def halved(images: NDArray[Any]) -> NDArray[Any]:
        calls.append(len(images))
        return images[:, ::2, ::2].astype(np.float32)

    first = prepared(examples, "halved", halved)
    np.testing.assert_array_equal(first, examples.images[:, ::2, ::2])
    assert first.dtype == np.float32
    again = prepared(examples, "halved", halved)
    np.testing.assert_array_equal(first, again)
    assert sum(calls) == (600 if mapped else 1200)
    levels = prepared(examples, "level", lambda clips: np.abs(clips).max(axis=1), of="clips")
    assert levels.shape == (7,)


def test_a_form_of_another_number_of_rows_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows were made of"):
        prepared(examples_of(tmp_path), "odd", lambda images: images[1:])
    assert list((tmp_path / "prepared").iterdir()) == []
