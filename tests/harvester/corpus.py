"""A corpus in SoundNet's released layout, drawn and played here, and annotators whose weights need no download."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from xmbench.annotators.squeezenet import weight_shapes
from xmbench.media import image

ANNOTATORS = ("squeezenet", "esc10-sounds")
SECONDS = 11.0


def frame(seed: int, side: int = 64) -> bytes:
    """A JPEG picture of coloured waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    waves = [np.sin(2 * np.pi * (rng.uniform(1, 6) * x + rng.uniform(1, 6) * y) + rng.uniform(0, 6)) for _ in range(3)]
    return image.encode_jpeg(np.asarray(127 + 120 * np.stack(waves, 2), np.uint8), 90)


def mp3(seed: int, seconds: float = SECONDS) -> bytes:
    """A tone with noise, as an mp3 file at 22,050 Hz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(22_050 * seconds)) / 22_050
    samples = 0.4 * np.sin(2 * np.pi * rng.uniform(200, 2000) * time) + 0.05 * rng.standard_normal(len(time))
    stream = io.BytesIO()
    soundfile.write(stream, samples.astype(np.float32), 22_050, format="MP3")
    return stream.getvalue()


def video_name(number: int) -> str:
    """The path of a video in the lists."""
    return f"videos/{number % 3}/{1000 + number}.mp4"


def soundnet(root: Path, videos: Sequence[int], frames: int = 3, extra: Sequence[str] = ()) -> dict[str, bytes]:
    """Writes `lists/`, `frames/` and `mp3/`; returns the files by name. `extra` are lines of the list."""
    files: dict[str, bytes] = {}
    lines = list(extra)
    for number in videos:
        for j in range(frames):
            name = f"{video_name(number)}/{j + 1:08d}.jpg"
            files[f"frames/{name}"] = frame(10 * number + j)
            lines.append(f"/data/vision/soundnet/frames/{name} 1 2 3")
        files[f"mp3/{video_name(number)}.mp3"] = mp3(number)
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "lists").mkdir(exist_ok=True)
    (root / "lists" / "train_frames4_0001.txt").write_text("\n".join(lines) + "\n")
    return files


def archived(root: Path, files: Mapping[str, bytes], packed: bool = True) -> None:
    """Writes the same as `frames_public.tar.gz` and `mp3_public.tar`."""
    for tree, ending in (("frames", ".tar.gz" if packed else ".tar"), ("mp3", ".tar")):
        with tarfile.open(root / f"{tree}_public{ending}", "w:gz" if ending.endswith("gz") else "w") as tape:
            for name, data in files.items():
                if name.startswith(f"{tree}/"):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    tape.addfile(entry, io.BytesIO(data))


def random_weights(folder: Path) -> Path:
    """Weights of a SqueezeNet that has learned nothing."""
    rng, path = np.random.default_rng(7), folder / "squeezenet.npz"
    arrays = {
        name: (rng.standard_normal(shape) * (2 / max(1.0, float(np.prod(shape[1:])))) ** 0.5).astype(np.float32)
        for name, shape in weight_shapes().items()
    }
    np.savez(path, **arrays)
    return path
