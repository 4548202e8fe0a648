"""Videos from a directory or by address: their middle parts, still pictures, and what a server answers instead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from xmbench.execution.engine import Workers
from xmbench.formats.harvest import Harvest, HarvestSpec
from xmbench.harvester.harvest import Request, harvest
from xmbench.harvester.layouts import guessed
from xmbench.media.video_writer import SoundTrack, write_video

ANSWERS = {"/gone.mp4": (404, b""), "/busy.mp4": (500, b""), "/page.mp4": (200, b"<!DOCTYPE html><p>sign in</p>")}


def _video(path: Path, seconds: float, moving: bool) -> Path:
    """A bright square on grey that wanders, or stays; with a tone."""

    def frames() -> Iterator[tuple[Fraction, Any]]:
        for i in range(round(4 * seconds)):
            pixels = np.full((64, 64, 3), 60, np.uint8)
            left = (2 * i) % 40 if moving else 10
            pixels[20:40, left : left + 20] = (250, 200, 40)
            yield Fraction(i, 4), pixels

    time = np.arange(round(22_050 * seconds)) / 22_050
    sound = SoundTrack((0.4 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), 22_050)
    write_video(path, frames(), (64, 64), [sound])
    return path


def _harvested(
    root: Path, out: Path, listed: Path | None = None, parts: int = 1
) -> tuple[Harvest, list[dict[str, Any]]]:
    part = guessed(root, listed).model_copy(update={"frames_per_video": parts})
    spec = HarvestSpec(annotators=("esc10-sounds",), candidates=(part,))
    done = harvest(Request(spec, root, listed), out, workers=Workers(1))
    rows = [row for file in sorted((out / "candidates").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    return done, rows


def test_the_middle_parts_of_a_video_are_candidates(tmp_path: Path) -> None:
    _video(tmp_path / "moving.mp4", 16.0, True)
    _video(tmp_path / "still.mp4", 6.0, False)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "moving.mp4").read_bytes()[:2000])
    done, rows = _harvested(tmp_path, tmp_path / "out", parts=2)
    found = {(row["source"], row["id"][-1]): row for row in rows}
    assert [found["moving.mp4", part]["start_s"] for part in "01"] == [0.0, 5.0]
    assert found["moving.mp4", "1"]["motion"] > 1 > found["still.mp4", "0"]["motion"]
    assert found["still.mp4", "1"]["status"] == "past-end"
    assert found["cut.mp4", "0"]["status"] == "unreadable-media"
    assert (done.tally.ok, done.tally.filtered, done.tally.failed) == (3, {"past-end": 1}, {"unreadable-media": 2})
    _, one = _harvested(tmp_path, tmp_path / "single")
    assert next(row["start_s"] for row in one if row["source"] == "moving.mp4") == 5.0  # of three parts


@pytest.fixture
def address() -> Iterator[str]:
    """A server that has no video."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = ANSWERS[self.path]
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_addresses_without_a_video_are_statuses(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XMBENCH_ITEM_PAUSE_S", "0")
    listed = tmp_path / "videos.txt"
    listed.write_text("\n".join([*(f"{address}{name}" for name in ANSWERS), "../outside.mp4", "absent.mp4"]))
    done, rows = _harvested(tmp_path, tmp_path / "out", listed)
    statuses = {row["source"].rpartition("/")[2]: row["status"] for row in rows}
    assert statuses == {
        "gone.mp4": "http-404",
        "busy.mp4": "http-500",
        "page.mp4": "web-page",
        "absent.mp4": "missing-video",
    }
    assert done.tally.temporary == 1
    assert "1 of 5 lines name no video" in done.notes[0]
