"""The lists of other words: what judges learn to reject, and what they are tested on."""

from __future__ import annotations

import tomllib

from tests.conftest import ROOT
from xmbench import content
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe

FOLDER = ROOT / "recipes" / "judges"
HOMOPHONES = {"won", "to", "too", "for", "fore", "ate", "oh", "o", "owe", "sicks"}
SPEECH_COMMANDS = """bed bird cat dog happy house marvin sheila tree wow yes no up down left right on off stop go
backward forward follow learn visual"""


def lists() -> tuple[set[str], set[str]]:
    """Words for training and words for tests."""
    known = tomllib.loads((FOLDER / "other-words.toml").read_text("utf-8"))
    near = known["near"]["digits"]
    train = " ".join((known["train"], known["nonce"], near["train"]))
    return set(train.split()), set(f"{known['test']} {near['test']}".split())


def test_no_word_of_the_tests_is_spoken_for_training() -> None:
    train, test = lists()
    assert len(train) >= 800
    assert len(test) >= 150
    assert not train & test
    assert not {word for word in test if f"{word}s" in train} - {"tree"}


def test_no_digit_and_no_homophone_of_one_is_another_word() -> None:
    train, test = lists()
    digits = set(load_toml(content.find("recipes", "mnist-ad"), Recipe).classes.words)
    assert not (train | test) & (digits | HOMOPHONES)


def test_the_other_words_of_speech_commands_are_left_for_the_test() -> None:
    train, test = lists()
    assert set(SPEECH_COMMANDS.split()) <= test
    assert not set(SPEECH_COMMANDS.split()) & train


def test_every_digit_has_other_pronunciations_and_every_accent_says_all_digits() -> None:
    digits = set(load_toml(content.find("recipes", "mnist-ad"), Recipe).classes.words)
    known = tomllib.loads((FOLDER / "other-words.toml").read_text("utf-8"))
    assert set(known["variants"]["digits"]) == digits
    accents = tomllib.loads((FOLDER / "accents.toml").read_text("utf-8"))
    assert accents
    for language, said in accents.items():
        assert set(said["digits"]) == digits, language
        assert len(set(said["others"].split())) >= 40, language


def test_what_sounds_like_a_word_of_a_long_list_is_named() -> None:
    homophones = tomllib.loads((FOLDER / "other-words.toml").read_text("utf-8"))["homophones"]
    own = set(load_toml(content.find("recipes", "cifar100-ad"), Recipe).classes.words)
    train, test = lists()
    assert set(homophones) <= own, "words of a list"
    same = {other for said in homophones.values() for other in said.split()}
    assert same <= train | test, "words that would be spoken for it otherwise"
    assert not same & own
