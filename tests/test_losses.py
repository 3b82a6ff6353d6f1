"""The contract of every loss in LOSSES, and each against its definition and against other implementations."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from maskwright.config import LossRecipe
from maskwright.losses import (
    CLASS_WEIGHTS,
    LOSSES,
    ONE_AGAINST_REST,
    OPTIONS,
    PIXEL,
    REGION,
    Frequencies,
    LossFunction,
    Terms,
    build_loss,
    class_weights,
    describe,
    outputs_for,
    without_effect,
)
from maskwright.losses.pixels import near_boundary
from maskwright.types import Classes, InputError

CLASSES = Classes.from_names(["background", "disc", "box"])
TWO = Classes.from_names(["background", "disc"])
IGNORE = 255
NAMES = list(LOSSES)
EXACT_HINGE = {"lovasz_hinge"}  # its gradient is 0 at pixels that are right by a margin, by definition


def data(outputs: int = 3, seed: int = 0, *, ignored: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, outputs, 7, 9, generator=generator)
    target = torch.randint(0, max(2, outputs), (2, 7, 9), generator=generator)
    if ignored:
        target[:, 2:4, 3:] = IGNORE
    return logits, target.to(torch.uint8)


def recipe_of(name: str, **options: object) -> LossRecipe:
    return LossRecipe.model_validate({"name": name, **options})


def loss_of(name: str, classes: Classes = CLASSES, **options: object) -> LossFunction:
    return build_loss(recipe_of(name, **options), classes)


def table(count: int) -> Classes:
    return Classes.from_names([f"c{i}" for i in range(max(2, count))])


def perfect_logits(target: Tensor, outputs: int) -> Tensor:
    ids = torch.arange(outputs) if outputs > 1 else torch.ones(1)
    return 40 * (2 * (target.unsqueeze(1) == ids.view(1, -1, 1, 1)).float() - 1)


def gradient(loss: LossFunction, logits: Tensor, target: Tensor) -> tuple[float, Tensor]:
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, target)
    assert value.shape == ()
    value.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    return float(value.detach()), logits.grad


# ---------------------------------------------------------------- the definitions, pixel by pixel


def slow(logits: Tensor, target: Tensor, terms: Terms) -> float:
    name, recipe = terms.recipe.name, terms.recipe
    if name.endswith("_dice"):
        parts = [
            slow(logits, target, Terms(**{**vars(terms), "recipe": recipe.model_copy(update={"name": part})}))
            for part in (name.removesuffix("_dice"), "dice")
        ]
        return (1 - recipe.mix) * parts[0] + recipe.mix * parts[1]
    places = [p for p in np.ndindex(*target.shape) if int(target[p]) != terms.ignore]
    truths = [int(target[p]) for p in places]
    raws = [[float(v) for v in logits[p[0], :, p[1], p[2]]] for p in places]
    if name in REGION:
        return slow_region(raws, truths, terms)
    weights = [1.0 if terms.weight_K is None else float(terms.weight_K[t]) for t in truths]
    if name == "boundary":
        weights = [
            w * (recipe.boundary_weight if slow_near(target, p, terms) else 1)
            for w, p in zip(weights, places, strict=True)
        ]
    costs = [(w * slow_pixel(raw, t, terms), w) for w, raw, t in zip(weights, raws, truths, strict=True)]
    if recipe.hard_share < 1:
        costs = sorted(costs, reverse=True)[: max(1, round(recipe.hard_share * len(costs)))]
    return sum(cost for cost, _ in costs) / sum(weight for _, weight in costs)


def slow_probs(raw: list[float]) -> list[float]:
    two = [0.0, *raw] if len(raw) == 1 else raw
    return [math.exp(a) / sum(math.exp(b) for b in two) for a in two]


def slow_pixel(raw: list[float], truth: int, terms: Terms) -> float:
    recipe = terms.recipe
    if recipe.name in ("bce", "binary_focal"):
        each = []
        for k, z in enumerate(raw):
            yes = truth == (k if len(raw) > 1 else 1)
            p = 1 / (1 + math.exp(-z))
            if recipe.name == "bce":
                t = (1 - recipe.smoothing) * yes + recipe.smoothing / 2
                each.append(-t * math.log(p) - (1 - t) * math.log(1 - p))
            else:
                alpha = 0.25 if recipe.alpha is None else recipe.alpha
                true = p if yes else 1 - p
                each.append((alpha if yes else 1 - alpha) * -((1 - true) ** recipe.gamma) * math.log(true))
        return sum(each) / len(each)
    probs = slow_probs(raw)
    if recipe.name == "focal":
        weight = 1.0 if recipe.alpha is None else 1 - recipe.alpha if truth == terms.background else recipe.alpha
        return -weight * math.pow(1 - probs[truth], recipe.gamma) * math.log(probs[truth])
    spread = sum(-math.log(p) for p in probs) / len(probs)
    return -(1 - recipe.smoothing) * math.log(probs[truth]) + recipe.smoothing * spread


def slow_near(target: Tensor, place: tuple[int, ...], terms: Terms) -> bool:
    n, y, x = place
    r = terms.recipe.boundary_px
    window = target[n, max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1]
    return bool(((window != terms.ignore) & (window != target[place])).any())


def slow_region(raws: list[list[float]], truths: list[int], terms: Terms) -> float:
    recipe, hinge = terms.recipe, terms.recipe.name == "lovasz_hinge"
    columns = raws if hinge else [slow_probs(raw) for raw in raws]
    ids = range(len(columns[0])) if len(columns[0]) > 1 else [1]
    losses = []
    for column, k in enumerate(ids):
        values, hits = [c[column] for c in columns], [t == k for t in truths]
        if k == terms.left_out or (recipe.absent == "skip" and not any(hits) and len(columns[0]) > 1):
            continue
        if recipe.name.startswith("lovasz"):
            errors = [
                max(0.0, 1 - v * (1 if h else -1)) if hinge else abs(h - v) for v, h in zip(values, hits, strict=True)
            ]
            losses.append(slow_lovasz(errors, hits))
            continue
        found, truth, guess = sum(v for v, h in zip(values, hits, strict=True) if h), sum(hits), sum(values)
        a, b = {"dice": (0.5, 0.5), "iou": (1.0, 1.0)}.get(recipe.name, (recipe.tversky_fp, recipe.tversky_fn))
        index = found / (found + a * (guess - found) + b * (truth - found)) if truth else 1 / (1 + guess)
        power = 1 / recipe.tversky_gamma if recipe.name == "focal_tversky" and truth else 1
        losses.append((1 - index) ** power)
    return sum(losses) / len(losses)


def slow_lovasz(errors: list[float], hits: list[bool]) -> float:
    """The Lovász extension by its definition: Jaccard loss of the growing set of the worst pixels (Berman, eq. 9)."""

    def jaccard_loss(wrong: set[int]) -> float:
        union = {i for i, hit in enumerate(hits) if hit} | wrong
        kept = {i for i, hit in enumerate(hits) if hit} - wrong
        return 1 - len(kept) / len(union) if union else 0.0

    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    rises = (jaccard_loss(set(order[: i + 1])) - jaccard_loss(set(order[:i])) for i in range(len(order)))
    return sum(errors[i] * rise for i, rise in zip(order, rises, strict=True))


VARIANTS: list[dict[str, Any]] = [
    {},
    {"weights": "inverse", "gamma": 1.5, "alpha": 0.7, "mix": 0.3, "tversky_fp": 0.4, "tversky_gamma": 2.0},
    {"smoothing": 0.1, "hard_share": 0.3, "boundary_px": 1, "boundary_weight": 3.0, "foreground_only": True},
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 3, 6])
@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_agrees_with_the_definition(name: str, outputs: int, variant: int) -> None:
    logits, target = data(outputs, seed=outputs)
    weight = torch.linspace(0.5, 3, max(2, outputs)) if "weights" in VARIANTS[variant] else None
    recipe = recipe_of(name, **VARIANTS[variant])
    terms = Terms(ignore=IGNORE, background=0, weight_K=weight, recipe=recipe)
    fast = LOSSES[name](logits, target.long(), terms)
    assert float(fast) == pytest.approx(slow(logits.double(), target, terms), rel=1e-5)


@pytest.mark.parametrize("name", sorted(REGION))
@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("absent", ["skip", "count"])
def test_an_absent_class_costs_what_the_recipe_says(name: str, outputs: int, absent: str) -> None:
    logits, target = data(outputs)
    target[target == max(1, outputs - 1)] = 0
    terms = Terms(ignore=IGNORE, background=0, recipe=recipe_of(name, absent=absent))
    assert float(LOSSES[name](logits, target.long(), terms)) == pytest.approx(
        slow(logits.double(), target, terms), rel=1e-5, abs=1e-7
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_the_gradient_is_that_of_finite_differences(name: str, outputs: int, variant: int) -> None:
    logits, target = data(outputs, seed=3)
    recipe = recipe_of(name, **{**VARIANTS[variant], "weights": None})
    terms = Terms(ignore=IGNORE, background=0, recipe=recipe)

    def loss(values: Tensor) -> Tensor:
        return LOSSES[name](values, target.long(), terms)

    at = logits.double().requires_grad_()
    loss(at).backward()  # type: ignore[no-untyped-call]
    assert at.grad is not None
    for place in [(0, 0, 0, 0), (1, outputs - 1, 6, 8), (0, 0, 2, 5), (1, 0, 5, 2)]:
        step = torch.zeros_like(at)
        step[place] = 1e-5
        with torch.no_grad():
            measured = float(loss(at + step) - loss(at - step)) / 2e-5
        assert float(at.grad[place]) == pytest.approx(measured, rel=1e-4, abs=1e-9)


# ---------------------------------------------------------------- against others


def test_cross_entropy_with_weights_is_torchs() -> None:
    logits, target = data(4)
    weight = torch.tensor([0.3, 1.0, 2.0, 5.0])
    terms = Terms(ignore=IGNORE, weight_K=weight)
    ours = LOSSES["cross_entropy"](logits, target.long(), terms)
    torch.testing.assert_close(ours, torch.nn.CrossEntropyLoss(weight, ignore_index=IGNORE)(logits, target.long()))
    smooth = Terms(ignore=IGNORE, recipe=recipe_of("cross_entropy", smoothing=0.2))
    theirs = torch.nn.CrossEntropyLoss(ignore_index=IGNORE, label_smoothing=0.2)
    torch.testing.assert_close(LOSSES["cross_entropy"](logits, target.long(), smooth), theirs(logits, target.long()))


def test_binary_focal_is_torchvisions() -> None:
    from torchvision.ops import sigmoid_focal_loss  # type: ignore[import-untyped]

    logits, target = data(1, ignored=False)
    theirs = sigmoid_focal_loss(logits[:, 0], target.float(), alpha=0.25, gamma=2, reduction="mean")
    torch.testing.assert_close(LOSSES["binary_focal"](logits, target.long(), Terms(ignore=IGNORE)), theirs)


@pytest.mark.parametrize("name", ["dice", "iou", "tversky", "lovasz", "lovasz_hinge", "focal", "cross_entropy"])
def test_agrees_with_segmentation_models(name: str) -> None:
    from segmentation_models_pytorch import losses as theirs

    # All classes present and nothing ignored where theirs has no such option.
    knows_ignore = name in ("dice", "tversky", "lovasz", "lovasz_hinge", "focal", "cross_entropy")
    logits, target = data(1 if name == "lovasz_hinge" else 4, seed=5, ignored=knows_ignore)
    ignored = {"ignore_index": IGNORE} if knows_ignore else {}
    modes = {"mode": "multiclass", **ignored}
    other = {
        "dice": lambda: theirs.DiceLoss(**modes),
        "iou": lambda: theirs.JaccardLoss("multiclass"),
        "tversky": lambda: theirs.TverskyLoss(alpha=0.3, beta=0.7, gamma=1.0, **modes),
        "lovasz": lambda: theirs.LovaszLoss(**modes),
        "lovasz_hinge": lambda: theirs.LovaszLoss("binary", ignore_index=IGNORE),
        "focal": lambda: theirs.FocalLoss(gamma=2.0, **modes),
        "cross_entropy": lambda: theirs.SoftCrossEntropyLoss(smooth_factor=0.0, ignore_index=IGNORE),
    }[name]()
    ours = float(LOSSES[name](logits, target.long(), Terms(ignore=IGNORE)))
    if name == "focal":  # theirs is a focal loss a class against the rest, over all valid pixels
        ours = (
            float(
                LOSSES["binary_focal"](
                    logits, target.long(), Terms(ignore=IGNORE, recipe=recipe_of("binary_focal", alpha=0.5))
                )
            )
            * 2
        )
    if name == "cross_entropy":  # theirs divides by all pixels, ignored ones among them
        ours *= float((target != IGNORE).float().mean())
    assert ours == pytest.approx(float(other(logits, target.long())), rel=1e-4)


@pytest.mark.parametrize("name", ["dice", "iou"])
def test_at_hard_predictions_it_is_one_minus_the_metric(name: str) -> None:
    from torchmetrics.functional.classification import multiclass_f1_score, multiclass_jaccard_index

    logits, target = data(4, seed=2)
    guess = logits.max(dim=1).indices
    metric = multiclass_f1_score if name == "dice" else multiclass_jaccard_index
    theirs = metric(guess, target.long(), num_classes=4, average="macro", ignore_index=IGNORE)
    ours = LOSSES[name](perfect_logits(guess, 4), target.long(), Terms(ignore=IGNORE))
    assert float(ours) == pytest.approx(1 - float(theirs), rel=1e-5)


# ---------------------------------------------------------------- the contract


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 5])
@pytest.mark.parametrize("absent", ["skip", "count"])
def test_about_zero_at_perfect_logits_and_clearly_above_at_wrong_ones(name: str, outputs: int, absent: str) -> None:
    _, target = data(outputs)
    target[target == outputs - 1] = 0
    perfect = perfect_logits(target, outputs)
    loss = loss_of(name, table(outputs), absent=absent)
    assert 0 <= float(loss(perfect, target)) < 1e-5
    assert float(loss(-perfect, target)) > 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_a_worse_prediction_has_a_larger_loss(name: str, outputs: int) -> None:
    _, target = data(outputs)
    perfect = perfect_logits(target, outputs) / 40
    loss = loss_of(name, table(outputs))
    values = [float(loss(3 * (1 - 2 * wrong) * perfect, target)) for wrong in torch.linspace(0, 1, 9)]
    # A margin loss is flat where every pixel is right by the margin.
    flat = name in EXACT_HINGE
    assert all(worse > better or (flat and worse == better == 0) for better, worse in pairwise(values))
    assert values[-1] > values[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"gamma": 0.5}, {}, {"smoothing": 0.1}, {"absent": "count"}])
def test_ignored_pixels_get_a_gradient_of_exactly_zero(name: str, outputs: int, options: dict[str, Any]) -> None:
    logits, target = data(outputs)
    loss = loss_of(name, TWO if outputs < 3 else CLASSES, **options)
    value, grad = gradient(loss, logits, target)
    hidden = (target == IGNORE).unsqueeze(1).expand_as(grad)
    assert (grad[hidden] == 0).all()
    assert (grad[~hidden] != 0).float().mean() > (0.3 if name in EXACT_HINGE else 0.9)
    other = logits.clone()
    other[hidden] += 100
    assert gradient(loss, other, target)[0] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("options", [{}, {"hard_share": 0.2}, {"absent": "count"}, {"foreground_only": True}])
def test_all_ignored_is_zero_with_a_zero_gradient(name: str, outputs: int, options: dict[str, Any]) -> None:
    logits, target = data(outputs)
    value, grad = gradient(loss_of(name, CLASSES, **options), logits, torch.full_like(target, IGNORE))
    assert value == 0
    assert (grad == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_absent_class_is_finite_and_still_costs_the_others(name: str) -> None:
    logits, target = data(3)
    target[target == 2] = 1
    loss = loss_of(name)
    value, grad = gradient(loss, logits, target)
    assert math.isfinite(value)
    assert grad.isfinite().all()
    towards = logits.clone()
    towards[:, 2] += 5
    if name not in EXACT_HINGE:  # there a class has nothing to do with the others' logits
        assert float(loss(towards, target)) > value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_one_class_alone_is_learned(name: str, outputs: int) -> None:
    logits, target = data(outputs)
    target[target != IGNORE] = 1
    loss = loss_of(name, TWO if outputs < 3 else CLASSES)
    value, grad = gradient(loss, logits, target)
    assert math.isfinite(value)
    assert float(loss(logits - 0.1 * grad / grad.abs().max(), target)) < value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("options", [{"gamma": 0.5}, {}, {"hard_share": 0.2, "absent": "count", "smoothing": 0.1}])
def test_extreme_logits_are_finite(name: str, outputs: int, options: dict[str, Any]) -> None:
    logits, target = data(outputs)
    for scale in (1e4, -1e4, 1e20, 0.0):
        value, grad = gradient(loss_of(name, **options), logits * scale, target)
        assert math.isfinite(value)
        assert grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_single_under_autocast_too(name: str, dtype: torch.dtype) -> None:
    logits, target = data(3)
    half = logits.to(dtype)
    with torch.autocast("cpu", dtype):
        value, grad = gradient(loss_of(name), half, target)
    assert grad.dtype == dtype
    assert value == pytest.approx(float(loss_of(name)(half.float(), target)), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_names_of_classes_do_not_matter(name: str, variant: int) -> None:
    logits, target = data(4, seed=7)
    order = torch.tensor([2, 0, 3, 1])
    renamed = torch.where(target == IGNORE, target, order.to(torch.uint8)[target.long().clamp_max(3)])
    weight = torch.tensor([0.5, 1.0, 3.0, 2.0]) if "weights" in VARIANTS[variant] else None
    options = {**VARIANTS[variant], "foreground_only": False, "alpha": None if name != "binary_focal" else 0.6}
    recipe = recipe_of(name, **options)
    moved = torch.empty_like(logits)
    moved[:, order] = logits
    weights = None if weight is None else torch.empty_like(weight).index_copy(0, order, weight)
    one = build_loss(recipe, table(4), weight)(logits, target)
    other = build_loss(recipe, table(4), weights)(moved, renamed)
    assert float(one) == pytest.approx(float(other), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_logit_is_the_same_as_two_where_one_is_zero(name: str) -> None:
    logits, target = data(1)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    one = float(loss_of(name, TWO)(logits, target))
    if name == "bce":  # each class against the rest differs; one logit is the cross entropy of two
        assert one == pytest.approx(float(loss_of("cross_entropy", TWO)(both, target)), rel=1e-6)
    elif name == "binary_focal":
        assert one == pytest.approx(float(loss_of("focal", TWO, alpha=0.25)(both, target)), rel=1e-6)
    elif name not in ONE_AGAINST_REST:
        assert one == pytest.approx(float(loss_of(name, TWO)(both, target)), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"absent": "count"}, {"smoothing": 0.2}])
def test_the_recipe_may_leave_the_background_out(name: str, options: dict[str, Any]) -> None:
    logits, target = data(3)
    loss = loss_of(name, background=False, **options)
    value, grad = gradient(loss, logits, target)
    without = torch.where(target == 0, IGNORE, target)
    assert value == gradient(loss, logits, without)[0]
    assert (grad[(target == 0).unsqueeze(1).expand_as(grad)] == 0).all()
    if not options:
        assert value == gradient(loss_of(name), logits, without)[0]
    none = Classes.from_names(["sky", "road", "car"])
    assert (
        gradient(loss_of(name, none, background=False), logits, target)[0]
        == gradient(loss_of(name, none), logits, target)[0]
    )


def test_one_class_beside_the_background_cannot_be_learned_without_it() -> None:
    with pytest.raises(InputError, match=r"leaves the one class 'disc'.*set it to true"):
        loss_of("dice", TWO, background=False)


def test_foreground_alone_has_a_term_but_background_pixels_still_count() -> None:
    logits, target = data(2)
    probs, disc, valid = logits.softmax(dim=1)[:, 1], target == 1, target != IGNORE
    hit, both = (probs * disc).sum(), (probs * valid).sum() + disc.sum()
    value = float(loss_of("dice", TWO, foreground_only=True)(logits, target))
    assert value == pytest.approx(float(1 - 2 * hit / both), rel=1e-5)


# ---------------------------------------------------------------- single losses and options


def test_focal_without_damping_is_cross_entropy() -> None:
    logits, target = data(3)
    assert float(loss_of("focal", gamma=0)(logits, target)) == pytest.approx(
        float(loss_of("cross_entropy")(logits, target)), rel=1e-6
    )


def test_tversky_contains_dice_and_iou() -> None:
    logits, target = data(3)
    for share, name in ((0.5, "dice"), (1.0, "iou")):
        value = float(loss_of("tversky", tversky_fp=share, tversky_fn=share)(logits, target))
        assert value == pytest.approx(float(loss_of(name)(logits, target)), rel=1e-5)
        plain = float(loss_of("focal_tversky", tversky_fp=share, tversky_fn=share, tversky_gamma=1.0)(logits, target))
        assert plain == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("name", ["dice", "iou", "tversky"])
def test_sums_of_many_pixels_lose_little_in_single_precision(name: str) -> None:
    logits = torch.tensor([0.0, -0.6]).view(1, 2, 1, 1).expand(1, 2, 2000, 2000)
    target = torch.zeros(1, 2000, 2000, dtype=torch.long)
    share = 1 / (1 + math.exp(-0.6))
    fn = {"dice": 0.5, "iou": 1.0, "tversky": 0.7}[name]
    value = LOSSES[name](logits, target, Terms(ignore=IGNORE))
    assert float(value) == pytest.approx(1 - share / (share + fn * (1 - share)), rel=2e-3)


def test_lovasz_of_a_million_pixels_is_exact_in_single_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 1000, 1000, generator=generator)
    target = (torch.rand(1, 1000, 1000, generator=generator) < 0.02).long()
    single = LOSSES["lovasz"](logits, target, Terms(ignore=IGNORE))
    double = LOSSES["lovasz"](logits.double(), target, Terms(ignore=IGNORE))
    assert float(single) == pytest.approx(float(double), rel=1e-5)


def test_hard_pixels_are_the_worst_ones_and_ties_stay_together() -> None:
    logits, target = data(3)
    every = torch.nn.functional.cross_entropy(logits, target.long(), ignore_index=IGNORE, reduction="none")
    worst = every[target != IGNORE].sort(descending=True).values
    keep = round(0.25 * len(worst))
    assert float(loss_of("cross_entropy", hard_share=0.25)(logits, target)) == pytest.approx(float(worst[:keep].mean()))
    _, grad = gradient(loss_of("cross_entropy", hard_share=0.25), logits, target)
    assert int((grad.abs().sum(dim=1) > 0).sum()) == keep
    _, even = gradient(loss_of("cross_entropy", hard_share=0.25), torch.zeros_like(logits), target)
    assert int((even.abs().sum(dim=1) > 0).sum()) == len(worst)


def test_near_boundary_is_a_band_that_ignored_pixels_do_not_widen() -> None:
    target = torch.zeros(1, 9, 12, dtype=torch.long)
    target[:, :, 6:] = 3
    target[:, 4:] = IGNORE
    near = near_boundary(target, IGNORE, 2)
    assert near[0, :4].sum(dim=0).tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0]
    assert not near[0, 4:].any()


def test_the_boundary_loss_weighs_pixels_near_another_class() -> None:
    logits, target = data(3)
    target[:, :, :6] = 1
    assert float(loss_of("boundary", boundary_weight=1.0)(logits, target)) == pytest.approx(
        float(loss_of("cross_entropy")(logits, target))
    )
    _, grad = gradient(loss_of("boundary", boundary_weight=50.0, boundary_px=1), torch.zeros_like(logits), target)
    sizes = grad.abs().sum(dim=1)
    assert float(sizes[0, 0, 6] / sizes[0, 0, 1]) == pytest.approx(50)


def test_dice_over_classes_that_an_image_lacks_is_large_where_every_pixel_is_right() -> None:
    # The example of docs/losses.md: 13 classes, 4 of them in the image, 0.85 for the right one at every pixel.
    target = torch.arange(4).repeat_interleave(1000).view(1, 40, 100)
    probs = torch.full((1, 13, 40, 100), 0.15 / 12).scatter(1, target.unsqueeze(1), 0.85)
    values = {how: float(loss_of("dice", table(13), absent=how)(probs.log(), target)) for how in ("count", "skip")}
    dice = 2 * 850 / (1000 + 850 + 3000 * 0.0125)
    assert values["skip"] == pytest.approx(1 - dice, rel=1e-4) == pytest.approx(0.099, abs=5e-4)
    assert (
        values["count"]
        == pytest.approx((4 * (1 - dice) + 9 * 50 / 51) / 13, rel=1e-4)
        == pytest.approx(0.709, abs=5e-4)
    )


# ---------------------------------------------------------------- class weights


def counted(pixels: list[int], shown: list[int] | None = None, images: int = 100) -> Frequencies:
    pixels_K = np.array(pixels, np.int64)
    return Frequencies(
        pixels_K=pixels_K, shown_K=pixels_K if shown is None else np.array(shown, np.int64), images=images
    )


@pytest.mark.parametrize("rule", CLASS_WEIGHTS)
def test_weights_have_a_mean_of_one_over_pixels_and_none_for_what_is_not_there(rule: str) -> None:
    found = counted([90_000, 9_000, 1_000, 0], [100_000, 50_000, 2_000, 0])
    weight = class_weights(found, LossRecipe(weights=rule, class_power=0.7 if rule == "power" else 0.0))
    pixels = torch.from_numpy(found.pixels_K)
    assert float((weight * pixels).sum() / pixels.sum()) == pytest.approx(1)
    assert weight[3] == 0
    assert weight[0] < weight[1] <= weight[2] or rule == "median_frequency"
    without = class_weights(found, LossRecipe(weights=rule, class_power=0.7), left_out=0)
    assert without[0] == 0
    assert float((without * pixels)[1:].sum() / pixels[1:].sum()) == pytest.approx(1)


def test_weights_follow_the_named_rules() -> None:
    found = counted([90_000, 9_000, 1_000], [100_000, 50_000, 2_000])

    def ratio(rule: str, **options: float) -> float:
        weight = class_weights(found, LossRecipe.model_validate({"weights": rule, **options}))
        return float(weight[2] / weight[0])

    assert ratio("inverse") == pytest.approx(90)
    assert ratio("inverse_sqrt") == pytest.approx(90**0.5)
    assert ratio("power", class_power=0.25) == pytest.approx(90**0.25)
    assert ratio("median_frequency") == pytest.approx((90 / 100) / (1 / 2))
    numbers = [1 - 0.99 ** (100 * share) for share in (0.9, 0.01)]
    assert ratio("effective_number", effective_beta=0.99) == pytest.approx(numbers[0] / numbers[1])
    assert ratio("effective_number", effective_beta=0.0) == pytest.approx(1)
    alone = class_weights(found, LossRecipe(class_power=0.25))
    assert float(alone[2] / alone[0]) == pytest.approx(90**0.25)


def test_weights_enter_the_loss() -> None:
    logits, target = data(3)
    recipe = LossRecipe(name="cross_entropy", weights="inverse")
    weight = class_weights(counted([8_000, 1_500, 500]), recipe)
    expected = Terms(ignore=IGNORE, background=0, weight_K=weight)
    value = float(build_loss(recipe, CLASSES, weight)(logits, target))
    assert value == pytest.approx(slow(logits, target, expected), rel=1e-5)


def test_an_unknown_rule_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Unknown rule in loss\.weights 'invers'\. Did you mean 'inverse'"):
        class_weights(counted([1, 2]), LossRecipe(weights="invers"))


# ---------------------------------------------------------------- recipes


@pytest.mark.parametrize(
    ("name", "classes", "outputs"),
    [("bce", TWO, 1), ("bce", CLASSES, 3), ("binary_focal", TWO, 1), ("lovasz_hinge", TWO, 1), ("dice", TWO, 2),
     ("cross_entropy", CLASSES, 3)],
)  # fmt: skip
def test_outputs_for(name: str, classes: Classes, outputs: int) -> None:
    assert outputs_for(LossRecipe(name=name), classes) == outputs
    if outputs == 1:
        assert outputs_for(LossRecipe(name=name), Classes.from_names(["sky", "road"])) == 2


def test_an_unknown_loss_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Unknown loss 'dise'\. Did you mean 'dice'"):
        loss_of("dise")


def test_every_loss_has_its_options() -> None:
    assert set(LOSSES) == PIXEL | REGION
    assert set(OPTIONS) <= set(LossRecipe.model_fields)


def test_a_loss_says_what_it_is_a_mean_of() -> None:
    assert describe(LossRecipe(), CLASSES) == "cross_entropy"
    assert describe(LossRecipe(name="dice"), CLASSES) == "dice, over the classes that a batch holds"
    every = LossRecipe(name="focal_dice", absent="count", weights="inverse", background=False)
    assert describe(every, CLASSES) == (
        "focal_dice, over all classes, absent ones counted near 1, pixels weighed by inverse, "
        "without pixels labelled background"
    )
    assert describe(LossRecipe(name="iou", foreground_only=True), TWO).endswith("without a term for background")


def test_options_without_effect_are_named() -> None:
    assert without_effect(LossRecipe(name="focal_dice", alpha=0.25, mix=0.3), CLASSES) == []
    found = without_effect(LossRecipe(name="dice", weights="inverse", smoothing=0.1), CLASSES)
    assert [text.split()[0] for text in found] == ["loss.weights", "loss.smoothing"]
    sky = Classes.from_names(["sky", "road"])
    assert "no class of the table is marked as background" in without_effect(LossRecipe(background=False), sky)[0]
    assert "class_power" in without_effect(LossRecipe(class_power=0.5, weights="inverse"), CLASSES)[0]
