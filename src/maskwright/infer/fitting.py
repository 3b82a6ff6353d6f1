"""Do weights belong to a recipe? Asked of a file's header alone, before a network with numbers is built.

A run that came as a bundle is from anybody: its recipe may ask for a network that fills the memory, its weights may be
of another one, or no numbers at all.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from maskwright.losses import outputs_for
from maskwright.models import PROMPT_MODELS, Network, build, build_prompted
from maskwright.models.budget import FIXED
from maskwright.run import Run
from maskwright.types import InputError

Shapes = dict[str, tuple[int, ...]]
MOST_PIXELS = 1 << 27  # of a working size
WIDEST_FIXED = 4096  # channels of a decoder that cannot be built without numbers


def require_fit(run: Run, path: Path) -> int:
    """The number of parameters in a weights file that fits the run's recipe, by names and shapes.

    Raises InputError where it does not, where it is damaged, or where the recipe asks for more than its weights hold.
    """
    shapes = tensor_shapes(path)
    network = shape_of_network(run, shapes, path)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name, shape in wanted.items():
        if name not in shapes:
            raise InputError(f"{path} does not fit the run's recipe: '{name}' is missing; get the run again, whole.")
        if shapes[name] != shape:
            raise InputError(
                f"{path} does not fit the run's recipe: '{name}' has shape {shapes[name]}, which should be {shape}; "
                "get the run again, whole."
            )
    if more := sorted(shapes.keys() - wanted.keys()):
        raise InputError(f"{path} does not fit the run's recipe: '{more[0]}' is too much; get the run again, whole.")
    return sum(math.prod(shapes[name]) for name, _ in network.named_parameters())


def tensor_shapes(path: Path) -> Shapes:
    """Shape of every tensor in a safetensors file; raises InputError for what is none."""
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is no readable safetensors file ({error}); get the run again.") from error


def shape_of_network(run: Run, shapes: Shapes, path: Path) -> Network:
    """The run's network on the meta device, which has shapes and no numbers, so that no size can harm."""
    model, size = run.recipe.model, run.recipe.data.size
    levels = max(len(model.widths or ()), sum(model.blocks or ()))
    widest = max([*(model.widths or ()), model.width or 0, model.decoder_width or 0])
    numbers = sum(math.prod(shape) for shape in shapes.values())
    if size is None or math.prod(size) > MOST_PIXELS or levels > len(shapes) or widest > numbers:
        raise InputError(f"{path} cannot fit the run's recipe, which asks for more than it holds; get the run again.")
    if model.encoder is not None and not re.fullmatch(r"[\w.-]+", model.encoder):
        raise InputError(f"{run.path}: model.encoder '{model.encoder}' is no plain name; use a run that you trust.")
    classes = len(run.classes) if run.recipe.prompt.class_told else 0

    def made() -> Network:
        if model.name in PROMPT_MODELS:
            return build_prompted(model, classes)
        return build(model, outputs_for(run.recipe.loss, run.classes))

    try:
        with torch.device("meta"):
            return made()
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, OverflowError, MemoryError) as error:
        if model.name in FIXED and widest <= WIDEST_FIXED:  # some encoders compute with numbers while they are built
            return made()
        raise InputError(f"{run.path}: its network cannot be built ({str(error).splitlines()[0]}).") from error
