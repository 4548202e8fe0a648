"""What the tests of harvests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harvester.corpus import ANNOTATORS, random_weights
from xmbench.execution.engine import Workers
from xmbench.execution.progress import Progress, silent
from xmbench.formats.harvest import CandidateSpec, Harvest, HarvestSpec
from xmbench.harvester.harvest import Request, harvest

Run = Callable[..., Harvest]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the image annotator."""
    return random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def run(weights: Path) -> Run:
    """Harvests a directory with one process."""

    def made(
        root: Path, out: Path, progress: Progress = silent, again: bool = False, quick: bool = False, **part: object
    ) -> Harvest:
        spec = HarvestSpec(
            annotators=ANNOTATORS[1:] if quick else ANNOTATORS,
            candidates=(CandidateSpec.model_validate({"layout": "soundnet", **part}),),
            top=5,
        )
        request = Request(spec, root, weights={} if quick else {"squeezenet": str(weights)})
        return harvest(request, out, workers=Workers(1), again=again, progress=progress)

    return made
