"""The modern form of `stacked-gan`: no planes of features, one adversarial training of translator and decoder.

After the first author's later network (multimodal-net, `sound2image_v2`): features as a 1 x 1 plane, residual blocks
that double it, spectral norms, the hinge loss, 10 times the mean absolute error of the image and of the features. Real
and translated features are decoded by one decoder in one phase, "modern-gan", as there.

Shape letters: B batch, N items, D features, S side of an image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmbench.baselines._features import Losses
from xmbench.baselines._stacked_gan import GanConfig, scaled_images, train_pair
from xmbench.interfaces import Run
from xmbench.networks.joint_space import Standardised
from xmbench.networks.residual_images import FeatureDecoder, ImageDiscriminator, Translator, hinge_discriminator_loss
from xmbench.training import Tensors, seed_everything

ERROR_WEIGHT = 10.0  # of images, and of features


class Painter(nn.Module):
    """Standardised features -> image, and h_pre of a sound -> standardised features."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.scale, self.target = Standardised(config.features), Standardised(config.features)
        self.translator = Translator(config.features)
        self.decoder = FeatureDecoder(config.features, config.image_side, max(config.generator_width // 4, 1))

    def translated(self, hidden: Tensor) -> Tensor:
        """h_pre (B, H) -> standardised features (B, D)."""
        found: Tensor = self.translator(self.scale(hidden))
        return found

    def forward(self, hidden: Tensor) -> Tensor:
        """h_pre (B, H) -> images (B, 3, S, S) in -1..1."""
        images: Tensor = self.decoder(self.translated(hidden))
        return images


class ModernGan(nn.Module):
    """The painter and its discriminator of images."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.painter = Painter(config)
        self.discriminator = ImageDiscriminator(config.image_side, max(config.discriminator_width // 8, 1))


def train_modern_gan(hidden: Tensor, features: Tensor, data: Tensors, config: GanConfig, run: Run) -> ModernGan:
    """On h_pre of the distinct training clips (M, H), features (N, D) and the training images."""
    seed_everything(run.seed, "modern-gan", "weights")
    gan = ModernGan(config)
    painter = gan.painter
    painter.scale.measure(hidden[data.clip_index[data.rows]])
    painter.target.measure(features[data.rows])

    def painted(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images of translated and of real features; both kinds of features, standardised."""
        real = painter.target(features[rows].to(run.device))
        translated = painter.translated(hidden[data.clip_index[rows]].to(run.device))
        images = painter.decoder(torch.cat([translated, real]))  # one batch: norms see both kinds
        of_sounds, of_images = images.chunk(2)
        return of_sounds, of_images, translated, real

    def discriminator(at: Tensor) -> Losses:
        rows = data.rows[at]
        with torch.no_grad():
            of_sounds, of_images, _, _ = painted(rows)
        targets = scaled_images(data.pixels(rows), config.image_side)
        values = gan.discriminator(torch.cat([targets, of_sounds.float(), of_images.float()])).chunk(3)
        return {"loss": hinge_discriminator_loss(values[0], (values[1], values[2]))}

    def generator(at: Tensor) -> Losses:
        rows = data.rows[at]
        of_sounds, of_images, translated, real = painted(rows)
        targets = scaled_images(data.pixels(rows), config.image_side)
        made = torch.cat([of_sounds, of_images]).float()
        adversarial = -gan.discriminator(made).float().mean()
        error = (made - targets.repeat(2, 1, 1, 1)).abs().mean()
        features_error = (translated.float() - real).abs().mean()
        loss = adversarial + ERROR_WEIGHT * (error + features_error)
        return {"loss": loss, "adversarial": adversarial, "error": error, "feature-error": features_error}

    updates = [("discriminator", gan.discriminator, discriminator), ("generator", painter, generator)]
    train_pair("modern-gan", gan, updates, (config.lr, config.lr), data, config, run)
    return gan
