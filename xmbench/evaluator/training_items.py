"""The training split as the judge and the random convolutions embed it: for metrics that look for copies.

Computed once per data set, judge and environment, and kept in the cache; a data set whose items changed has another
digest, and so another directory.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from xmbench import registry
from xmbench.errors import OutputError
from xmbench.evaluator.item_records import reference_of
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import TrackSpec
from xmbench.interfaces import SIDES, AgainstTraining, ScoringContext, TrainingEmbeddings
from xmbench.judges.training_embeddings import embed_training
from xmbench.media.signal import Media

TRAINING = "train"


def with_training(
    context: ScoringContext, dataset: Dataset, track: TrackSpec, metrics: Sequence[str]
) -> ScoringContext:
    """The context with the training split's embeddings, if one of the metrics asks for them.

    Args:
        context: with the judges.
        dataset: whose training split is embedded.
        track: its direction says which side.
        metrics: names of those that are measured.

    Raises:
        DatasetError: a training item cannot be read.
        PrerequisiteError: the judge cannot be loaded.
    """
    if "first" not in context.judges or not any(isinstance(registry.metric(n), AgainstTraining) for n in metrics):
        return context
    side = SIDES[track.direction].output
    channels = dataset.recipe.task.image.channels if side == "image" else 1
    try:
        files = embed_training(lambda: _distinct(dataset, side), context.judges["first"], channels, _folder(context))
    except OutputError:  # the cache cannot be written
        files = embed_training(lambda: _distinct(dataset, side), context.judges["first"], channels, _temporary())
    return replace(context, training=TrainingEmbeddings(files))


def _folder(context: ScoringContext) -> Path:
    return _temporary() if context.kept is None else context.kept


def _temporary() -> Path:
    """A directory that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="xmbench-training-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _distinct(dataset: Dataset, column: str) -> Iterator[Media]:
    """The distinct training items in the order of their ids."""
    seen = set()
    for row in dataset.rows(TRAINING, [column]):
        digest = sha256(row[column]["bytes"]).digest()
        if digest not in seen:
            seen.add(digest)
            yield reference_of(row, dataset)
