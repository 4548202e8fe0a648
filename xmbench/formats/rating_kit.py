"""The two documents of a rating page: the key, which stays with its organiser, and the file that each rater sends.

The page shows sets: an item's condition, and below it an output of each system and the ground truth, in an order that
is drawn for each rater. Sets and outputs have names that say nothing; the key says what they are.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from xmbench.formats.model import Document, Part
from xmbench.formats.recipe import Sha256
from xmbench.formats.submission import SystemKind

LOWEST, HIGHEST = 0, 3
GROUND_TRUTH = "ground truth"
SetName = Annotated[str, StringConstraints(pattern=r"^s[0-9]{3,6}$")]
OutputName = Annotated[str, StringConstraints(pattern=r"^o[0-9]{4,7}$")]
Text = Annotated[str, StringConstraints(min_length=1)]


class RatedSystem(Part):
    """One system of a page; the ground truth has neither a digest nor a kind."""

    name: Text
    outputs_digest: Sha256 | None = None
    kind: SystemKind | Literal["ground-truth"] = "ground-truth"


class RatedSet(Part):
    """What a set shows.

    Attributes:
        name: on the page.
        item: id of the item.
        class_: name of its class.
        group: items of one group vary together.
        twice: whether each rater gets it a second time.
        outputs: name on the page -> position in the key's `systems`.
        failed: position in `systems` -> status of an output that cannot be shown; it counts the lowest score.
    """

    name: SetName
    item: Text
    class_: Text = Field(alias="class")
    group: Text
    twice: bool
    outputs: dict[OutputName, int]
    failed: dict[int, Text] = Field(default_factory=dict)


class RatingKey(Document):
    """What a rating page hides: which output is whose.

    Attributes:
        page: digest of the page's sets and texts; raters' files name it.
        track: public name, like `urmp-windows/a2i`.
        dataset_digest: of the data set.
        seed: of the choice of items and of all names and orders.
        per_class, per_group: how many items of a class, and of one group in it, were asked for.
        meanings: of the scores 0, 1, 2, 3.
        systems: the submissions in their order, then the ground truth.
    """

    schema_: Literal["xmbench/rating-key/1"] = Field(default="xmbench/rating-key/1", alias="schema")
    page: Sha256
    track: str = Field(pattern=r"^[a-z0-9-]+/(i2a|a2i)$")
    split: Literal["train", "test"]
    dataset_digest: Sha256
    seed: int
    per_class: int = Field(ge=1)
    per_group: int = Field(ge=1)
    meanings: tuple[Text, ...] = Field(min_length=HIGHEST - LOWEST + 1, max_length=HIGHEST - LOWEST + 1)
    systems: tuple[RatedSystem, ...] = Field(min_length=2)
    sets: tuple[RatedSet, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Every set has one output of every system, or says why not; no name is used twice."""
        for kind, names in (
            ("set", [s.name for s in self.sets]),
            ("output", [o for s in self.sets for o in s.outputs]),
        ):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise ValueError(f"the {kind} {twice[0]} is there twice")
        for one in self.sets:
            if sorted([*one.outputs.values(), *one.failed]) != list(range(len(self.systems))):
                raise ValueError(f"set {one.name}: expected each of the {len(self.systems)} systems once")
        return self


class Showing(Part):
    """One screen of a rater: outputs in the order in which they were shown, the score of each, how often it was played.

    `again` is True where the set is shown for the second time.
    """

    set: SetName
    again: bool
    outputs: tuple[OutputName, ...]
    scores: tuple[int | None, ...]
    plays: tuple[int, ...]


class RaterFile(Document):
    """What a rater sends: all screens in the order in which they come, also those that were not reached.

    Attributes:
        rater: the name or code that the rater typed.
        session: drawn at the start: two files with the same one are an earlier and a later copy.
        started, saved: ISO 8601 in UTC.
        finished: whether every screen is scored.
    """

    schema_: Literal["xmbench/rater/1"] = Field(default="xmbench/rater/1", alias="schema")
    page: Sha256
    rater: str = Field(min_length=1, max_length=80, pattern=r"^[^\s\p{Cc}\p{Zl}\p{Zp}]([^\p{Cc}\p{Zl}\p{Zp}]*[^\s])?$")
    session: str = Field(pattern=r"^[0-9a-f]{16}$")
    started: str = Field(pattern=r"^\d{4}-\d\d-\d\dT[0-9:.]{8,15}Z$")
    saved: str = Field(pattern=r"^\d{4}-\d\d-\d\dT[0-9:.]{8,15}Z$")
    finished: bool
    showings: tuple[Showing, ...] = Field(min_length=1)
