"""DCMAVG, image -> sound: an adversarial network that draws log-mel spectrograms, and a way from these to waveforms.

L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep cross-modal audio-visual generation", Thematic Workshops of ACM
Multimedia 2017; on spoken words as H. Ning et al., "Audio description from image by modal translation network",
Neurocomputing 423 (2021), compared it. There is no public code; equations and sections below are Chen et al.'s.

Up to four phases: a classifier of the images, whose hidden layer is the frozen encoding phi(I) (section 3.4); a
classifier of the spectrograms, which selects among the generator's weights; generator and discriminator (eqs. 3, 4
and 7); spec2wav, unless the waveform comes from Griffin-Lim. The first three have the same weights either way.

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
    Spectrograms,
    Supervised,
    Synthesis,
    Waveform,
    Width,
    in_parts,
    new_classifier,
    noise_of,
    square,
    train_classifier,
    train_spec2wav,
)
from xmbench.formats.document import Part
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
from xmbench.networks.spec2wav import Spec2Wav
from xmbench.networks.wrong_pairs import WrongPairs
from xmbench.training import (
    Optimiser,
    Phase,
    Precision,
    Tensors,
    Update,
    autocast,
    place,
    plan_steps,
    seed_everything,
    train,
)


class Config(Part):
    """Every constant. The defaults are the paper's network; `[config]` of the TOML repeats them."""

    # Spectrograms and the way to a waveform
    waveform: Waveform = "spec2wav"
    width: Width = "native"
    iterations: int = Field(default=32, ge=1, description="of Griffin-Lim")
    # Encoders (sections 3.3 and 3.4, figs. 4 and 5)
    image_widths: tuple[int, ...] = (32, 64, 128)
    image_hidden: int = Field(default=1024, ge=1)
    sound_widths: tuple[int, ...] = (32, 64, 128, 256)
    sound_hidden: int = Field(default=512, ge=1)
    encoder_lr: float = Field(default=1e-4, gt=0)
    encoder_epochs: int = Field(default=30, ge=1)
    encoder_min_steps: int = Field(default=1, ge=1)
    encoder_batch: int = Field(default=64, ge=2)
    sound_l2: float = Field(default=0.015, ge=0)
    # Generator and discriminator (section 3.1)
    generator_width: int = Field(default=128, ge=2)
    discriminator_width: int = Field(default=64, ge=2)
    discriminator_blocks: int = Field(default=4, ge=0)
    # Adversarial training (section 3.2)
    wrong_weight: float = Field(default=0.5, ge=0, le=1)
    lr: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    halve_every: int = Field(default=100, ge=1, description="epochs")
    epochs: int = Field(default=60, ge=1)
    min_steps: int = Field(default=1, ge=1)
    batch: int = Field(default=64, ge=2)
    validate_every: int = Field(default=5, ge=1, description="epochs")
    precision: Precision = "float32"
    # Spectrogram -> waveform (Ning et al., section 4.5)
    spec2wav_channels: tuple[int, int, int] = (32, 64, 128)
    spec2wav_hidden: tuple[int, int] = (2048, 4096)
    spec2wav_lr: float = Field(default=2e-4, gt=0)
    spec2wav_epochs: int = Field(default=50, ge=1)
    spec2wav_min_steps: int = Field(default=1, ge=1)
    spec2wav_batch: int = Field(default=64, ge=2)


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

    def discriminator(self, positions: Tensor) -> Mapping[str, Tensor]:
        """Real, wrong and generated spectrograms, each with the encoding of the image."""
        encodings, judge = self._encodings_of(positions), self._pair.discriminator
        other = self._wrong.of_other_classes(positions, torch.rand(len(positions), dtype=torch.float64))
        with torch.no_grad():
            fake = self._pair.generator(encodings, self._noise(encodings))
        real, wrong = self._spectrograms_of(positions), self._spectrograms_of(other)
        scores = judge(real, encodings), judge(wrong, encodings), judge(fake.float(), encodings)
        return {"loss": match_discriminator_loss(*scores, self._weight)}

    def generator(self, positions: Tensor) -> Mapping[str, Tensor]:
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


