"""Pretrained weights of encoders: found in a file or in the Hugging Face cache, never fetched unasked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from maskwright.config import ModelRecipe
from maskwright.types import InputError

# The encoder of each model that has a pretrained one, where the recipe names none.
ENCODERS = {"clip": "resnet50_clip.openai", "pretrained": "resnet34", "unet-resnet34": "resnet34"}
RANDOM = "random"
FILES = ("model.safetensors", "pytorch_model.bin")
_PREFIX = re.compile(r"^((module|model|encoder|backbone|trunk)\.)+")


def encoder_name(recipe: ModelRecipe) -> str | None:
    """The pretrained encoder of a recipe's model; None for a model without."""
    default = ENCODERS.get(recipe.name)
    return default and (recipe.encoder or default)


def find_weights(recipe: ModelRecipe) -> Path | None:
    """The file that the recipe's encoder starts from; None for models without one, and for `weights: random`.

    Asks the network only with `download`. Raises InputError that says which file is missing and where to put it.
    """
    name = encoder_name(recipe)
    if name is None or recipe.weights == RANDOM:
        return None
    if recipe.weights is not None:
        path = Path(recipe.weights).expanduser()
        if not path.is_file():
            raise InputError(f"model.weights: {path} is not a file; name the {FILES[0]} of {name}, or write 'random'.")
        return path
    repository = hub_repository(recipe.name, name)
    found = cached(repository)
    if found is None and recipe.download:
        found = downloaded(repository)
    if found is None:
        raise InputError(
            f"The weights of '{name}' are not on this machine: get {FILES[0]} of {repository} from the Hugging Face "
            "Hub where there is a network and name it with --set model.weights=FILE, or allow the download with "
            "--set model.download=true, or start without it with --set model.weights=random."
        )
    return found


def hub_repository(model: str, encoder: str) -> str:
    """Where the weights of an encoder live on the Hugging Face Hub, from its name alone where it has a tag."""
    if model == "clip" or encoder.startswith("tu-"):
        name = encoder.removeprefix("tu-")
        return f"timm/{name}" if "." in name else f"timm/{name}.{_default_tag(name)}"
    return f"smp-hub/{encoder}" if "." in encoder else f"smp-hub/{encoder}.imagenet"


def cached(repository: str) -> Path | None:
    """The newest copy of a repository's weights in the Hugging Face cache."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}" / "snapshots"
    # Snapshots are looked through, as weights fetched at a fixed revision leave no reference to 'main'.
    for name in FILES:
        if found := [path for path in folder.glob(f"*/{name}") if path.is_file()]:
            return max(found, key=lambda path: path.stat().st_mtime)
    return None


def downloaded(repository: str) -> Path:
    """The weights of a repository, fetched into the Hugging Face cache."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, FILES[0]))
    except Exception as error:  # the hub, requests and the system each raise their own types
        raise InputError(
            f"{FILES[0]} of {repository} could not be downloaded ({str(error).splitlines()[0]}); get it elsewhere and "
            "name it with --set model.weights=FILE."
        ) from error


def load_weights(encoder: nn.Module, path: Path) -> None:
    """Fill an encoder from a safetensors or PyTorch file of its own network, whatever that one's head was.

    Raises InputError for a file that cannot be read or belongs to another encoder.
    """
    state = read_state(path)
    require_finite(state, path)
    source = {_plain(name): value for name, value in state.items()}
    wanted = encoder.state_dict()
    fitted: dict[str, Tensor] = {}
    missing: list[str] = []
    for name, value in wanted.items():
        given = source.get(_plain(name))
        if given is None:
            if not name.endswith("num_batches_tracked"):
                missing.append(name)
        elif given.shape != value.shape:
            raise InputError(
                f"{path}: '{name}' has shape {tuple(given.shape)}, and the encoder wants {tuple(value.shape)}; "
                "these are the weights of another encoder, name it in model.encoder."
            )
        else:
            fitted[name] = given
    if missing:
        raise InputError(
            f"{path} has {len(fitted)} of the {len(wanted)} tensors that the encoder wants ('{missing[0]}' is "
            "missing); these are the weights of another encoder, name it in model.encoder."
        )
    encoder.load_state_dict({**wanted, **fitted})


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or PyTorch file, by name."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, pickle and zip each raise their own types
        raise InputError(
            f"{path} is not a readable weights file ({str(error).splitlines()[0]}); it should be safetensors, or a "
            "PyTorch state dict."
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no named tensors; save the encoder's state dict instead.")
    return state


def require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError where a tensor holds NaN or infinity: all that is computed with it would be NaN, too."""
    for name, value in state.items():
        # A sum costs a tenth of looking at every number, and one that is not finite may come of large numbers alone.
        if value.is_floating_point() and not value.sum().isfinite() and not value.isfinite().all():
            raise InputError(
                f"{path}: '{name}' holds numbers that are not finite, as after a training that diverged; take other "
                "weights, or train again with a lower optim.lr."
            )


def _plain(name: str) -> str:
    # A network and the features taken from it name the same tensor 'stem.conv1.weight' and 'stem_conv1.weight'.
    return _PREFIX.sub("", name).replace(".", "_")


def _default_tag(name: str) -> str:
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(name)
    if found is None or not found.tag:
        raise InputError(
            f"timm has no weights for '{name}': name a file with --set model.weights=FILE, or write 'random'."
        )
    return str(found.tag)
