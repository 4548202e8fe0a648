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
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a data set.")],
    repository: Annotated[str, typer.Argument(metavar="REPO_ID", help="Repository OWNER/NAME on the Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make a private repository.")] = False,
    manifest_only: Annotated[
        bool, typer.Option("--manifest-only", help="Push card, manifest and ledger without the media.")
    ] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead of a commit.")] = False,
) -> None:
    """Pushes a data set to the Hugging Face Hub; run again, it sends only what is missing.

    The access token comes from HF_TOKEN or the stored login (`hf auth login`).
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
        print(f"{repository} now has {len(done.files)} files, {done.bytes / 1e6:.1f} MB, commit {done.commit}")
    else:
        print(f"nothing to send: {repository} has this data set already, commit {done.commit}")
    print(done.url)


def _leave(signum: int, frame: FrameType | None) -> None:
    """Ends at once: threads that are sending would continue for minutes. No file of ours is being written."""
    print(
        "\ninterrupted: files that were sent completely are kept; run the same command again to resume",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)
