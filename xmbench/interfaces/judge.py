"""Judge: a frozen network that says which class of a list an item shows, and embeds it; and the kinds of judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.task import Modality, Task
from xmbench.media.signal import Media

JudgeRole = Literal["first", "second"]
ROLES: tuple[JudgeRole, ...] = ("first", "second")


class Judge(Protocol):
    """Weights that were read, ready to use.

    Attributes:
        class_names: the K classes (or words) in its own order.
        modality: of the items.
        embedding_size: D, any number.
    """

    class_names: tuple[str, ...]
    modality: Modality
    embedding_size: int

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1), rows sum to 1; the last column is "none".

        A row depends on its own item alone: batches are of one fixed size, filled up where items are missing.
        """
        ...

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, D), for distances between sets."""
        ...


class JudgeKind(Protocol):
    """One family of judges: which weights it reads, and which data its judges can look at.

    Attributes:
        name: public name, kebab-case; the name of its directory, or of its entry point.
        modality: of the items that its judges see.
        formats: of weights that it reads, as their header names them (`"format"` in the JSON under the key `judge` of
            the metadata of a safetensors file).
        weights: directory of the judges that come with it, `<name>.json` (`xmbench.formats.judge.StoredJudge`) and,
            unless the document gives an address, `<name>.safetensors`; None where there are none.
        needs: what a data set must be for such a judge, as half a sentence: "spoken words".
    """

    name: str
    modality: Modality
    formats: tuple[str, ...]
    weights: Path | None
    needs: str

    def fits(self, task: Task) -> bool:
        """Whether such a judge can look at the items of a data set: its classes, modality and formats."""
        ...

    def load(self, weights: bytes, device: str = "cpu") -> Judge:
        """Reads weights.

        Args:
            weights: a whole file.
            device: where it computes: "cpu" or "cuda". Scores are defined on the CPU: float32 on one thread.

        Raises:
            PrerequisiteError: damaged, of another format, or there is no such device.
        """
        ...


@dataclass(frozen=True, slots=True)
class FitOption:
    """One option that a kind of judge takes when it is fitted, on the command line `--name`.

    Attributes:
        name: kebab-case; in `FittableKind.fit` its snake_case form.
        help: one sentence.
        type: of its value.
        many: it may be given several times; its value is a tuple.
        choices: the values that it may have; empty for any.
        between: lower and upper bound of a number.
        needs: another option without which this one means nothing; "" for none.
    """

    name: str
    help: str
    type: type[str] | type[int] | type[float] | type[Path] = str
    many: bool = False
    choices: tuple[str, ...] = ()
    between: tuple[float, float] | None = None
    needs: str = ""


@dataclass(frozen=True, slots=True)
class FittedJudge:
    """What fitting gives.

    Attributes:
        weights: the whole file.
        name: of its files, unless the user chooses another.
        accuracy: test -> {"accuracy": 0..1, "n": items, and "by_class" or "by_speaker": name -> 0..1}.
        sees: what of an item reaches the network, in a few words.
        role: "second" for a judge that stands beside a first one, to show whether a score depends on the judge.
        details: whatever else belongs on record (JSON values).
        packages: whose versions shaped the weights, beside xmbench and numpy.
    """

    weights: bytes = field(repr=False)
    name: str
    accuracy: Mapping[str, Mapping[str, Any]]
    sees: str = ""
    role: JudgeRole = "first"
    details: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


@runtime_checkable
class FittableKind(Protocol):
    """What a kind of judge offers beside the rest when `xmbench fit-judge` can train one on a user's data.

    Attributes:
        options: what it takes beside seed and steps.
    """

    options: tuple[FitOption, ...]

    def fit(
        self,
        datasets: Sequence[Any],
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[str], None],
        options: Mapping[str, Any],
    ) -> FittedJudge:
        """Trains a judge on the training items of data sets that it `fits`.

        Args:
            datasets: `xmbench.formats.dataset.Dataset`; the first names the classes.
            seed: of everything random.
            steps: of the training; None for what the data ask for.
            progress: called with a line of progress.
            options: those of `options` that were given, by their snake_case names.

        Raises:
            XmbenchError: the data sets do not go together, or an option names what is not there.
        """
        ...
