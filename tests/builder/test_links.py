"""Linked recordings: fetched one by one, kept, stopped and resumed; a data set built from a list of them."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests import link_site
from tests.link_site import Site
from tests.sub_urmp_corpus import jpeg
from xmbench.builder.build import build
from xmbench.builder.estimate import estimate
from xmbench.builder.plan import load_recipe
from xmbench.builder.retry import retry
from xmbench.builder.upstream import link_cache, link_programs, link_runs
from xmbench.builder.upstream.link_failures import Said
from xmbench.builder.upstream.links import Links
from xmbench.errors import DatasetError, DocumentError, OutputError, PrerequisiteError, UnfinishedError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset
from xmbench.inspection.validate import validate
from xmbench.interfaces import Link, Rejected

RECIPE = load_recipe("inis")
NAMES = RECIPE.classes.names
SECONDS = 2.2
REFUSED = Said("ERROR: [youtube] a: Sign in to confirm you’re not a bot. Use --cookies-from-browser")
GONE = Said("ERROR: [youtube] a: Private video. Sign in if you've been granted access to this video.")
LATE = Said("ERROR: [x] a: The read operation timed out")


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XMBENCH_LINK_PAUSE_S", "0")
    monkeypatch.setattr(link_programs, "missing", lambda links: [])
    monkeypatch.setattr(link_programs, "fetcher_version", lambda: "1")  # also where yt-dlp is not installed


class Fetcher:
    """Stands in for yt-dlp: recordings by address, or what is said instead."""

    def __init__(self) -> None:
        self.holds: dict[str, bytes | Said] = {}
        self.asked: list[str] = []

    def run(self, link: Link, folder: Path, *rest: object) -> link_runs.Downloaded | Said:
        self.asked.append(link.name)
        found = self.holds.get(link.url, GONE)
        if isinstance(found, Said):
            (folder / "recording.webm.part").write_bytes(b"half")
            return found
        (folder / "recording.ogg").write_bytes(found)
        return link_runs.Downloaded(folder / "recording.ogg", "stub: 251", "yt-dlp 1")


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    made = Fetcher()
    monkeypatch.setattr(link_runs, "run", made.run)
    return made


def urls(number: int) -> list[str]:
    return [f"http://a.org/{i}.ogg" for i in range(number)]


def fetch(links: list[Link], offline: bool = False) -> list[Path | Rejected]:
    return Links(offline).fetch(links)


def left_over(tmp_path: Path) -> list[str]:
    jobs = tmp_path / "cache" / "links" / "jobs"
    return [path.name for path in jobs.rglob("*") if path.suffix != ".lock"]


# ------------------------------------------------------------------------------------------------ one by one
def test_what_was_fetched_is_not_fetched_again(fetcher: Fetcher, tmp_path: Path) -> None:
    sound = link_site.ogg(link_site.tone(1.0))
    links = [Link(url, licence="CC0-1.0") for url in urls(2)]
    fetcher.holds = dict.fromkeys(urls(2), sound)
    first = fetch(links)
    again = Links(offline=False)
    assert again.fetch(links) == first
    assert fetcher.asked == urls(2)
    assert left_over(tmp_path) == []
    record = again.fetched[links[0].name]
    assert record.sha256 == hashlib.sha256(sound).hexdigest()
    assert (record.licence, record.format, record.fetched_by) == ("CC0-1.0", "stub: 251", "yt-dlp 1")
    assert isinstance(first[0], Path)
    assert soundfile.info(first[0]).frames == link_site.RATE_HZ


def test_a_damaged_sound_is_fetched_again(fetcher: Fetcher) -> None:
    fetcher.holds = {url: link_site.ogg(link_site.tone(0.5)) for url in urls(1)}
    (path,) = fetch([Link(urls(1)[0])])
    assert isinstance(path, Path)
    path.write_bytes(path.read_bytes()[:-100])
    fetch([Link(urls(1)[0])])
    assert len(fetcher.asked) == 2
    assert soundfile.read(path)[0].shape == (link_site.RATE_HZ // 2,)


def test_a_part_is_cut_to_its_length(fetcher: Fetcher) -> None:
    fetcher.holds = {url: link_site.ogg(link_site.tone(3.0)) for url in urls(1)}
    (path,) = fetch([Link(urls(1)[0], 10.0, 11.5)])
    assert isinstance(path, Path)
    assert soundfile.info(path).frames == 1.5 * link_site.RATE_HZ


def test_what_is_gone_is_asked_once_and_what_may_come_back_every_time(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    links = [Link(url) for url in urls(2)]
    fetcher.holds = {urls(2)[0]: GONE, urls(2)[1]: LATE}
    for tries in (1, 2):
        gone, late = fetch(links)
        assert isinstance(gone, Rejected)
        assert isinstance(late, Rejected)
        assert (gone.stage, gone.reason, gone.temporary) == ("fetch", "private", False)
        assert (late.reason, late.temporary) == ("timeout", True)
        assert late.detail.endswith("(2 tries)") == (tries == 2)
    assert fetcher.asked == [*urls(2), urls(2)[1]]
    monkeypatch.setenv("XMBENCH_LINK_COOKIES", str(tmp_path / "cookies.txt"))
    with pytest.raises(DocumentError, match="no such file"):
        fetch(links)
    (tmp_path / "cookies.txt").write_text("# Netscape HTTP Cookie File\n")
    fetch(links)  # with cookies a private video may be there
    assert sorted(fetcher.asked[3:]) == urls(2)
    assert left_over(tmp_path) == []


def test_a_link_that_is_listed_twice_is_fetched_once(fetcher: Fetcher) -> None:
    fetcher.holds = {urls(1)[0]: LATE}
    files = Links(offline=False)
    assert len(files.fetch([Link(urls(1)[0])] * 2)) == 2
    files.fetch([Link(urls(1)[0])])
    assert len(fetcher.asked) == 1


def test_offline_nothing_is_asked_and_the_last_failure_is_told(fetcher: Fetcher) -> None:
    fetcher.holds = {urls(2)[0]: LATE}
    fetch([Link(urls(2)[0])])
    late, unknown = fetch([Link(url) for url in urls(2)], offline=True)
    assert isinstance(late, Rejected)
    assert isinstance(unknown, Rejected)
    assert (late.reason, late.temporary) == ("timeout", True)
    assert (unknown.reason, unknown.temporary) == ("offline", True)
    assert len(fetcher.asked) == 1


def test_a_file_without_sound_is_no_recording(fetcher: Fetcher) -> None:
    fetcher.holds = {urls(2)[0]: b"not a sound at all", urls(2)[1]: link_site.silent_film()}
    damaged, silent = fetch([Link(url) for url in urls(2)])
    assert isinstance(damaged, Rejected)
    assert isinstance(silent, Rejected)
    assert (damaged.reason, damaged.temporary) == ("damaged-sound", True)
    assert (silent.reason, silent.temporary) == ("no-sound", False)


# ------------------------------------------------------------------------------------------------ the breaker
def test_a_refusal_stops_the_run_and_says_how_far_it_came(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sound = link_site.ogg(link_site.tone(0.3))
    fetcher.holds = {**dict.fromkeys(urls(6), sound), urls(6)[1]: GONE, urls(6)[3]: REFUSED}
    links = [Link(url) for url in urls(6)]
    with pytest.raises(UnfinishedError, match=r"2 of 6 recordings are here, 1 are gone for good") as caught:
        fetch(links)
    assert caught.value.exit_code == 3
    assert "not a bot" in caught.value.what
    assert "in 60 minutes" in (caught.value.todo or "")
    assert fetcher.asked == urls(4)
    assert left_over(tmp_path) == []
    with pytest.raises(UnfinishedError, match="refuses more requests"):
        fetch(links)
    assert fetcher.asked == urls(4)  # not one request before the time is over
    fetcher.holds[urls(6)[3]] = sound
    monkeypatch.setenv("XMBENCH_LINK_WAIT_S", "0")
    assert sum(isinstance(found, Path) for found in fetch(links)) == 5
    assert fetcher.asked == [*urls(4), urls(6)[4], urls(6)[5], urls(6)[3]]  # what had failed comes last


def test_five_failures_in_a_row_stop_the_run(fetcher: Fetcher) -> None:
    fetcher.holds = dict.fromkeys(urls(8), LATE)
    with pytest.raises(UnfinishedError, match="5 recordings in a row failed"):
        fetch([Link(url) for url in urls(8)])
    assert len(fetcher.asked) == 5
    with pytest.raises(UnfinishedError):
        fetch([Link(url) for url in urls(8)])
    assert fetcher.asked[5:8] == urls(8)[5:]  # those that were not asked yet come first


def test_a_full_disk_ends_the_run(fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher.holds = {urls(1)[0]: Said("ERROR: unable to write data", errno=28)}
    with pytest.raises(OutputError, match="no space left"):
        fetch([Link(urls(1)[0])])
    assert left_over(tmp_path) == []


def test_requests_to_one_site_are_paced(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_LINK_PAUSE_S", "0.2")
    fetcher.holds = dict.fromkeys(urls(3), GONE)
    began = time.monotonic()
    fetch([Link(url) for url in urls(3)])
    assert time.monotonic() - began > 0.35


# -------------------------------------------------------------------------------------------------- programs
def test_what_is_missing_is_said_before_the_first_request(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name in ("fetcher_version", "script_runtime", "ffmpeg"):
        monkeypatch.setattr(link_programs, name, lambda: "")
    links = [Link("https://www.youtube.com/watch?v=abcdefghijk", 1.0)]
    with pytest.raises(PrerequisiteError) as caught:
        link_programs.require(links)
    assert [line.split(",")[0] for line in caught.value.problems] == ["yt-dlp", "a JavaScript runtime", "ffmpeg"]
    assert caught.value.todo == "pip install 'xmbench[links]'"
    assert link_programs.missing([Link("http://a.org/1.ogg")]) == ["yt-dlp, which fetches linked recordings"]
    assert link_programs.missing([]) == []


# -------------------------------------------------------------------------------------- yt-dlp, on the loopback
@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    pytest.importorskip("yt_dlp")
    monkeypatch.setenv("PYTHONPATH", link_site.with_path(link_site.extractor_folder(tmp_path / "plug-in")))
    with link_site.site() as made:
        yield made


def test_the_sound_alone_is_chosen_and_recorded(site: Site) -> None:
    link = Link(site.shows("video", link_site.webm(link_site.tone(2.0))), licence="CC-BY-4.0")
    files = Links(offline=False)
    (path,) = files.fetch([link])
    assert isinstance(path, Path)
    assert abs(soundfile.info(path).duration - 2.0) < 0.03
    assert site.asked == ["/api/video", "/media/video.webm"]
    record = files.fetched[link.name]
    assert (record.format, record.licence) == ("Loopback: 251", "CC-BY-4.0")
    assert record.fetched_by.startswith("yt-dlp 20")
    assert record.sha256 == hashlib.sha256(site.files["/media/video.webm"]).hexdigest()


def test_a_part_comes_without_the_rest(site: Site) -> None:
    if not link_programs.ffmpeg():
        pytest.skip("no ffmpeg")
    samples = link_site.tone(12.0)
    link = Link(site.shows("video", link_site.webm(samples), duration=12), 6.0, 7.0)
    files = Links(offline=False)
    (path,) = files.fetch([link])
    assert isinstance(path, Path)
    part, rate = soundfile.read(path)
    assert abs(len(part) / rate - 1.0) < 0.03
    wanted = samples[6 * rate : 7 * rate]
    assert abs(np.abs(part).max() / np.abs(wanted).max() - 1) < 0.1  # the tone grows louder: this is the place
    assert files.fetched[link.name].bytes < len(site.files["/media/video.webm"]) / 4
    assert ", ffmpeg " in files.fetched[link.name].fetched_by


def said_of(url: str, folder: Path) -> Said:
    folder.mkdir()
    found = link_runs.run(Link(url), folder, link_runs.Limits(20, 1 << 20, 60), 0.0, None)
    assert isinstance(found, Said)
    return found


def test_type_and_warnings_of_an_error_reach_the_rules(site: Site, tmp_path: Path) -> None:
    url = site.fails("geo", "not here", kind="geo", warnings=("HTTP Error 429: Too Many Requests",))
    said = said_of(url, tmp_path / "job")
    assert "GeoRestrictedError" in said.kinds
    assert "429" in said.warnings


def test_the_status_of_an_answer_reaches_the_rules(site: Site, tmp_path: Path) -> None:
    assert said_of(f"{site.url}/nothing.ogg", tmp_path / "job").status == 404


def test_what_is_too_long_is_not_downloaded(site: Site, tmp_path: Path) -> None:
    said = said_of(site.shows("long", b"", duration=90), tmp_path / "job")
    assert "90 s long, at most 60 s" in said.error
    assert site.asked == ["/api/long"]


def test_a_playlist_is_not_one_recording(site: Site, tmp_path: Path) -> None:
    sound = link_site.ogg(link_site.tone(0.3))
    found = [{"_type": "url", "url": site.offers(f"{i}.ogg", sound)} for i in range(3)]
    site.files["/api/list"] = json.dumps({"info": {"_type": "playlist", "entries": found}}).encode()
    assert said_of(f"{site.url}/watch?v=list", tmp_path / "job").error == "xmbench: a playlist, not one recording"


def test_a_fetch_that_hangs_is_ended_with_all_that_it_started(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XMBENCH_LINK_TIMEOUT_S", "2.5")
    site.hanging.add("/late.ogg")
    (found,) = fetch([Link(f"{site.url}/late.ogg")])
    assert isinstance(found, Rejected)
    assert (found.reason, found.temporary) == ("timeout", True)
    assert left_over(tmp_path) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the process in /proc")
def test_a_fetch_ends_with_the_process_that_started_it(site: Site, tmp_path: Path) -> None:
    site.hanging.add("/late.ogg")
    program = "import sys\nfrom xmbench.builder.upstream.links import Links\nfrom xmbench.interfaces import Link\n"
    program += "Links(False).fetch([Link(sys.argv[1])])"
    root = Path(__file__).parents[2]
    starter = subprocess.Popen([sys.executable, "-c", program, f"{site.url}/late.ogg"], cwd=root)
    _until(lambda: "/late.ogg" in site.asked)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    _until(lambda: not _running(str(tmp_path / "cache")))
    assert len(left_over(tmp_path)) > 0  # killed: the next run removes it
    with pytest.raises(UnfinishedError):
        _refused_run(f"{site.url}/other.ogg")
    assert left_over(tmp_path) == []


def _refused_run(url: str) -> None:
    """A run that removes what others left, and ends before a request."""
    mark = link_cache.links_folder() / "refusals" / "127.0.0.1"
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    fetch([Link(url)])


def _until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


def _running(text: str) -> bool:
    """Whether a process has a text among its arguments."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


