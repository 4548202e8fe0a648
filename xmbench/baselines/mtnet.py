"""MT-Net: image -> waveform of the spoken class.

H. Ning, X. Zheng, Y. Yuan, X. Lu, "Audio description from image by modal translation network",
Neurocomputing 423 (2021). Equations, tables and figures below are the paper's. There is no public code; where
the paper is silent, the choice and its reason are given at the line and in `baselines/mtnet.toml`.

Two phases (Algorithm 1): an autoencoder learns audio features phi^A of the training clips and is frozen; then
image features phi^I, the mapping phi = f(phi^I) and the waveform generator are trained together.

Shape letters: B batch, C channels, H W pixels, T samples of a clip, K classes, D width of the code.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.baselines._mtnet_network import Config, MTNet
from xmbench.interfaces import Conditions, Direction, Examples, Generator, PhaseProgress, Run, Task
from xmbench.networks.compressed import CompressedSpectra
from xmbench.networks.images import standardise
from xmbench.networks.initial import truncated_normal
from xmbench.networks.modal_translation import (
    AudioAutoencoder,
    generation_loss,
    reconstruction_loss,
    representation_loss,
)
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
TERMS = ("generation", "perception", "representation")  # of eq. 11

JOINT_COST = 2.0  # autoencoder steps that take as long as a joint one: measured with --preset lite


def _optimiser(config: Config, rate: float, decay: float, warmup: float, steps: int) -> Optimiser:
    name, momentum, schedule = config.optimiser, config.momentum, config.schedule
    return Optimiser(name, rate, decay, momentum, round(warmup * steps), schedule, config.clip_norm)


def _train_autoencoder(data: Tensors, task: Task, config: Config, run: Run) -> AudioAutoencoder:
    """First phase: each distinct training clip once per epoch.

    Deduplicated, because in single-take data 60,000 items repeat ten clips. Clips that only validation items
    have select the weights; if there are none (single-take), the training clips do.
    """
    known = data.clip_index[data.rows].unique()  # type: ignore[no-untyped-call]
    unseen = torch.from_numpy(np.setdiff1d(data.clip_index[data.held_out].numpy(), known.numpy()))
    checked = unseen if len(unseen) else known
    seed_everything(run.seed, "autoencoder", "weights")
    autoencoder = AudioAutoencoder(task.audio.samples, config.autoencoder_widths)
    truncated_normal(autoencoder)
    place(autoencoder, run.device)

    def loss(positions: Tensor) -> Mapping[str, Tensor]:
        clips = data.waveforms(known[positions])
        return {"loss": reconstruction_loss(autoencoder(clips), clips)}

    batch, epoch, steps = plan_steps(
        len(known), config.autoencoder_batch, config.autoencoder_epochs, config.autoencoder_min_steps
    )
    run.progress(f"autoencoder: {len(known)} distinct clips, batch {batch}, {steps} steps")
    optimiser = _optimiser(config, config.autoencoder_lr, config.l2, config.autoencoder_warmup, steps)
    train(
        Phase(
            name="autoencoder",
            module=autoencoder,
            items=len(known),
            steps=steps,
            batch_size=batch,
            updates=(Update(autoencoder, optimiser, loss),),
            validate=lambda: {"selection": _relative_error(autoencoder, data, checked)},
            validate_every=max(epoch, steps // 10),
            precision=config.precision,
            validation_ids=data.validation_ids,
            ahead=lambda positions: data.ahead(clips=known[positions]),
            batch_setting="autoencoder_batch",
        ),
        run,
    )
    return autoencoder


def _relative_error(autoencoder: AudioAutoencoder, data: Tensors, clips: Tensor) -> float:
    """Squared error over squared samples of some distinct clips."""
    error = energy = 0.0
    for part in parts(clips):
        waveforms = data.waveforms(part)
        error += float((autoencoder(waveforms).float() - waveforms).square().sum())
        energy += float(waveforms.square().sum())
    return error / max(energy, 1e-12)


@torch.no_grad()
def audio_codes_of(autoencoder: AudioAutoencoder, data: Tensors) -> Tensor:
    """Phi^A of every distinct clip, (M, D)."""
    every = torch.arange(int(data.clip_index.max()) + 1)
    return torch.cat([autoencoder.encoder(data.waveforms(part)) for part in parts(every)])


def _announce(data: Tensors, config: Config, run: Run) -> None:
    """Enters the steps of both phases, so that progress is about the whole training."""
    if config.use_rep:
        clips = len(data.clip_index[data.rows].unique())  # type: ignore[no-untyped-call]
        *_, steps = plan_steps(clips, config.autoencoder_batch, config.autoencoder_epochs, config.autoencoder_min_steps)
        run.phases["autoencoder"] = PhaseProgress(steps)
    *_, steps = plan_steps(len(data.rows), config.joint_batch, config.joint_epochs, config.joint_min_steps)
    run.phases["joint"] = PhaseProgress(steps, cost=JOINT_COST)


class _Joint:
    """The second phase: the network, what it learns from, and the terms of eq. 11.

    Attributes:
        audio_codes: phi^A of every distinct clip, (M, D); None where L_rep is off.
    """

    def __init__(self, net: MTNet, audio_codes: Tensor | None, data: Tensors, config: Config, samples: int) -> None:
        self.net, self.audio_codes, self.data, self.config = net, audio_codes, data, config
        self._spectra = config.spectra(samples)

    def losses(self, rows: Tensor) -> Losses:
        """The terms for some items, int64 (B,), and "loss", their weighted sum."""
        terms = self.terms(rows, self.net.features(self.images(rows)), self.net)
        weights = dict(zip(TERMS, self.net.term_weights, strict=True))
        return {"loss": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}

    def images(self, rows: Tensor) -> Tensor:
        """Standardised images of some items, (B, C, H, W)."""
        return standardise(self.data.pixels(rows), self.config.channels_last)

    def terms(self, rows: Tensor, features: Tensor, net: MTNet) -> Losses:
        """L_gen, L_per and L_rep of some items, given their phi^I (B, D), without the terms that are off."""
        clip_index = self.data.clip_index[rows]
        logits, code, output = net.translate(features)
        targets = self.data.waveforms(clip_index)
        found = {"generation": generation_loss(output, targets if self._spectra is None else self._spectra.of(targets))}
        if self.config.use_per:
            found["perception"] = F.cross_entropy(logits.float(), self.data.labels[rows].to(logits.device))
        if self.audio_codes is not None:
            known = self.audio_codes[clip_index.to(code.device)]
            found["representation"] = representation_loss(code, known, self.config.rep_norm)
        return found

    def balance(self, run: Run) -> None:
        """Sets the weights at which every term has L_gen's gradient on phi^I, of one batch before the first step.

        A resumed training takes them from its checkpoint.
        """
        count = min(self.config.joint_batch, len(self.data.rows))
        rows = self.data.rows[torch.linspace(0, len(self.data.rows) - 1, count).long()]
        probe = copy.deepcopy(self.net).train()  # a copy: statistics of batch normalisation would move
        features = probe.features(self.images(rows)).detach().requires_grad_()
        norms = {
            name: float(torch.autograd.grad(term, features, retain_graph=True)[0].norm())
            for name, term in self.terms(rows, features, probe).items()
        }
        run.progress(f"joint: norms of the gradients on phi^I: {', '.join(f'{k} {v:.4g}' for k, v in norms.items())}")
        for position, name in enumerate(TERMS):
            if norms.get(name):
                scale = norms["generation"] / norms[name]
                self.net.term_weights[position] = self.config.eta_gen * scale


@torch.no_grad()
def mean_spectrum(data: Tensors, spectra: CompressedSpectra) -> Tensor:
    """The mean over the distinct clips that are trained on, (V,)."""
    known = data.clip_index[data.rows].unique()  # type: ignore[no-untyped-call]
    return torch.stack([spectra.of(data.waveforms(part)).sum(dim=0) for part in parts(known)]).sum(dim=0) / len(known)


def selection_of(config: Config, data: Tensors) -> str:
    """Which weights of the joint phase are kept: by "generation" loss, by the "head"'s cross-entropy, or the "last".

    Where a class has several takes, the generation loss is lowest for the mean of all: the weights of the first
    epochs, before the network tells images apart. There the head selects, or nothing.
    """
    if config.selection != "automatic":
        return config.selection
    takes = len(torch.stack([data.labels, data.clip_index]).unique(dim=1).T)  # type: ignore[no-untyped-call]
    if takes == len(data.labels.unique()):  # type: ignore[no-untyped-call]
        return "generation"
    return "head" if config.use_per else "last"


def _train_joint(joint: _Joint, run: Run) -> None:
    """Second phase, eq. 11. The weight penalty is the optimiser's: gradient eta_4 * lambda * W = 4e-4 W.

    Taken literally, 0.8 * sum(W^2) would collapse the network to zero; this is TensorFlow's
    l2_regularizer(0.0005), summed and weighted by eta_4. `selection_of` says which weights are kept.
    """
    net, data, config = joint.net, joint.data, joint.config
    selection = selection_of(config, data)
    selected_by = {"generation": "generation", "head": "perception"}.get(selection, "loss")

    def validate() -> Mapping[str, float]:
        total = mean_losses(joint.losses, data.held_out)
        return {"selection": total[selected_by], **total}

    batch, epoch, steps = plan_steps(len(data.rows), config.joint_batch, config.joint_epochs, config.joint_min_steps)
    run.progress(
        f"joint: {len(data.rows)} items, {len(data.held_out)} held out, batch {batch}, {steps} steps, "
        f"weights by {selection}"
    )
    if config.balanced:
        joint.balance(run)
    optimiser = _optimiser(config, config.joint_lr, config.eta_l2 * config.l2, config.joint_warmup, steps)
    train(
        Phase(
            name="joint",
            module=net,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(net, optimiser, lambda positions: joint.losses(data.rows[positions])),),
            validate=validate if len(data.held_out) and selection != "last" else None,
            validate_every=config.validate_every * epoch,
            precision=config.precision,
            validation_ids=data.validation_ids,
            ahead=lambda positions: data.ahead(data.rows[positions], data.clip_index[data.rows[positions]]),
            patience=config.patience,
            batch_setting="joint_batch",
        ),
        run,
    )


class _Trained:
    """Section 3.5: standardise, features, mapping, generator. The only randomness is that of phases."""

    def __init__(self, net: MTNet, config: Config, samples: int, run: Run) -> None:
        self._net, self._config, self._run = net.eval(), config, run
        self._spectra = config.spectra(samples)
        self.parameters = sum(parameter.numel() for parameter in net.parameters())  # the autoencoder only teaches

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """Images uint8 (B, H, W, C) -> waveforms float32 (B, T)."""
        return self.generate_and_predict(conditions, direction)[0]

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The softmax head's class, (B,). The head is not part of generation, only a diagnostic."""
        return self._classes(self._forward(conditions)[0])

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Waveforms float32 (B, T) and the head's classes (B,), of one pass."""
        logits, _, output = self._forward(conditions)
        output = output.float()
        if self._spectra is not None:
            iterations = self._config.griffin_lim_iterations
            output = self._spectra.waveforms(output, self._run.seed, conditions.ids, iterations)
        waveforms: NDArray[np.float32] = output.cpu().numpy()
        return waveforms, self._classes(logits)

    def _classes(self, logits: Tensor) -> NDArray[np.int64] | None:
        """None where the head was not trained."""
        return logits.argmax(dim=1).cpu().numpy() if self._config.use_per else None

    @torch.no_grad()
    def _forward(self, conditions: Conditions) -> tuple[Tensor, Tensor, Tensor]:
        images = torch.from_numpy(np.ascontiguousarray(conditions.inputs)).to(self._run.device)
        with autocast(self._run.device, self._config.precision):
            found: tuple[Tensor, Tensor, Tensor] = self._net(standardise(images, self._config.channels_last))
        return found


class _MTNetModel:
    """See the module."""

    name = "mtnet"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def image_network(self, task: Task, config: Any) -> nn.Module:
        """Standardised images (B, C, H, W) -> what the model knows of them (B, D)."""
        features: nn.Module = config.image_features(task.image.channels)
        return features

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains both phases, or loads their checkpoints."""
        data = Tensors(examples, run)
        _announce(data, config, run)
        audio_codes = None
        if config.use_rep:
            audio_codes = audio_codes_of(_train_autoencoder(data, task, config, run), data)
            spread = float(audio_codes.std(dim=0).mean()) if len(audio_codes) > 1 else 0.0
            run.progress(f"autoencoder: phi^A has a standard deviation of {spread:.3f} over the clips")
        seed_everything(run.seed, "joint", "weights")
        net = MTNet(task, config)
        truncated_normal(net)
        spectra = config.spectra(task.audio.samples)
        if spectra is not None:
            net.start_at(mean_spectrum(data, spectra))
        place(net, run.device, channels_last=config.channels_last)
        _train_joint(_Joint(net, audio_codes, data, config, task.audio.samples), run)
        return _Trained(net, config, task.audio.samples, run)


MODEL = _MTNetModel()
