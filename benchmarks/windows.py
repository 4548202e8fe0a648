"""Windows of a video in one decoding pass, against one call of ffmpeg per window and against plain decoding.

The video is made by this script: 1080p at 30 frames a second with a moving pattern, a key frame every 250 frames (the
default of x264, the usual encoder), and sound at 44,100 Hz. Three ways
are timed in one run, on one thread each:

- plain: every frame and all the sound decoded, nothing converted or kept: what no way can be faster than
- ours: `xmbench.media.video.windows`, every frame of a window as RGB, its sound as samples
- ffmpeg: two calls of the program per window, for the frame and for the sound; a few windows, spread over the video,
  from which the time for all of them is calculated

    pip install imageio-ffmpeg        # brings the program; or name one with --ffmpeg
    python benchmarks/windows.py --seconds 60

The peak of traced memory of our way is shown for the whole video and for its first tenth: it does not grow.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from xmbench.media import video
from xmbench.media.video_writer import SoundTrack, Timed, write_video

HEIGHT_PX, WIDTH_PX, FRAMES_PER_S, RATE_HZ = 1080, 1920, 30, 44_100
LENGTH_S, STRIDE_S = 0.5, 0.1
KEY_EVERY = 250  # x264's default: what a call for one window decodes first, half of it on average


def pattern(seconds: int) -> Iterator[Timed]:
    """Coloured blocks that move over a grainy background: as hard to decode as a filmed scene."""
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 40, (HEIGHT_PX, 2 * WIDTH_PX, 3), dtype=np.uint8)
    grain += rng.integers(0, 200, (HEIGHT_PX // 60, 2 * WIDTH_PX // 60, 3), dtype=np.uint8).repeat(60, 0).repeat(60, 1)
    for number in range(seconds * FRAMES_PER_S):
        left = 3 * number % WIDTH_PX
        frame = grain[:, left : left + WIDTH_PX].copy()
        top = 5 * number % (HEIGHT_PX - 300)
        frame[top : top + 300, 600:900] = number % 256
        yield Fraction(number, FRAMES_PER_S), frame


def make(path: Path, seconds: int) -> None:
    """The video."""
    time_s = np.arange(seconds * RATE_HZ) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * (300 + 200 * np.sin(time_s)) * time_s)
    sound = SoundTrack(tone.astype(np.float32), RATE_HZ)
    write_video(path, pattern(seconds), (HEIGHT_PX, WIDTH_PX), [sound], key_every=KEY_EVERY)


def plain(path: Path) -> int:
    """Decodes everything; returns the number of frames."""
    import av

    number = 0
    with av.open(str(path)) as container:
        for stream in (container.streams.video[0], container.streams.audio[0]):
            stream.codec_context.thread_count = 1
        for frame in container.decode(video=0, audio=0):
            number += isinstance(frame, av.VideoFrame)
    return number


def ours(path: Path) -> int:
    """Every window; returns their number."""
    return sum(1 for _ in video.windows(path, LENGTH_S, STRIDE_S, RATE_HZ))


def calls(program: str, path: Path, starts: list[float]) -> int:
    """Two calls per window, as people write them."""
    for start in starts:
        common = [program, "-v", "error", "-threads", "1", "-ss", f"{start:.3f}", "-i", str(path)]
        frame = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        sound = ["-t", f"{LENGTH_S}", "-vn", "-ac", "1", "-ar", f"{RATE_HZ}", "-f", "f32le", "-"]
        pixels = subprocess.run([*common, *frame], capture_output=True, check=True)
        samples = subprocess.run([*common, *sound], capture_output=True, check=True)
        if len(pixels.stdout) != HEIGHT_PX * WIDTH_PX * 3 or not samples.stdout:
            raise SystemExit(f"{program} gave no window at {start} s")
    return len(starts)


def timed(work: Callable[[], int]) -> tuple[int, float, float]:
    """What it returns, seconds by the clock, seconds of processor time with those of the programs that it called."""

    def processor() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    clock, spent = time.perf_counter(), processor()
    number = work()
    return number, time.perf_counter() - clock, processor() - spent


def peak_mb(path: Path, limit: int | None) -> float:
    """Peak of the memory that numpy and Python hold while windows are read one at a time."""
    tracemalloc.start()
    for _ in islice(video.windows(path, LENGTH_S, STRIDE_S, RATE_HZ), limit):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def program_of(given: str) -> str:
    """The ffmpeg program: the one given, that of imageio-ffmpeg, or one in the PATH; "" for none."""
    if given:
        return given
    try:
        import imageio_ffmpeg
    except ImportError:
        return shutil.which("ffmpeg") or ""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def main() -> None:
    """Makes the video, times the three ways, prints ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=6, help="windows that ffmpeg is called for")
    parser.add_argument("--ffmpeg", default="", help="the program, where it is not in the PATH")
    parser.add_argument("--memory", action="store_true", help="measure the peak of memory too: two more passes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        make(path, chosen.seconds)
        print(f"{chosen.seconds} s of 1080p, {path.stat().st_size / 1e6:.1f} MB, load {os.getloadavg()[0]:.1f}")
        frames, plain_s, plain_cpu = timed(lambda: plain(path))
        print(f"plain:  {frames} frames in {plain_s:.1f} s, {plain_cpu:.1f} s of processor time")
        number, ours_s, ours_cpu = timed(lambda: ours(path))
        print(f"ours:   {number} windows in {ours_s:.1f} s, {ours_cpu:.1f} s of processor time")
        print(f"ours / plain: {ours_s / plain_s:.2f} by the clock, {ours_cpu / plain_cpu:.2f} by processor time")
        if program := program_of(chosen.ffmpeg):
            starts = [k * (chosen.seconds - 1) / chosen.calls for k in range(chosen.calls)]
            made, call_s, call_cpu = timed(lambda: calls(program, path, starts))
            call_s, call_cpu = call_s * number / made, call_cpu * number / made
            print(f"ffmpeg: {call_s:.0f} s, {call_cpu:.0f} s of processor time, calculated from {made} windows")
            print(f"ffmpeg / ours: {call_s / ours_s:.1f} by the clock, {call_cpu / ours_cpu:.1f} by processor time")
        else:
            print("ffmpeg: not here (pip install imageio-ffmpeg)")
        if chosen.memory:
            whole, part = peak_mb(path, None), peak_mb(path, number // 10)
            print(f"memory: {whole:.1f} MB for all windows, {part:.1f} MB for the first tenth")


if __name__ == "__main__":
    main()
