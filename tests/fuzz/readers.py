"""The readers that take files from outside, each with real files to start from and one way to read a file.

`read` raises nothing but `XmbenchError`, whatever the bytes; `True` where the file was taken as whole.
"""

from __future__ import annotations

import io
import itertools
import pickle
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.conftest import shared
from tests.making import submit
from tests.upstreams import Memory
from xmbench import content
from xmbench.builder import plan
from xmbench.errors import MediaError, VideoError, XmbenchError
from xmbench.evaluator.check import check
from xmbench.evaluator.decode import decode_output
from xmbench.evaluator.outputs import RawOutput
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe
from xmbench.inspection.validate import open_unchecked, validate
from xmbench.interfaces import AudioFormat, Direction, ImageFormat, RawClip, RawImage, Task
from xmbench.media import audio, image, sound_file, video
from xmbench.media.video_writer import SoundTrack, write_video
from xmbench.sources import cifar, recordings
from xmbench.sources.cifar import CifarOptions
from xmbench.sources.mnist import parse_idx

LONGEST_READ_S = 20.0  # of the processor; a read of these files takes a tenth of a second
TASK = Task(("cat", "dog"), ("cat", "dog"), ImageFormat(32, 32, 3), AudioFormat(22050, 24020, 0.1, 1.0))


@dataclass(frozen=True)
class Reader:
    """One reader: files that it reads, and how it reads bytes."""

    seeds: list[bytes]
    read: Callable[[bytes], bool]


def idx_reader() -> Reader:
    """Unsigned bytes of one and three dimensions."""
    seeds = [
        bytes([0, 0, 8, len(shape)])
        + b"".join(size.to_bytes(4, "big") for size in shape)
        + bytes(range(int(np.prod(shape))))
        for shape in ((5,), (2, 3, 4), (0,), (1, 1, 1))
    ]

    def read(data: bytes) -> bool:
        return parse_idx(data, 3 if data[3:4] == b"\x03" else 1, "fuzzed").size >= 0

    return Reader(seeds, read)


def pickle_reader() -> Reader:
    """CIFAR batches of every protocol, in the hands of the source that reads them."""
    name = "cifar-10-batches-py/data_batch_1"
    planes = np.arange(3 * 3072, dtype=np.uint8).reshape(3, 3072)
    batch = {b"labels": [0, 1, 0], b"data": planes, b"batch_label": b"x", b"filenames": [b"a", b"b", b"c"]}
    seeds = [pickle.dumps(batch, protocol) for protocol in range(6)]
    seeds.append(pickle.dumps({"labels": np.array([1, 0, 1]), "data": np.asfortranarray(planes)}, 4))
    seeds.append(pickle.dumps({"labels": [1], "data": print}, 2))

    def read(data: bytes) -> bool:
        upstream = Memory({name: data})
        entries = cifar.SOURCE.entries(upstream, CifarOptions(), TASK)
        return all(isinstance(raw, RawImage) for raw in cifar.SOURCE.read(upstream, CifarOptions(), TASK, entries))

    return Reader(seeds, read)


def toml_reader(folder: Path) -> Reader:
    """Recipes, up to the check of what they name."""
    path = folder / "fuzzed.toml"

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        plan.check(load_toml(path, Recipe))
        return True

    names = ("digits-ad", "mnist-ad-human", "cifar10-ad")
    return Reader([content.find("recipes", name).read_bytes() for name in names], read)


def parquet_reader(dataset: Dataset, folder: Path) -> Reader:
    """A shard and a ledger, as `validate`, the evaluator and the trainers read them."""
    copy = folder / "fuzzed"
    shutil.copytree(dataset.folder, copy)
    shard = copy / dataset.manifest.shards[0].path
    split = dataset.manifest.shards[0].split

    def read(data: bytes) -> bool:
        shard.write_bytes(data)
        opened = open_unchecked(copy)
        whole = validate(opened).holds
        try:
            list(opened.rows(split, ["image", "audio", "label"]))
            opened.table(split, ["label", "duration_s"])
        except XmbenchError:
            whole = False
        try:
            ledger.read(shard)
        except XmbenchError:
            return whole
        return True

    return Reader([shard.read_bytes(), (copy / "ledger.parquet").read_bytes()], read)


def output_reader(kind: str) -> Reader:
    """Outputs of a submission as the evaluator decodes them: "npy" (sounds and images), "flac", "png"."""
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, 600)
    pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    sides: list[Direction] = ["a2i"] if kind == "png" else ["i2a"] if kind == "flac" else ["i2a", "a2i"]
    seeds = {
        "npy": [npy(values) for values in (samples.astype("<f4"), samples, pixels, np.asfortranarray(pixels))],
        "flac": [audio.encode_flac(audio.to_int16(samples), 22050), stereo_flac(samples)],
        "png": [image.encode_png(pixels), image.encode_palette_png(pixels[:, :, 0], pixels[0]), rich_png(pixels)],
    }

    def read(data: bytes) -> bool:
        found = [decode_output(RawOutput("x", f".{kind}", data), TASK, side) for side in sides]
        return any(one.status == "ok" for one in found)

    return Reader(seeds[kind], read)


def npy(values: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def stereo_flac(samples: NDArray[np.float64]) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.tile(samples[:, None], 2), 22050, format="FLAC", subtype="PCM_24")
    return stream.getvalue()


def rich_png(pixels: NDArray[np.uint8]) -> bytes:
    """With a colour profile and texts, packed and plain."""
    told = PngInfo()
    told.add_text("Title", "x" * 500, zip=True)
    told.add_itxt("Comment", "\u00e4" * 100, zip=True)
    told.add_text("Author", "somebody")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=told, icc_profile=bytes(600))
    return stream.getvalue()


