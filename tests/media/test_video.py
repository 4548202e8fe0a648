"""Video: windows of a clock, made here, are right to one frame and one sample; what cannot be read is named."""

from __future__ import annotations

import itertools
import pickle
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import shared
from tests.media import clock
from xmbench.errors import VideoError
from xmbench.media import audio, sound_track, video
from xmbench.media.video_writer import SoundTrack, write_video

STEADY = [Fraction(i, 25) for i in range(50)]
NTSC = [i * Fraction(1001, 30_000) for i in range(60)]
VARIABLE = [Fraction(t, 1000) for t in (0, 99, 101, 150, 400, 401, 430, 700, 1000, 1001, 1299, 1700, 1950)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 25 frames a second with two sound streams."""
    return clock.write(tmp_path_factory.mktemp("clock") / "two.mp4", STEADY, 2.0, streams=2)


def frame_at(times: list[Fraction], time: Fraction) -> int:
    return max(i for i, t in enumerate(times) if t <= time)


# ------------------------------------------------------------------------------------------------- windows
@pytest.mark.parametrize("name", ["clock.mp4", "clock.mkv"])
@pytest.mark.parametrize("times", [STEADY, NTSC, VARIABLE], ids=["25", "29.97", "variable"])
def test_windows_start_at_the_right_frame_and_sample(times: list[Fraction], name: str, tmp_path: Path) -> None:
    path = clock.write(tmp_path / name, times, 2.0)
    found = list(video.windows(path))
    assert len(found) == video.window_count(min(video.facts(path).duration_s, Fraction(2)), 0.5, 0.1) >= 15
    for index, window in enumerate(found):
        time = Fraction(index, 10)
        assert (window.index, window.start_s) == (index, time)
        assert len(window.samples) == 22_050
        assert clock.sounded(window.samples) == index * 4_410 % clock.PERIOD
        allowed = {frame_at(times, time)}
        if name.endswith(".mkv"):  # it rounds timestamps to milliseconds
            allowed.add(frame_at(times, time + Fraction(1, 2000)))
        assert clock.shown(window.pixels) in allowed


def test_a_stride_that_is_no_whole_number_of_samples_is_rounded_once(two: Path) -> None:
    stride = Fraction(1, 7)
    starts = [clock.sounded(window.samples) for window in video.windows(two, 0.25, stride)]
    assert starts == [round(k * stride * 44_100) % clock.PERIOD for k in range(video.window_count(2, 0.25, stride))]


def test_the_sound_stream_is_the_one_that_is_asked_for(two: Path) -> None:
    assert [s.number for s in video.facts(two).sounds] == [0, 1]
    assert clock.sounded(next(video.windows(two)).samples) == 0
    assert clock.sounded(next(video.windows(two, sound_stream=1)).samples) == 1000
    with pytest.raises(VideoError, match="2 sound stream") as caught:
        next(video.windows(two, sound_stream=2))
    assert caught.value.reason == "no-sound"


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_rotation_that_a_file_asks_for_is_applied(two: Path, tmp_path: Path, turns: int) -> None:
    """The matrix of the picture's track header, as phones write it; it turns clockwise."""
    matrix = {1: (0, 65536, 0, -65536, 0, 0), 2: (-65536, 0, 0, 0, -65536, 0), 3: (0, -65536, 0, 65536, 0, 0)}[turns]
    data = bytearray(two.read_bytes())
    upright = np.array((65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), ">i4").tobytes()
    turned = np.array((*matrix, 0, 0, 1 << 30), ">i4").tobytes()
    place = data.index(upright, data.index(b"tkhd"))
    data[place : place + len(turned)] = turned
    path = tmp_path / "turned.mp4"
    path.write_bytes(data)
    found, plain = next(video.windows(path)).pixels, next(video.windows(two)).pixels
    assert np.array_equal(found, np.rot90(plain, -turns))
    facts = video.facts(path)
    assert (facts.height_px, facts.width_px) == found.shape[:2]
    assert facts.rotation_deg == (-90 * turns) % 360


def test_sound_of_another_rate_is_resampled_as_a_whole(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000 * 2).astype(np.float32)
    path = tmp_path / "noise.mp4"
    frames = ((time, clock.frame(0)) for time in STEADY)
    write_video(path, frames, clock.SIZE_PX, [SoundTrack(samples, 48_000, "alac")])
    stored = audio.to_float(audio.to_int16(samples.astype(np.float64)))
    wanted = audio.resample(stored, 48_000, 44_100)
    for window in video.windows(path):
        assert np.array_equal(window.samples, wanted[window.index * 4410 :][:22_050])


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    def peak(seconds: int) -> int:
        path = clock.write(tmp_path / f"{seconds}.mp4", [Fraction(i, 10) for i in range(10 * seconds)], seconds)
        assert sum(1 for _ in video.windows(path)) == 10 * seconds - 4  # also loads what is loaded once
        tracemalloc.start()
        assert sum(1 for _ in video.windows(path)) == 10 * seconds - 4
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(16) < 1.3 * peak(4) < 3_000_000


@given(st.fractions(0, 500), st.fractions(Fraction(1, 100), 5), st.fractions(Fraction(1, 100), 3))
def test_the_windows_that_are_counted_are_those_that_fit(
    duration: Fraction, length: Fraction, stride: Fraction
) -> None:
    number = video.window_count(duration, length, stride)
    assert number == 0 or (number - 1) * stride + length <= duration
    assert number * stride + length > duration


@given(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 40), max_size=10), st.integers(1, 12))
def test_slices_are_those_of_the_whole(lengths: list[int], starts: list[int], length: int) -> None:
    whole = np.arange(sum(lengths), dtype=np.float32)
    chunks = iter(np.split(whole, np.cumsum(lengths)))
    for start, found in zip(sorted(starts), sound_track.slices(chunks, sorted(starts), length), strict=True):
        if start + length <= len(whole):
            assert found is not None
            assert np.array_equal(found, whole[start : start + length])
        else:
            assert found is None


