"""Run folders of networks that answer prompts: with random weights in no time, or trained in a few seconds."""

from __future__ import annotations

from pathlib import Path

import torch
from drawing import shapes_classes
from quick import QUICK

from maskwright.config import Recipe
from maskwright.models import build_prompted
from maskwright.run import Run
from maskwright.training.keep import write_weights

TINY = [*QUICK, "prompt.sigma=3"]


def prompt_recipe(name: str, *sets: str) -> Recipe:
    """A shipped recipe made tiny."""
    return Recipe.load(name, ["model.width=null", *TINY, *sets])


def write_prompt_run(folder: Path, name: str = "prompt-clicks", *sets: str) -> Path:
    """A run folder with random weights: nothing is trained."""
    recipe, classes = prompt_recipe(name, *sets), shapes_classes()
    run = Run.create(folder, recipe, classes, {"status": "finished"})
    torch.manual_seed(0)
    write_weights(run, "best", build_prompted(recipe.model, len(classes) if recipe.prompt.class_told else 0))
    return folder
