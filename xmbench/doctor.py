"""`xmbench doctor`: does this installation measure what it should, and which optional parts are installed?"""

from __future__ import annotations

import importlib
import math
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from xmbench import registry
from xmbench.builder.upstream import link_programs
from xmbench.conformance import Agreement, agreements, references
from xmbench.errors import PrerequisiteError, XmbenchError
from xmbench.judges import records
from xmbench.judges.fetching import cached
from xmbench.storage.cache import cache_folder

State = Literal["works", "missing", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One program, package or directory.

    Attributes:
        needed: without it something that every user needs does not work.
        serves: what it is for.
        todo: the next step if it does not work.
    """

    name: str
    state: State
    version: str
    serves: str
    needed: bool = False
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings."""

    agreements: tuple[Agreement, ...]
    references: dict[str, str]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether every metric matches its reference and everything needed works."""
        return all(a.holds for a in self.agreements) and not any(f.needed and f.state != "works" for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        scores = [
            {**asdict(a), "largest": a.largest if math.isfinite(a.largest) else None, "holds": a.holds}
            for a in self.agreements
        ]
        known = [asdict(finding) for finding in self.findings]
        return {"healthy": self.healthy, "metrics": scores, "references": self.references, "findings": known}


def diagnose() -> Diagnosis:
    """Replays the conformance vectors and looks for every program, package and directory."""
    return Diagnosis(tuple(agreements()), references(), tuple(_findings()))


def _findings() -> list[Finding]:
    return [
        Finding("python", "works", platform.python_version(), "everything", needed=True),
        Finding("xmbench", "works", version("xmbench"), "everything", needed=True),
        *(_package(name, serves, needed=True) for name, serves in _NEEDED.items()),
        _torch(),
        _pesq(),
        _numba(),
        _judges(),
        *(_engine(name) for name in registry.usable("engines")),
        *_linked(),
        _git(),
        *(_package(name, serves, todo=f"pip install {wanted}") for name, (serves, wanted) in _OPTIONAL.items()),
        _cache(),
    ]


_NEEDED = {
    "numpy": "arrays",
    "soxr": "resampling",
    "soundfile": "wav and flac",
    "av": "video",
    "pillow": "images",
    "pyarrow": "parquet",
    "datasets": "the schema of data sets",
    "huggingface_hub": "`push`, files from the Hub",
}
_OPTIONAL = {
    "ray": ("`score --engine ray`: many machines", "'xmbench[ray]'"),
    "pystoi": ("only the tests: STOI is compared with it", "pystoi"),
    "naplib": ("only the tests: Corr2D is compared with it (in a separate environment, numpy below 2)", "naplib"),
}


def _probe(name: str, serves: str, look: Callable[[], str], *, needed: bool = False, todo: str = "") -> Finding:
    """A finding whose version is what `look` returns; an exception from it is the finding."""
    try:
        return Finding(name, "works", look(), serves, needed)
    except (PackageNotFoundError, ModuleNotFoundError, FileNotFoundError):
        return Finding(name, "missing", "", serves, needed, todo or f"pip install {name}")
    except XmbenchError as error:
        where = f" ({error.where})" if error.where else ""
        return Finding(name, "missing", "", serves, needed, error.todo or todo or f"{error.what}{where}")
    except Exception as error:  # the user must read whatever a package does while it loads
        return Finding(name, "broken", f"{type(error).__name__}: {error}"[:120], serves, needed, todo)


def _package(name: str, serves: str, *, needed: bool = False, todo: str = "") -> Finding:
    def look() -> str:
        known = version(name)
        if needed:
            importlib.import_module({"pillow": "PIL"}.get(name, name))
        return known

    return _probe(name, serves, look, needed=needed, todo=todo)


def _torch() -> Finding:
    def look() -> str:
        torch = importlib.import_module("torch")
        if not torch.cuda.is_available():
            return f"{torch.__version__}, no CUDA device: everything runs on the CPU"
        return f"{torch.__version__}, CUDA {torch.version.cuda}: {torch.cuda.get_device_name()}"

    return _probe("torch", "training, judges", look, needed=True)


def _pesq() -> Finding:
    def look() -> str:
        importlib.import_module("cypesq")
        return f"{version('pesq')}, compiled"

    todo = "install a C compiler (Debian: apt install build-essential), then pip install --force-reinstall pesq"
    return _probe("pesq", "the PESQ metrics", look, needed=True, todo=todo)


def _numba() -> Finding:
    def look() -> str:
        kernels = importlib.import_module("xmbench.measures.auditory_kernels")
        kept = type(kernels.cochlear_frames._cache).__name__ != "NullCache"
        return f"{version('numba')}, machine code {'kept on disk' if kept else 'compiled again in every process'}"

    return _probe("numba", "Corr2D, resampling for STOI", look, needed=True)


def _judges() -> Finding:
    def look() -> str:
        try:
            networks = [f"{name} {sha256[:12]} (pretrained by others)" for name, sha256 in records.pretrained()]
        except PrerequisiteError as error:
            raise ValueError(error.what) from error
        return ", ".join([*(_judge(path) for path in records.shipped()), *networks])

    return _probe("judges", "metrics that ask a judge", look, needed=True, todo="install xmbench again")


def _judge(path: Path) -> str:
    """Name and digest of a judge that comes with the package or a plug-in; nothing is fetched for this."""
    record = records.read_record(path)
    if record.address and not path.with_suffix(records.WEIGHTS).is_file() and not cached(record.sha256):
        return f"{record.name} {record.sha256[:12]} (fetched when needed)"
    try:
        return f"{record.name} {records.read_judge(path).record.sha256[:12]}"
    except PrerequisiteError as error:
        raise ValueError(error.what) from error  # the package is damaged: the user left nothing out


def _engine(name: str) -> Finding:
    def look() -> str:
        engine = registry.engine(name)
        known = engine.version()
        if engine.facts.online:
            return f"{known} (needs the network)"
        voices = engine.voices("en")
        return f"{known}, {len(voices)} English voices offered" if voices else f"{known}, no English voice"

    return _probe(name, f"speech: `build --speech {name}`", look)


def _linked() -> list[Finding]:
    """What fetches linked recordings (`inis` from a list of links)."""
    found = {
        "yt-dlp": (link_programs.fetcher_version, "linked recordings (`inis` from a list of links)"),
        "JavaScript runtime": (link_programs.script_runtime, "linked recordings on YouTube"),
        "ffmpeg": (link_programs.ffmpeg_version, "parts of linked recordings"),
    }
    return [
        _probe(name, serves, partial(_present, look), todo=link_programs.EXTRA)
        for name, (look, serves) in found.items()
    ]


def _present(look: Callable[[], str]) -> str:
    found = look()
    if not found:
        raise FileNotFoundError
    return found


def _git() -> Finding:
    def look() -> str:
        done = subprocess.run(["git", "--version"], capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip().removeprefix("git version ")

    return _probe("git", "the commit in a result", look, todo="install git")


def _cache() -> Finding:
    def look() -> str:
        folder = cache_folder()
        free = shutil.disk_usage(folder).free / 1e9
        return f"{folder}, {free:.0f} GB free"

    serves = "downloads and spoken words"
    return _probe("cache folder", serves, look, needed=True, todo="set XMBENCH_CACHE to a writable directory")
