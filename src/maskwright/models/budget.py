"""What a network costs, before it is trained: parameters, operations, memory; and the widths that meet a budget.

Networks are built on the meta device, which has shapes and no numbers, so that the largest costs milliseconds.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskwright.config import ModelRecipe, Recipe, apply_sets
from maskwright.models import MODELS, PROMPT_MODELS, build, build_prompted
from maskwright.models.memory import peak_bytes
from maskwright.models.network import Network, parameter_count
from maskwright.types import InputError, unknown_name

TOLERANCE = 0.02
CLOSE, EVEN = 0.001, 0.005
WIDEST = 65_536
DEFAULT_SIZE = (256, 256)
Found = tuple[float, ModelRecipe]
FIXED = frozenset({"clip", "pretrained", "unet-resnet34"})  # with the widths of their authors, whatever the size


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What one network costs for one image; `operations` counts a multiplication and an addition as two."""

    name: str
    parameters: int
    trainable: int
    operations: int
    predict_bytes: int
    train_bytes: int
    widths: tuple[int, ...]
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def survey_models(
    name: str | None = None, *, size: tuple[int, int] = DEFAULT_SIZE, classes: int = 3, sets: Sequence[str] = ()
) -> tuple[list[ModelFacts], dict[str, str]]:
    """The cost of every model of the zoo, or of one, for an image of `size` (rows, columns) and so many outputs.

    Models that answer prompts have one output whatever is asked. U-Nets have 64 channels at their first level, as
    published, unless `sets` (`width=16`, `params=31M`: keys of the recipe's `model` section) say otherwise. Also
    returned, by name: why a model cannot be had like that. Raises InputError for an unknown name or key, and for the
    one model named where it cannot be had.
    """
    zoo = [*MODELS, *PROMPT_MODELS]
    if name is not None and name not in zoo:
        raise unknown_name("model", name, zoo)
    found: list[ModelFacts] = []
    impossible: dict[str, str] = {}
    for each in [name] if name is not None else zoo:
        asked = apply_sets({"name": each, "width": None if each in FIXED else 64}, sets)
        recipe = Recipe.from_dict({"model": asked}, source="--set").model
        try:
            found.append(measure(solve(recipe, classes, size), classes, size))
        except InputError as error:
            if name is not None:
                raise
            impossible[each] = str(error)
    return found, impossible


def measure(recipe: ModelRecipe, outputs: int, size: tuple[int, int]) -> ModelFacts:
    """The cost of one network for an image of `size` (rows, columns)."""
    network = on_meta(recipe, outputs)
    image = blank(size)
    doc = inspect.getdoc({**MODELS, **PROMPT_MODELS}[recipe.name]) or ""
    return ModelFacts(
        name=recipe.name,
        parameters=parameter_count(network),
        trainable=sum(p.numel() for p in network.parameters() if p.requires_grad),
        operations=count_operations(network, image),
        predict_bytes=peak_bytes(network, image, training=False),
        train_bytes=peak_bytes(network, image, training=True),
        widths=network.body.widths,
        source=doc.splitlines()[0] if doc else "",
    )


def solve(recipe: ModelRecipe, outputs: int, size: tuple[int, int] | None = None) -> ModelRecipe:
    """The recipe with the widths that reach its `params` or `gflops`, to within 2 %; unchanged if it has neither.

    All widths keep their proportions. `size` (rows, columns) is what operations are counted at. Raises InputError
    if the network has no width to choose, or none reaches the goal.
    """
    if recipe.params is None and recipe.gflops is None:
        return recipe
    if recipe.params is not None and recipe.gflops is not None:
        raise InputError("model.params and model.gflops are two goals for the same widths; leave one of them null.")
    at_size = size or DEFAULT_SIZE
    if recipe.params is not None:
        goal, said = float(recipe.params), "parameters"
    else:
        goal, said = 1e9 * (recipe.gflops or 0), f"operations at {at_size[0]} x {at_size[1]}"
    start = recipe.model_copy(update={"params": None, "gflops": None})
    proportions = on_meta(start, outputs).body.widths
    if not proportions:
        raise InputError(
            f"'{recipe.architecture or recipe.name}' has no width to choose; set model.{_key(recipe)} to null."
        )

    def at(factor: float) -> Found:
        widened = scaled(start, proportions, factor)
        network = on_meta(widened, outputs)
        cost = parameter_count(network) if recipe.params is not None else count_operations(network, blank(at_size))
        return cost / goal, widened

    ratio, found = nearest(at, proportions)
    if abs(ratio - 1) > TOLERANCE:
        raise InputError(
            f"model.{_key(recipe)}: no width of '{recipe.name}' comes within {TOLERANCE:.0%} of {goal:,.0f} {said}; "
            f"the nearest has {ratio * goal:,.0f}."
        )
    return found


