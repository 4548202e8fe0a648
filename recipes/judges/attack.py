"""Optimises sounds against a judge until it recognises the wanted word, and compares with the second judge.

usage: python attack.py DATA FIRST.safetensors SECOND.safetensors [UNSEEN.safetensors]

DATA is a built data set; 200 test clips of it are used. The attacker knows everything about the attacked judge
(weights, features, gradients) and starts from white noise, from silence, or from the clip of another word, with a
change of at most 20 dB below its level. UNSEEN is a judge that the attacker does not have. Every sound is written at
the data set's rate and then judged as by `xmbench score`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from xmbench import registry
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.items import read_clip
from xmbench.interfaces import Pair, ScoringContext, Task
from xmbench.judges.words import speech_embedding
from xmbench.judges.words.convolutional import SpokenWordJudge
from xmbench.judges.words.embedding import EmbeddingWordJudge, windows_for
from xmbench.judges.words.features import HOP, RATE_HZ, WINDOW, mel_bands, normalised, power
from xmbench.judges.words.kind import word_judge
from xmbench.judges.words.recurrent import RecurrentWordJudge
from xmbench.judges.words.training import Judge
from xmbench.media import audio
from xmbench.media.signal import Sound

CLIPS = 200
BATCH = 50
STEPS = 40
RATE = 0.02  # of Adam, relative to the clip's level
CHANGE_DB = -20.0

Limit = Callable[[Tensor], Tensor]


def clips_of(dataset: Dataset, length: int) -> tuple[Tensor, Tensor]:
    """Distinct test clips at 8 kHz and unit level, (CLIPS, length), and their labels."""
    takes, samples, labels = set(), [], []
    for row in dataset.rows("test", ["audio", "label", "take"]):
        if row["take"] in takes or len(samples) == CLIPS:
            continue
        takes.add(row["take"])
        clip = audio.resample(audio.to_float(read_clip(row, dataset)), dataset.recipe.audio.sample_rate_hz, RATE_HZ)
        samples.append(np.pad(clip, (0, max(0, length - len(clip))))[:length])
        labels.append(int(row["label"]))
    found = torch.from_numpy(np.stack(samples))
    return found / found.square().mean(1, keepdim=True).sqrt(), torch.tensor(labels)


def networks(judge: Judge) -> tuple[nn.Module, ...]:
    """The networks that the attacker differentiates."""
    if isinstance(judge, SpokenWordJudge | EmbeddingWordJudge):
        return judge.networks
    return (judge.network,) if isinstance(judge, RecurrentWordJudge) else (*judge.convolutional, *judge.recurrent)


def seen_by(judge: Judge, sounds: Tensor) -> Tensor:
    """What the networks of a judge get of sounds (N, T), differentiable."""
    if not isinstance(judge, EmbeddingWordJudge):
        return normalised(torch.einsum("bft,fm->bmt", power(sounds, WINDOW, HOP), mel_bands(WINDOW // 2 + 1)))
    windows = windows_for(judge.frames)
    size = sounds.shape[1] * speech_embedding.RATE_HZ // RATE_HZ
    wide = torch.fft.irfft(torch.fft.rfft(sounds), size)  # zeros above the old band: resampled
    missing = speech_embedding.samples_of(windows) - size
    wide = nn.functional.pad(wide, (missing // 2, missing - missing // 2))
    level = wide.square().sum(1, keepdim=True).sqrt().clamp_min(1e-6)
    return speech_embedding.speech_embedding()(speech_embedding.log_mel(wide / level * speech_embedding.CLIP_NORM))


def attacked(start: Tensor, wanted: Tensor, judges: tuple[Judge, ...], limit: Limit) -> Tensor:
    """Sounds (N, T) after gradient ascent on the log-probability of the wanted word, in every judge of `judges`."""
    change = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([change], RATE)
    for _ in range(STEPS):
        seen = [seen_by(judge, start + limit(change)) for judge in judges]
        loss = sum(
            nn.functional.cross_entropy(network(heard), wanted)
            for judge, heard in zip(judges, seen, strict=True)
            for network in networks(judge)
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return (start + limit(change)).detach()


def written(sounds: Tensor, rate: int) -> list[np.ndarray]:
    """16-bit clips at the data set's rate, as float32."""
    clips = []
    for sound in sounds.numpy():
        clip = audio.resample((0.5 * sound / np.abs(sound).max()).astype(np.float32), RATE_HZ, rate)
        clips.append((np.round(clip * 32767) / 32768).astype(np.float32))
    return clips


def recognised(judge: Judge, sounds: Tensor, rate: int) -> np.ndarray:
    """The classes that a judge gives the sounds."""
    return judge.probabilities(written(sounds, rate), rate).argmax(axis=1)


def likeness(sounds: Tensor, right: Tensor, clips: Tensor, labels: Tensor, task: Task) -> float:
    """Mean ESTOI against another clip of the word that each sound is meant to be."""
    rate, pairs = task.audio.sample_rate_hz, []
    references = written(clips, rate)
    for number, (output, word) in enumerate(zip(written(sounds, rate), right.tolist(), strict=True)):
        later = ((number + step) % len(clips) for step in range(1, len(clips)))
        other = next(index for index in later if labels[index] == word)
        pairs.append(Pair(str(number), word, Sound(output, rate), Sound(references[other], rate)))
    states = registry.metric("estoi").prepare(pairs, ScoringContext(task))
    return float(np.mean([0.0 if state.state is None else state.state[0] for state in states]))


def main() -> None:
    """Attacks and prints one line for each kind of attack."""
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    dataset = open_dataset(Path(sys.argv[1]))
    every = [word_judge(Path(path).read_bytes()) for path in sys.argv[2:]]
    first, second = every[:2]
    rate, classes = dataset.recipe.audio.sample_rate_hz, len(first.class_names)
    length = (first.frames - 1) * HOP
    clips, labels = clips_of(dataset, length)
    torch.manual_seed(0)
    wanted = (labels + torch.randint(1, classes, labels.shape)) % classes
    noise = torch.randn(len(clips), length)
    loudest = 10 ** (CHANGE_DB / 20)

    def small(change: Tensor) -> Tensor:
        return change * (loudest / (change.square().mean(1, keepdim=True) + 1e-12).sqrt().clamp_min(loudest))

    def free(change: Tensor) -> Tensor:
        return change

    print(f"{len(clips)} clips{'':33} agreement  ESTOI  accuracy of the first, the second, the unseen judge")

    def show(what: str, sounds: Tensor, right: Tensor) -> None:
        found = [recognised(judge, sounds, rate) for judge in every]
        shares = [(one == right.numpy()).mean() for one in found]
        agreement = (found[0] == found[1]).mean()
        estoi = likeness(sounds, right, clips, labels, dataset.recipe.task)
        print(
            f"{what:42} {agreement:.3f}      {estoi:.3f}  {'  '.join(f'{share:.3f}' for share in shares)}", flush=True
        )

    def run(start: Tensor, judges: tuple[Judge, ...], limit: Limit) -> Tensor:
        parts = zip(start.split(BATCH), wanted.split(BATCH), strict=True)
        return torch.cat([attacked(part, aim, judges, limit) for part, aim in parts])

    show("the clips themselves, their own words", clips, labels)
    show("noise as it is", noise, wanted)
    show("near silence, optimised against the first", run(noise * 1e-3, (first,), free), wanted)
    for name, judges in (("the first", (first,)), ("both", (first, second))):
        show(f"noise, optimised against {name}", run(noise, judges, free), wanted)
        show(f"another word, changed against {name}", run(clips, judges, small), wanted)


if __name__ == "__main__":
    main()
