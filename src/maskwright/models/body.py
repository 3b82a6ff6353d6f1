"""What every network of the zoo is, before it is wrapped: a body with a stride, parts and a normalisation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from maskwright.config import ModelRecipe
from maskwright.types import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Rgb = tuple[float, float, float]


class Body(nn.Module):
    """What `Network` wraps: a module whose input sides divide by `stride` and are `smallest` or more.

    `mean` and `std` are those of the pixels 0..255 that it wants to see. `widths` are the channels that its size
    follows from; empty where they cannot be chosen. `frozen` names parts that stay as they are from the start.
    In training a body with deep supervision leaves logits of coarser levels in `auxiliary`, finest first.
    """

    stride: int
    smallest: int = 1
    mean: Rgb = (127.5, 127.5, 127.5)
    std: Rgb = (63.75, 63.75, 63.75)
    widths: tuple[int, ...] = ()
    frozen: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary: list[Tensor] = []

    def parts(self) -> dict[str, nn.Module]:
        """Every parameter in exactly one named part, in the order that the image meets them."""
        raise NotImplementedError


def pixel_scale(mean: Any, std: Any) -> tuple[Rgb, Rgb]:
    """Mean and standard deviation of pixels 0..255 from those of pixels 0..1."""
    (a, b, c), (d, e, f) = (tuple(255 * float(value) for value in triple) for triple in (mean, std))
    return (a, b, c), (d, e, f)


def filled(recipe: ModelRecipe, **options: Any) -> ModelRecipe:
    """The recipe with `options` where it leaves them open."""
    return recipe.model_copy(
        update={key: value for key, value in options.items() if value is not None and getattr(recipe, key) is None}
    )


def require_only(recipe: ModelRecipe, meant: frozenset[str]) -> None:
    """Raise InputError for a set option that means nothing to the named model, but for those `meant`."""
    common = {"name", "width", "widths", "params", "gflops"}
    for key, field in ModelRecipe.model_fields.items():
        if key not in meant | common and getattr(recipe, key) != field.default:
            raise InputError(
                f"model.{key} means nothing to the model '{recipe.name}'; set it back to "
                f"{'null' if field.default is None else str(field.default).lower()}."
            )
