"""Converts documents of earlier versions to the current schema: one function per schema, on the parsed data.

Data that does not fit is left as it is: the check that follows names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from xmbench.formats.recipe import Recipe, TrackSpec
from xmbench.formats.recorded_command import with_facts

Raw = dict[str, Any]

# In version 0.1 a submission named the digest of the complete recipe, with tracks and prose. The data digest
# of each published recipe, by the beginning of that digest:
_DATA_DIGESTS = {
    "2f57451ae42146fa": "099afd54c0daafb00077a4fe3b235d1a9a96ef59e32a1a56e6780c5cac8fffa9",  # cifar10-ad-voices
    "7cd0e60cb24b4ccd": "46ab787d0429593b856d22e1cd44354506b3e34ec89b8651405a5e35e04ab3ad",  # cifar10-ad
    "9de42bb08e0fcbde": "889b314ad75616068cc7c208863a0bdc9d6c1ec588f05425d4ecc50c6305bcba",  # cifar100-ad-voices
    "d4ee4b050aca6031": "9e0695d33d28d6ac326d5dcb6dea34061059394e54363237c7b4b3d18c6e73d2",  # cifar100-ad
    "d3d7712a4a1391f9": "53b25f4a727f338b0e0b4c4ba26f70f12fd97029b631a3770ffb7a01541c2b18",  # digits-ad
    "8016e3b4026f8e23": "4f6f98850d87a53af1833e06f48a1b388a8f24b4c2ae4ba5bd2b0a9faf95eafb",  # mnist-ad-human
    "d30048119e042e85": "e5e800d1472611ba586223878ff6b4d5c79cf6abcfb8f2504ef8594d97f87852",  # mnist-ad-voices
    "a95a0fefac766890": "5f58858634a2bc5a393e9bbd6fab5032f5031e67c23b88437ef43675b5957661",  # mnist-ad
}

# What the metrics of version 0.1 left out of their means, and which of them score all items together.
_LEFT_OUT = {"stoi-strict": ("too-short",)}
_WHOLE_SETS = frozenset({"collapse", "diversity", "frechet-distance", "precision", "recall"})


def migrated(data: Raw, wanted: str | None) -> Raw:
    """An earlier document of the wanted kind, converted to the wanted schema; any other unchanged."""
    schema = data.get("schema")
    while isinstance(schema, str) and schema != wanted and _kind(schema) == _kind(wanted) and schema in _STEPS:
        data = _STEPS[schema](data)
        schema = data["schema"]
    return data


def _kind(schema: str | None) -> str:
    return (schema or "").rpartition("/")[0]


def _dataset_1(data: Raw) -> Raw:
    """Adds the data digest; removes `audio.band_limit_hz`, which shaped nothing."""
    found = {**data, "schema": "xmbench/dataset/2"}
    recipe = data.get("recipe")
    if not isinstance(recipe, dict):
        return found
    audio = recipe.get("audio")
    limited = False
    if isinstance(audio, dict) and "band_limit_hz" in audio:
        limited = True
        recipe = {**recipe, "audio": {key: value for key, value in audio.items() if key != "band_limit_hz"}}
    try:
        known = Recipe.model_validate(recipe)
    except ValidationError:
        return found
    return {
        **found,
        "recipe": recipe,
        "recipe_digest": known.digest if limited else data.get("recipe_digest"),
        "data_digest": known.data_digest,
    }


def _submission_1(data: Raw) -> Raw:
    """A submission belongs to its data set's digest; the recipe's digest covered prose as well."""
    return {**with_facts(_without_recipe_digest(data)), "schema": "xmbench/submission/2"}


def _result_1(data: Raw) -> Raw:
    """Adds the track, reconstructed from the scores: the installed recipe may have changed since."""
    found = {**_without_recipe_digest(data), "schema": "xmbench/result/2"}
    if isinstance(data.get("submission"), dict):
        found["submission"] = migrated(data["submission"], "xmbench/submission/2")
    if isinstance(data.get("scores"), dict):
        found["scores"] = {name: _score_1(name, score) for name, score in data["scores"].items()}
    try:
        scores: Raw = data["scores"]
        versions = {str(name): str(score["metric_version"]) for name, score in scores.items()}
        track = TrackSpec.model_validate(
            {
                "direction": data["track"].rpartition("/")[2],
                "split": data["split"],
                "metrics": tuple(dict.fromkeys((*versions, data["primary"]))),
                "primary": data["primary"],
                "judge": _frozen(data.get("judge")),
                "second_judge": _frozen(data.get("second_judge")),
            }
        )
    except (KeyError, TypeError, AttributeError, ValidationError):
        return found
    return {**found, "track_spec": track.model_dump(mode="json"), "track_digest": track.track_digest(versions)}


def _score_1(name: str, score: Any) -> Any:
    """Adds to a score what its metric leaves out, and whether it scores all items together."""
    if not isinstance(score, dict):
        return score
    return {**score, "left_out": _LEFT_OUT.get(name, ()), "whole_set": name in _WHOLE_SETS}


def _frozen(card: Mapping[str, Any] | None) -> Raw | None:
    """The judge that a track named; none where a local one replaced it."""
    return None if card is None or card["local"] else {"name": card["name"], "sha256": card["sha256"]}


def _without_recipe_digest(data: Raw) -> Raw:
    rest = {key: value for key, value in data.items() if key != "recipe_digest"}
    return {**rest, "data_digest": _DATA_DIGESTS.get(str(data.get("recipe_digest"))[:16])}


def _submission_2(data: Raw) -> Raw:
    """The new fields say "not known" where they are absent."""
    return {**data, "schema": "xmbench/submission/3"}


def _result_2(data: Raw) -> Raw:
    """Protocol 1: the new fields of a score say so where they are absent."""
    found = {**data, "schema": "xmbench/result/3"}
    if isinstance(data.get("submission"), dict):
        found["submission"] = migrated(data["submission"], "xmbench/submission/3")
    return found


_STEPS: dict[str, Callable[[Raw], Raw]] = {
    "xmbench/dataset/1": _dataset_1,
    "xmbench/submission/1": _submission_1,
    "xmbench/result/1": _result_1,
    "xmbench/submission/2": _submission_2,
    "xmbench/result/2": _result_2,
}
