"""DCMAVG, sound -> image: an adversarial network that draws images of 64x64 pixels from an encoding of the sound.

L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep cross-modal audio-visual generation", Thematic Workshops of ACM
Multimedia 2017. There is no public code; equations and sections below are theirs. The rows are its variants:

- `dcmavg-s2i-c`: the sound is encoded by the hidden layer of a classifier (S2I-C, their main model);
- `dcmavg-s2i-n`: the same, trained without wrong pairs (S2I-N);
- `dcmavg-s2i-a`: the sound is encoded by a stacked autoencoder (S2I-A);
- `dcmavg-s2i-pose`: one generator for each class, and wrong pairs within it (pose-oriented, eq. 6); the one of the
  class that the sound classifier recognises draws.

Phases: the sound encoder, frozen afterwards; a classifier of the images, which only helps to select among the
generator's weights; generator and discriminator, for `pose` a pair of them for each class.

Shape letters: B batch, T samples of a clip, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.baselines._adversarial import (
    Losses,
    in_parts,
    noise_of,
    pixels_of,
    square,
    train_adversaries,
    train_image_classifier,
)
from xmbench.baselines._adversarial_evolution import evolution_of
from xmbench.baselines._adversarial_selection import RealItems, held_out_scores, settle_norms
from xmbench.baselines._dcmavg_s2i_config import Config
from xmbench.baselines._dcmavg_s2i_sounds import Encoder, Sounds, train_encoder
from xmbench.execution.ranks import rank
from xmbench.interfaces import Conditions, Direction, Examples, Generator, PhaseProgress, Run, Task
from xmbench.networks.class_encoders import ENCODING, ImageClassifier, SoundClassifier
from xmbench.networks.dcgan import (
    NOISE,
    ConditionDiscriminator,
    ImageGenerator,
    ImageTrunk,
    dcgan_weights,
    generator_loss,
    match_discriminator_loss,
)
from xmbench.networks.wrong_pairs import WrongPairs
from xmbench.printable import hyphenated
from xmbench.training import Evolution, Tensors, autocast, plan_steps, seed_everything, write_evolution


class Adversaries(nn.Module):
    """The pair of an adversarial phase; at generation only the generator is used."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.generator = ImageGenerator(ENCODING, config.generator_width)
        trunk = ImageTrunk(config.discriminator_width, config.discriminator_blocks)
        self.discriminator = ConditionDiscriminator(trunk, ENCODING, config.discriminator_width)


class _Losses:
    """Eqs. 3 to 6 on batches of training items; a fresh z each time."""

    def __init__(self, pair: Adversaries, encodings: Tensor, data: Tensors, wrong: WrongPairs, config: Config) -> None:
        self._pair, self._encodings, self._data, self._weight = pair, encodings, data, config.wrong_weight
        self._draw = wrong.of_same_class if config.scenario == "pose" else wrong.of_other_classes

    def discriminator(self, positions: Tensor) -> Losses:
        """Real, wrong and generated images, each with the encoding of the sound."""
        encodings, judge = self._encodings_of(positions), self._pair.discriminator
        with torch.no_grad():
            fake = self._pair.generator(encodings, self._noise(encodings))
        real = judge(self._images_of(positions), encodings)
        wrong = judge(self._wrong_of(positions), encodings) if self._weight else None
        return {"loss": match_discriminator_loss(real, wrong, judge(fake.float(), encodings), self._weight)}

    def generator(self, positions: Tensor) -> Losses:
        """A generated image with the encoding of its sound."""
        encodings = self._encodings_of(positions)
        fake = self._pair.generator(encodings, self._noise(encodings))
        return {"loss": generator_loss(self._pair.discriminator(fake, encodings))}

    def _encodings_of(self, positions: Tensor) -> Tensor:
        return self._encodings[self._data.rows[positions].to(self._encodings.device)]

    def _images_of(self, positions: Tensor) -> Tensor:
        return square(self._data.pixels(self._data.rows[positions]))

    def _wrong_of(self, positions: Tensor) -> Tensor:
        return self._images_of(self._draw(positions, torch.rand(len(positions), dtype=torch.float64)))

    def _noise(self, encodings: Tensor) -> Tensor:
        return torch.randn(len(encodings), NOISE, device=encodings.device)


def _wrong_pairs(examples: Examples, data: Tensors, config: Config) -> WrongPairs:
    rows = data.rows.numpy()
    starts_s = None if examples.starts_s is None else examples.starts_s[rows]
    groups = [examples.groups[row] for row in rows.tolist()]
    return WrongPairs(data.labels[data.rows], groups, starts_s, config.min_gap_s)


