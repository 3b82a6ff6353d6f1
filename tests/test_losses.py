"""The contract of every loss in LOSSES, and each against a slow, plain implementation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from maskwright.config import LossRecipe
from maskwright.losses import LOSSES, LossFunction, Terms, build_loss, class_weights, outputs_for
from maskwright.types import Classes, InputError

CLASSES = Classes.from_names(["background", "disc", "box"])
TWO = Classes.from_names(["background", "disc"])
IGNORE = 255
NAMES = list(LOSSES)


def data(outputs: int = 3, seed: int = 0, *, ignored: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, outputs, 7, 9, generator=generator)
    target = torch.randint(0, max(2, outputs), (2, 7, 9), generator=generator)
    if ignored:
        target[:, 2:4, 3:] = IGNORE
    return logits, target.to(torch.uint8)


def loss_of(name: str, classes: Classes = CLASSES, **options: object) -> LossFunction:
    return build_loss(LossRecipe.model_validate({"name": name, **options}), classes)


def gradient(loss: LossFunction, logits: Tensor, target: Tensor) -> tuple[float, Tensor]:
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, target)
    assert value.shape == ()
    value.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    return float(value.detach()), logits.grad


def slow(name: str, logits: Tensor, target: Tensor, terms: Terms) -> float:
    """The definitions, pixel by pixel in double precision."""
    count = logits.shape[1]
    pixels = [
        (int(t), [float(v) for v in logits[n, :, y, x]])
        for n, y, x in torch.cartesian_prod(*[torch.arange(size) for size in target.shape]).tolist()
        for t in [target[n, y, x]]
        if int(t) != terms.ignore
    ]
    if name in ("cross_entropy_dice", "focal_dice"):
        first = slow(name.removesuffix("_dice"), logits, target, terms)
        return (1 - terms.mix) * first + terms.mix * slow("dice", logits, target, terms)
    two = [(t, [0.0, *v] if count == 1 else v) for t, v in pixels]
    probs = [(t, [math.exp(a) / sum(math.exp(b) for b in v) for a in v]) for t, v in two]
    if name == "dice":
        parts = []
        for k in sorted({t for t, _ in probs}):
            hit = sum(p[k] for t, p in probs if t == k)
            both = sum(p[k] for _, p in probs) + sum(t == k for t, _ in probs)
            parts.append(1 - 2 * hit / both)
        return sum(parts) / len(parts)
    total = weight = 0.0
    for (t, p), (_, raw) in zip(probs, pixels, strict=True):
        w = 1.0 if terms.weight_K is None else float(terms.weight_K[t])
        if name == "bce":
            truths = [t == 1] if count == 1 else [t == k for k in range(count)]
            each = [math.log1p(math.exp(-v if yes else v)) for v, yes in zip(raw, truths, strict=True)]
            value = sum(each) / len(each)
        else:
            value = -math.log(p[t])
        if name == "focal":
            value *= (1 - p[t]) ** terms.gamma
            if terms.alpha is not None:
                value *= 1 - terms.alpha if t == terms.background else terms.alpha
        total, weight = total + w * value, weight + w
    return total / weight


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 3, 6])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_a_slow_plain_implementation(name: str, outputs: int, weighted: bool) -> None:
    logits, target = data(outputs, seed=outputs)
    weight = torch.linspace(0.5, 3, max(2, outputs)) if weighted else None
    terms = Terms(ignore=IGNORE, background=0, weight_K=weight, gamma=1.5, alpha=0.7 if weighted else None, mix=0.3)
    fast = LOSSES[name](logits, target.long(), terms)
    assert float(fast) == pytest.approx(slow(name, logits.double(), target, terms), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_about_zero_at_perfect_logits_and_clearly_above_at_wrong_ones(name: str, outputs: int) -> None:
    _, target = data(outputs)
    ids = torch.arange(outputs) if outputs > 1 else torch.ones(1)
    perfect = 40 * (2 * (target.unsqueeze(1) == ids.view(1, -1, 1, 1)).float() - 1)
    loss = loss_of(name, Classes.from_names([f"c{i}" for i in range(max(2, outputs))]))
    assert 0 <= float(loss(perfect, target)) < 1e-5
    assert float(loss(-perfect, target)) > 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_ignored_pixels_get_a_gradient_of_exactly_zero(name: str, outputs: int, gamma: float) -> None:
    logits, target = data(outputs)
    loss = loss_of(name, TWO if outputs < 3 else CLASSES, gamma=gamma)
    value, grad = gradient(loss, logits, target)
    hidden = (target == IGNORE).unsqueeze(1).expand_as(grad)
    assert (grad[hidden] == 0).all()
    assert (grad[~hidden] != 0).float().mean() > 0.9
    other = logits.clone()
    other[hidden] += 100
    assert gradient(loss, other, target)[0] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_all_ignored_is_zero_with_a_zero_gradient(name: str, outputs: int) -> None:
    logits, target = data(outputs)
    value, grad = gradient(loss_of(name, CLASSES), logits, torch.full_like(target, IGNORE))
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
    assert float(loss(towards, target)) > value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_extreme_logits_are_finite(name: str, outputs: int, gamma: float) -> None:
    logits, target = data(outputs)
    for scale in (1e4, -1e4, 1e20):
        value, grad = gradient(loss_of(name, gamma=gamma), logits * scale, target)
        assert math.isfinite(value)
        assert grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_single(name: str, dtype: torch.dtype) -> None:
    logits, target = data(3)
    half = logits.to(dtype)
    value, grad = gradient(loss_of(name), half, target)
    assert grad.dtype == dtype
    assert value == pytest.approx(float(loss_of(name)(half.float(), target)), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_logit_is_the_same_as_two_where_one_is_zero(name: str) -> None:
    logits, target = data(1)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    one = float(loss_of(name, TWO)(logits, target))
    if name == "bce":  # each class against the rest differs; one logit is the cross entropy of two
        assert one == pytest.approx(float(loss_of("cross_entropy", TWO)(both, target)), rel=1e-6)
    else:
        assert one == pytest.approx(float(loss_of(name, TWO)(both, target)), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_may_leave_the_background_out(name: str) -> None:
    logits, target = data(3)
    value, grad = gradient(loss_of(name, background=False), logits, target)
    without = torch.where(target == 0, IGNORE, target)
    assert value == gradient(loss_of(name), logits, without)[0]
    assert (grad[(target == 0).unsqueeze(1).expand_as(grad)] == 0).all()
    none = Classes.from_names(["sky", "road", "car"])
    assert (
        gradient(loss_of(name, none, background=False), logits, target)[0]
        == gradient(loss_of(name, none), logits, target)[0]
    )


def test_focal_without_damping_is_cross_entropy() -> None:
    logits, target = data(3)
    assert float(loss_of("focal", gamma=0)(logits, target)) == pytest.approx(
        float(loss_of("cross_entropy")(logits, target)), rel=1e-6
    )


def test_dice_of_many_pixels_loses_little_in_single_precision() -> None:
    logits = torch.tensor([0.0, -0.6]).view(1, 2, 1, 1).expand(1, 2, 2000, 2000)
    target = torch.zeros(1, 2000, 2000, dtype=torch.long)
    share = 1 / (1 + math.exp(-0.6))
    value = LOSSES["dice"](logits, target, Terms(ignore=IGNORE))
    assert float(value) == pytest.approx(1 - 2 * share / (1 + share), rel=2e-3)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_class_weights_keep_the_mean_over_pixels_at_one(power: float) -> None:
    pixels = torch.tensor([90_000, 9_000, 1_000, 0])
    weight = class_weights(pixels, power)
    assert float((weight * pixels).sum() / pixels.sum()) == pytest.approx(1)
    assert float(weight[2] / weight[0]) == pytest.approx(90**power, rel=1e-5)
    assert weight[3] == 0


def test_class_power_weighs_rare_classes_more() -> None:
    logits, target = data(3)
    recipe = LossRecipe(name="cross_entropy", class_power=1.0)
    pixels = torch.tensor([8_000, 1_500, 500])
    expected = Terms(ignore=IGNORE, background=0, weight_K=class_weights(pixels, 1.0))
    value = float(build_loss(recipe, CLASSES, pixels)(logits, target))
    assert value == pytest.approx(slow("cross_entropy", logits, target, expected), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "classes", "outputs"),
    [("bce", TWO, 1), ("bce", CLASSES, 3), ("dice", TWO, 2), ("cross_entropy", CLASSES, 3)],
)
def test_outputs_for(name: str, classes: Classes, outputs: int) -> None:
    assert outputs_for(LossRecipe(name=name), classes) == outputs
    if name == "bce" and classes is TWO:
        assert outputs_for(LossRecipe(name=name), Classes.from_names(["sky", "road"])) == 2


def test_an_unknown_loss_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Unknown loss 'dise'\. Did you mean 'dice'"):
        loss_of("dise")
