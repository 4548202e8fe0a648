"""Writes a rating page and its key."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xmbench import html
from xmbench.errors import DatasetError, OutputError
from xmbench.evaluator.clusters import groups_of_sides
from xmbench.evaluator.decode import Decoded
from xmbench.evaluator.rated_systems import Rated
from xmbench.evaluator.rating_sample import drawn_twice, sample
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import pick_rows, read_clip, read_image
from xmbench.formats.rating_kit import GROUND_TRUTH, HIGHEST, LOWEST, RatedSet, RatedSystem, RatingKey
from xmbench.html import data_uri, escape, player
from xmbench.interfaces import SIDES, Direction, Modality
from xmbench.media import audio, image
from xmbench.media.signal import Media, Picture, Sound
from xmbench.statistics import SEED
from xmbench.storage.files import output_file, read_bytes, write_text
from xmbench.views.rating import wording
from xmbench.views.rating.script import SCRIPT
from xmbench.views.rating.style import STYLE


@dataclass(frozen=True, slots=True)
class Options:
    """What a page holds.

    Attributes:
        per_class: items of each class at most.
        per_group: items of one group (take, video, speaker) within a class at most.
        twice: how many items each rater gets twice; None for one in ten.
        noun: what a class is called in the texts.
        seed: of the choice of items, and of all names and orders.
    """

    per_class: int = 10
    per_group: int = 1
    twice: int | None = None
    noun: str = "class"
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the key, and what the organiser should know."""

    key: RatingKey
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Item:
    """An item with its two real sides, and each system's output."""

    id: str
    label: int
    group: str
    condition: Media
    outputs: Mapping[int, Media]
    failed: Mapping[int, str]


def write_rating_page(
    systems: Sequence[Rated], dataset: Dataset, out: Path, key: Path, options: Options = Options()
) -> Written:
    """Writes the page for raters and the key for the organiser; the same arguments give the same files.

    Nothing on the page tells systems apart but what they made: media are encoded again in one way, names are drawn.

    Raises:
        OutputError: another file is there, or the key of another page: raters may have used that one.
        SubmissionError, DatasetError: an output or an item cannot be read.
    """
    html.place(out)
    output_file(key)
    track = systems[0].opened.track
    items = _items(systems, dataset, options)
    if not items:
        raise DatasetError(f"the {track.split} split has no item to rate", where=dataset.folder)
    sets, kept = _sets(items, dataset, track.direction, options, _secret(systems, options))
    parts = (dataset, track.direction, track.split, kept, "".join(sets), options)
    page = hashlib.sha256(_body("", *parts).encode()).hexdigest()
    named = [one.system for one in systems]
    made = RatingKey(
        page=page,
        track=systems[0].opened.submission.track,
        split=track.split,
        dataset_digest=dataset.digest,
        seed=options.seed,
        per_class=options.per_class,
        per_group=options.per_group,
        meanings=wording.meanings(track.direction, options.noun),
        systems=(*named, RatedSystem(name=GROUND_TRUTH)),
        sets=tuple(kept),
    )
    _refuse_other(key, made)
    title = wording.title(track.direction)
    write_text(out, html.document(title, _body(page, *parts), style=STYLE, script=SCRIPT))
    write_text(key, made.to_json())
    return Written(made, tuple(_notes(made, dataset, options)))


def _refuse_other(path: Path, made: RatingKey) -> None:
    """An older key is the only way to read its raters' files."""
    if path.exists() and read_bytes(path) != made.to_json().encode():
        raise OutputError(
            "the key of another page, or another file, exists here",
            where=path,
            expected="nothing, or the key of this very page: without its key no rating of a page can be read",
            todo="choose another name with --key, or remove the file if nobody rates with its page",
        )


def _secret(systems: Sequence[Rated], options: Options) -> list[int]:
    """What names and orders are drawn from: nobody without the outputs can repeat it."""
    digests = "".join(str(one.system.outputs_digest) for one in systems)
    return [options.seed, int.from_bytes(hashlib.sha256(digests.encode()).digest())]


