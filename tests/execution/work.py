"""Work for the executor's tests: functions of a module, as processes find them by their names."""

from __future__ import annotations


def add(shared: int, task: int) -> int:
    return shared + task
