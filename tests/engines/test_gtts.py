"""gTTS against a server on this machine: its answers, the pace of the requests, and a build that is finished later."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gtts.tts
import numpy as np
import pytest
import soundfile

import xmbench.engines.gtts
from xmbench import registry
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.builder.retry import retry
from xmbench.engines.gtts import ENGINE, LARGEST_ANSWER
from xmbench.errors import CheckError, DocumentError, PrerequisiteError, UnknownNameError
from xmbench.formats import ledger
from xmbench.inspection.validate import validate
from xmbench.interfaces import Rejected


def pitch_hz(word: str) -> int:
    """Another one for each digit."""
    return 200 + sum(i * c for i, c in enumerate(word.encode()))


class Service:
    """Speaks tones, as long and as high as the word; refuses when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.allowed = 10**9
        self.body: bytes | None = None
        self.length_s = 0.5
        self.pause_s = 0.0

    def sound(self, word: str) -> bytes:
        time_s = np.arange(round(24000 * self.length_s)) / 24000
        tone = 0.3 * np.sin(2 * np.pi * pitch_hz(word) * time_s)
        stream = io.BytesIO()
        soundfile.write(stream, tone, 24000, format="MP3")
        return stream.getvalue()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            word = json.loads(json.loads(form["f.req"][0])[0][0][1])[0]
            told.asked.append(word)
            status = told.status if len(told.asked) <= told.allowed else 429
            sound = base64.b64encode(told.sound(word)).decode()
            line = f'[["wrb.fr","jQ1olc","[\\"{sound}\\"]",null]]\n'.encode()
            body = told.body if told.body is not None else line
            threading.Event().wait(told.pause_s)
            self.send_response(status)
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(body) if status == 200 else 0))
            self.end_headers()
            if status == 200:
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    monkeypatch.setattr(gtts.tts, "_translate_url", lambda tld="com", path="": address + path)
    monkeypatch.setenv("XMBENCH_SPEECH_PAUSE_S", "0")
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtts.tts, "_translate_url", lambda tld="com", path="": f"http://127.0.0.1:1/{path}")
    monkeypatch.setenv("XMBENCH_SPEECH_PAUSE_S", "0")


def refusal(word: str = "seven") -> Rejected:
    said = ENGINE.speak(word, "en", 0, 0)
    assert isinstance(said, Rejected)
    return said


def test_a_word(service: Service) -> None:
    said = ENGINE.speak("seven", "en@co.uk", 0, 0)
    assert isinstance(said, np.ndarray)
    assert said.dtype == np.int16
    assert 0.45 < len(said) / ENGINE.facts.sample_rate_hz < 0.6
    spectrum = np.abs(np.fft.rfft(said[2000:10000]))
    assert abs(np.argmax(spectrum) * 24000 / 8000 - pitch_hz("seven")) < 5


@pytest.mark.parametrize(
    ("status", "reason", "temporary"),
    [(429, "rate-limited", True), (503, "service-error", True), (403, "service-error", False)],
)
def test_refusals(service: Service, status: int, reason: str, temporary: bool) -> None:
    service.status = status
    said = refusal()
    assert (said.reason, said.temporary) == (reason, temporary)
    assert str(status) in said.detail
    assert ("wait 7 s" in said.detail) == (status == 429)


def test_answers_without_sound(service: Service) -> None:
    service.body = b'[["wrb.fr","jQ1olc",null]]\n'
    assert refusal().reason == "no-audio"
    service.body = b'[["wrb.fr","jQ1olc","[\\"' + base64.b64encode(b"no mp3 at all") + b'\\"]"]]\n'
    assert (refusal().reason, refusal().temporary) == ("unreadable", True)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"<html><body>Before you continue to Google</body></html>",
            b"\xff\xfe\x00" * 100,
            b"\x1f\x8b" + bytes(50),
        ),
        b'[["wrb.fr","jQ1olc","[\\"not base64!\\"]"]]\n',
        b'[["wrb.fr","jQ1olc","[\\"' + base64.b64encode(bytes(100_000)) + b'\\"]"]]\n',
        b"x" * (LARGEST_ANSWER + 100_000),
    ],
)
def test_an_answer_of_something_else_may_be_another_one_later(service: Service, body: bytes) -> None:
    service.body = body
    assert (refusal().reason, refusal().temporary) == ("unreadable", True)


def test_an_answer_without_an_end_ends(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmbench.engines.gtts, "ANSWER_S", 0.3)
    service.pause_s = 5.0
    said = refusal()
    assert (said.reason, said.temporary) == ("offline", True)
    assert "no complete answer" in said.detail