def _train_adversaries(
    pair: Adversaries,
    encodings: Tensor,
    judge: SoundClassifier,
    spectrograms: Spectrograms,
    data: Tensors,
    config: Config,
    run: Run,
) -> None:
    """One step of the discriminator, then one of the generator, per batch.

    The weights are kept with which a classifier of real training spectrograms is least surprised (cross-entropy) by
    what is generated from held-out training images: the paper's own measure (section 5.4), away from the test items.
    """
    losses = _Losses(pair, encodings, spectrograms, data, config.wrong_weight)
    noise = noise_of(run.seed, data.validation_ids, run.device) if len(data.held_out) else None

    def validate() -> Mapping[str, float]:
        assert noise is not None
        places = torch.arange(len(data.held_out))

        def judged(part: Tensor) -> Tensor:
            given = encodings[data.held_out[part].to(run.device)]
            return judge(pair.generator(given, noise[part.to(run.device)]).float()).float()

        logits, labels = in_parts(judged, places), data.labels[data.held_out].to(run.device)
        accuracy = float((logits.argmax(dim=1) == labels).float().mean())
        return {"selection": float(nn.functional.cross_entropy(logits, labels)), "accuracy": accuracy}

    place(pair, run.device)
    batch, epoch, steps = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)
    run.progress(f"adversaries: {len(data.rows)} items, batch {batch}, {steps} steps")
    halving = {"decay_steps": (config.halve_every * epoch,), "decay_rate": 0.5}
    adam = Optimiser("adam", config.lr, schedule="step", betas=(config.beta1, 0.999), **halving)  # type: ignore[arg-type]
    phase = Phase(
        name="adversaries",
        module=pair,
        items=len(data.rows),
        steps=steps,
        batch_size=batch,
        updates=(
            Update(pair.discriminator, adam, losses.discriminator, "discriminator"),
            Update(pair.generator, adam, losses.generator, "generator"),
        ),
        validate=validate if noise is not None else None,
        validate_every=config.validate_every * epoch,
        precision=config.precision,
        validation_ids=data.validation_ids,
    )
    train(phase, run)


def _plans(config: Config) -> dict[str, Supervised]:
    """How the networks beside the adversaries are trained."""
    encoder = config.encoder_epochs, config.encoder_min_steps, config.encoder_lr, config.encoder_batch
    spec2wav = config.spec2wav_epochs, config.spec2wav_min_steps, config.spec2wav_lr, config.spec2wav_batch
    return {
        "image": Supervised(*encoder, config.precision),
        "sound": Supervised(*encoder, config.precision, config.sound_l2),
        "spec2wav": Supervised(*spec2wav, config.precision),
    }


class _Trained:
    """Encoding of the image and the item's own z -> spectrogram -> waveform."""

    def __init__(self, encoder: ImageClassifier, pair: Adversaries, synthesis: Synthesis, config: Config, run: Run):
        self._encoder, self._generator = encoder.eval(), pair.generator.eval()
        self._synthesis, self._config, self._run = synthesis, config, run

    @torch.no_grad()
    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """Images uint8 (B, H, W, C) -> waveforms float32 (B, T)."""
        noise = noise_of(self._run.seed, conditions.ids, self._run.device)
        with autocast(self._run.device, self._config.precision):
            scaled = self._generator(self._encoder.encode(self._images(conditions)), noise)
            return self._synthesis(scaled, conditions.ids)

    @torch.no_grad()
    def predict(self, conditions: Conditions) -> NDArray[np.int64]:
        """The class that the image encoder recognises, (B,)."""
        with autocast(self._run.device, self._config.precision):
            logits = self._encoder(self._images(conditions))
        classes: NDArray[np.int64] = logits.argmax(dim=1).cpu().numpy()
        return classes

    def _images(self, conditions: Conditions) -> Tensor:
        return square(torch.from_numpy(np.ascontiguousarray(conditions.inputs)).to(self._run.device))


class _Dcmavg:
    """See the module."""

    name = "dcmavg-i2s"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains every phase, or loads its checkpoint."""
        assert isinstance(config, Config)
        data, plans, classes = Tensors(examples, run), _plans(config), len(task.class_names)
        spectrograms = Spectrograms(examples, task, config.width, run.device)
        encoder = new_classifier(
            lambda: ImageClassifier(classes, config.image_widths, config.image_hidden), run, "image-classifier"
        )
        train_classifier("image-classifier", encoder, lambda rows: square(data.pixels(rows)), data, plans["image"], run)
        judge = new_classifier(
            lambda: SoundClassifier(classes, config.sound_widths, config.sound_hidden), run, "sound-classifier"
        )
        train_classifier(
            "sound-classifier",
            judge,
            lambda rows: spectrograms.of_clips(data.clip_index[rows]),
            data,
            plans["sound"],
            run,
        )
        with autocast(run.device, config.precision):
            rows = torch.arange(len(data.labels))
            encodings = in_parts(lambda part: encoder.encode(square(data.pixels(part))).float(), rows)
        seed_everything(run.seed, "adversaries", "weights")
        pair = Adversaries(config)
        dcgan_weights(pair)
        _train_adversaries(pair, encodings, judge, spectrograms, data, config, run)
        net = self._spec2wav(spectrograms, data, task, config, run) if config.waveform == "spec2wav" else None
        return _Trained(encoder, pair, Synthesis(spectrograms, net, config.iterations, run.seed), config, run)

    def _spec2wav(self, spectrograms: Spectrograms, data: Tensors, task: Task, config: Config, run: Run) -> Spec2Wav:
        seed_everything(run.seed, "spec2wav", "weights")
        net = Spec2Wav(task.audio.samples, config.spec2wav_channels, config.spec2wav_hidden)
        train_spec2wav(net, spectrograms, data, _plans(config)["spec2wav"], run)
        return net


MODEL = _Dcmavg()
