"""Google's speech embedding gives what the ONNX file gives that it was converted from; judges that hear by it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conftest import ROOT
from xmbench.engines._espeak import SAMPLE_RATE_HZ, speak
from xmbench.errors import PrerequisiteError
from xmbench.judges.records import pretrained
from xmbench.judges.words import embedding, speech_embedding
from xmbench.judges.words.clips import read
from xmbench.judges.words.embedding import BATCH, EmbeddingWordJudge, WindowNet, windows_for
from xmbench.judges.words.judging import EMBEDDING
from xmbench.judges.words.kind import word_judge
from xmbench.judges.words.speech_embedding import BANDS, RATE_HZ, centred, heard, log_mel, samples_of
from xmbench.judges.words.training import fit
from xmbench.judges.words.waveforms import Waveforms
from xmbench.media.audio import resample, to_float, trim_silence

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
Clip = NDArray[np.float32]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [to_float(trim_silence(speak(word, "en-us", 120, 50), SAMPLE_RATE_HZ)) for word in WORDS]


@pytest.fixture(scope="module")
def untrained() -> EmbeddingWordJudge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return EmbeddingWordJudge.of(WORDS, [WindowNet(len(WORDS), 7).eval() for _ in range(2)])


# ------------------------------------------------------------------------------------------------- the network
def test_bands_and_embeddings_are_those_of_the_onnx_files() -> None:
    """Computed with onnxruntime; `rounded` with the same weights in 16 bits, `embedding` with those of 32."""
    samples, rate = read(ROOT / "xmbench" / "conformance" / "vectors" / "seven.flac")
    time = np.arange(16000) / 16000
    chirp = np.sin(2 * np.pi * (200 * time + 900 * time**2)) * np.hanning(16000)
    given = np.stack([centred(samples, rate, 7), centred(chirp.astype(np.float32), 16000, 7)])
    known = np.load(Path(__file__).parent / "speech_embedding_onnx.npz")
    bands = log_mel(torch.from_numpy(given), floor=0.0)
    np.testing.assert_allclose(bands[:, ::8].numpy(), known["mel"], atol=2e-4)
    with torch.no_grad():
        found = speech_embedding.speech_embedding()(bands)[:, ::3].numpy()
    np.testing.assert_allclose(found, known["rounded"], atol=2e-3)  # of values with a deviation of 16
    np.testing.assert_allclose(found, known["embedding"], atol=0.5)


def test_the_record_describes_the_stored_weights() -> None:
    record = json.loads(speech_embedding.WEIGHTS.with_suffix(".json").read_text("utf-8"))
    stored = speech_embedding.WEIGHTS.read_bytes()
    assert (record["sha256"], record["bytes"]) == (sha256(stored).hexdigest(), len(stored))
    assert record["licence"] == "Apache-2.0"
    assert record["origin"] in (ROOT / "NOTICE").read_text("utf-8")
    assert record["sha256"] == speech_embedding.digest()
    assert ("speech-embedding", record["sha256"]) in list(pretrained()), "`xmbench doctor` lists it"


def test_one_pass_gives_the_embedding_of_every_window() -> None:
    bands = torch.randn(2, speech_embedding.frames_of(4), BANDS, generator=torch.Generator().manual_seed(0))
    network = speech_embedding.speech_embedding()
    with torch.no_grad():
        together = network(bands)
        alone = [network(bands[:, start : start + 76]) for start in (0, 8, 16, 24)]
    assert together.shape == (2, 4, 96)
    np.testing.assert_allclose(torch.cat(alone, 1).numpy(), together.numpy(), atol=1e-4)


def test_the_mel_bands_have_unit_area_below_3800_hz() -> None:
    table = speech_embedding.mel_table().numpy()
    np.testing.assert_allclose(table.sum(axis=0) * RATE_HZ / 512, 1.0, atol=0.05)
    assert not table[int(3800 / (RATE_HZ / 512)) + 1 :].any()


# ------------------------------------------------------------------------------------------------ what is heard
def test_a_word_is_centred_wherever_it_stands(clips: list[Clip]) -> None:
    word = resample(clips[7], SAMPLE_RATE_HZ, RATE_HZ)
    expected = centred(word, RATE_HZ, 7)
    assert expected.shape == (samples_of(7),)
    for before, after in ((RATE_HZ, 0), (0, RATE_HZ // 2), (4 * RATE_HZ, 7 * RATE_HZ)):
        found = centred(np.pad(word, (before, after)), RATE_HZ, 7)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("silent", [np.zeros(0, np.float32), np.zeros(5000, np.float32), np.zeros(1, np.float32)])
def test_silence_and_empty_clips_have_only_the_floor(silent: Clip) -> None:
    assert not centred(silent, RATE_HZ, 7).any()
    found = heard([silent], RATE_HZ, 7)
    assert torch.isfinite(found).all()
    assert (found == found[:, :1]).all()


def test_long_words_get_more_windows() -> None:
    assert [windows_for(frames) for frames in (96, 97, 112, 136)] == [7, 8, 9, 12]


# ------------------------------------------------------------------------------------------------------- judges
def test_bytes_round_trip_to_the_same_judge(untrained: EmbeddingWordJudge, clips: list[Clip]) -> None:
    embedding._unpack.cache_clear()
    again = word_judge(untrained.data)
    assert isinstance(again, EmbeddingWordJudge)
    assert again is not untrained
    assert (again.data, again.class_names, again.frames) == (untrained.data, WORDS, untrained.frames)
    expected = untrained.probabilities(clips, SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(again.probabilities(clips, SAMPLE_RATE_HZ), expected)


def test_a_clip_gives_the_same_in_any_batch_and_with_any_threads(
    untrained: EmbeddingWordJudge, clips: list[Clip]
) -> None:
    many = clips * 4
    assert len(many) > BATCH
    together = untrained.probabilities(many, SAMPLE_RATE_HZ)
    assert together.shape == (40, len(WORDS) + 1)
    np.testing.assert_allclose(together.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(untrained.probabilities(many[::-1], SAMPLE_RATE_HZ)[::-1], together)
    np.testing.assert_array_equal(untrained.probabilities(many[:1], SAMPLE_RATE_HZ), together[:1])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        np.testing.assert_array_equal(untrained.probabilities(clips, SAMPLE_RATE_HZ), together[:10])
    finally:
        torch.set_num_threads(before)
    assert untrained.embed(clips, SAMPLE_RATE_HZ).shape == (10, EMBEDDING)
    assert untrained.embed([], SAMPLE_RATE_HZ).shape == (0, EMBEDDING)
    assert untrained.probabilities([], SAMPLE_RATE_HZ).shape == (0, len(WORDS) + 1)


@pytest.mark.parametrize(("gain", "tolerance"), [(0.5, 1e-6), (0.013, 1e-4), (1e-6, 1e-3)])
def test_gain_plays_no_part(untrained: EmbeddingWordJudge, clips: list[Clip], gain: float, tolerance: float) -> None:
    quiet = [clip * np.float32(gain) for clip in clips]
    expected = untrained.probabilities(clips, SAMPLE_RATE_HZ)
    np.testing.assert_allclose(untrained.probabilities(quiet, SAMPLE_RATE_HZ), expected, atol=tolerance)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-100], lambda data: b"x" * 50])
def test_damaged_weights_are_refused(untrained: EmbeddingWordJudge, damage: Any) -> None:
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        EmbeddingWordJudge.from_bytes(damage(untrained.data))


def test_a_judge_of_another_speech_embedding_is_refused(untrained: EmbeddingWordJudge) -> None:
    known = speech_embedding.digest().encode()
    with pytest.raises(PrerequisiteError, match="another speech embedding"):
        word_judge(untrained.data.replace(known, b"0" * 64))


def test_a_missing_embedding_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_embedding, "WEIGHTS", tmp_path / "none.safetensors")
    speech_embedding.speech_embedding.cache_clear()
    try:
        with pytest.raises(PrerequisiteError, match="speech embedding cannot be read"):
            speech_embedding.speech_embedding()
    finally:
        speech_embedding.speech_embedding.cache_clear()


@pytest.mark.parametrize("architecture", ["embedding", "voting"])
def test_training_is_seeded_and_makes_judges_of_long_words(clips: list[Clip], architecture: Any) -> None:
    def trained() -> bytes:
        judge = fit(
            clips[:2],
            SAMPLE_RATE_HZ,
            [0, 1],
            WORDS[:2],
            seed=1,
            steps=2,
            networks=1,
            frames=120,
            architecture=architecture,
            progress=lambda line: None,
        )
        return judge.data

    assert trained() == trained()
    judge = word_judge(trained())
    assert judge.frames == 120
    found = judge.probabilities(clips, SAMPLE_RATE_HZ)
    assert found.shape == (10, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    assert judge.embed(clips, SAMPLE_RATE_HZ).shape == (10, EMBEDDING)


def test_draws_are_repeatable_and_have_every_kind_of_label(clips: list[Clip]) -> None:
    words = [resample(clip, SAMPLE_RATE_HZ, RATE_HZ) for clip in clips]
    labels = [*range(8), 10, 11]
    examples, found = Waveforms(words, labels, [1.0] * 10, 10, 7, seed=0).draw(200)
    drawn = Waveforms(words, labels, [1.0] * 10, 10, 7, seed=0)
    again, same = drawn.draw(200)
    np.testing.assert_array_equal(examples, again)
    np.testing.assert_array_equal(found, same)
    assert examples.shape == (200, samples_of(7))
    assert examples.dtype == np.float32
    assert np.isfinite(examples).all()
    assert set(found.tolist()) == set(labels)