def table_reader(dataset: Dataset, folder: Path) -> Reader:
    """The table of a submission, as `check` reads it."""
    submission = submit(dataset, folder / "s")
    rows = {path.stem: path.read_bytes()[:3000] for path in sorted((submission / "outputs").iterdir())}
    shutil.rmtree(submission / "outputs")
    table = pa.table({"id": list(rows), "bytes": list(rows.values())})
    seeds = []
    for options in ({}, {"use_dictionary": False, "compression": "zstd"}, {"data_page_version": "2.0"}):
        stream = io.BytesIO()
        pq.write_table(table, stream, **options)
        seeds.append(stream.getvalue())

    def read(data: bytes) -> bool:
        (submission / "outputs.parquet").write_bytes(data)
        return not any(problem.kind in ("missing", "foreign") for problem in check(submission, dataset).problems)

    return Reader(seeds, read)


def wav_reader() -> Reader:
    """Sounds in the forms that people hand in, decoded in each of the three ways."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 600)
    forms = [
        ("WAV", "PCM_16", 1),
        ("WAV", "PCM_24", 1),
        ("WAV", "FLOAT", 1),
        ("WAV", "PCM_U8", 2),
        ("FLAC", "PCM_16", 1),
    ]
    seeds = [audio.encode_wav(audio.to_int16(samples), 8000)]
    for container, subtype, channels in forms:
        stream = io.BytesIO()
        soundfile.write(stream, np.tile(samples[:, None], channels), 8000, format=container, subtype=subtype)
        seeds.append(stream.getvalue())

    def read(data: bytes) -> bool:
        whole = isinstance(recordings.read_take(data, 22050), RawClip)
        try:
            audio.decode_mono_int16(data)
        except MediaError:
            whole = False
        audio.decode(data)
        audio.measured(io.BytesIO(data))
        whole &= len(list(audio.read_parts(io.BytesIO(data), (0.0, 0.05, 9.0), 0.05))) == 3
        return whole

    return Reader(seeds, read)


def video_reader(folder: Path, real: bool) -> Reader:
    """Videos: facts, pictures, sound and windows. Nothing but VideoError, and not seconds for a file of kilobytes."""
    path = folder / "fuzzed"
    times = [Fraction(i, 5) for i in range(6)]

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        began = time.process_time()
        try:
            taken = [_tried(path, part) for part in parts]  # every one, also after a refusal
            return all(taken)
        finally:
            assert time.process_time() - began < LONGEST_READ_S, "a hang"

    def _tried(path: Path, part: Callable[[Path], object]) -> bool:
        try:
            part(path)
        except VideoError:
            return False
        return True

    def windows(path: Path) -> None:
        for window in itertools.islice(video.windows(path, 0.2, 0.1, 8_000), 20):
            assert window.samples.shape == (1_600,)
            assert np.isfinite(window.samples).all()

    parts: list[Callable[[Path], object]] = [
        video.facts,
        lambda path: list(video.frames(path, times)),
        lambda path: list(video.sound(path, times, 0.1, 16_000)),
        windows,
    ]
    return Reader(real_videos() if real else made_videos(folder), read)


def sound_track_reader(folder: Path, real: bool) -> Reader:
    """Sound of any file that FFmpeg reads, to flac."""
    path, flac = folder / "fuzzed", folder / "fuzzed.flac"

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        began = time.process_time()
        try:
            seconds = sound_file.to_flac(path, flac, 60.0)
        finally:
            assert time.process_time() - began < LONGEST_READ_S, "a hang"
        assert 0 < seconds <= 60
        assert len(audio.decode(flac.read_bytes())[0]) > 0
        return True

    return Reader(real_videos() if real else [*made_videos(folder), *made_sounds()], read)


def made_videos(folder: Path) -> list[bytes]:
    """Half a second of a small picture with sound, in the containers and codecs that people have."""
    rng = np.random.default_rng(0)
    frames = [(Fraction(i, 10), rng.integers(0, 255, (32, 48, 3), dtype=np.uint8)) for i in range(6)]
    sound = SoundTrack(rng.uniform(-0.5, 0.5, 8_000).astype(np.float32), 16_000)
    made = []
    for ending in ("mp4", "mkv"):
        write_video(folder / f"made.{ending}", frames, (32, 48), [sound])
        made.append((folder / f"made.{ending}").read_bytes())
    for form, codec, voice in (("webm", "libvpx", "libopus"), ("avi", "mpeg4", "pcm_s16le")):
        made.append(muxed(form, codec, voice, [pixels for _, pixels in frames]))
    return made


def muxed(form: str, codec: str, voice: str, frames: list[NDArray[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format=form) as container:
        picture, sound = container.add_stream(codec, rate=10), container.add_stream(voice, rate=48_000, layout="mono")
        picture.height, picture.width, picture.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for pixels in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(picture.encode(None))
        samples = np.random.default_rng(1).integers(-9000, 9000, (1, 24_000)).astype(np.int16)
        for start in range(0, 24_000, 960):
            part = np.ascontiguousarray(samples[:, start : start + 960])
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return stream.getvalue()


def made_sounds() -> list[bytes]:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4_000)
    made = []
    for form, subtype in (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "PCM_16")):
        stream = io.BytesIO()
        soundfile.write(stream, samples, 8_000, format=form, subtype=subtype)
        made.append(stream.getvalue())
    return made


def real_videos() -> list[bytes]:
    """Small real ones; skips the test where they are not there."""
    found = sorted(shared("data", "videos", "permissive").iterdir(), key=lambda path: path.stat().st_size)
    return [path.read_bytes() for path in found[:3]]
