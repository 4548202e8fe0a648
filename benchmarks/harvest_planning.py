"""Time and memory of planning a harvest of all of SoundNet: lists of 2,146,555 videos -> sorted candidates and shards.

    python benchmarks/harvest_planning.py [VIDEOS]

The lists are made up, in the released layout: 40 files, 1 to 4 frames of a video. No media are read.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from xmbench.execution.progress import silent
from xmbench.formats.harvest import CandidateSpec, HarvestSpec
from xmbench.harvester.harvest import shard_rows
from xmbench.harvester.layouts import found_in

VIDEOS, LISTS = 2_146_555, 40
_PREFIX = "/data/vision/torralba/crossmodal/flickr_videos/soundnet/frames"


def make(root: Path, videos: int) -> int:
    """Writes the lists; returns how many frames they name."""
    seed, frames = random.Random(0), 0
    for name in ("lists", "frames", "mp3"):
        (root / name).mkdir()
    for number in range(LISTS):
        with (root / "lists" / f"train_frames4_{number + 1:04d}.txt").open("w") as file:
            for video in range(number, videos, LISTS):
                count = seed.randint(1, 4)
                frames += count
                place = f"{_PREFIX}/videos{video % 2 or ''}/{video % 97}/{video % 89}/{10**9 + video}.mp4"
                file.writelines(f"{place}/{i + 1:08d}.jpg\n" for i in range(count))
    return frames


def main() -> None:
    """Prints one line."""
    videos = int(sys.argv[1]) if len(sys.argv) > 1 else VIDEOS
    spec = HarvestSpec(annotators=("soundnet-8",), candidates=(CandidateSpec(layout="soundnet"),))
    with tempfile.TemporaryDirectory() as folder:
        frames = make(Path(folder), videos)
        started, cpu = time.perf_counter(), time.process_time()
        found = found_in(spec, Path(folder), None, Path(folder), silent)
        digest = found.digest()
        rows = shard_rows(len(found))
        first = found.part(0, rows)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{frames:,} frames, {len(found):,} candidates, {-(-len(found) // rows):,} shards: "
            f"{time.perf_counter() - started:.1f} s ({time.process_time() - cpu:.1f} s of one core), "
            f"{peak:.2f} GB at most; first {first[0].id}, digest {digest[:12]}"
        )


if __name__ == "__main__":
    main()
