"""Judge: a frozen network that classifies and embeds items; and the kinds of judges."""

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
    """A judge with its weights, ready to use.

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

        A row depends only on its own item: batches have one fixed size and are padded.
        """
        ...

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, D), for distances between sets."""
        ...


class JudgeKind(Protocol):
    """One family of judges: which weights it reads, and which data its judges fit.

    Attributes:
        name: public name, kebab-case; the name of its directory, or of its entry point.
        modality: of the items that its judges see.
        formats: of weights that it reads, as their header names them (`"format"` in the JSON under the key `judge` of
            the metadata of a safetensors file).
        weights: directory of the judges that come with it, `<name>.json` (`xmbench.formats.judge.StoredJudge`) and,
            unless the document has an address, `<name>.safetensors`; None where there are none.
        needs: what a data set needs for such a judge, as a phrase: "spoken words".
    """

    name: str
    modality: Modality
    formats: tuple[str, ...]
    weights: Path | None
    needs: str

    def fits(self, task: Task) -> bool:
        """Whether such a judge fits the items of a data set: its classes, modality and formats."""
        ...

    def load(self, weights: bytes, device: str = "cpu") -> Judge:
        """Reads weights.

        Args:
            weights: the content of a file.
            device: where it computes: "cpu" or "cuda". Scores are defined on the CPU: float32 on one thread.

        Raises:
            PrerequisiteError: damaged, of another format, or the device is missing.
        """
        ...


@dataclass(frozen=True, slots=True)
class FitOption:
    """An option of a kind of judge for fitting; on the command line `--name`.

    Attributes:
        name: kebab-case; in `FittableKind.fit` its snake_case form.
        help: one sentence.
        type: of its value.
        many: may be given several times; the value is a tuple.
        choices: allowed values; empty for any.
        between: lower and upper bound of a number.
        needs: another option that this one requires; "" for none.
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
    """The result of fitting.

    Attributes:
        weights: the content of the file.
        name: of its files, unless the user chooses another.
        accuracy: test -> {"accuracy": 0..1, "n": items, and "by_class" or "by_speaker": name -> 0..1}.
        sees: which part of an item reaches the network, in a few words.
        role: "second" for a judge in addition to a first one, to show whether a score depends on the judge.
        details: further facts for the record (JSON values).
        packages: whose versions shaped the weights, in addition to xmbench and numpy.
        false_accepts: kind of input that is none of the classes -> {"share": 0..1 taken for one of them, "n": items,
            and "by_class": name -> 0..1}.
        calibration: test -> {"error": expected calibration error, 0..1, "bins": of it, "n": items}.
        voices: family of voices, or other source of the training -> its licence.
    """

    weights: bytes = field(repr=False)
    name: str
    accuracy: Mapping[str, Mapping[str, Any]]
    sees: str = ""
    role: JudgeRole = "first"
    details: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    false_accepts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calibration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    voices: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class FittableKind(Protocol):
    """What a kind of judge has in addition when `xmbench fit-judge` can train one on a user's data.

    Attributes:
        options: its options in addition to seed and steps.
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
            steps: of the training; None for a number that suits the data.
            progress: called with a line of progress.
            options: those of `options` that were given, by their snake_case names.

        Raises:
            XmbenchError: the data sets do not fit together, or an option names something unknown.
        """
        ...
