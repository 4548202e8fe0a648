"""One self-contained page that shows what systems made of the same items: it opens from a file, offline.

Each item has its image, its reference and every system's output, as playable audio with a
spectrogram and the item's own scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xmbench.evaluator.check import open_checked
from xmbench.evaluator.decode import decode_output
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip
from xmbench.formats.result import Result
from xmbench.html import data_uri, document, escape, player
from xmbench.leaderboard import boards, cell, item_columns
from xmbench.leaderboard.rows import Columns
from xmbench.media import audio
from xmbench.media.signal import Media, Sound
from xmbench.storage.files import write_text
from xmbench.views.figures import spectrogram_png


@dataclass(frozen=True, slots=True)
class Shown:
    """One system on the page: its submission, its result and its per-item table."""

    submission: Path
    result: Result
    items: pa.Table


def write_gallery(dataset: Dataset, systems: Sequence[Shown], out: Path, *, items: int = 10) -> Path:
    """Writes the page.

    Args:
        dataset: of the systems.
        systems: in the order of the page.
        out: the HTML file.
        items: number of items, taken evenly from the classes.

    Returns:
        `out`.

    Raises:
        SubmissionError: a submission was made for other data.
        OutputError: the file cannot be written.
    """
    split = systems[0].result.split
    chosen = _choose(dataset, split, items)
    outputs = [_outputs(dataset, system, chosen) for system in systems]
    scores = [_item_scores(system, chosen) for system in systems]
    rows = {str(row["id"]): row for row in _rows(dataset, split, chosen)}
    sections = []
    for item_id in chosen:
        row = rows[item_id]
        known = audio.to_float(read_clip(row, dataset))
        reference = Sound(known, dataset.recipe.audio.sample_rate_hz)
        cards = [_card("reference", str(row["text"] or ""), reference, [])]
        for system, made, values in zip(systems, outputs, scores, strict=True):
            cards.append(_card(system.result.submission.system, "", made.get(item_id), values[item_id]))
        sections.append(_section(dataset, row, cards))
    columns = item_columns.from_tables([(system.result, system.items) for system in systems])
    write_text(out, _page(dataset, [system.result for system in systems], columns, sections))
    return out


def _choose(dataset: Dataset, split: str, items: int) -> list[str]:
    """The first items of each class in turn, in id order."""
    table = dataset.table(split, ["label"])
    ids, labels = table.column("id").to_pylist(), np.asarray(table.column("label").to_pylist())
    classes = np.unique(labels)
    queues = [np.flatnonzero(labels == label) for label in classes]
    picked = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return [str(ids[i]) for i in picked[:items]]


def _rows(dataset: Dataset, split: str, chosen: Sequence[str]) -> list[dict[str, Any]]:
    wanted = set(chosen)
    return [row for row in dataset.rows(split, ["image", "audio", "label", "text", "take"]) if row["id"] in wanted]


def _outputs(dataset: Dataset, system: Shown, chosen: Sequence[str]) -> dict[str, Media]:
    opened = open_checked(system.submission, dataset)
    made = {}
    for raw in opened.outputs.read(sorted(chosen)):
        if raw is None:
            continue
        decoded = decode_output(raw, dataset.recipe.task, opened.track.direction)
        if decoded.media is not None:
            made[raw.id] = decoded.media
    return made


def _item_scores(system: Shown, chosen: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    wanted = set(chosen)
    shown = [
        name
        for name in ("word-accuracy", "instrument-accuracy", "corr2d", "pesq", "stoi")
        if name in system.items.column_names
    ]
    table = system.items.select(["id", *shown, *(f"{name}:status" for name in shown)]).to_pylist()
    found = {}
    for row in table:
        if row["id"] in wanted:
            found[str(row["id"])] = [
                (name, f"{row[name]:.3f}" if row[name] is not None else str(row[f"{name}:status"])) for name in shown
            ]
    return found


def _card(title: str, subtitle: str, media: Media | None, values: Sequence[tuple[str, str]]) -> str:
    head = f"<h3>{escape(title)}</h3>" + (f"<p class=sub>“{escape(subtitle)}”</p>" if subtitle else "")
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in values)
    if not isinstance(media, Sound):
        return f"<div class=card>{head}<p class=none>no sound</p><dl>{listed}</dl></div>"
    picture = spectrogram_png(media.samples, media.sample_rate_hz)
    return (
        f"<div class=card>{head}"
        f'<img class=spec alt="spectrogram of {escape(title)}" src="{data_uri("image/png", picture)}">'
        f"{player(audio.to_int16(media.samples), media.sample_rate_hz, title)}<dl>{listed}</dl></div>"
    )


def _section(dataset: Dataset, row: dict[str, Any], cards: Sequence[str]) -> str:
    name = dataset.recipe.classes.names[row["label"]]
    picture = data_uri("image/png", row["image"]["bytes"])
    return (
        f'<section><div class=item><img class=pic alt="class {escape(name)}" src="{picture}">'
        f"<p><b>{escape(name)}</b><br>{escape(str(row['id']))}</p></div>"
        f"<div class=cards>{''.join(cards)}</div></section>"
    )


def _page(dataset: Dataset, results: Sequence[Result], columns: Columns, sections: Sequence[str]) -> str:
    recipe = dataset.recipe
    facts = (
        f"{escape(recipe.title)} · {escape(recipe.regime)} · {dataset.count(results[0].split)} items in "
        f"the {escape(results[0].split)} split · data set digest <code>{dataset.digest[:12]}</code>"
    )
    body = (
        f"<h1>{escape(recipe.name)}: outputs of the systems</h1><p>{facts}</p>"
        f"{_table(results, columns)}<h2>Items</h2>{''.join(sections)}"
    )
    return document(f"{recipe.name}: outputs", body, style=_STYLE)


def _table(results: Sequence[Result], columns: Columns) -> str:
    (board, *_) = boards(results, columns, scored_here=True)
    heads = "".join(f"<th>{escape(name)}{' ★' if name == board.primary else ''}</th>" for name in board.metrics)
    lines = []
    for row in board.rows:
        scores = row.scores
        cells = "".join(f"<td>{cell(scores.get(name), interval=name == board.primary)}</td>" for name in board.metrics)
        rank = "–" if row.rank is None else str(row.rank)
        who = escape(row.result.submission.system)
        lines.append(f"<tr><td>{rank}</td><th>{who}</th><td>{escape(row.result.submission.kind)}</td>{cells}</tr>")
    judge = next((result.judge for result in results if result.judge), None)
    note = ""
    if judge:
        known = ", ".join(f"{value:.3f} on {escape(name)}" for name, value in judge.accuracy.items())
        note = f"<p>Word judge “{escape(judge.name)}”: accuracy {known}. ★ primary metric.</p>"
    head = f"<tr><th>rank</th><th>system</th><th>kind</th>{heads}</tr>"
    return f"<div class=wide><table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table></div>{note}"


_STYLE = """
tbody th,thead th:nth-child(2){text-align:left}
section{display:flex;gap:1rem;border-top:1px solid var(--line);padding:1rem 0;align-items:flex-start}
.item{flex:0 0 6rem;text-align:center;font-size:.8rem}.pic{width:84px;image-rendering:pixelated;border-radius:4px}
.cards{display:flex;flex-wrap:wrap;gap:.75rem;min-width:0}
.card{background:var(--soft);border-radius:6px;padding:.5rem;width:184px}
.card h3{font-size:.8rem;margin:0;min-height:2.2em}.sub{margin:0;font-size:.8rem;opacity:.75}
.spec{width:100%;height:84px;display:block;border-radius:3px;margin:.3rem 0}
.none{height:84px;margin:.3rem 0;display:grid;place-items:center;opacity:.6}
dl{display:grid;grid-template-columns:1fr auto;gap:0 .5rem;margin:.3rem 0 0;font-size:.75rem}dd{margin:0}
@media(max-width:40rem){section{flex-direction:column}.card{width:100%}.cards{width:100%}}
"""
