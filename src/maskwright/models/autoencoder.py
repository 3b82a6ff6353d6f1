"""The first stage of an autoencoder: learn to draw the image again, then keep the encoder.

1. `reconstructor(recipe)` is a network with the recipe's encoder and three outputs; train it with
   `reconstruction_error(network(image), image)`, which needs no masks.
2. `take_encoder(network, reconstructor)` copies the encoder into the segmenting network.
3. Freeze the part 'encoder' and train the decoder on masks; then, where that helps, everything.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from maskwright.config import ModelRecipe
from maskwright.models import build
from maskwright.models.network import Network
from maskwright.models.weights import encoder_name
from maskwright.types import Image, InputError


def reconstructor(recipe: ModelRecipe) -> Network:
    """The first-stage network: the recipe's encoder, a decoder without skips, outputs (N, 3, H, W) in units of 255.

    Never with skips, not even where the recipe has them for the second stage: the image would pass through the
    finest one, and the encoder would learn nothing. Raises InputError for a model that is no U-Net.
    """
    if encoder_name(recipe) is not None:
        raise InputError(
            f"'{recipe.name}' has a pretrained encoder; only the U-Nets and 'autoencoder' learn by redrawing."
        )
    return build(recipe.model_copy(update={"skip": "none", "deep_supervision": False}), 3)


def reconstruction_error(redrawn_N3HW: Tensor, image_N3HW: Tensor) -> Tensor:
    """Mean squared error against the image, in units of 255: a scalar."""
    return F.mse_loss(redrawn_N3HW, image_N3HW.float() / 255)


def as_images(redrawn_N3HW: Tensor) -> list[Image]:
    """What the reconstructor drew, as RGB uint8 (H, W, 3), for people to look at."""
    pixels = (redrawn_N3HW.detach().float().cpu().clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    return list(pixels.astype(np.uint8))


def take_encoder(network: Network, reconstructor: Network) -> None:
    """Copy the encoder, running statistics included, from one network into another of the same recipe."""
    network.parts()["encoder"].load_state_dict(reconstructor.parts()["encoder"].state_dict())