def _items(systems: Sequence[Rated], dataset: Dataset, options: Options) -> list[_Item]:
    """The chosen items with all their media."""
    track, recipe = systems[0].opened.track, dataset.recipe
    rows = dataset.table(track.split, ["label", "group"]).to_pylist()
    ids, labels, own = ([row[name] for row in rows] for name in ("id", "label", "group"))
    chosen = sample(ids, labels, own, per_class=options.per_class, per_group=options.per_group, seed=options.seed)
    sides = groups_of_sides(recipe, track.direction, ids, own)
    groups = dict(zip(ids, min(sides.values(), key=lambda names: len(set(names))), strict=True))
    stored = pick_rows(dataset, track.split, chosen, ["image", "audio", "label"])
    made = [one.decoded(chosen, recipe.task) for one in systems]
    found = []
    for item in chosen:
        clip = Sound(audio.to_float(read_clip(stored[item], dataset)), recipe.audio.sample_rate_hz)
        both: dict[Modality, Media] = {"image": Picture(read_image(stored[item], dataset)), "audio": clip}
        direction = SIDES[track.direction]
        decoded = [*(own[item] for own in made), Decoded("ok", both[direction.output])]
        outputs = {place: one.media for place, one in enumerate(decoded) if one.media is not None}
        failed = {place: one.status for place, one in enumerate(decoded) if one.media is None}
        label = stored[item]["label"]
        found.append(_Item(item, label, groups[item], both[direction.condition], outputs, failed))
    return found


def _sets(
    items: Sequence[_Item], dataset: Dataset, direction: Direction, options: Options, secret: Sequence[int]
) -> tuple[list[str], list[RatedSet]]:
    """Each set as HTML and in the key; their names and orders are drawn."""
    rng = np.random.default_rng(secret)
    total = sum(len(item.outputs) for item in items)
    numbers = iter(rng.permutation(total).tolist())
    twice = drawn_twice(len(items), options.twice, options.seed)
    texts, kept = [], []
    for number, place in enumerate(rng.permutation(len(items)).tolist(), start=1):
        item, name = items[place], f"s{number:03d}"
        outputs = {f"o{next(numbers) + 1:04d}": which for which in item.outputs}
        class_name = dataset.recipe.classes.names[item.label]
        texts.append(_section(name, class_name, item, outputs, direction, place in twice))
        kept.append(
            RatedSet(
                name=name,
                item=item.id,
                **{"class": class_name},
                group=item.group,
                twice=place in twice,
                outputs=dict(sorted(outputs.items())),
                failed=dict(item.failed),
            )
        )
    return texts, kept


def _section(
    name: str, class_name: str, item: _Item, outputs: Mapping[str, int], direction: Direction, twice: bool
) -> str:
    given, title = wording.NAMES[SIDES[direction].condition], escape(class_name.replace("_", " "))
    cards = "".join(
        f"<fieldset data-output={output} tabindex=-1><legend></legend>{_media(item.outputs[outputs[output]])}"
        f"<div class=scores role=radiogroup aria-label=score>{_radios(output)}</div></fieldset>"
        for output in sorted(outputs)
    )
    return (
        f"<section class=set data-set={name} data-twice={int(twice)} hidden><h2 tabindex=-1>{title}</h2>"
        f"<figure class=condition><figcaption>the {given}</figcaption>{_media(item.condition, f'the {given}')}</figure>"
        f"<div class=outputs>{cards}</div></section>"
    )


def _media(media: Media, label: str = "to be scored") -> str:
    """Exact, encoded in one way whoever made it."""
    if isinstance(media, Sound):
        return player(audio.to_int16(media.samples), media.sample_rate_hz, label)
    return f'<img class=pic alt="{escape(label)}" src="{data_uri("image/png", image.encode_png(media.pixels))}">'


def _radios(output: str) -> str:
    return "".join(
        f"<label><input type=radio name={output} value={score}><b>{score}</b></label>"
        for score in range(LOWEST, HIGHEST + 1)
    )


