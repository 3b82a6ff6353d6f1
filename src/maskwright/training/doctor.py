"""Before step 1: the run's own loss on its first batch, and that batch as a picture.

What is wrong with a loss, a class weight or a mask shows here in a second, not after a night of training.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from maskwright.config import Recipe
from maskwright.console import say
from maskwright.files import write_json
from maskwright.imageio import write_image
from maskwright.infer.device import arithmetic
from maskwright.losses import LossFunction, without_effect
from maskwright.run import Run
from maskwright.training.sheet import draw_batch
from maskwright.training.weigh import ratio
from maskwright.types import Classes, InputError

Batch = tuple[Tensor, Tensor]

IMAGES = 2
SIDE_PX = 128
GRID_PX = 64
BATCHES_TO_TRY = 4
LARGEST_RATIO = 100.0
MARGIN = 12.0  # logits apart: sure, and far from where single precision ends


@dataclass(frozen=True)
class Check:
    """One question to the loss: whether the answer is as it should be, the number found, and what to say if not."""

    name: str
    ok: bool
    found: float
    says: str


def examine(
    run: Run,
    network: nn.Module,
    loss: LossFunction,
    batches: DataLoader[Batch],
    pixels_K: NDArray[np.int64],
    weight_K: Tensor | None,
) -> list[Check]:
    """Check the loss on a training's first batch; write `doctor.json`, `samples/first_batch.png`; say what is odd.

    `pixels_K` counts the training masks' labelled pixels by class. The network and all random numbers stay as they
    are. The gradient is taken on the two images with the most labels and every n-th row and column of them, and so
    costs less than a training step. Raises InputError where nothing could be learned: every pixel is ignored, or the
    loss is not finite. With `loss.check: false` only the first of these is looked at.
    """
    recipe, classes, began = run.recipe, run.classes, time.perf_counter()
    require_labels(pixels_K, recipe, classes)
    if not recipe.loss.check:
        return []
    batch = first_batch(batches, classes.ignore)
    write_image(run.path / "samples" / "first_batch.png", draw_batch(*batch, classes))
    found = [about_recipe(recipe, classes), *about_data(batch, pixels_K, weight_K, classes)]
    found += examine_loss(network, loss, batch, recipe, classes)
    write_checks(run, found, round(time.perf_counter() - began, 2))
    return found


def examine_loss(network: nn.Module, loss: LossFunction, batch: Batch, recipe: Recipe, classes: Classes) -> list[Check]:
    """The checks of the loss: through the network, and by itself; `classes` are those that the logits are about."""
    device = torch.device(recipe.train.device)
    step = max(1, max(batch[1].shape[-2:]) // SIDE_PX)
    fullest = (batch[1] != classes.ignore).flatten(1).sum(dim=1).argsort(descending=True, stable=True)[:IMAGES]
    image_N3HW, target_NHW = (part[fullest, ..., ::step, ::step].to(device) for part in batch)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        logits, steps = check_step(copy.deepcopy(network).to(device), loss, (image_N3HW, target_NHW), recipe)
    return [*steps, *(check_function(loss, logits, target_NHW, classes) if steps[0].ok else [])]


def write_checks(run: Run, found: list[Check], seconds: float) -> None:
    """Keep what was found in `doctor.json`, and say it; raises InputError for what is fatal."""
    rows = [
        {
            "name": check.name,
            "ok": check.ok,
            "found": float(f"{check.found:.6g}"),
            "says": "" if check.ok else check.says,
        }
        for check in found
    ]
    write_json(run.path / "doctor.json", {"loss": run.recipe.loss.name, "seconds": seconds, "checks": rows})
    report(found, run.recipe.loss.name, seconds)


def report(found: list[Check], loss: str, seconds: float) -> None:
    """One line where all is well, else one sentence for each thing that is not; raises InputError for what is fatal."""
    wrong = [check for check in found if not check.ok]
    for check in wrong:
        if check.name == "finite":
            raise InputError(check.says)
        say(f"Loss doctor: {check.says}")
    if not wrong:
        value = next(check.found for check in found if check.name == "finite")
        say(f"Loss doctor: {len(found)} checks of '{loss}' passed in {seconds:.1f} s; it begins at {value:.3g}")


def require_labels(pixels_K: NDArray[np.int64], recipe: Recipe, classes: Classes) -> None:
    """Raise InputError where no pixel of the training masks enters the loss."""
    if not pixels_K.any():
        raise InputError(
            f"Every pixel of the training masks is ignored (id {classes.ignore}), so there is nothing to learn from; "
            "label some, or look for wrong ids with 'maskwright audit'."
        )
    back = classes.background
    if not recipe.loss.background and back is not None and not np.delete(pixels_K, back).any():
        raise InputError(
            f"Every labelled pixel of the training masks is '{classes.names[back]}', which loss.background: false "
            "leaves out; set it to true, or label other classes."
        )


def first_batch(batches: DataLoader[Batch], ignore: int) -> Batch:
    """The batch that training sees first, drawn in this process; a later one where all of its pixels are ignored."""
    assert batches.batch_sampler is not None
    seen: list[Batch] = []
    for keys, _ in zip(batches.batch_sampler, range(BATCHES_TO_TRY), strict=False):
        image_N3HW, target_NHW = batches.collate_fn([batches.dataset[key] for key in keys])
        seen.append((image_N3HW, target_NHW))
        if (target_NHW != ignore).any():
            return seen[-1]
    return seen[0]


def about_recipe(recipe: Recipe, classes: Classes) -> Check:
    """Options that are set and change nothing."""
    idle = without_effect(recipe.loss, classes)
    return Check("options", not idle, len(idle), "; ".join(idle) + ".")


def about_data(batch: Batch, pixels_K: NDArray[np.int64], weight_K: Tensor | None, classes: Classes) -> Iterator[Check]:
    """Images that show something, labels to learn from, class weights that are sane."""
    image_N3HW, target_NHW = batch
    spread, look = float(image_N3HW.float().std()), "open samples/first_batch.png."
    says = f"the first images are almost one grey (they spread by {spread:.2f} of 255 levels); {look}"
    yield Check("images", spread > 1, spread, says)
    share = float((target_NHW != classes.ignore).float().mean())
    yield Check("labels", share > 0, share, f"every pixel of the first {BATCHES_TO_TRY} batches is ignored; {look}")
    missing = [name for name, pixels in zip(classes.names, pixels_K, strict=True) if not pixels]
    says = f"no training pixel is labelled {', '.join(missing)}; what is never seen cannot be learned."
    yield Check("classes", not missing, len(missing), says)
    if weight_K is not None:
        most, heaviest = ratio(weight_K), classes.names[int(weight_K.argmax())]
        says = (
            f"class weights differ by a factor of {most:,.0f}, so that a few pixels of '{heaviest}' rule every step; "
            "try loss.weights=inverse_sqrt, or a smaller loss.class_power."
        )
        yield Check("weights", most <= LARGEST_RATIO, most, says)


def check_step(network: nn.Module, loss: LossFunction, batch: Batch, recipe: Recipe) -> tuple[Tensor, list[Check]]:
    """The loss through the network: finite, lower after a tiny step, the same in the run's arithmetic; and the logits.

    Changes the network's weights and statistics.
    """
    image_N3HW, target_NHW = batch
    network.train()

    def forward() -> tuple[Tensor, Tensor]:
        # The same dropout each time.
        torch.manual_seed(recipe.train.seed)
        logits_NKHW: Tensor = network(image_N3HW)
        return logits_NKHW, loss(logits_NKHW, target_NHW)

    logits, value = forward()
    before, name = float(value.detach()), recipe.loss.name
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(value, trained, allow_unused=True) if trained and value.requires_grad else ()
    slopes = [(parameter, slope) for parameter, slope in zip(trained, found, strict=False) if slope is not None]
    finite = math.isfinite(before) and all(bool(slope.isfinite().all()) for _, slope in slopes)
    says = (
        f"The loss '{name}' or its gradient is not finite on the first batch ({before:.3g}); check the weights that "
        "the network starts from and the options under loss, or choose another loss."
    )
    checks = [Check("finite", finite, before, says)]
    if not finite:
        return logits.detach(), checks
    with torch.no_grad(), arithmetic(image_N3HW.device, recipe.train.precision):
        mixed = float(forward()[1])
    says = f"the loss is {mixed:.4g} in {recipe.train.precision} and {before:.4g} in fp32; set train.precision=fp32."
    checks.append(Check("precision", abs(mixed - before) <= 0.1 * before + 1e-3, mixed, says))
    after = _after_step(slopes, before, lambda: float(forward()[1]))
    says = (
        f"a tiny step against its gradient does not lower the loss '{name}' ({before:.5g} to {after:.5g}), so training "
        "cannot either; are all weights frozen, or has the loss the wrong sign?"
    )
    checks.append(Check("step", after < before or before == 0, after, says))
    return logits.detach(), checks


@torch.no_grad()
def _after_step(slopes: list[tuple[nn.Parameter, Tensor]], before: float, again: Callable[[], float]) -> float:
    """The loss after a step that should lower it by 2 %, or by 0.2 % or 0.02 % where that is still too far."""
    steep, after = sum(float(slope.square().sum()) for _, slope in slopes), before
    if not steep:
        return before
    start = [parameter.clone() for parameter, _ in slopes]
    for share in (0.02, 0.002, 0.0002):
        for (parameter, slope), origin in zip(slopes, start, strict=True):
            parameter.copy_(origin - share * before / steep * slope)
        after = again()
        if after < before:
            break
    return after


def check_function(loss: LossFunction, logits_NKHW: Tensor, target_NHW: Tensor, classes: Classes) -> Iterator[Check]:
    """The loss itself, on every n-th row and column of real logits and labels, a quarter of them made ignored."""
    step = max(1, -(-max(target_NHW.shape[-2:]) // GRID_PX))
    logits, target = logits_NKHW[..., ::step, ::step].float(), target_NHW[..., ::step, ::step].clone()
    target[..., : max(1, target.shape[-1] // 4)] = classes.ignore
    ignored = target == classes.ignore
    value, slope = _value_and_slope(loss, logits, target)
    touched = slope.abs().amax(dim=1) > 0
    # Not every labelled pixel need have one: hinges and hard pixels leave out what is right.
    reached = float((touched & ~ignored).sum() / (~ignored).sum().clamp_min(1))
    says = "no labelled pixel has a gradient, so nothing is learned from it."
    yield Check("gradient", reached > 0 or value == 0, reached, says)
    leaked = int((touched & ignored).sum())
    yield Check(
        "ignored pixels", not leaked, leaked, f"{leaked} ignored pixels have a gradient; the loss must skip them."
    )
    value, slope = _value_and_slope(loss, logits, torch.full_like(target, classes.ignore))
    says = f"a batch in which all is ignored costs {value:.3g}; it must cost 0, without a gradient."
    yield Check("all ignored", value == 0 and not bool(slope.any()), value, says)
    yield from _check_labels(loss, logits, target, classes)
    half = logits.bfloat16()
    with torch.autocast(logits.device.type, torch.bfloat16):
        mixed = float(loss(half, target))
    single = float(loss(half.float(), target))
    says = f"the loss computes in half precision under autocast ({mixed:.5g}; {single:.5g} in single)."
    yield Check("autocast", abs(mixed - single) <= 1e-3 * abs(single) + 1e-6, mixed, says)


def _check_labels(loss: LossFunction, logits: Tensor, target: Tensor, classes: Classes) -> Iterator[Check]:
    valid = target != classes.ignore
    pixels_K = torch.bincount(target[valid].long(), minlength=len(classes))
    common, rare = int(pixels_K.argmax()), int(torch.where(pixels_K > 0, pixels_K, pixels_K.max()).argmin())
    one = torch.where(valid, torch.full_like(target, common), target)
    without = torch.where(target == rare, torch.full_like(target, classes.ignore), target)
    cases = {
        "one class": (logits, one, "where a batch shows one class only"),
        "absent class": (logits, without, "where a class is absent from the batch"),
        "extreme logits": (1e4 * logits, target, "at logits of tens of thousands"),
    }
    for name, (values, labels, where) in cases.items():
        value, slope = _value_and_slope(loss, values, labels)
        ok = math.isfinite(value) and bool(slope.isfinite().all())
        yield Check(name, ok, value, f"the loss or its gradient is not finite {where}.")
    right = _sure_logits(target, logits.shape[1])
    best, worst = float(loss(right, target)), float(loss(-right, target))
    says = f"being sure and right costs {best:.3g}, being sure and wrong {worst:.3g}: the loss has the wrong sign."
    yield Check("sign", best < worst or best == worst == 0, best, says)


def _sure_logits(target_NHW: Tensor, outputs: int) -> Tensor:
    ids = torch.arange(outputs, device=target_NHW.device) if outputs > 1 else torch.ones(1, device=target_NHW.device)
    return MARGIN * (2 * (target_NHW.unsqueeze(1) == ids.view(1, -1, 1, 1)).float() - 1)


def _value_and_slope(loss: LossFunction, logits: Tensor, target: Tensor) -> tuple[float, Tensor]:
    at = logits.detach().clone().requires_grad_()
    value = loss(at, target)
    slope = torch.autograd.grad(value, at)[0] if value.requires_grad else torch.zeros_like(at)
    return float(value.detach()), slope
