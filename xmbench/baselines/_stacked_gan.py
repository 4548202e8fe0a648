"""The networks of `stacked-gan` after the joint space, and their trainings; what the upper bound shares with it.

J. Lyu et al., "Generating images from sounds using multi-modal features and GANs" (2018, under review), sections 5.1,
5.2 and 5.4; networks and losses of Isola et al. (CVPR 2017). Phases "image-gan" (GAN 2, features -> image, on the
features of real images) and "feature-gan" (GAN 1, h_pre of a sound -> features of its image).

Shape letters: B batch, N items, D features, H hidden values, S side of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from xmbench.baselines._features import Losses
from xmbench.baselines._joint_space import JointConfig
from xmbench.interfaces import Run
from xmbench.networks.joint_space import Standardised
from xmbench.networks.pix2pix import (
    PatchDiscriminator,
    UNet,
    discriminator_loss,
    from_plane,
    generator_losses,
    pix2pix_weights,
    to_plane,
)
from xmbench.training import Optimiser, Phase, Tensors, Update, place, plan_steps, seed_everything, train


class GanConfig(JointConfig):
    """The joint space and the two adversarial networks; the defaults are the paper's."""

    feature_side: Literal[16, 32, 64] = 64  # planes of 32 pixels are the smallest for patches of 70
    generator_width: int = Field(default=64, ge=1)
    discriminator_width: int = Field(default=64, ge=1)
    lr: float = Field(default=2e-4, gt=0)
    beta1: float = Field(default=0.5, ge=0, lt=1)
    epochs: int = Field(default=20, ge=1)
    min_steps: int = Field(default=2000, ge=1)
    batch: int = Field(default=16, ge=2)
    d_loss_scale: float = Field(default=1.0, gt=0, description="of GAN 1's discriminator loss")
    d_lr_ratio: float = Field(default=0.1, gt=0, description="rate of GAN 1's discriminator over that of its generator")

    @property
    def image_side(self) -> int:
        """S: each feature covers 2 x 2 pixels of a plane as large as the image."""
        return 2 * self.feature_side


class Gan(nn.Module):
    """One conditional pair: planes of features -> planes, or images."""

    def __init__(self, condition: int, outside: int, config: GanConfig) -> None:
        """Makes the pair.

        Args:
            condition: values of the condition.
            outside: channels of the output: 1 for features, 3 for images.
            config: of the model.
        """
        super().__init__()
        self.scale = Standardised(condition)
        self.generator = UNet(1, outside, config.image_side, config.generator_width)
        self.discriminator = PatchDiscriminator(1 + outside, config.discriminator_width)
        pix2pix_weights(self)

    def plane(self, values: Tensor) -> Tensor:
        """Values (B, D) -> condition (B, 1, S, S)."""
        return to_plane(self.scale(values))

    def forward(self, values: Tensor) -> Tensor:
        """Values (B, D) -> planes or images (B, C, S, S) in -1..1."""
        made: Tensor = self.generator(self.plane(values))
        return made


class FeatureGan(Gan):
    """GAN 1: h_pre(S) (B, H) -> features of the image."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__(config.features, 1, config)
        self.target = Standardised(config.features)

    def features(self, hidden: Tensor) -> Tensor:
        """h_pre (B, H) -> features (B, D) as fc6 has them."""
        return self.target.restored(from_plane(self(hidden)))


def scaled_images(pixels: Tensor, side: int) -> Tensor:
    """Images uint8 (B, H, W, C) -> float32 (B, 3, S, S) in -1..1; grey copied to three channels."""
    images = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    if images.shape[2:] != (side, side):
        images = nn.functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
    return images.expand(-1, 3, -1, -1)


def train_image_gan(features: Tensor, data: Tensors, config: GanConfig, run: Run) -> Gan:
    """GAN 2, on the features (N, D) of the training images."""
    seed_everything(run.seed, "image-gan", "weights")
    gan = Gan(config.features, 3, config)
    gan.scale.measure(features[data.rows])

    def batch(rows: Tensor) -> tuple[Tensor, Tensor]:
        return gan.plane(features[rows].to(run.device)), scaled_images(data.pixels(rows), config.image_side)

    _train_gan("image-gan", gan, batch, 1.0, config.lr, data, config, run)
    return gan


def train_feature_gan(hidden: Tensor, features: Tensor, data: Tensors, config: GanConfig, run: Run) -> FeatureGan:
    """GAN 1, on h_pre of the distinct training clips (M, H) and the features of the training images (N, D)."""
    seed_everything(run.seed, "feature-gan", "weights")
    gan = FeatureGan(config)
    gan.scale.measure(hidden[data.clip_index[data.rows]])
    gan.target.measure(features[data.rows])

    def batch(rows: Tensor) -> tuple[Tensor, Tensor]:
        condition = gan.plane(hidden[data.clip_index[rows]].to(run.device))
        return condition, to_plane(gan.target(features[rows].to(run.device)))

    rate = config.d_lr_ratio * config.lr
    _train_gan("feature-gan", gan, batch, config.d_loss_scale, rate, data, config, run)
    return gan


def _train_gan(
    name: str,
    gan: Gan,
    batch: Callable[[Tensor], tuple[Tensor, Tensor]],
    scale: float,
    discriminator_lr: float,
    data: Tensors,
    config: GanConfig,
    run: Run,
) -> None:
    """Discriminator, then generator, on each batch; `batch` gives conditions and targets of some training items."""

    def discriminator(at: Tensor) -> Losses:
        condition, target = batch(data.rows[at])
        with torch.no_grad():
            made = gan.generator(condition).float()
        real, fake = (gan.discriminator(torch.cat([condition, item], dim=1)) for item in (target, made))
        return {"loss": discriminator_loss(real, fake, scale)}

    def generator(at: Tensor) -> Losses:
        condition, target = batch(data.rows[at])
        made = gan.generator(condition)
        return generator_losses(gan.discriminator(torch.cat([condition, made.float()], dim=1)), made, target)

    rates = discriminator_lr, config.lr
    updates = [("discriminator", gan.discriminator, discriminator), ("generator", gan.generator, generator)]
    train_pair(name, gan, updates, rates, data, config, run)


def train_pair(
    name: str,
    pair: nn.Module,
    updates: Sequence[tuple[str, nn.Module, Callable[[Tensor], Losses]]],
    rates: Sequence[float],
    data: Tensors,
    config: GanConfig,
    run: Run,
) -> None:
    """Each update once per batch, in order, by Adam at a constant rate; the last weights are kept.

    Args:
        name: of the phase.
        pair: all weights of the phase.
        updates: name, module whose weights change, and loss of a batch of positions among the training items.
        rates: the learning rate of each update.
        data: training examples.
        config: of the model.
        run: of the model.
    """
    place(pair, run.device, channels_last=config.channels_last)
    batch, _, steps = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)
    run.progress(f"{name}: {len(data.rows)} items, batch {batch}, {steps} steps")
    made = []
    for (part, module, loss), rate in zip(updates, rates, strict=True):
        adam = Optimiser("adam", rate, schedule="constant", betas=(config.beta1, 0.999))
        made.append(Update(module, adam, loss, part))
    phase = Phase(
        name=name,
        module=pair,
        items=len(data.rows),
        steps=steps,
        batch_size=batch,
        updates=tuple(made),
        precision=config.precision,
        validation_ids=data.validation_ids,
        ahead=lambda positions: data.ahead(data.rows[positions]),
        batch_setting="batch",
    )
    train(phase, run)
    pair.requires_grad_(False)
