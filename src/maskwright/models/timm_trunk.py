"""Feature extractors of timm, without weights; timm is imported on first use, as that takes seconds."""

from __future__ import annotations

from typing import Any

from torch import nn

from maskwright.models.body import IMAGENET_MEAN, IMAGENET_STD
from maskwright.types import InputError


def timm_trunk(name: str) -> tuple[nn.Module, list[int], list[int]]:
    """A module from image to its feature maps, finest first, with their channels and strides.

    Raises InputError for a name that timm does not know, or a network without feature maps.
    """
    import timm

    try:
        trunk: Any = timm.create_model(name, pretrained=False, features_only=True)
    except Exception as error:  # timm raises its own types and RuntimeError
        raise InputError(
            f"timm cannot build the features of '{name}' ({str(error).splitlines()[0]}); name another in model.encoder."
        ) from error
    return trunk, list(trunk.feature_info.channels()), list(trunk.feature_info.reduction())


def timm_settings(name: str) -> tuple[Any, Any]:
    """Mean and standard deviation, of pixels 0..1, that a network of timm was trained with."""
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(name.removeprefix("tu-"))
    return (found.mean, found.std) if found is not None else (IMAGENET_MEAN, IMAGENET_STD)
