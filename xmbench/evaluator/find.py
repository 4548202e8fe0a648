"""Finds the data set that a submission was made for."""

from __future__ import annotations

import os
from pathlib import Path

from xmbench.errors import DatasetError, XmbenchError
from xmbench.evaluator.check import OpenedSubmission, open_checked
from xmbench.evaluator.outputs import open_submission
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.layout import MANIFEST_FILE
from xmbench.formats.submission import Submission
from xmbench.storage.files import expanded

DATA_VARIABLE = "XMBENCH_DATA"


def find_dataset(submission: Submission) -> Dataset:
    """The data set with the digest that the submission names, under `data/` or `$XMBENCH_DATA`.

    Raises:
        DatasetError: none of them has that digest; lists those that were found.
    """
    roots = [Path("data"), *(expanded(part) for part in os.environ.get(DATA_VARIABLE, "").split(os.pathsep) if part)]
    seen = []
    for root in roots:
        for path in [root / MANIFEST_FILE, *sorted(root.glob(f"*/{MANIFEST_FILE}"))]:
            if not path.is_file():
                continue
            try:
                dataset = open_dataset(path.parent)
            except XmbenchError as error:
                seen.append(f"{path.parent}: {error.what}")
                continue
            if dataset.digest == submission.dataset_digest:
                return dataset
            seen.append(f"{path.parent}: {dataset.recipe.name}, digest {dataset.digest[:12]}")
    raise DatasetError(
        f"no data set with the digest {submission.dataset_digest[:12]} was found",
        where=", ".join(str(root) for root in roots),
        expected=f"the data set of {submission.track}",
        problems=seen,
        todo=f"name it with --data DIR, or set ${DATA_VARIABLE}",
    )


def open_for(submission: Path, data: Path | None) -> tuple[OpenedSubmission, Dataset]:
    """A submission with its data set: the one at `data`, or else the one with the submission's digest.

    Raises:
        SubmissionError, DocumentError, DatasetError: no submission, no data set, or another one.
    """
    named = open_submission(submission)
    dataset = open_dataset(data) if data else find_dataset(named)
    return open_checked(submission, dataset, named), dataset
