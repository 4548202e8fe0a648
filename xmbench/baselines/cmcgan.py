"""CMCGAN: image -> sound and sound -> image by one adversarial network of four paths.

W. Hao, Z. Zhang, H. Guan, "CMCGAN: a uniform framework for cross-modal visual-audio mutual generation", AAAI 2018. What
is taken from it is in its abstract: four subnetworks A->V, V->A, A->A and V->V organised in a cycle, one joint
corresponding adversarial loss for both directions, a Gaussian latent vector, end-to-end training. All else is ours,
on the networks of Chen et al. (2017), so that a comparison with DCMAVG compares the objectives.

Up to four phases: classifiers of real training images and spectrograms, which only select among the weights; the
adversarial phase; spec2wav, unless the waveform comes from Griffin-Lim.

Shape letters: B batch, T samples of a clip. v is an image (B, 3, 64, 64), a a spectrogram (B, 1, 128, 34).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.baselines._adversarial import (
    AdversarialConfig,
    Losses,
    Spectrograms,
    Squared,
    Synthesis,
    noise_of,
    pixels_of,
    square,
    train_adversaries,
    train_image_classifier,
    train_sound_classifier,
    train_spec2wav,
)
from xmbench.baselines._adversarial_selection import RealItems, held_out_scores, settle_norms
from xmbench.interfaces import SIDES, Conditions, Direction, Examples, Generator, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.dcgan import (
    NOISE,
    ImageGenerator,
    ImageTrunk,
    PairDiscriminator,
    SpectrogramGenerator,
    SpectrogramTrunk,
    dcgan_weights,
    generator_loss,
)
from xmbench.networks.wrong_pairs import WrongPairs
from xmbench.training import Tensors, autocast, seed_everything

ENCODING = 128


class Config(AdversarialConfig):
    """Every constant; `[config]` of the TOML repeats them. The cycle's weight of 10 is that of CycleGAN."""

    cycle_weight: float = Field(default=10.0, ge=0, description="of V->A->V and A->V->A")
    identity_weight: float = Field(default=10.0, ge=0, description="of V->V and A->A")


class Encoder(nn.Sequential):
    """A trunk with maps of C x 4 x 4 -> encodings (B, 128), normalised over the batch."""

    def __init__(self, trunk: nn.Module, channels: int) -> None:
        super().__init__(trunk, nn.Flatten(), nn.Linear(16 * channels, ENCODING), nn.BatchNorm1d(ENCODING))


class Makers(nn.Module):
    """Two encoders and two generators, which the four paths share."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.discriminator_width
        self.see, self.hear = (
            Encoder(ImageTrunk(width, blocks=0), 8 * width),
            Encoder(SpectrogramTrunk(width, blocks=0), 8 * width),
        )
        self.draw = ImageGenerator(ENCODING, config.generator_width)
        self.say = SpectrogramGenerator(ENCODING, config.generator_width)

    def forward(self, items: Tensor, path: str, noise: Tensor) -> Tensor:
        """Path "V->A", "A->V", "V->V" or "A->A" of v or a, with noise (B, 100)."""
        encoder, generator = self.of_path(path)
        found: Tensor = generator(encoder(items), noise)
        return found

    def of_path(self, path: str) -> tuple[nn.Module, nn.Module]:
        """Encoder and generator of a path."""
        source, target = path.split("->")
        return self.see if source == "V" else self.hear, self.draw if target == "V" else self.say


class Adversaries(nn.Module):
    """Makers and their one discriminator of pairs."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.makers, self.discriminator = Makers(config), PairDiscriminator(config.discriminator_width)


def pair_discriminator_loss(real: Tensor, negatives: Sequence[Tensor]) -> Tensor:
    """-log D(v, a) - mean over the kinds of negatives of log(1 - D); logits (B,), means over the batch."""
    softplus = nn.functional.softplus
    others = torch.stack([softplus(logits.float()).mean() for logits in negatives])
    return softplus(-real.float()).mean() + others.mean()


class _Losses:
    """The losses of a batch of training pairs; every path gets a fresh z."""

    def __init__(self, pair: Adversaries, spectrograms: Spectrograms, data: Tensors, config: Config) -> None:
        self._pair, self._spectrograms, self._data, self._config = pair, spectrograms, data, config
        self._wrong = WrongPairs(data.labels[data.rows])

    def discriminator(self, positions: Tensor) -> Losses:
        """A true pair against a wrong image, a generated image and a generated spectrogram."""
        images, sounds = self._items_of(positions)
        other = self._wrong.of_other_classes(positions, torch.rand(len(positions), dtype=torch.float64))
        wrong, _ = self._items_of(other, sounds=False)
        judge = self._pair.discriminator
        with torch.no_grad():
            drawn, said = self._made(sounds, "A->V"), self._made(images, "V->A")
        negatives = judge(wrong, sounds), judge(drawn.float(), sounds), judge(images, said.float())
        return {"loss": pair_discriminator_loss(judge(images, sounds), negatives)}

    def makers(self, positions: Tensor) -> Losses:
        """Both directions against the discriminator; two cycles and two identities by their mean absolute error."""
        images, sounds = self._items_of(positions)
        drawn, said = self._made(sounds, "A->V"), self._made(images, "V->A")
        judge = self._pair.discriminator
        adversarial = generator_loss(judge(drawn, sounds)) + generator_loss(judge(images, said))
        cycle = _distance(self._made(said, "A->V"), images) + _distance(self._made(drawn, "V->A"), sounds)
        identity = _distance(self._made(images, "V->V"), images) + _distance(self._made(sounds, "A->A"), sounds)
        loss = adversarial + self._config.cycle_weight * cycle + self._config.identity_weight * identity
        return {"loss": loss, "adversarial": adversarial, "cycle": cycle, "identity": identity}

    def _made(self, items: Tensor, path: str) -> Tensor:
        made: Tensor = self._pair.makers(items, path, torch.randn(len(items), NOISE, device=items.device))
        return made

    def _items_of(self, positions: Tensor, sounds: bool = True) -> tuple[Tensor, Tensor]:
        rows = self._data.rows[positions]
        images = square(self._data.pixels(rows))
        return images, self._spectrograms.of_clips(self._data.clip_index[rows]) if sounds else images