# ------------------------------------------------------------------------------------------------ a data set
@pytest.fixture
def corpus(fetcher: Fetcher, tmp_path: Path) -> Path:
    """Images of each class, and a list of three recordings of each, which the stub has."""
    folder = tmp_path / "in"
    lines = ["link,class,licence"]
    for k, name in enumerate(NAMES):
        for i in range(4):
            path = folder / "images" / name / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(Image.new("RGB", (70, 64), (50 * i, 9, 40 * k))))
        for i in range(3):
            url = f"http://a.org/{name}/{i}.ogg"
            fetcher.holds[url] = link_site.ogg(link_site.tone(SECONDS, 200.0 + 40 * k + 10 * i))
            lines.append(f"{url},{name},CC0-1.0")
    (folder / "links").mkdir()
    (folder / "links" / "solos.csv").write_text("\n".join(lines))
    return folder


def built(corpus: Path, out: Path, offline: bool = False) -> Dataset:
    return build(RECIPE, out, source=corpus, accept_changed=True, workers=1, offline=offline)


def test_a_data_set_is_built_from_links(corpus: Path, fetcher: Fetcher, tmp_path: Path) -> None:
    dataset = built(corpus, tmp_path / "out")
    assert validate(dataset).problems == []
    assert (dataset.count("train"), dataset.count("test")) == (14, 6)
    fetched = dataset.manifest.sources["solos"].fetched
    assert sorted(fetched) == sorted(fetcher.holds)
    assert {record.licence for record in fetched.values()} == {"CC0-1.0"}
    for row in dataset.rows("train", ["group", "piece", "start_s"]):
        assert row["group"] == row["piece"]
        assert row["start_s"] in (0.0, 0.5, 1.0, 1.5)
    again = built(corpus, tmp_path / "again", offline=True)
    assert again.digest == dataset.digest
    assert len(fetcher.asked) == len(fetcher.holds)


