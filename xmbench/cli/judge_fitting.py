"""The command `fit-judge`: parses, asks the registry for the kind of judge that fits, fits, prints.

Each kind declares the options that it takes (`FittableKind.options`); they join those of the command when it is parsed.
"""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from xmbench.cli.tables import Progress
from xmbench.cli.terminal import print

if TYPE_CHECKING:
    from xmbench.interfaces import FitOption

_GIVEN = "options of the kind"


class FitJudgeCommand(TyperCommand):
    """`fit-judge` with the options of every kind of judge that can be fitted."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's own, then those of the kinds, each name once; --help comes last."""
        from xmbench.judges.fitting import fittable

        own: list[Any] = super().get_params(ctx)
        options = {option.name: option for kind in fittable().values() for option in kind.options}
        taken = {param.name for param in own}
        return [*own[:-1], *(param for param in _params(options.values()) if param.name not in taken), *own[-1:]]


def _params(options: Iterable[FitOption]) -> list[Any]:
    """The parameters that typer makes of a function with these options; their values go to `_keep` alone."""

    def takes_them() -> None:
        pass

    signature = [
        inspect.Parameter(
            option.name.replace("-", "_"), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(option)
        )
        for option in options
    ]
    takes_them.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command()(takes_them)
    found = list(typer.main.get_command(app).params)
    for param in found:
        param.expose_value = False
    return found


def _annotation(option: FitOption) -> Any:
    kind: Any = Literal[option.choices] if option.choices else option.type
    low, high = option.between or (None, None)
    about = typer.Option(help=option.help, min=low, max=high, callback=_keep)
    return Annotated[(list[kind] if option.many else kind) | None, about]


def _keep(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """What was given goes to the kind by its snake_case name; what was not is left to the kind."""
    if value is not None and value != []:
        context.meta.setdefault(_GIVEN, {})[param.name] = tuple(value) if isinstance(value, list) else value
    return value


def register(app: typer.Typer) -> None:
    """Adds this module's command."""
    app.command("fit-judge", cls=FitJudgeCommand)(fit_judge)


def fit_judge(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="a data set folder")],
    also: Annotated[list[Path] | None, typer.Option(help="More data sets to train on.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where it goes (default: DATA/judges).")] = None,
    direction: Annotated[Literal["i2a", "a2i"], typer.Option(help="Whose outputs it grades.")] = "i2a",
    kind: Annotated[str | None, typer.Option(help="Kind of judge (default: the one that fits the data).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the judge's files.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the training.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of each network.")] = None,
) -> None:
    """Trains a judge on a data set's training items; tests it on held-out ones."""
    from xmbench.formats.dataset import open_dataset
    from xmbench.formats.document import NAME_PATTERN
    from xmbench.interfaces import SIDES
    from xmbench.judges import fitting

    if name is not None and not (re.fullmatch(NAME_PATTERN, name) and len(name) <= 100):
        raise typer.BadParameter("lower-case letters, digits and single hyphens, at most 100", param_hint="--name")
    sets = [open_dataset(path) for path in (data, *(also or []))]
    progress = Progress()
    record = fitting.fit(
        sets,
        out or data / "judges",
        fitting.kind_for(sets, SIDES[direction].output, kind),
        name=name,
        seed=seed,
        steps=steps,
        command=shlex.join(["xmbench", *sys.argv[1:]]),
        options=context.meta.get(_GIVEN, {}),
        progress=progress.show,
    )
    progress.close()
    print(f"judge {record.sha256[:12]}, {record.bytes} bytes")
    for tested, found in record.accuracy.items():
        print(f"  accuracy on {tested}: {found.accuracy:.4f} (n = {found.n})")
    agreement = record.details.get("agreement", {"share": {}})
    for tested, share in agreement["share"].items():
        print(f"  agreement with {agreement['with']} on {tested}: {share:.4f}")
