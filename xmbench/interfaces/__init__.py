"""What a plug-in author reads: Source, Engine, Annotator, Metric, JudgeKind, Model, and the values between them.

A plug-in is a module with one constant (`SOURCE`, `ENGINE`, `ANNOTATOR`, `METRIC`, `JUDGE` or `MODEL`) that has the
attributes of the protocol below. It needs no base class. Built-in items and plug-ins are found the same way
(`xmbench.registry`) and checked by the same conformance tests.

Shape letters: N items, B batch, C channels, H W pixels, T samples, D features, K classes, M distinct clips.
"""

from __future__ import annotations

from xmbench.interfaces.annotator import Annotator
from xmbench.interfaces.engine import Engine, EngineFacts, Spoken
from xmbench.interfaces.judge import ROLES, FitOption, FittableKind, FittedJudge, Judge, JudgeKind, JudgeRole
from xmbench.interfaces.metric import (
    AgainstClass,
    AgainstTraining,
    ClassReferences,
    ItemState,
    JudgeWeights,
    Metric,
    Naming,
    Pair,
    ScoringContext,
    TrainingEmbeddings,
    WholeSet,
    depends_on,
    judges_of,
    smallest_difference,
)
from xmbench.interfaces.model import (
    Classifier,
    ClassifiesInOnePass,
    Conditions,
    CountsParameters,
    Examples,
    Generator,
    Model,
    PhaseProgress,
    ReadsImages,
    Run,
    SeesReferences,
    item_rng,
)
from xmbench.interfaces.source import (
    Attribute,
    Attributed,
    AttributeTypes,
    Compared,
    Countable,
    Entry,
    Raw,
    RawClip,
    RawImage,
    RawPair,
    Rejected,
    Source,
    Upstream,
    yielded,
)
from xmbench.interfaces.speech import Speech, SpokenWords, Voice
from xmbench.interfaces.task import SIDES, USABLE, AudioFormat, Direction, ImageFormat, Modality, Sides, Status, Task

__all__ = [
    "ROLES",
    "SIDES",
    "USABLE",
    "AgainstClass",
    "AgainstTraining",
    "Annotator",
    "Attribute",
    "AttributeTypes",
    "Attributed",
    "AudioFormat",
    "ClassReferences",
    "Classifier",
    "ClassifiesInOnePass",
    "Compared",
    "Conditions",
    "Countable",
    "CountsParameters",
    "Direction",
    "Engine",
    "EngineFacts",
    "Entry",
    "Examples",
    "FitOption",
    "FittableKind",
    "FittedJudge",
    "Generator",
    "ImageFormat",
    "ItemState",
    "Judge",
    "JudgeKind",
    "JudgeRole",
    "JudgeWeights",
    "Metric",
    "Modality",
    "Model",
    "Naming",
    "Pair",
    "PhaseProgress",
    "Raw",
    "RawClip",
    "RawImage",
    "RawPair",
    "ReadsImages",
    "Rejected",
    "Run",
    "ScoringContext",
    "SeesReferences",
    "Sides",
    "Source",
    "Speech",
    "Spoken",
    "SpokenWords",
    "Status",
    "Task",
    "TrainingEmbeddings",
    "Upstream",
    "Voice",
    "WholeSet",
    "depends_on",
    "item_rng",
    "judges_of",
    "smallest_difference",
    "yielded",
]