def test_every_link_that_is_not_there_stands_in_the_ledger(corpus: Path, fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher.holds |= {"http://a.org/drum/0.ogg": GONE, "http://a.org/piano/1.ogg": LATE}
    dataset = built(corpus, tmp_path / "out")
    assert validate(dataset).problems == []
    rows = [row for row in ledger.read(dataset.folder / "ledger.parquet") if row.kind == "take"]
    assert {(row.label, row.stage, row.reason, row.temporary) for row in rows} == {
        ("drum", "fetch", "private", False),
        ("piano", "fetch", "timeout", True),
    }
    assert len(dataset.manifest.sources["solos"].fetched) == 13


def test_retry_fetches_what_may_have_come_back_and_ends_as_if_it_never_had_failed(
    corpus: Path, fetcher: Fetcher, tmp_path: Path
) -> None:
    whole = built(corpus, tmp_path / "whole")
    lost = ["http://a.org/drum/0.ogg", "http://a.org/piano/1.ogg"]
    sounds = {url: fetcher.holds[url] for url in lost}
    fetcher.holds |= dict.fromkeys(lost, LATE)
    _forget(lost)
    dataset = built(corpus, tmp_path / "out")
    assert dataset.digest != whole.digest
    repaired = dataset.shards("train")[0]
    repaired.unlink()
    fetcher.asked.clear()
    assert built(corpus, tmp_path / "out").digest == dataset.digest  # a repair asks for nothing
    assert fetcher.asked == []
    fetcher.holds |= {lost[0]: REFUSED}
    with pytest.raises(UnfinishedError):
        retry(dataset.folder, source=corpus, workers=1)
    assert validate(dataset).problems == []
    (link_cache.links_folder() / "refusals" / "a.org").unlink()
    fetcher.holds |= sounds
    done = retry(dataset.folder, source=corpus, workers=1)
    assert done.dataset.digest == whole.digest
    assert done.left == 0
    assert validate(done.dataset).problems == []


def test_a_recording_that_has_become_another_file_is_not_mixed_in(
    corpus: Path, fetcher: Fetcher, tmp_path: Path
) -> None:
    fetcher.holds |= {"http://a.org/piano/1.ogg": LATE}
    dataset = built(corpus, tmp_path / "out")
    changed = "http://a.org/violin/0.ogg"
    fetcher.holds[changed] = link_site.ogg(link_site.tone(SECONDS, 900.0))
    _forget([changed])
    with pytest.raises(DatasetError) as caught:
        retry(dataset.folder, source=corpus, workers=1)
    assert changed in caught.value.problems[0]


def test_a_plan_counts_what_is_to_be_fetched(corpus: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_LINK_PAUSE_S", "60")
    monkeypatch.setattr(link_programs, "missing", lambda links: ["yt-dlp"] if links else [])
    found = estimate(RECIPE, source=corpus, accept_changed=True)
    assert found.notes[0] == "15 linked recordings: 0 in the cache, 0 gone for good, 15 to fetch"
    assert "minutes" in found.notes[1]
    assert found.missing_programs == ("yt-dlp: pip install 'xmbench[links]'",)
    assert found.seconds > 900
    assert fetcher.asked == []
    assert any("recordings/*/* or links/*.?sv" in note for note in estimate(RECIPE).notes)


def _forget(addresses: list[str]) -> None:
    for url in addresses:
        link_cache.Place.of(Link(url)).record.unlink()
