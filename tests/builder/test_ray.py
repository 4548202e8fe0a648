"""`build --engine ray`: the same data set from a Ray cluster."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.builder.conftest import Corpus
from tests.cli.test_scoring import xmbench
from xmbench.builder import shards
from xmbench.builder.build import build
from xmbench.errors import PrerequisiteError
from xmbench.formats.dataset import open_dataset
from xmbench.inspection.validate import validate

RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install 'xmbench[ray]'")


@needs_ray
@pytest.mark.filterwarnings("default")
def test_ray_builds_and_repairs_the_same_data_set(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a relative folder: workers of a cluster have another working directory."""
    import ray

    monkeypatch.setattr(shards, "SHARD_ROWS", 40)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        monkeypatch.chdir(tmp_path)
        made = build(corpus.single, Path("out"), source=corpus.folder, engine="ray")
        assert len(made.manifest.shards) == 4
        made.shards("train")[1].unlink()
        again = build(corpus.single, Path("out"), source=corpus.folder, engine="ray")
    finally:
        ray.shutdown()
    here = build(corpus.single, tmp_path / "here", source=corpus.folder)
    assert made.digest == again.digest == here.digest
    assert validate(open_dataset(tmp_path / "out")).problems == []


@needs_ray
def test_an_unreachable_cluster_is_said_before_anything_is_written(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="Ray cannot be started"):
        build(corpus.single, tmp_path / "out", source=corpus.folder, engine="ray", ray_address="127.0.0.1:1")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["build", "retry"])
def test_an_address_without_the_engine_is_refused(command: str) -> None:
    done = xmbench(command, "digits-ad", "--ray-address", "auto")
    assert done.returncode == 2
    assert "needs --engine ray" in done.stderr