# --------------------------------------------------------------------------------------------- what is wrong
def refused(path: Path) -> VideoError:
    with pytest.raises(VideoError) as caught:
        list(video.windows(path))
    assert str(path) in str(caught.value)
    return caught.value


def no_sound(path: Path) -> None:
    clock.write(path, STEADY, 2.0, streams=0)


def short_sound(path: Path) -> None:
    clock.write(path, STEADY, 0.4)


def no_picture(path: Path) -> None:
    path.write_bytes(audio.encode_wav(np.zeros(44_100, np.int16), 44_100))


def text(path: Path) -> None:
    path.write_text("not a video\n" * 100)


def playlist(path: Path) -> None:
    """A format that names other files, which a reader by content would open."""
    path.write_text(f"#EXTM3U\n#EXTINF:2\nfile://{path.parent / 'other.mp4'}\n")
    clock.write(path.parent / "other.mp4", STEADY, 2.0)


def empty(path: Path) -> None:
    path.touch()


def without_index(path: Path) -> None:
    clock.write(path, STEADY, 2.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(3).bytes(5000))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (no_sound, "no-sound"),
        (short_sound, "too-short"),
        (no_picture, "no-picture"),
        (text, "unreadable"),
        (playlist, "unreadable"),
        (empty, "empty-file"),
        (without_index, "unreadable"),
        (garbage, "unreadable"),
    ],
)
def test_what_cannot_be_read_has_a_reason(make: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    make(tmp_path / "video.mp4")
    error = refused(tmp_path / "video.mp4")
    assert error.reason == reason
    again = pickle.loads(pickle.dumps(error))
    assert (again.reason, str(again)) == (error.reason, str(error))


def test_a_file_that_was_cut_off_gives_the_windows_that_are_there(tmp_path: Path) -> None:
    whole = clock.write(tmp_path / "whole.mkv", [Fraction(i, 10) for i in range(50)], 5.0)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) // 2])
    found = []
    with pytest.raises(VideoError, match="windows are there") as caught:  # noqa: PT012
        for window in video.windows(cut):
            found.append(clock.sounded(window.samples))
    assert caught.value.reason == "cut-off"
    assert found == [4410 * k % clock.PERIOD for k in range(len(found))]
    assert 5 < len(found) < 35


def test_the_name_of_a_file_decides_nothing(two: Path, tmp_path: Path) -> None:
    path = tmp_path / "video.txt"
    path.write_bytes(two.read_bytes())
    assert len(list(video.windows(path))) == 16


def test_there_is_no_picture_after_the_last_frame(two: Path) -> None:
    times = [Fraction(0), Fraction(199, 100), Fraction(2), Fraction(3)]
    found = list(video.frames(two, times))
    assert [None if pixels is None else clock.shown(pixels) for pixels in found] == [0, 49, None, None]


# ---------------------------------------------------------------------------------------------- real videos
@pytest.mark.parametrize("name", ["elf.webm", "nasa_13013.mp4"])
def test_windows_of_real_videos(name: str) -> None:
    path = shared("data", "videos", "permissive", name)
    facts = video.facts(path)
    seen = 0
    for window in itertools.islice(video.windows(path), 12):
        assert window.pixels.shape == (facts.height_px, facts.width_px, 3)
        assert window.samples.shape == (22_050,)
        seen += window.pixels.std() > 1
    assert seen >= 10


def test_a_real_video_with_two_sound_streams() -> None:
    path = shared("data", "videos", "permissive", "nasa_13013.mp4")
    assert [s.sample_rate_hz for s in video.facts(path).sounds] == [8000, 16_000]
    starts = [Fraction(k, 2) for k in range(8)]
    high = []
    for number in (0, 1):
        found = video.sound(path, starts, 0.5, 44_100, number)
        high.append(sum(float(np.abs(np.fft.rfft(s))[2100:3900].sum()) for s in found if s is not None))
    assert high[1] > 2 * high[0]  # 4.2 to 7.8 kHz, which a stream of 8 kHz cannot have
