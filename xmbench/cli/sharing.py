"""Commands of the sharing stage: `push`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from xmbench.cli.terminal import print


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("push")(push)


def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a data set folder")],
    repository: Annotated[str, typer.Argument(metavar="REPO_ID", help="OWNER/NAME on the Hugging Face Hub")],
    private: Annotated[bool, typer.Option("--private", help="make a private repository")] = False,
    manifest_only: Annotated[
        bool, typer.Option("--manifest-only", help="card, manifest and ledger without the media")
    ] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="propose the change in a pull request")] = False,
) -> None:
    """Brings a data set to the Hugging Face Hub; run again, it sends only what is missing there.

    The access token is that of HF_TOKEN, or of the stored login (`hf auth login`).
    """
    from xmbench.formats.dataset import open_dataset
    from xmbench.hub import push as hub_push

    signal.signal(signal.SIGINT, _leave)
    done = hub_push.push(
        open_dataset(folder),
        repository,
        private=private,
        manifest_only=manifest_only,
        create_pr=create_pr,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
        progress_bars=sys.stderr.isatty(),
    )
    if done.changed:
        print(f"{repository} now holds {len(done.files)} files, {done.bytes / 1e6:.1f} MB, commit {done.commit}")
    else:
        print(f"nothing to send: {repository} holds this data set already, commit {done.commit}")
    print(done.url)


def _leave(signum: int, frame: FrameType | None) -> None:
    """Ends at once: threads that are sending would go on for minutes. No file of ours is being written."""
    print(
        "\ninterrupted: files that arrived whole are kept there; run the same command again to go on",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)
