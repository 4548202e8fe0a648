"""TensorBoard's curves, whose writer works in a thread: its errors come back as ours."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from xmbench.storage.files import writing


class Board:
    """Writes scalars for TensorBoard into a folder.

    Every method raises OutputError where the folder cannot be written or the disk is full.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        # Imported here: TensorBoard takes a second to import, and only a training needs it.
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        self._hook = threading.excepthook
        threading.excepthook = self._in_thread
        with writing(folder):
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Adds one value of one curve."""
        with writing(self._folder):
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Writes what waits."""
        with writing(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Ends the writer; what it could not write was reported by `flush`."""
        with suppress(OSError):
            self._writer.close()
        threading.excepthook = self._hook

    def _in_thread(self, error: threading.ExceptHookArgs) -> None:
        """The writer's thread raises what the next call raises again: one report is enough."""
        if not (issubclass(error.exc_type, OSError) and type(error.thread).__name__ == "_AsyncWriterThread"):
            self._hook(error)
