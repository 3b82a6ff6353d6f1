"""Parameters, operations and memory before training; widths that meet a budget; the verb that prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from maskwright.config import ModelRecipe
from maskwright.models import MODELS, PROMPT_MODELS, budget, build, parameter_count
from maskwright.models.budget import TOLERANCE, blank, count_operations, measure, on_meta, solve, survey_models
from maskwright.models.memory import peak_bytes
from maskwright.types import InputError

TINY = {"encoder": "tu-test_resnet"}
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "unet-resnet34": (TINY, 500_000),
    "pretrained": (TINY, 1_000_000),
    "clip": ({"encoder": "test_resnet"}, 700_000),
}


@pytest.mark.parametrize("name", MODELS)
def test_widths_are_solved_for_a_number_of_parameters(name: str) -> None:
    options, goal = CASES.get(name, ({"depth": 3}, 60_000))
    solved = solve(ModelRecipe(name=name, params=goal, **options), 3)
    assert solved.params is None
    assert abs(parameter_count(build(solved, 3)) / goal - 1) <= TOLERANCE
    assert ModelRecipe.model_validate(solved.model_dump()) == solved


def test_round_widths_are_found_again() -> None:
    assert solve(ModelRecipe(params=31_000_000), 3).widths == (64, 128, 256, 512, 1024)
    assert solve(ModelRecipe(name="clip", params=30_642_915), 3).widths == (1024, 512, 64)


def test_the_three_budgets_of_31_million_are_met() -> None:
    for name in ("unet", "autoencoder", "clip"):
        solved = solve(ModelRecipe(name=name, params=31_000_000), 3)
        assert abs(parameter_count(on_meta(solved, 3)) / 31_000_000 - 1) <= TOLERANCE


def test_given_widths_keep_their_proportions() -> None:
    recipe = ModelRecipe(widths=(16, 32, 32, 64), decoder_width=16, block="residual", stem=2, params=400_000)
    solved = solve(recipe, 11)
    assert solved.widths is not None
    assert solved.decoder_width is not None
    assert abs(solved.widths[3] / solved.widths[0] - 4) < 0.3
    assert abs(solved.decoder_width / solved.widths[0] - 1) < 0.05
    assert (solved.block, solved.stem) == ("residual", 2)


def test_widths_are_solved_for_operations_at_a_size() -> None:
    small, large = (solve(ModelRecipe(gflops=1.5), 3, size) for size in ((64, 64), (128, 128)))
    for solved, size in ((small, (64, 64)), (large, (128, 128))):
        assert abs(measure(solved, 3, size).operations / 1.5e9 - 1) <= TOLERANCE
    assert small.widths is not None
    assert large.widths is not None
    assert small.widths[0] > 1.5 * large.widths[0]


def test_a_recipe_without_a_goal_is_left_as_it_is() -> None:
    recipe = ModelRecipe(width=8)
    assert solve(recipe, 3) is recipe


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"params": 100}, r"model.params: no width of 'unet' comes within 2% of 100 parameters; the nearest has \d"),
        ({"params": 10**15}, "comes within 2% of 1,000,000,000,000,000 parameters"),
        ({"name": "clip", "encoder": "test_resnet", "params": 1000}, "the nearest has 37"),
        ({"params": 1000, "gflops": 1.0}, "two goals for the same widths; leave one of them null"),
        (
            {"name": "pretrained", "architecture": "linknet", **TINY, "params": 10**6},
            "'linknet' has no width to choose",
        ),
    ],
)
def test_a_budget_that_cannot_be_met_is_explained(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        solve(ModelRecipe(**options), 3)


@pytest.mark.parametrize(("text", "count"), [("31M", 31_000_000), ("1.9 M", 1_900_000), ("500k", 500_000), (7, 7)])
def test_counts_may_be_written_short(text: object, count: int) -> None:
    assert ModelRecipe.model_validate({"params": text}).params == count


@pytest.mark.parametrize("text", ["31", "M", "-3M", "0M", "31 million"])
def test_other_words_are_no_counts(text: str) -> None:
    if text == "31":
        assert ModelRecipe.model_validate({"params": text}).params == 31
        return
    with pytest.raises(ValidationError):
        ModelRecipe.model_validate({"params": text})


def test_operations_are_two_for_a_multiplication_and_an_addition() -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1, device="meta")
    image = torch.zeros(1, 3, 10, 20, device="meta")
    assert count_operations(conv, image) == 2 * 10 * 20 * 8 * 3 * 9
    with torch.device("meta"):
        padded = build(ModelRecipe(width=4, depth=2), 2)
    assert count_operations(padded, blank((5, 5))) == count_operations(padded, blank((8, 8))), "padding is paid for"


def test_memory_is_what_is_alive_at_the_worst_moment() -> None:
    plane = 4 * 16 * 16
    layers = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 2, 1), nn.Sigmoid()).to("meta")
    weights = 4 * (4 + 4 + 8 + 2)
    image = torch.zeros(1, 1, 16, 16, device="meta")
    # Four planes and the four after the sigmoid; later there are fewer.
    assert peak_bytes(layers, image, training=False) == weights + 8 * plane
    trained = peak_bytes(layers, image, training=True)
    assert trained >= weights + (4 + 4 + 2 + 2) * plane + 2 * weights


@pytest.mark.parametrize("name", ["unet", "clip"])
def test_training_needs_more_memory_than_predicting_and_frozen_parts_less(name: str) -> None:
    options = {"width": 8} if name == "unet" else {"encoder": "test_resnet", "widths": (64, 32, 16)}
    facts = measure(ModelRecipe(name=name, **options), 3, (64, 96))
    assert facts.train_bytes > facts.predict_bytes > 4 * facts.parameters
    if name == "clip":
        assert facts.train_bytes < 3 * facts.predict_bytes
        assert facts.trainable < facts.parameters


def test_encoders_that_compute_while_they_are_built_are_measured_too() -> None:
    assert parameter_count(on_meta(ModelRecipe(name="pretrained", encoder="mit_b0"), 3)) > 3_000_000


def test_every_model_says_what_it_is_and_where_it_comes_from() -> None:
    facts, impossible = survey_models(size=(64, 64))
    assert ([each.name for each in facts], impossible) == ([*MODELS, *PROMPT_MODELS], {})
    assert all(each.source.endswith(").") and len(each.source) < 120 for each in facts)
    assert json.dumps([each.to_dict() for each in facts])


def test_models_that_cannot_meet_a_budget_are_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MODELS", {name: MODELS[name] for name in ("unet", "clip")})
    monkeypatch.setattr(budget, "PROMPT_MODELS", {})
    facts, impossible = survey_models(size=(64, 64), sets=["params=2M"])
    assert [each.name for each in facts] == ["unet"]
    assert "no width of 'clip' comes within 2%" in impossible["clip"]


def test_unknown_models_and_keys_are_named() -> None:
    with pytest.raises(InputError, match="Unknown model 'unte'"):
        survey_models("unte")
    with pytest.raises(InputError, match=r"unknown key 'model\.widht'; did you mean 'model\.width'"):
        survey_models("unet", sets=["widht=3"])
    with pytest.raises(InputError, match="no width of 'clip' comes within"):
        survey_models("clip", sets=["params=2M"])
