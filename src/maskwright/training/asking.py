"""Which trainings are about prompts, and a batch of prompts as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from maskwright.config import PromptRecipe, Recipe
from maskwright.data.clicks.heat import draw_planes
from maskwright.data.clicks.sample import ANSWERS, Question, draw_question
from maskwright.losses import outputs_for, weight_rule
from maskwright.models import PROMPT_MODELS, Network, PromptNetwork, build, build_prompted
from maskwright.models.prompt_unet import FOUR_PLANES
from maskwright.types import Classes, Image, InputError, Prompt

MARKS = {True: (60, 220, 60), False: (240, 50, 50)}


def is_prompted(recipe: Recipe) -> bool:
    """Whether a recipe trains a network that answers prompts."""
    return recipe.model.name in PROMPT_MODELS


def answers_of(recipe: Recipe, classes: Classes) -> Classes:
    """What the logits of a recipe's network tell apart: the classes, or an object from the rest."""
    return ANSWERS if is_prompted(recipe) else classes


def outputs_of(recipe: Recipe, classes: Classes) -> int:
    """Logits a pixel of a recipe's network."""
    return 1 if is_prompted(recipe) else outputs_for(recipe.loss, classes)


def build_network(recipe: Recipe, classes: Classes) -> Network:
    """The network of a resolved recipe, with random weights."""
    if is_prompted(recipe):
        return build_prompted(recipe.model, len(classes) if recipe.prompt.class_told else 0)
    return build(recipe.model, outputs_for(recipe.loss, classes))


def require_fitting_keys(recipe: Recipe) -> None:
    """Raise InputError for keys that mean nothing to a network that answers prompts, or to one that does not."""
    name = recipe.model.name
    if not is_prompted(recipe):
        for key, field in PromptRecipe.model_fields.items():
            if getattr(recipe.prompt, key) != field.default:
                raise InputError(
                    f"prompt.{key} means nothing to the model '{name}'; set it back to {field.default}, or take a "
                    f"model that answers prompts ({', '.join(PROMPT_MODELS)})."
                )
        return
    idle = {
        "loss.background to true": not recipe.loss.background,
        "loss.weights to null and loss.class_power to 0": weight_rule(recipe.loss) is not None,
        "score.background to null": recipe.score.background is not None,
        "train.pretrain.epochs to 0": recipe.train.pretrain.epochs > 0,
    }
    for key, is_set in idle.items():
        if is_set:
            raise InputError(f"'{name}' tells an object from the rest, whatever their classes; set {key}.")
    if recipe.prompt.clicks and PROMPT_MODELS[name](recipe.model, 0).planes != FOUR_PLANES:
        raise InputError(
            f"prompt.clicks corrects answers with negative clicks, which '{name}' does not see; "
            "take model.name=prompt-clicks, or set it to 0."
        )


def ask(
    mask_NHW: Tensor, classes: Classes, recipe: PromptRecipe, streams: Sequence[np.random.Generator]
) -> list[Question]:
    """A question about every mask of a batch; where all is ignored it has no prompt, and no right answer."""
    found: list[Question] = []
    for mask, stream in zip(mask_NHW.cpu().numpy(), streams, strict=True):
        nothing = Question(prompt=Prompt(), target_HW=np.full(mask.shape, ANSWERS.ignore, np.uint8))
        found.append(draw_question(mask, classes, recipe, stream) or nothing)
    return found


def draw_prompts(network: PromptNetwork, asked: Sequence[Question], sigma_px: float, device: torch.device) -> Tensor:
    """The prompts of a batch as the planes (N, P, H, W) that a network sees."""
    drawn = [draw_planes(one.prompt, network.body.planes, one.target_HW.shape, sigma_px) for one in asked]
    return torch.from_numpy(np.stack(drawn)).to(device)


def tell_classes(
    network: PromptNetwork, asked: Sequence[Question], told: Sequence[bool], device: torch.device
) -> Tensor | None:
    """Class ids (N,) for a network that can be told them; the number of classes stands for 'not told'."""
    unknown = network.body.classes
    if not unknown:
        return None
    ids = [one.prompt.class_id if tell else None for one, tell in zip(asked, told, strict=True)]
    return torch.tensor([unknown if k is None else k for k in ids], device=device)


def targets_of(asked: Sequence[Question], device: torch.device) -> Tensor:
    """What is meant (N, H, W): 1, elsewhere 0, 255 where it is ignored."""
    return torch.from_numpy(np.stack([one.target_HW for one in asked])).to(device)


def marked(image_3HW: Tensor, prompt: Prompt) -> Image:
    """A photo (H, W, 3) with its prompt: green discs are wanted, red ones not; boxes are green."""
    canvas = np.ascontiguousarray(image_3HW.cpu().permute(1, 2, 0).numpy().astype(np.uint8))
    radius = max(2, max(canvas.shape) // 60)
    for x0, y0, x1, y1 in prompt.boxes_xyxy:
        cv2.rectangle(canvas, (round(x0), round(y0)), (round(x1) - 1, round(y1) - 1), MARKS[True], max(1, radius // 2))
    for (x, y), positive in zip(prompt.points_xy, prompt.positive, strict=True):
        cv2.circle(canvas, (int(x), int(y)), radius + 1, (255, 255, 255), -1)
        cv2.circle(canvas, (int(x), int(y)), radius, MARKS[positive], -1)
    return canvas
