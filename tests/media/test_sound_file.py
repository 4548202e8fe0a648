"""Sound of any file as flac: the samples of the stream, its own rate, no more than asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests import link_site
from xmbench.errors import OutputError, VideoError
from xmbench.media import audio, sound_file

RATE_HZ = 48_000


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, rng.integers(-9000, 9000, (30_000, 2)).astype(np.int16), RATE_HZ)
    return path


def test_samples_are_the_mean_of_the_channels(stereo: Path, tmp_path: Path) -> None:
    assert sound_file.to_flac(stereo, tmp_path / "out.flac", 60.0) == 30_000 / RATE_HZ
    samples, rate = audio.decode_mono_int16((tmp_path / "out.flac").read_bytes())
    assert rate == RATE_HZ
    wanted = soundfile.read(stereo, dtype="int16")[0].astype(np.float64).mean(axis=1)
    assert np.abs(samples - wanted).max() <= 0.5


@pytest.mark.parametrize("longest_s", [0.1, 0.33333, 0.625])
def test_no_more_than_asked_for_is_written(stereo: Path, tmp_path: Path, longest_s: float) -> None:
    sound_file.to_flac(stereo, tmp_path / "out.flac", longest_s)
    assert soundfile.info(tmp_path / "out.flac").frames == round(longest_s * RATE_HZ)


def test_the_rate_is_that_of_the_decoded_sound(tmp_path: Path) -> None:
    (tmp_path / "a.webm").write_bytes(link_site.webm(link_site.tone(0.5)))
    assert abs(sound_file.to_flac(tmp_path / "a.webm", tmp_path / "a.flac", 60.0) - 0.5) < 0.03
    assert soundfile.info(tmp_path / "a.flac").samplerate == link_site.RATE_HZ


def test_a_film_without_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(link_site.silent_film())
    with pytest.raises(VideoError, match="no sound"):
        sound_file.to_flac(tmp_path / "a.mp4", tmp_path / "a.flac", 60.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_message(stereo: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        sound_file.to_flac(stereo, Path("/dev/full"), 60.0)
