"""Flow matching on images: a sound -> a picture of what plays it, another one for every draw of the noise.

Noise becomes an image along a learnt flow (Y. Lipman et al., "Flow matching for generative modeling", ICLR 2023; X.
Liu et al., "Flow straight and fast", ICLR 2023), guided by the sound without a separate classifier (J. Ho, T. Salimans,
"Classifier-free diffusion guidance", 2022). The network predicts the clean image, not the velocity (T. Li, K. He,
"Back to basics: let denoising generative models denoise", 2025), as that of `flow-speech`.

What the flow gets of a sound is an embedding that learns with it. With the condition "class" it gets the class alone:
the true one in training, in generation the one that the sound classifier hears. Both draw with the same network, so
what the first does better is what it takes from the sound beyond the class.

An output depends on (seed, item id) alone.

Shape letters: B batch, P planes (channels), H W pixels, T samples, D condition, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xmbench.baselines._adversarial import Spectrograms
from xmbench.baselines._adversarial_selection import RealItems
from xmbench.baselines._flow_image_network import Config, Flow, training_digest
from xmbench.baselines._sound_classifier import encoder_of, entropy, train_classifier, train_sound_classifier
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng
from xmbench.media.audio import to_float
from xmbench.networks.flow_matching import flow_loss, sample
from xmbench.networks.images import make_classifier
from xmbench.networks.sound_encoder import SoundEncoder, masked
from xmbench.training import Optimiser, Phase, Tensors, Update, place, plan_steps, seed_everything, train

Losses = dict[str, Tensor]
VALIDATIONS = 8  # of the flow, over the whole training
CHECKED = 64  # held-out sounds that images are drawn for, at most
CHECKED_STEPS, CHECKED_GUIDANCE = 8, 2.0  # of those images, whatever the settings of the generation


def _noise_of(seed: int, ids: Sequence[str], flow: Flow) -> Tensor:
    """For every item (B, P, H, W), the same in every batch."""
    shape = (len(flow.mean), *flow.size)
    drawn = [item_rng(seed, f"{item}/noise").standard_normal(shape, dtype=np.float32) for item in ids]
    return torch.from_numpy(np.stack(drawn)).to(flow.mean.device)


# ------------------------------------------------------------------------------------------------------ sounds
class _Sounds:
    """What the flow is told of training items."""

    def __init__(
        self, spectrograms: Spectrograms, encoder: SoundEncoder, data: Tensors, config: Config, run: Run
    ) -> None:
        """Trains the encoder of the condition "class"; that of "sound" learns, or learns on, with the flow."""
        self._spectrograms, self._encoder, self._data, self._device = spectrograms, encoder, data, run.device
        self._classes = encoder.head.out_features if config.condition == "class" else 0
        if self._classes or config.labels_first:
            train_sound_classifier(encoder, spectrograms, data, config, run)
        if not self._classes:
            encoder.train().requires_grad_(True)
            encoder.sends_back = config.label_weight > 0

    def told(self, rows: Tensor, mask: float = 0.0) -> tuple[Tensor, Losses]:
        """Conditions (B, D) of rows int64 (B,): true classes, or embeddings; with these the loss of the head."""
        if self._classes:
            return F.one_hot(self._data.labels[rows].to(self._device), self._classes).float(), {}
        spectrograms = self._spectrograms.of_clips(self._data.clip_index[rows])
        condition, logits = self._encoder(masked(spectrograms, mask))
        return condition, {"perception": entropy(logits, self._data, rows)}


# ------------------------------------------------------------------------------------- what selects the weights
class _Selection:
    """Scores of what is drawn for held-out sounds, as of the adversarial baselines: distance + 1 - accuracy.

    The flow's own loss on held-out items asks for the looks of players that were never seen: with few takes it would
    select the first steps.
    """

    def __init__(
        self, flow: Flow, told: Callable[[Tensor], tuple[Tensor, Losses]], data: Tensors, config: Config, run: Run
    ) -> None:
        """Trains a classifier of images, which has no other use, and keeps real images of each class."""
        self._flow, self._told, self._data, self._seed = flow, told, data, run.seed
        seed_everything(run.seed, "image-classifier", "weights")
        planes, classes = len(flow.mean), int(data.labels.max()) + 1
        self._judge = place(make_classifier(planes, classes, config.judge_width), run.device)
        train_classifier("image-classifier", self._judge, self._of_images, data, config, run)
        chosen = torch.linspace(0, len(data.held_out) - 1, min(len(data.held_out), CHECKED)).long()
        self._rows, self._ids = data.held_out[chosen], [data.validation_ids[i] for i in chosen.tolist()]
        self._real = RealItems(self._real_images, data.rows, data.labels[data.rows], run.seed)

    def __call__(self) -> Mapping[str, float]:
        """With the same noise every time."""
        labels, noise = self._data.labels[self._rows], _noise_of(self._seed, self._ids, self._flow)
        made = sample(self._flow, noise, self._told(self._rows)[0], CHECKED_STEPS, CHECKED_GUIDANCE)
        accuracy = float((self._judge(made).argmax(dim=1).cpu() == labels).float().mean())
        distance = float(self._real.distances(self._between(made), labels).mean())
        return {"selection": distance + 1.0 - accuracy, "distance": distance, "accuracy": accuracy}

    def _of_images(self, rows: Tensor, _mask: float) -> Losses:
        return {"loss": entropy(self._judge(self._flow.normalised(self._data.pixels(rows))), self._data, rows)}

    def _real_images(self, rows: Tensor) -> Tensor:
        return self._between(self._flow.normalised(self._data.pixels(rows)))

    def _between(self, images: Tensor) -> Tensor:
        """Normalised images (B, P, H, W) -> -1..1."""
        return ((images * self._flow.deviation + self._flow.mean) / 127.5 - 1.0).clamp(-1.0, 1.0)


# -------------------------------------------------------------------------------------------------------- flow
def _train_flow(
    flow: Flow,
    conditions: Callable[[Tensor, float], tuple[Tensor, Losses]],
    validate: Callable[[], Mapping[str, float]] | None,
    data: Tensors,
    config: Config,
    run: Run,
) -> None:
    """Last phase. Keeps averaged weights; `conditions` gives what the flow is told, (B, D), and losses beside it."""

    def loss(positions: Tensor) -> Losses:
        rows, device = data.rows[positions], flow.mean.device
        condition, found = conditions(rows, config.mask)
        clean = flow.normalised(data.pixels(rows))
        noise = torch.randn_like(clean)
        time = torch.sigmoid(torch.randn(len(clean), device=device) - config.noisier)
        dropped = torch.rand(len(clean), device=device) < config.drop
        share = time[:, None, None, None]
        predicted = flow((1.0 - share) * noise + share * clean, time, condition, dropped)
        found["flow"] = flow_loss(predicted, clean, time, config.least_left)
        # The head of an encoder that is to learn without labels is still trained; nothing of it flows back.
        weight = config.label_weight or 1.0
        total = found["flow"] + weight * found["perception"] if "perception" in found else found["flow"]
        return {"loss": total, **found}

    batch, epoch, steps = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)
    run.progress(f"flow: {len(data.rows)} items, {len(data.held_out)} held out, batch {batch}, {steps} steps")
    optimiser = Optimiser(
        "adamw",
        config.learning_rate,
        config.weight_decay,
        warmup_steps=round(config.warmup * steps),
        clip_norm=config.clip_norm,
        betas=config.betas,
    )
    train(
        Phase(
            name="flow",
            module=flow,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(flow, optimiser, loss),),
            validate=validate,
            validate_every=max(epoch, steps // VALIDATIONS),
            precision=config.precision,
            validation_ids=data.validation_ids,
            average=config.average,
            ahead=lambda positions: data.ahead(data.rows[positions]),
            batch_setting="batch",
        ),
        run,
    )


# -------------------------------------------------------------------------------------------------- generation
class _Painter:
    """Encode the sound, sample an image, give it the size of the data set."""

    def __init__(
        self, flow: Flow, encoder: SoundEncoder, spectrograms: Spectrograms, task: Task, config: Config, run: Run
    ) -> None:
        self._flow, self._encoder, self._spectrograms = flow.eval(), encoder.eval(), spectrograms
        self._task, self._config, self._seed, self._device = task, config, run.seed, run.device
        weights = {*flow.parameters(), *encoder.parameters()}  # the encoder may be a part of the flow
        self.parameters = sum(weight.numel() for weight in weights)

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """Sounds int16 (B, T) -> images uint8 (B, H, W, C)."""
        return self.generate_and_predict(conditions, direction)[0]

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class that the encoder's head recognises, (B,)."""
        return self._heard(conditions)[1]

    @torch.no_grad()
    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Both, of one pass of the encoder."""
        condition, classes = self._heard(conditions)
        # In single precision, so that the rest of the batch makes no difference that a pixel shows.
        noise = _noise_of(self._seed, conditions.ids, self._flow)
        found = sample(self._flow, noise, condition, self._config.steps, self._config.guidance)
        return self._flow.pixels(found, self._task), classes

    @torch.no_grad()
    def _heard(self, conditions: Conditions) -> tuple[Tensor, NDArray[np.int64]]:
        """What the flow is told, (B, D), and the class that is heard, (B,)."""
        waves = torch.from_numpy(to_float(np.ascontiguousarray(conditions.inputs))).to(self._device)
        embedding, logits = self._encoder(self._spectrograms.of_waveforms(waves))
        best = logits.argmax(dim=1)
        told = F.one_hot(best, logits.shape[1]).float() if self._config.condition == "class" else embedding
        classes: NDArray[np.int64] = best.cpu().numpy()
        return told, classes


class _FlowImageModel:
    """See the module."""

    name = "flow-image"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifiers and the flow, or loads their checkpoints."""
        run = dataclasses.replace(run, fingerprint={**run.fingerprint, "settings": training_digest(config, task)})
        data, spectrograms = Tensors(examples, run), Spectrograms(examples, task, "native", run.device)
        seed_everything(run.seed, "encoder", "weights")
        encoder = place(encoder_of(task, config), run.device)
        sounds = _Sounds(spectrograms, encoder, data, config, run)
        seed_everything(run.seed, "flow", "weights")
        flow = Flow(task, config, encoder if config.condition == "sound" else None)
        flow.measure(data)
        place(flow, run.device)
        selection = _Selection(flow, sounds.told, data, config, run) if len(data.held_out) else None
        _train_flow(flow, sounds.told, selection, data, config, run)
        return _Painter(flow, encoder, spectrograms, task, config, run)


MODEL = _FlowImageModel()
