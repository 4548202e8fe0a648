"""DCMAVG, image -> sound: an adversarial network that draws log-mel spectrograms, and a way from these to waveforms.

L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep cross-modal audio-visual generation", Thematic Workshops of ACM
Multimedia 2017; on spoken words as H. Ning et al., "Audio description from image by modal translation network",
Neurocomputing 423 (2021), compared it. There is no public code; equations and sections below are Chen et al.'s.

Up to four phases: a classifier of the images, whose hidden layer is the frozen encoding phi(I) (section 3.4); a
classifier of the spectrograms, which helps to select among the generator's weights; generator and discriminator
(eqs. 3, 4 and 7); spec2wav, unless the waveform comes from Griffin-Lim. The first three have the same weights either
way.

Shape letters: B batch, T samples of a clip, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    in_parts,
    noise_of,
    square,
    train_adversaries,
    train_image_classifier,
    train_sound_classifier,
    train_spec2wav,
)
from xmbench.baselines._adversarial_selection import RealItems, held_out_scores, settle_norms
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task
from xmbench.networks.class_encoders import ENCODING, ImageClassifier, SoundClassifier
from xmbench.networks.dcgan import (
    NOISE,
    ConditionDiscriminator,
    SpectrogramGenerator,
    SpectrogramTrunk,
    dcgan_weights,
    generator_loss,
    match_discriminator_loss,
)
from xmbench.networks.wrong_pairs import WrongPairs
from xmbench.training import Tensors, autocast, seed_everything


class Config(AdversarialConfig):
    """Every constant. The defaults are the paper's network; `[config]` of the TOML repeats them."""

    discriminator_blocks: int = Field(default=4, ge=0, description="residual blocks of three convolutions")
    wrong_weight: float = Field(default=0.5, ge=0, le=1, description="of S_w in eq. 4; S_f has the rest")


