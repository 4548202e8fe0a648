"""Where a number was made: versions, commit, machine."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xmbench.formats.result import Environment

PACKAGES = ("numpy", "numba", "scipy", "soxr", "pesq", "torch", "soundfile", "pillow", "pyarrow")


def environment(command: str) -> Environment:
    """A record of the environment of this process."""
    return Environment(
        xmbench=version("xmbench"),
        commit=commit(),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        machine=machine(),
        command=command,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def numeric_environment() -> dict[str, Any]:
    """Everything in this process that could change the last digit of a number: versions, code, machine."""
    here = environment("")
    return {
        "xmbench": here.xmbench,
        "commit": here.commit,
        "changes": changes() if here.commit.endswith("-dirty") else "",
        "python": here.python,
        "packages": here.packages,
        "machine": here.machine,
    }


def machine() -> str:
    """Processor, cores and system in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def commit() -> str:
    """The checkout's commit, with `-dirty` where tracked files differ; "" outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if head and changed else head


def changes() -> str:
    """sha256 of the uncommitted changes of tracked files; "" outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    return hashlib.sha256(_git(root, "diff", "HEAD").encode()).hexdigest()


def _git(root: Path, *arguments: str) -> str:
    # Without the locks: a status that is killed half-way would leave the user's index locked.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