class _Pairs:
    """Trains pairs: one for all classes, or one for each of them."""

    def __init__(
        self, examples: Examples, task: Task, encodings: Tensor, judge: ImageClassifier, config: Config, run: Run
    ) -> None:
        self._examples, self._task, self._encodings, self._judge = examples, task, encodings, judge
        self._config, self._run = config, run
        self.evolutions: list[Evolution] = []

    def trained(self, data: Tensors) -> dict[int, ImageGenerator]:
        """Generators by class; -1 for one of all classes."""
        if self._config.scenario == "instrument":
            return {-1: self._train("adversaries", data)}
        own = {label: _of_class(data, label) for label in sorted(set(data.labels[data.rows].tolist()))}
        names = {label: f"adversaries-{label:02d}-{hyphenated(self._task.class_names[label])}" for label in own}
        for label, part in own.items():
            steps = plan_steps(len(part.rows), self._config.batch, self._config.epochs, self._config.min_steps)[2]
            self._run.phases.setdefault(names[label], PhaseProgress(steps))
        return {label: self._train(names[label], part) for label, part in own.items()}

    def _train(self, phase: str, data: Tensors) -> ImageGenerator:
        """Kept are the weights whose outputs for held-out training sounds are recognised and nearest to real images."""
        run, config = self._run, self._config
        seed_everything(run.seed, phase, "weights")
        pair = Adversaries(config)
        dcgan_weights(pair)
        losses = _Losses(pair, self._encodings, data, _wrong_pairs(self._examples, data, config), config)
        updates = [
            ("discriminator", pair.discriminator, losses.discriminator),
            ("generator", pair.generator, losses.generator),
        ]
        real = RealItems(lambda rows: square(data.pixels(rows)), data.rows, data.labels[data.rows], run.seed)

        def drawn(rows: Tensor, noise: Tensor) -> Tensor:
            found: Tensor = pair.generator(self._encodings[rows.to(run.device)], noise.to(run.device))
            return found

        def settle() -> None:
            settle_norms([pair.generator], drawn, NOISE, data)

        def scores(some: Tensors) -> dict[str, float]:
            noise = noise_of(run.seed, some.validation_ids, run.device)
            return held_out_scores(
                self._judge, real, lambda at: drawn(some.held_out[at], noise[at.to(run.device)]), some
            )

        def validate() -> Mapping[str, float]:
            settle()
            return scores(data)

        train_adversaries(pair, updates, validate, data, config, run, phase, config.evolution)
        if not len(data.held_out):  # there was no validation to settle them
            settle()
        if config.evolution and rank() == 0:  # of several processes, the one that writes
            self.evolutions.append(evolution_of(phase, pair, settle, scores, drawn, data, self._task, config, run))
        return pair.generator.eval()


def _of_class(data: Tensors, label: int) -> Tensors:
    rows, held_out = (some[data.labels[some] == label] for some in (data.rows, data.held_out))
    return data.chosen(rows, held_out)


class _Trained:
    """Encoding of the sound and the item's own z -> image in the size of the data set."""

    def __init__(
        self,
        sounds: Sounds,
        encoder: Encoder,
        generators: Mapping[int, ImageGenerator],
        task: Task,
        config: Config,
        run: Run,
    ) -> None:
        self._sounds, self._encoder, self._generators = sounds, encoder.eval(), generators
        self._task, self._config, self._run = task, config, run
        used = (encoder, *generators.values())
        self.parameters = sum(parameter.numel() for net in used for parameter in net.parameters())

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """Waveforms int16 (B, T) -> images uint8 (B, H, W, C)."""
        return self.generate_and_predict(conditions, direction)[0]

    @torch.no_grad()
    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class that the sound encoder recognises, (B,); None for an autoencoder, which knows no classes."""
        with autocast(self._run.device, self._config.precision):
            return self._recognised(self._encoder.encode(self._sounds.of_conditions(conditions.inputs)))

    @torch.no_grad()
    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Images uint8 (B, H, W, C) and recognised classes (B,), of one pass of the encoder."""
        noise = noise_of(self._run.seed, conditions.ids, self._run.device)
        with autocast(self._run.device, self._config.precision):
            encodings = self._encoder.encode(self._sounds.of_conditions(conditions.inputs))
            classes = self._recognised(encodings)
            return pixels_of(self._drawn(encodings, noise, classes), self._task), classes

    def _drawn(self, encodings: Tensor, noise: Tensor, classes: NDArray[np.int64] | None) -> Tensor:
        """Images (B, 3, 64, 64) in -1..1, each by the generator of its recognised class where there are several."""
        if self._config.scenario == "instrument":
            found: Tensor = self._generators[-1](encodings, noise)
            return found
        assert classes is not None
        parts, places = [], []
        for label in np.unique(classes).tolist():
            own = torch.from_numpy(np.flatnonzero(classes == label)).to(encodings.device)
            parts.append(self._generators[label](encodings[own], noise[own]))
            places.append(own)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def _recognised(self, encodings: Tensor) -> NDArray[np.int64] | None:
        if not isinstance(self._encoder, SoundClassifier):
            return None
        logits = self._encoder.head(encodings).float().cpu().numpy()
        if self._config.scenario == "pose":  # a class without a training item has no generator
            known = np.array(sorted(self._generators))
            chosen: NDArray[np.int64] = known[logits[:, known].argmax(axis=1)]
            return chosen
        classes: NDArray[np.int64] = logits.argmax(axis=1)
        return classes


class _DcmavgS2i:
    """See the module."""

    name = "dcmavg-s2i"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains every phase, or loads its checkpoint."""
        assert isinstance(config, Config)
        data, sounds = Tensors(examples, run), Sounds(examples, task, run.device)
        encoder = train_encoder(sounds, data, task, config, run)
        judge = train_image_classifier(data, task, config, run)
        rows = torch.arange(len(data.labels))
        with autocast(run.device, config.precision), torch.no_grad():  # frozen: each sound is encoded once
            encodings = in_parts(lambda part: encoder.encode(sounds.of_clips(data.clip_index[part])).float(), rows)
        pairs = _Pairs(examples, task, encodings, judge, config, run)
        generators = pairs.trained(data)
        if pairs.evolutions:
            write_evolution(pairs.evolutions, run)
        return _Trained(sounds, encoder, generators, task, config, run)


MODEL = _DcmavgS2i()