def test_no_network(unreachable: None) -> None:
    said = refusal()
    assert (said.reason, said.temporary) == ("offline", True)
    assert "cannot be reached" in said.detail


def test_voices_are_languages_and_sites() -> None:
    assert ENGINE.voices("en")[0] == "en@com"
    assert ENGINE.voices("de") == ("de@com",)
    assert ENGINE.voices("xx") == ()
    with pytest.raises(UnknownNameError) as caught:
        ENGINE.check_voices(("en-us", "de", "en@../x"))
    assert len(caught.value.problems) == 2
    assert "'../x' is not a site" in str(caught.value)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gtts", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'gTTS>=2.5'"):
        ENGINE.speak("one", "en", 0, 0)


# ---------------------------------------------------------------------------------------------- in a build
def test_one_request_per_word_and_the_day_in_every_row(service: Service, tmp_path: Path) -> None:
    recipe = load_recipe("digits-ad")
    dataset = build(recipe, tmp_path / "out", limit=40, speech="gtts")
    assert sorted(service.asked) == sorted(recipe.classes.words)
    day = datetime.now(UTC).date().isoformat()
    for row in dataset.rows("train", ["engine", "speaker", "synthesised", "rate_wpm", "pitch"]):
        assert row["engine"] == f"gtts {ENGINE.version()}"
        assert (row["speaker"], row["synthesised"], row["rate_wpm"], row["pitch"]) == ("en@com", day, "", "")
    assert validate(dataset).problems == []
    record = dataset.manifest.sources["speech"]
    assert (record.repeatable, record.redistributable) == (False, False)
    assert "**Not repeatable**" in (dataset.folder / "README.md").read_text()
    again = build(recipe, tmp_path / "again", limit=40, speech="gtts", offline=True)
    assert again.digest == dataset.digest
    assert len(service.asked) == 10


def test_a_word_out_of_range_is_listed(service: Service, tmp_path: Path) -> None:
    service.length_s = 2.0
    with pytest.raises(CheckError, match="no item became a row"):
        build(load_recipe("digits-ad"), tmp_path / "out", limit=10, speech="gtts")
    assert len(service.asked) == 10  # each once: the rate cannot be changed


def test_too_many_requests_are_answered_with_patience_and_retried(service: Service, tmp_path: Path) -> None:
    whole = build(load_recipe("digits-ad"), tmp_path / "whole", limit=40, speech="gtts")
    (tmp_path / "cache").rename(tmp_path / "old cache")
    service.asked.clear()
    service.allowed = 4
    part = build(load_recipe("digits-ad"), tmp_path / "out", limit=40, speech="gtts")
    assert len(service.asked) == 5  # four words, one refusal, then silence
    failed = part.manifest.splits["train"].counts.failed
    assert set(failed) == {"rate-limited"}
    rows = ledger.read(part.folder / "ledger.parquet")
    assert all(row.temporary for row in rows)
    assert sum(row.kind == "take" for row in rows) == 6
    service.allowed = 10**9
    service.asked.clear()
    done = retry(part.folder)
    assert (done.left, len(service.asked)) == (0, 6)
    assert done.dataset.digest == whole.digest


def test_requests_are_counted_and_paced(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("xmbench.sources._pacing.time.sleep", pauses.append)
    monkeypatch.setenv("XMBENCH_SPEECH_PAUSE_S", "30")
    monkeypatch.setenv("XMBENCH_SPEECH_REQUESTS", "3")
    dataset = build(load_recipe("digits-ad"), tmp_path / "out", limit=40, speech="gtts")
    assert len(service.asked) == 3
    assert pauses[0] == 0
    assert all(25 < pause <= 30 for pause in pauses[1:])
    assert set(dataset.manifest.splits["test"].counts.failed) == {"request-limit"}
    monkeypatch.setenv("XMBENCH_SPEECH_REQUESTS", "many")
    with pytest.raises(DocumentError, match="XMBENCH_SPEECH_REQUESTS is 'many'"):
        retry(dataset.folder)


def test_offline_asks_nobody(service: Service, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no item became a row") as caught:
        build(load_recipe("digits-ad"), tmp_path / "out", limit=10, speech="gtts", offline=True)
    assert "speech: offline" in str(caught.value)
    assert re.search(r"do: +run the same command again later", str(caught.value))
    assert service.asked == []
    assert build(load_recipe("digits-ad"), tmp_path / "out", limit=10, speech="gtts").count("train") == 10


def test_an_online_engine_is_known_as_one() -> None:
    assert registry.engine("gtts").facts.online
