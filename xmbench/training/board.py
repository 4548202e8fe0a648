"""Curves for TensorBoard, whose writer works in a thread: its errors are raised as OutputError."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from xmbench.storage.files import writing


class Board:
    """Writes scalars for TensorBoard into a directory.

    Every method raises OutputError where the directory cannot be written or the disk is full.
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
        """Writes the values that are still buffered."""
        with writing(self._folder):
            self._writer.flush()

    def close(self) -> None:
        """Closes the writer; errors of writing were raised by `flush`."""
        with suppress(OSError):
            self._writer.close()
        threading.excepthook = self._hook

    def _in_thread(self, error: threading.ExceptHookArgs) -> None:
        """Drops the errors of the writer's thread: the next call raises them again."""
        if not (issubclass(error.exc_type, OSError) and type(error.thread).__name__ == "_AsyncWriterThread"):
            self._hook(error)