def measured(asked: ModelRecipe, solved: ModelRecipe, outputs: int, size: tuple[int, int] | None = None) -> str:
    """What a solved budget came to, beside what was asked for."""
    network = on_meta(solved, outputs)
    if asked.params is not None:
        return f"{parameter_count(network):,} parameters, {asked.params:,} asked for"
    assert asked.gflops is not None
    reached = count_operations(network, blank(size or DEFAULT_SIZE)) / 1e9
    return f"{reached:.4g} * 10^9 operations, {asked.gflops:g} * 10^9 asked for"


def scaled(recipe: ModelRecipe, proportions: Sequence[int], factor: float) -> ModelRecipe:
    """The recipe with `proportions` times `factor` as widths, never below 1."""
    changes: dict[str, Any] = {"width": None, "widths": tuple(max(1, round(width * factor)) for width in proportions)}
    if recipe.decoder_width is not None:
        changes["decoder_width"] = max(1, round(recipe.decoder_width * factor))
    return recipe.model_copy(update=changes)


def nearest(at: Callable[[float], Found], proportions: Sequence[int]) -> Found:
    """The share of the goal nearest to 1, and its recipe.

    Every cost grows with the factor, roughly as a power of it: on logarithmic axes a straight line through the
    nearest values below and above hits the goal within a few steps.
    """
    low, high = 0.5 / max(proportions), 1.0
    below, above = at(low), at(high)
    best = min(below, above, key=_distance)
    while above[0] < 1 and high * max(proportions) < WIDEST:
        low, below, high = high, above, 2 * high
        above = at(high)
        best = min(best, above, key=_distance)
    for step in range(24):
        if _distance(best) <= CLOSE or not below[0] < 1 < above[0] or high / low < 1 + 0.1 / max(proportions):
            break
        share = math.log(1 / below[0]) / math.log(above[0] / below[0])
        # Every third step halves: a line can creep along a curve.
        share = 0.5 if step % 3 == 2 else min(0.95, max(0.05, share))
        middle = low ** (1 - share) * high**share
        found = at(middle)
        best = min(best, found, key=_distance)
        if found[0] < 1:
            low, below = middle, found
        else:
            high, above = middle, found
    # Round numbers where they do as well: 64, 128, 256 rather than 64, 128, 255.
    used = best[1].widths
    assert used is not None
    even = at(round(used[0]) / proportions[0])
    return even if _distance(even) <= max(EVEN, _distance(best)) else best


def on_meta(recipe: ModelRecipe, outputs: int) -> Network:
    """The network without numbers; one that answers prompts always has one output."""
    try:
        with torch.device("meta"):
            return build_prompted(recipe) if recipe.name in PROMPT_MODELS else build(recipe, outputs)
    except InputError:
        raise
    except RuntimeError:  # some encoders compute with numbers while they are built
        return build(recipe, outputs).to("meta")


def count_operations(network: torch.nn.Module, image: torch.Tensor) -> int:
    """Operations of convolutions and matrix products for one prediction; other layers add a few per cent."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval()(image)
    return int(counter.get_total_flops())


def blank(size: tuple[int, int]) -> torch.Tensor:
    """A batch of one image of that size, without numbers."""
    return torch.zeros(1, 3, *size, dtype=torch.uint8, device="meta")


def _distance(found: Found) -> float:
    return abs(found[0] - 1)


def _key(recipe: ModelRecipe) -> str:
    return "params" if recipe.params is not None else "gflops"