def _body(
    page: str, dataset: Dataset, direction: Direction, split: str, kept: Sequence[RatedSet], sets: str, options: Options
) -> str:
    """The page without its frame; `page` is the digest of what it is with an empty one."""
    twice = sum(one.twice for one in kept)
    again = f", {twice} of them twice" if twice else ""
    recipe, many = dataset.recipe, wording.PLURALS[SIDES[direction].output]
    facts = (
        f"{escape(recipe.name)} ({escape(recipe.title)}), {escape(split)} split · data set digest "
        f"<code>{dataset.digest[:12]}</code> · page <code>{page[:12]}</code> · {len(kept):,} items{again}: "
        f"{len(kept) + twice:,} screens, {sum(len(one.outputs) * (1 + one.twice) for one in kept):,} {many}"
    )
    told = "".join(f"<p>{escape(line)}</p>" for line in wording.task(direction, options.noun))
    lines = wording.meanings(direction, options.noun)
    scale = "".join(f"<li><b>{score}</b> {escape(lines[score])}</li>" for score in range(HIGHEST, LOWEST - 1, -1))
    one = wording.NAMES[SIDES[direction].output]
    return (
        f"<main id=kit data-page={page} data-one={one}><h1>{escape(wording.title(direction))}</h1>"
        f"<p class=sub>{facts}</p><noscript><p role=alert>This page needs JavaScript.</p></noscript>"
        f"<p id=notice role=alert hidden></p>{_start(told, scale)}{_rating(scale, sets, one)}{_end()}</main>"
    )


def _start(told: str, scale: str) -> str:
    return (
        f"<section id=start hidden>{told}<h2>The scores</h2><ul class=scale>{scale}</ul>"
        "<p>Your scores stay in this browser until you save them as a file and send that to whoever gave you this "
        "page. You can stop at any time and go on later in the same browser, or from a saved file.</p>"
        "<form id=who><label>Your name or code <input id=rater required maxlength=80 autocomplete=off></label>"
        "<button>Begin</button></form>"
        "<div id=known hidden><p>Go on with what is stored in this browser:</p><ul></ul></div>"
        "<p><label>Go on from a saved file <input id=file type=file accept=.json></label></p></section>"
    )


def _rating(scale: str, sets: str, one: str) -> str:
    playing = "<kbd>P</kbd> plays it, " if one == "sound" else ""
    given = "" if one == "sound" else "<kbd>C</kbd> plays the sound above, "
    return (
        "<section id=rating hidden><p class=where><span id=progress aria-live=polite></span>"
        "<progress id=bar max=1 value=0 aria-label=progress></progress></p>"
        f"<details open><summary>The scores</summary><ul class=scale>{scale}</ul></details>{sets}"
        "<p id=missing role=status></p><nav><button id=back type=button>Back</button>"
        "<button id=save type=button>Save a file</button><button id=next type=button>Next</button></nav>"
        f"<p class=sub>By keyboard: <kbd>0</kbd> to <kbd>3</kbd> score the marked {one} and mark the next, "
        f"{playing}{given}<kbd>N</kbd> and <kbd>B</kbd> go on and back. Tab and arrow keys work as in any "
        "form.</p></section>"
    )


def _end() -> str:
    return (
        "<section id=end hidden><h2 tabindex=-1>Thank you</h2><p>Every screen is scored. Save the file and send it to "
        "whoever gave you this page.</p><nav><button id=again type=button>Back</button>"
        "<button id=done type=button>Save the file</button></nav>"
        "<details><summary>No file was saved?</summary><p>Copy this text and send it instead.</p>"
        "<textarea id=text readonly rows=6 aria-label='your scores as text'></textarea></details>"
        "<p><button id=other type=button>Another person rates</button></p></section>"
    )


def _notes(key: RatingKey, dataset: Dataset, options: Options) -> list[str]:
    """What the organiser should know: classes with few items, outputs that nobody can score."""
    names = dataset.recipe.classes.names
    there = Counter(names[label] for label in dataset.table(key.split, ["label"]).column("label").to_pylist())
    taken = Counter(one.class_ for one in key.sets)
    few = [name for name in names if taken[name] < options.per_class]
    notes = []
    if few:
        listed = ", ".join(f"{name} {taken[name]}" for name in few[:8]) + (", ..." if len(few) > 8 else "")
        more = any(there[name] > taken[name] for name in few)
        why = f"at most {options.per_group} of one group; --per-group allows more" if more else "there are no more"
        notes.append(f"fewer than {options.per_class} items of {len(few)} of {len(names)} classes ({listed}): {why}")
    for place, system in enumerate(key.systems):
        if failed := [one.failed[place] for one in key.sets if place in one.failed]:
            told = ", ".join(sorted(set(failed)))
            notes.append(f"{system.name}: {len(failed)} outputs cannot be shown ({told}); they count {LOWEST}")
    return notes
