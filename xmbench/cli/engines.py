"""Options of the commands that run in processes on this machine or on a Ray cluster."""

from __future__ import annotations

import typer

from xmbench.execution.engine import Engine


def given_address(engine: Engine, ray_address: str | None) -> str:
    """The value of `--ray-address`, "" where it was not given.

    Raises:
        BadParameter: it was given with another engine than "ray".
    """
    if ray_address and engine != "ray":
        raise typer.BadParameter("needs --engine ray", param_hint="--ray-address")
    return ray_address or ""
