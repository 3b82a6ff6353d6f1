"""The zoo: every network is a plain function in MODELS, wrapped so that any image size goes in.

To add one: write `def mine(recipe: ModelRecipe, outputs: int) -> Body` whose docstring's first line says what it
is and where it comes from, add a line to MODELS, and the contract test picks it up.
"""

from __future__ import annotations

from collections.abc import Callable

from maskwright.config import ModelRecipe
from maskwright.models.body import Body
from maskwright.models.clip import clip
from maskwright.models.network import Network, parameter_count
from maskwright.models.pretrained import pretrained, unet_resnet34
from maskwright.models.prompt_unet import PromptNetwork, PromptUNet, prompt_clicks, prompt_unet
from maskwright.models.unet import (
    autoencoder,
    unet,
    unet_aspp,
    unet_gated,
    unet_inception,
    unet_residual_attention,
    unet_se,
)
from maskwright.models.weights import find_weights, load_weights
from maskwright.types import InputError, unknown_name

__all__ = [
    "MODELS",
    "PROMPT_MODELS",
    "Network",
    "PromptNetwork",
    "build",
    "build_prompted",
    "find_weights",
    "initialise",
    "parameter_count",
]

MODELS: dict[str, Callable[[ModelRecipe, int], Body]] = {
    "unet": unet,
    "unet-residual-attention": unet_residual_attention,
    "unet-se": unet_se,
    "unet-aspp": unet_aspp,
    "unet-inception": unet_inception,
    "unet-gated": unet_gated,
    "autoencoder": autoencoder,
    "unet-resnet34": unet_resnet34,
    "pretrained": pretrained,
    "clip": clip,
}
# Networks that answer prompts: image, prompt and maybe a class in, one logit a pixel out.
PROMPT_MODELS: dict[str, Callable[[ModelRecipe, int], PromptUNet]] = {
    "prompt-unet": prompt_unet,
    "prompt-clicks": prompt_clicks,
}


def build(recipe: ModelRecipe, outputs: int) -> Network:
    """The network that a recipe names, with `outputs` logits a pixel and random weights; see `initialise`.

    Raises InputError for an unknown name, options that do not fit together, or a budget that is not solved yet
    (`maskwright.models.budget.solve` does that).
    """
    if recipe.name not in MODELS:
        raise unknown_name("model", recipe.name, [*MODELS, *PROMPT_MODELS])
    _require_solved(recipe)
    return Network(MODELS[recipe.name](recipe, outputs))


def build_prompted(recipe: ModelRecipe, classes: int = 0) -> PromptNetwork:
    """The network of PROMPT_MODELS that a recipe names, with random weights.

    It can be told which of `classes` is meant; 0 leaves that out. Raises InputError as `build` does.
    """
    _require_solved(recipe)
    return PromptNetwork(PROMPT_MODELS[recipe.name](recipe, classes))


def initialise(network: Network, recipe: ModelRecipe) -> None:
    """Load the pretrained weights that the recipe's model starts from; does nothing for models without.

    Raises InputError, without asking the network, where they are neither in the file named nor in the cache.
    """
    path = find_weights(recipe)
    if path is not None:
        load_weights(network.parts()["encoder"], path)


def _require_solved(recipe: ModelRecipe) -> None:
    if recipe.params is not None or recipe.gflops is not None:
        raise InputError("model.params and model.gflops are goals; solve them for widths before a network is built.")
