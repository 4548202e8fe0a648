"""The card: what the Hub's library and `datasets` read in it, and what it tells people."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xmbench.builder import card
from xmbench.formats.dataset import Dataset


@pytest.fixture
def text(digits: Dataset) -> str:
    return (digits.folder / "README.md").read_text()


def test_the_hub_reads_every_field_of_the_header(digits: Dataset, text: str) -> None:
    from huggingface_hub import DatasetCard

    head = DatasetCard.load(digits.folder / "README.md").data.to_dict()
    assert head["license"] == "cc-by-4.0"
    assert head["language"] == ["en"]
    assert head["size_categories"] == ["n<1K"]
    assert head["annotations_creators"] == ["found"]
    assert head["language_creators"] == ["machine-generated"]
    assert head["multilinguality"] == ["monolingual"]
    assert head["source_datasets"] == ["original", "extended|other-digits"]
    assert head["task_categories"] == ["other"]
    assert {"image-to-audio", "single-take"} <= set(head["tags"])
    assert head["configs"][0]["data_files"] == [{"split": s, "path": f"data/{s}-*"} for s in ("train", "test")]
    counts = {split["name"]: split["num_examples"] for split in head["dataset_info"]["splits"]}
    assert counts == {split: digits.count(split) for split in ("train", "test")}
    names = [column["name"] for column in head["dataset_info"]["features"]]
    assert names[:9] == ["id", "image", "audio", "label", "take", "group", "duration_s", "source", "text"]
    assert all(f"| `{name}` |" in text for name in names)


def test_the_histogram_counts_every_row_once(digits: Dataset, text: str) -> None:
    table = text.split("### Durations")[1].split("##")[0]
    rows = [int(number) for number in re.findall(r"\| (\d+) \| █* *\|", table)]
    assert sum(rows) == digits.count("train") + digits.count("test")
    assert "█" * 40 in table


def test_it_tells_how_to_make_it_again_and_whom_to_cite(digits: Dataset, text: str) -> None:
    for said in (
        "xmbench build digits-ad --limit 40 --seed 0",
        digits.digest,
        digits.manifest.data_digest,
        "Audio description from image by modal translation network",
        "- clips made by espeak-ng 1.",
        "ledger.parquet",
        "a seeded share of each class is the test",
        'load_dataset("PATH")',
    ):
        assert said in text, said


def test_a_card_without_media_names_no_files(digits: Dataset, tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    alone = tmp_path / "README.md"
    alone.write_text(card.render(digits, card.attributes_of(digits), media=False))
    head = DatasetCard.load(alone).data.to_dict()
    assert "configs" not in head
    assert "dataset_info" not in head
    assert "without the media" in alone.read_text()


def test_a_licence_that_the_hub_does_not_know(digits: Dataset) -> None:
    sources = {**digits.recipe.sources}
    sources["digits"] = sources["digits"].model_copy(update={"licence": "X-1", "licence_url": "https://x.example/1"})
    recipe = digits.recipe.model_copy(update={"licence": "X-1", "sources": sources})
    changed = Dataset(digits.folder, digits.manifest.model_copy(update={"recipe": recipe}))
    head = card.render(changed, card.attributes_of(changed)).split("---")[1]
    for line in ("license: other", "license_name: x-1", "license_link: https://x.example/1"):
        assert line in head
