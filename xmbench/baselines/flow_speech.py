"""Flow matching on log-mel spectra: image -> a spoken word, another one for every draw of the noise.

A regressor trained on many takes of a word speaks their mean, which is no word. A sampler need not: this one turns
noise into a log-mel spectrum along a learnt flow (Y. Lipman et al., "Flow matching for generative modeling", ICLR
2023; X. Liu et al., "Flow straight and fast", ICLR 2023), guided by the image without a separate classifier
(J. Ho, T. Salimans, "Classifier-free diffusion guidance", 2022), and leaves the phase to Griffin-Lim. Of several
spectra a small classifier of the training spectra may choose the one in which it hears the word best.

The network predicts the clean spectrum, not the velocity (T. Li, K. He, "Back to basics: let denoising generative
models denoise", 2025): a spectrum fits through few channels, noise does not.

An output depends on (seed, item id) alone: noise and first phases are drawn per item.

Shape letters: B batch, M mel bands, N frames, T samples, D condition, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.baselines._flow_speech_network import Config, Flow, Spectra, encoder_of, mel_of, training_digest
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng
from xmbench.networks.condition_encoders import ConditionEncoder
from xmbench.networks.flow_matching import flow_loss, sample
from xmbench.networks.images import coloured, moved, standardise
from xmbench.networks.listener import Listener, best_heard
from xmbench.networks.spectra import frames_of, griffin_lim, initial_phases
from xmbench.training import (
    Optimiser,
    Phase,
    Tensors,
    Update,
    autocast,
    mean_losses,
    parts,
    place,
    plan_steps,
    seed_everything,
    train,
)

Losses = dict[str, Tensor]


# ---------------------------------------------------------------------------------------------- image encoder
def _moved(pixels: Tensor, config: Config) -> Tensor:
    return coloured(moved(pixels, config.rotate_degrees, config.scale, config.shift), config.colours)


def _train_classifier(data: Tensors, task: Task, config: Config, run: Run) -> ConditionEncoder:
    """First phase of the encoder "classifier", with the labels; selected by the cross-entropy on held-out items."""
    seed_everything(run.seed, "encoder", "weights")
    encoder = place(encoder_of(task, config), run.device)

    def losses(rows: Tensor, images: Tensor) -> Losses:
        logits = encoder(standardise(images))[1]
        return {"loss": F.cross_entropy(logits.float(), data.labels[rows].to(logits.device))}

    def validate() -> Mapping[str, float]:
        return {"selection": mean_losses(lambda rows: losses(rows, data.pixels(rows)), data.held_out)["loss"]}

    def loss(positions: Tensor) -> Losses:
        rows = data.rows[positions]
        return losses(rows, _moved(data.pixels(rows), config))

    batch, epoch, steps = plan_steps(
        len(data.rows), config.encoder_batch, config.encoder_epochs, config.encoder_min_steps
    )
    optimiser = Optimiser("adam", config.encoder_lr, warmup_steps=steps // 20)
    train(
        Phase(
            name="encoder",
            module=encoder,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(encoder, optimiser, loss),),
            validate=validate if len(data.held_out) else None,
            validate_every=max(epoch, steps // 10),
            validation_ids=data.validation_ids,
            ahead=lambda positions: data.ahead(data.rows[positions]),
        ),
        run,
    )
    return encoder.requires_grad_(False)


@torch.no_grad()
def _conditions_of(encoder: ConditionEncoder, data: Tensors) -> Tensor:
    """Conditions of all training items by a finished encoder, (N, D), on the device."""
    every = torch.arange(len(data.labels))
    return torch.cat([encoder(standardise(data.pixels(part)))[0] for part in parts(every)])


# -------------------------------------------------------------------------------------------------------- flow
def _train_flow(
    flow: Flow, spectra: Spectra, conditions: Tensor | None, data: Tensors, config: Config, run: Run
) -> None:
    """Second phase, or the only one; `conditions` (N, D) are those of a finished encoder. Keeps averaged weights."""

    def loss(positions: Tensor) -> Losses:
        rows, device = data.rows[positions], flow.mean.device
        found: Losses = {}
        if conditions is None:
            assert flow.encoder is not None
            condition, logits = flow.encoder(standardise(_moved(data.pixels(rows), config)))
            found["perception"] = F.cross_entropy(logits.float(), data.labels[rows].to(device))
        else:
            condition = conditions[rows.to(device)]
        clean = (spectra.take(data.clip_index[rows], run.device) - flow.mean) / flow.deviation
        noise = torch.randn_like(clean)
        time = torch.sigmoid(torch.randn(len(clean), device=device))  # more often in the middle of the way
        dropped = torch.rand(len(clean), device=device) < config.drop
        share = time[:, None, None]
        predicted = flow((1.0 - share) * noise + share * clean, time, condition, dropped)
        found["flow"] = flow_loss(predicted, clean, time, config.least_left)
        # The head of an encoder that is to learn without labels is still trained; nothing of it flows back.
        weight = config.label_weight or 1.0
        total = found["flow"] + weight * found["perception"] if "perception" in found else found["flow"]
        return {"loss": total, **found}

    batch, _, steps = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)
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
            precision=config.precision,
            validation_ids=data.validation_ids,
            average=config.average,
            ahead=(lambda positions: data.ahead(data.rows[positions])) if conditions is None else None,
        ),
        run,
    )


# ---------------------------------------------------------------------------------------------------- listener
LISTENING_NOISE = 0.3  # standard deviation of what is added to a training spectrum of unit variance


def _train_listener(flow: Flow, spectra: Spectra, data: Tensors, task: Task, config: Config, run: Run) -> Listener:
    """Last phase, where candidates are chosen from: hears the words of the training spectra, with the labels."""
    seed_everything(run.seed, "listener", "weights")
    listener = place(Listener(config.bands, len(task.class_names), config.listener_width), run.device)

    def losses(rows: Tensor, noise: float) -> Losses:
        clean = (spectra.take(data.clip_index[rows], run.device) - flow.mean) / flow.deviation
        logits = listener(clean + noise * torch.randn_like(clean) if noise else clean)
        return {"loss": F.cross_entropy(logits.float(), data.labels[rows].to(logits.device))}

    def validate() -> Mapping[str, float]:
        return {"selection": mean_losses(lambda rows: losses(rows, 0.0), data.held_out)["loss"]}

    batch, epoch, steps = plan_steps(
        len(data.rows), config.listener_batch, config.listener_epochs, config.listener_min_steps
    )
    optimiser = Optimiser("adam", config.listener_lr, warmup_steps=steps // 20)
    train(
        Phase(
            name="listener",
            module=listener,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(listener, optimiser, lambda at: losses(data.rows[at], LISTENING_NOISE)),),
            validate=validate if len(data.held_out) else None,
            validate_every=max(epoch, steps // 10),
            validation_ids=data.validation_ids,
        ),
        run,
    )
    return listener


# -------------------------------------------------------------------------------------------------- generation
class _Speaker:
    """Encode, sample spectra, let the listener choose, invert the mel bands, find a phase."""

    def __init__(
        self, flow: Flow, encoder: ConditionEncoder, listener: Listener | None, task: Task, config: Config, run: Run
    ) -> None:
        self._flow, self._encoder, self._config = flow.eval(), encoder.eval(), config
        self._listener = None if listener is None else listener.eval()
        self._samples, self._seed, self._device = task.audio.samples, run.seed, run.device
        self._mel = place(mel_of(task, config), run.device)

    @torch.no_grad()
    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """Images uint8 (B, H, W, C) -> waveforms float32 (B, T) in -1..1."""
        config, flow, ids = self._config, self._flow, conditions.ids
        frames = frames_of(self._samples, config.hop)
        spectra = self._spectra(conditions, frames) * flow.deviation + flow.mean
        # The floor stands for silence: without it a pause would hiss, and its spectrum would differ from a real one's.
        audible = torch.log((spectra.exp() - config.floor).clamp_min(config.floor * 1e-6))
        magnitudes = self._mel.invert(audible, config.invert_steps)
        phases = initial_phases(self._seed, ids, config.window // 2 + 1, frames).to(self._device)
        waves = griffin_lim(
            magnitudes,
            phases,
            config.window,
            config.hop,
            self._samples,
            config.vocoder_iterations,
            config.vocoder_momentum,
        )
        found = (waves * (flow.level / config.level)).clamp(-1.0, 1.0)
        outputs: NDArray[np.float32] = found.cpu().numpy()
        return outputs

    def _spectra(self, conditions: Conditions, frames: int) -> Tensor:
        """One normalised spectrum per item (B, M, N): the candidate that the listener hears best."""
        config, flow, many = self._config, self._flow, self._config.candidates
        condition, logits = self._encode(conditions)
        noise = self._noise(conditions.ids, frames)
        conditions_of_all = condition.repeat_interleave(many, dim=0)
        with autocast(self._device, config.precision):
            found = sample(flow, noise.flatten(0, 1), conditions_of_all, config.steps, config.guidance)
        if self._listener is None:
            return found
        heard = self._listener(found).view(len(noise), many, -1)
        best = best_heard(heard, logits.float().softmax(dim=1))
        first = torch.arange(0, len(found), many, device=found.device)
        return found[first + best]

    @torch.no_grad()
    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class that the encoder's head recognises, (B,)."""
        classes: NDArray[np.int64] = self._encode(conditions)[1].argmax(dim=1).cpu().numpy()
        return classes

    def _encode(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(np.ascontiguousarray(conditions.inputs)).to(self._device)
        found: tuple[Tensor, Tensor] = self._encoder(standardise(images))
        return found

    def _noise(self, ids: tuple[str, ...], frames: int) -> Tensor:
        """For every candidate of every item, (B, candidates, M, N); the first does not depend on how many there are."""
        shape = (self._config.bands, frames)
        names = ["noise", *(f"noise/{number}" for number in range(1, self._config.candidates))]
        drawn = [
            [item_rng(self._seed, f"{item}/{name}").standard_normal(shape, dtype=np.float32) for name in names]
            for item in ids
        ]
        return torch.from_numpy(np.array(drawn)).to(self._device)


class _FlowSpeechModel:
    """See the module."""

    name = "flow-speech"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def image_network(self, task: Task, config: Any) -> nn.Module:
        """The encoder's body before its training: standardised images (B, C, H, W) -> features or logits (B, D)."""
        return encoder_of(task, config).body

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the encoder and the flow, or loads their checkpoints."""
        run = dataclasses.replace(run, fingerprint={**run.fingerprint, "settings": training_digest(config, task)})
        data = Tensors(examples, run)
        conditions = joint = None
        if config.encoder == "resnet18":
            seed_everything(run.seed, "flow", "weights")
            joint = encoder_of(task, config)
            encoder = joint
        else:
            encoder = _train_classifier(data, task, config, run)
            conditions = _conditions_of(encoder, data)
            seed_everything(run.seed, "flow", "weights")
        flow = Flow(task, config, joint, encoder.size)
        spectra = Spectra(examples, data, task, config)
        flow.mean.copy_(spectra.mean)
        flow.deviation.copy_(spectra.deviation)
        flow.level.copy_(spectra.level)
        place(flow, run.device)
        _train_flow(flow, spectra, conditions, data, config, run)
        listener = _train_listener(flow, spectra, data, task, config, run) if config.candidates > 1 else None
        return _Speaker(flow, encoder, listener, task, config, run)


MODEL = _FlowSpeechModel()
