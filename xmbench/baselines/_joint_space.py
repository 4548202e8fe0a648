"""The joint space of images and sounds: features, then the multimodal layers, phase "joint-space".

J. Lyu et al., "Generating images from sounds using multi-modal features and GANs" (2018, under review), section 5.3.

Shape letters: B batch, N items, M distinct clips, D features, H hidden values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from xmbench.baselines._features import (
    Features,
    FeaturesConfig,
    Losses,
    image_features,
    sound_features,
    train_supervised,
)
from xmbench.interfaces import Examples, Run, Task
from xmbench.networks.joint_space import MultimodalLayers, joint_losses, nearest
from xmbench.training import Tensors, seed_everything

BLOCK = 1024  # features that are computed at once


class JointConfig(FeaturesConfig):
    """The features and the multimodal layers."""

    distance_weight: float = Field(default=1.0, ge=0)
    agreement_weight: float = Field(default=1.0, ge=0)
    label_weight: float = Field(default=1.0, ge=0)
    joint_lr: float = Field(default=1e-4, gt=0)
    joint_epochs: int = Field(default=30, ge=1)
    joint_min_steps: int = Field(default=600, ge=1)
    joint_batch: int = Field(default=256, ge=2)


class JointSpace:
    """Features and multimodal layers, trained, with the features of the training items.

    Attributes:
        features: of images and sounds.
        layers: the multimodal layers.
        images: features of the training images, (N, D), on the host.
        sounds: features of the distinct training clips, (M, D), on the host.
    """

    def __init__(self, examples: Examples, data: Tensors, task: Task, config: JointConfig, run: Run) -> None:
        """Trains the three phases, or loads their checkpoints."""
        image, sound = image_features(data, task, config, run), sound_features(data, examples, task, config, run)
        self.features = Features(image, sound, task, config, run)
        self.images, self.sounds = self.features.of_training_images(data), self.features.of_training_clips(examples)
        seed_everything(run.seed, "joint-space", "weights")
        sizes = self.features.image_size, self.features.sound_size, config.features
        self.layers = MultimodalLayers(*sizes, len(task.class_names))
        self.layers.of_image.measure(self.images[data.rows])
        self.layers.of_sound.measure(self.sounds[data.clip_index[data.rows]])
        self._device = run.device
        self._train(data, config, run)
        self.layers.requires_grad_(False)

    def _train(self, data: Tensors, config: JointConfig, run: Run) -> None:
        weights = {
            "distance": config.distance_weight,
            "agreement": config.agreement_weight,
            "labels": config.label_weight,
        }

        def losses(rows: Tensor) -> Losses:
            image, sound = self.images[rows], self.sounds[data.clip_index[rows]]
            labels = data.labels[rows].to(run.device)
            found = joint_losses(self.layers, image.to(run.device), sound.to(run.device), labels)
            total = torch.stack([weight * found[name] for name, weight in weights.items()]).sum()
            return {"loss": total, **found}

        plan = config.joint_batch, config.joint_epochs, config.joint_min_steps
        train_supervised(
            "joint-space",
            self.layers,
            losses,
            plan,
            config.joint_lr,
            data,
            config,
            run,
            "joint_batch",
            lambda: self._matches(data),
        )

    def _matches(self, data: Tensors) -> Mapping[str, float]:
        """Share of held-out images whose nearest held-out sound has their class, before and after the activation."""
        labels = data.labels[data.held_out]
        seen = self.of_images(self.images[data.held_out])
        heard = self.of_sounds(self.sounds[data.clip_index[data.held_out]])
        before, after = nearest(seen, heard).cpu(), nearest(seen.relu(), heard.relu()).cpu()
        return {
            "match-before": float((labels[before] == labels).float().mean()),
            "match-after": float((labels[after] == labels).float().mean()),
        }

    def of_images(self, features: Tensor) -> Tensor:
        """h_pre(I) (B, H) on the device, of features (B, D)."""
        return self._in_blocks(self.layers.before, features)

    def of_sounds(self, features: Tensor) -> Tensor:
        """h_pre(S) (B, H) on the device, of features (B, D)."""
        return self._in_blocks(lambda sounds: self.layers.before(sound=sounds), features)

    @torch.no_grad()
    def _in_blocks(self, before: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
        return torch.cat([before(part.to(self._device)).float() for part in torch.split(features, BLOCK)])

    @torch.no_grad()
    def classes(self, before: Tensor) -> NDArray[np.int64]:
        """The class of the output layer, (B,), of h_pre (B, H)."""
        found: NDArray[np.int64] = self.layers.logits(before).argmax(dim=1).cpu().numpy()
        return found
