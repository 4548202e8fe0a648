"""The settings of `dcmavg-s2i`; its variants are rows with other values of the first four."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from xmbench.baselines._adversarial import PairConfig


class Config(PairConfig):
    """Every constant. The defaults are S2I-C at the paper's width; `[config]` of each TOML repeats or changes them."""

    # Variant (sections 3.2 and 5.1)
    encoder: Literal["classifier", "autoencoder"] = "classifier"
    scenario: Literal["instrument", "pose"] = "instrument"
    wrong_weight: float = Field(default=0.5, ge=0, le=1, description="of S_w in eq. 4, S_f has the rest; 0: no S_w")
    min_gap_s: float = Field(default=0.0, ge=0, description="between the windows of a wrong pair of one recording")
    # Autoencoder of S2I-A (section 5.1)
    autoencoder_lr: float = Field(default=1e-3, gt=0)
    autoencoder_epochs: int = Field(default=10, ge=1, description="of each stack")
    autoencoder_min_steps: int = Field(default=300, ge=1)
    autoencoder_batch: int = Field(default=64, ge=2)
    # Trunk of the discriminator (GAN-CLS)
    discriminator_blocks: int = Field(default=1, ge=0, description="residual blocks of three convolutions")
    evolution: bool = Field(default=False, description="write the accuracy by epoch (fig. 9) and pictures of it")

    @model_validator(mode="after")
    def _pose_needs_classes(self) -> Config:
        if self.scenario == "pose" and self.encoder != "classifier":
            raise ValueError('scenario "pose" has a generator for each class: it needs encoder "classifier"')
        return self
