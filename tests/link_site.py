"""A site of recordings on the loopback, and an extractor that reads it for yt-dlp, as a plug-in of yt-dlp."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 48_000

# Reads what the site says of a recording: its formats, or an error of the kind that yt-dlp's extractors raise.
EXTRACTOR = """
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.utils import ExtractorError


class LoopbackIE(InfoExtractor):
    _VALID_URL = r"http://127\\.0\\.0\\.1:\\d+/watch\\?v=(?P<id>[\\w-]+)"

    def _real_extract(self, url):
        video = self._match_id(url)
        found = self._download_json(url.replace("/watch?v=", "/api/"), video)
        for text in found.get("warnings", []):
            self.report_warning(text)
        if found.get("kind") == "geo":
            self.raise_geo_restricted(found["error"])
        if found.get("error"):
            raise ExtractorError(found["error"], expected=True)
        return {"id": video, "title": video, **found["info"]}
"""


class Site:
    """A server on the loopback.

    Attributes:
        files: content by path; a range of it is answered.
        refused: paths that are answered with a status instead, the next so many times.
        hanging: paths that are never answered.
        asked: paths in the order of their first bytes being asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.refused: dict[str, tuple[int, int]] = {}
        self.hanging: set[str] = set()
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def do_HEAD(self) -> None:
                site.answer(self)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.asked.append(path)
        if path in self.hanging:
            time.sleep(30)
            return
        status, left = self.refused.get(path, (0, 0))
        if left:
            self.refused[path] = (status, left - 1)
            handler.send_error(status)
            return
        data = self.files.get(path)
        if data is None:
            handler.send_error(404)
            return
        first, _, last = (handler.headers.get("Range") or "").removeprefix("bytes=").partition("-")
        begin, end = int(first or 0), min(int(last or len(data)), len(data) - 1)
        kind = {"ogg": "audio/ogg", "webm": "video/webm"}.get(path.rpartition(".")[2], "application/json")
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Accept-Ranges", "bytes")
        handler.send_header("Content-Length", str(end + 1 - begin))
        if first:
            handler.send_header("Content-Range", f"bytes {begin}-{end}/{len(data)}")
        handler.end_headers()
        if handler.command == "GET":
            try:
                handler.wfile.write(data[begin : end + 1])
            except ConnectionError:
                return

    def fails(self, name: str, error: str, *, kind: str = "", warnings: tuple[str, ...] = ()) -> str:
        """Puts up a page whose recording yt-dlp refuses with this error; returns its address."""
        said = {"error": error, "kind": kind, "warnings": list(warnings)}
        self.files[f"/api/{name}"] = json.dumps(said).encode()
        return f"{self.url}/watch?v={name}"

    def shows(self, name: str, data: bytes, **info: Any) -> str:
        """Puts up a page with a recording: a video of it, and its sound alone, which is what is to be chosen."""
        self.files[f"/media/{name}.webm"] = data
        formats = [
            {"format_id": "film", "url": f"{self.url}/media/{name}-film.webm", "ext": "webm", "vcodec": "vp9"},
            {"format_id": "251", "url": f"{self.url}/media/{name}.webm", "ext": "webm", "vcodec": "none"},
        ]
        made = [{**one, "acodec": "opus", "abr": 96} for one in formats]
        self.files[f"/api/{name}"] = json.dumps({"info": {"formats": made, **info}}).encode()
        return f"{self.url}/watch?v={name}"

    def offers(self, name: str, data: bytes) -> str:
        """Puts up a plain file; returns its address."""
        self.files[f"/{name}"] = data
        return f"{self.url}/{name}"


@contextmanager
def site() -> Iterator[Site]:
    made = Site()
    try:
        yield made
    finally:
        made.close()


def extractor_folder(folder: Path) -> Path:
    """A directory for PYTHONPATH with the extractor."""
    place = folder / "yt_dlp_plugins" / "extractor"
    place.mkdir(parents=True, exist_ok=True)
    (place / "loopback.py").write_text(EXTRACTOR)
    return folder


def with_path(folder: Path) -> str:
    """PYTHONPATH with one more directory."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def tone(seconds: float, hz: float = 440.0, level: float = 0.3) -> NDArray[np.float32]:
    """A tone whose level rises steadily, so that a place in it can be told."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (level * (0.2 + 0.8 * time_s / seconds) * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def ogg(samples: NDArray[np.float32]) -> bytes:
    """Vorbis."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE_HZ, format="OGG", subtype="VORBIS")
    return stream.getvalue()


def webm(samples: NDArray[np.float32]) -> bytes:
    """Opus in webm, without a picture."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="webm") as container:
        track = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        for start in range(0, len(samples), 960):
            part = samples[None, start : start + 960]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="flt", layout="mono")
            frame.sample_rate, frame.pts = RATE_HZ, start
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return stream.getvalue()


def silent_film() -> bytes:
    """A video without sound."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width = track.height = 32
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 80 * i, np.uint8), format="rgb24")
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return stream.getvalue()