def _distance(made: Tensor, real: Tensor) -> Tensor:
    return (made.float() - real).abs().mean()


def _validation(
    makers: Makers, judges: Mapping[Direction, nn.Module], spectrograms: Spectrograms, data: Tensors, run: Run
) -> Callable[[], Mapping[str, float]]:
    """Scores of held-out outputs in the directions that the run is for; their selections are added up."""

    def images(rows: Tensor) -> Tensor:
        return square(data.pixels(rows))

    def sounds(rows: Tensor) -> Tensor:
        return spectrograms.of_clips(data.clip_index[rows])

    labels, clips = data.labels[data.rows], data.clip_index[data.rows]
    real = {
        direction: RealItems(spectrograms.of_clips, clips, labels, run.seed)
        if SIDES[direction].output == "audio"
        else RealItems(images, data.rows, labels, run.seed)
        for direction in judges
    }

    def scores(direction: Direction, noise: Tensor) -> dict[str, float]:
        given = images if SIDES[direction].condition == "image" else sounds

        def made(rows: Tensor, z: Tensor) -> Tensor:
            found: Tensor = makers(given(rows), _PATHS[direction], z.to(run.device))
            return found

        settle_norms(makers.of_path(_PATHS[direction]), made, NOISE, data)
        kinds = judges[direction], real[direction], lambda at: made(data.held_out[at], noise[at])
        return held_out_scores(*kinds, data)

    def validate() -> Mapping[str, float]:
        noise = noise_of(run.seed, data.validation_ids, "cpu")
        found = {"selection": 0.0}
        for direction in judges:
            for name, value in scores(direction, noise).items():
                if name == "selection":
                    found[name] += value
                else:
                    found[f"{name}-{direction}"] = value
        return found

    return validate


_PATHS: Mapping[Direction, str] = {"i2a": "V->A", "a2i": "A->V"}


class _Trained:
    """V->A or A->V with the item's own z; then the waveform, or the image in the size of the data set."""

    def __init__(
        self, makers: Makers, spectrograms: Spectrograms, synthesis: Synthesis, task: Task, config: Config, run: Run
    ) -> None:
        self._makers, self._spectrograms, self._synthesis = makers.eval(), spectrograms, synthesis
        self._task, self._config, self._run = task, config, run

    @torch.no_grad()
    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """Images uint8 (B, H, W, C) -> float32 (B, T) for i2a; int16 (B, T) -> uint8 (B, H, W, C) for a2i."""
        device = self._run.device
        noise = noise_of(self._run.seed, conditions.ids, device)
        given = np.ascontiguousarray(conditions.inputs)
        if direction == "i2a":
            items = square(torch.from_numpy(given).to(device))
        else:
            items = self._spectrograms.of_waveforms(torch.from_numpy(to_float(given)).to(device))
        with autocast(device, self._config.precision):
            made = self._makers(items, _PATHS[direction], noise)
            return self._synthesis(made, conditions.ids) if direction == "i2a" else pixels_of(made, self._task)


class _Cmcgan:
    """See the module."""

    name = "cmcgan"
    directions: tuple[Direction, ...] = ("i2a", "a2i")
    oracle = False
    Config = Config

    def image_network(self, task: Task, config: Any) -> nn.Module:
        """The encoder of images before its training: images (B, C, H, W) -> encodings (B, 128)."""
        assert isinstance(config, Config)
        return Squared(Makers(config).see)

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains every phase that the directions of the run need, or loads its checkpoint."""
        assert isinstance(config, Config)
        data, spectrograms = Tensors(examples, run), Spectrograms(examples, task, config.width, run.device)
        wanted = run.directions or self.directions
        judges: dict[Direction, nn.Module] = {}
        if "i2a" in wanted:
            judges["i2a"] = train_sound_classifier(spectrograms, data, task, config, run)
        if "a2i" in wanted:
            judges["a2i"] = train_image_classifier(data, task, config, run)
        seed_everything(run.seed, "adversaries", "weights")
        pair = Adversaries(config)
        dcgan_weights(pair)
        losses = _Losses(pair, spectrograms, data, config)
        updates = [("discriminator", pair.discriminator, losses.discriminator), ("makers", pair.makers, losses.makers)]
        train_adversaries(pair, updates, _validation(pair.makers, judges, spectrograms, data, run), data, config, run)
        net = train_spec2wav(spectrograms, data, task, config, run) if "i2a" in wanted else None
        synthesis = Synthesis(spectrograms, net, config.iterations, run.seed)
        return _Trained(pair.makers, spectrograms, synthesis, task, config, run)


MODEL = _Cmcgan()