class Adversaries(nn.Module):
    """The pair of the adversarial phase; at generation only the generator is used."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.generator = SpectrogramGenerator(ENCODING, config.generator_width)
        trunk = SpectrogramTrunk(config.discriminator_width, config.discriminator_blocks)
        self.discriminator = ConditionDiscriminator(trunk, ENCODING, config.discriminator_width)


class _Losses:
    """Eqs. 3, 4 and 7 on batches of training items; a fresh z each time."""

    def __init__(self, pair: Adversaries, encodings: Tensor, spectrograms: Spectrograms, data: Tensors, weight: float):
        self._pair, self._encodings, self._spectrograms, self._data = pair, encodings, spectrograms, data
        self._wrong, self._weight = WrongPairs(data.labels[data.rows]), weight

    def discriminator(self, positions: Tensor) -> Losses:
        """Real, wrong and generated spectrograms, each with the encoding of the image."""
        encodings, judge = self._encodings_of(positions), self._pair.discriminator
        other = self._wrong.of_other_classes(positions, torch.rand(len(positions), dtype=torch.float64))
        with torch.no_grad():
            fake = self._pair.generator(encodings, self._noise(encodings))
        real, wrong = self._spectrograms_of(positions), self._spectrograms_of(other)
        scores = judge(real, encodings), judge(wrong, encodings), judge(fake.float(), encodings)
        return {"loss": match_discriminator_loss(*scores, self._weight)}

    def generator(self, positions: Tensor) -> Losses:
        """A generated spectrogram with the encoding of its image."""
        encodings = self._encodings_of(positions)
        fake = self._pair.generator(encodings, self._noise(encodings))
        return {"loss": generator_loss(self._pair.discriminator(fake, encodings))}

    def _encodings_of(self, positions: Tensor) -> Tensor:
        return self._encodings[self._data.rows[positions].to(self._encodings.device)]

    def _spectrograms_of(self, positions: Tensor) -> Tensor:
        return self._spectrograms.of_clips(self._data.clip_index[self._data.rows[positions]])

    def _noise(self, encodings: Tensor) -> Tensor:
        return torch.randn(len(encodings), NOISE, device=encodings.device)


def _train_pair(
    pair: Adversaries,
    encodings: Tensor,
    judge: SoundClassifier,
    spectrograms: Spectrograms,
    data: Tensors,
    config: Config,
    run: Run,
) -> None:
    """Kept are the weights whose outputs for held-out training images are recognised and nearest to real ones."""
    losses = _Losses(pair, encodings, spectrograms, data, config.wrong_weight)
    updates = [
        ("discriminator", pair.discriminator, losses.discriminator),
        ("generator", pair.generator, losses.generator),
    ]

    clips, labels = data.clip_index[data.rows], data.labels[data.rows]
    real = RealItems(spectrograms.of_clips, clips, labels, run.seed)

    def spoken(rows: Tensor, noise: Tensor) -> Tensor:
        found: Tensor = pair.generator(encodings[rows.to(run.device)], noise.to(run.device))
        return found

    def validate() -> Mapping[str, float]:
        settle_norms([pair.generator], spoken, NOISE, data)
        noise = noise_of(run.seed, data.validation_ids, run.device)
        return held_out_scores(judge, real, lambda at: spoken(data.held_out[at], noise[at.to(run.device)]), data)

    train_adversaries(pair, updates, validate, data, config, run)


class _Trained:
    """Encoding of the image and the item's own z -> spectrogram -> waveform."""

    def __init__(self, encoder: ImageClassifier, pair: Adversaries, synthesis: Synthesis, config: Config, run: Run):
        self._encoder, self._generator = encoder.eval(), pair.generator.eval()
        self._synthesis, self._config, self._run = synthesis, config, run

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """Images uint8 (B, H, W, C) -> waveforms float32 (B, T)."""
        return self.generate_and_predict(conditions, direction)[0]

    @torch.no_grad()
    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class that the image encoder recognises, (B,)."""
        with autocast(self._run.device, self._config.precision):
            return self._recognised(self._encoded(conditions))

    @torch.no_grad()
    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Waveforms float32 (B, T) and recognised classes (B,), of one pass of the encoder."""
        noise = noise_of(self._run.seed, conditions.ids, self._run.device)
        with autocast(self._run.device, self._config.precision):
            encodings = self._encoded(conditions)
            waveforms = self._synthesis(self._generator(encodings, noise), conditions.ids)
            return waveforms, self._recognised(encodings)

    def _encoded(self, conditions: Conditions) -> Tensor:
        images = torch.from_numpy(np.ascontiguousarray(conditions.inputs)).to(self._run.device)
        return self._encoder.encode(square(images))

    def _recognised(self, encodings: Tensor) -> NDArray[np.int64]:
        classes: NDArray[np.int64] = self._encoder.head(encodings).argmax(dim=1).cpu().numpy()
        return classes


class _Dcmavg:
    """See the module."""

    name = "dcmavg-i2s"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def image_network(self, task: Task, config: Any) -> nn.Module:
        """The encoder before its training: images (B, C, H, W) -> logits (B, K)."""
        assert isinstance(config, Config)
        return Squared(ImageClassifier(len(task.class_names), config.image_widths, config.image_hidden))

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains every phase, or loads its checkpoint."""
        assert isinstance(config, Config)
        data, spectrograms = Tensors(examples, run), Spectrograms(examples, task, config.width, run.device)
        encoder = train_image_classifier(data, task, config, run)
        judge = train_sound_classifier(spectrograms, data, task, config, run)
        rows = torch.arange(len(data.labels))
        with autocast(run.device, config.precision):  # the encoder is frozen: each image is encoded once
            encodings = in_parts(lambda part: encoder.encode(square(data.pixels(part))).float(), rows)
        seed_everything(run.seed, "adversaries", "weights")
        pair = Adversaries(config)
        dcgan_weights(pair)
        _train_pair(pair, encodings, judge, spectrograms, data, config, run)
        net = train_spec2wav(spectrograms, data, task, config, run)
        return _Trained(encoder, pair, Synthesis(spectrograms, net, config.iterations, run.seed), config, run)


MODEL = _Dcmavg()
