"""Training a network that answers prompts: they are drawn from the masks of each batch, in the step itself.

With `prompt.clicks` a batch is first corrected for some rounds as a person would, by clicks on the largest errors of
what the network says now; the loss is of the answer after them (Sofiiuk et al., RITM, ICIP 2022).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from maskwright.config import Recipe
from maskwright.data.clicks.sample import ANSWERS, Question, corrected, without_prompt
from maskwright.imageio import write_image
from maskwright.losses import LossFunction
from maskwright.models import Network, PromptNetwork
from maskwright.run import Run
from maskwright.training import processes
from maskwright.training.asking import ask, draw_prompts, marked, targets_of, tell_classes
from maskwright.training.doctor import (
    Check,
    about_data,
    about_recipe,
    examine_loss,
    first_batch,
    require_labels,
    write_checks,
)
from maskwright.training.sheet import draw_batch
from maskwright.training.task import Batch, Clock, SegmentationTask
from maskwright.types import Classes

CLICKS_SCORED = 3
FORGOTTEN = 0.2  # of the batches that were corrected: the mask so far is not given, as when a person begins elsewhere
# What sets these streams of random numbers apart from those of the loader, which are shorter.
ASKING, ROUNDS, VALIDATION = (0, 1), (0, 2), (0, 0, 0, 0, 3)


class PromptTask(SegmentationTask):
    """As `SegmentationTask`, for a `PromptNetwork`; its score is the mean IoU of what random prompts mean.

    The prompts of validation are the same in every epoch, one an image. `val_score` is the IoU at their first answer
    or, for networks that learn from clicks, after 3 clicks on the largest errors; `val_iou` is that by class.
    """

    network: PromptNetwork
    average: PromptNetwork

    def __init__(self, network: Network, loss: LossFunction, recipe: Recipe, classes: Classes, clock: Clock) -> None:
        assert isinstance(network, PromptNetwork)
        super().__init__(network, loss, recipe, classes, clock)
        # Sum and number of IoUs by class: of first answers, and after clicks.
        self.found_2K2: NDArray[np.float64] = np.zeros((2, len(classes), 2))
        self.val_seen = 0

    def answered(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        image_N3HW, mask_NHW = batch
        recipe, address = self.recipe.prompt, (self.recipe.train.seed, self.current_epoch, batch_idx)
        before = processes.rank() * len(image_N3HW)
        streams = [np.random.default_rng((*address, before + place, *ASKING)) for place in range(len(image_N3HW))]
        asked = ask(mask_NHW, self.classes, recipe, streams)
        told = [bool(stream.random() < recipe.class_told) for stream in streams]
        features = self.network.encode_image(image_N3HW)
        stream = np.random.default_rng((*address, 0, *ROUNDS))
        rounds = int(stream.integers(recipe.clicks + 1))
        if rounds:
            asked = self.corrected(features, asked, told, rounds, streams)
            if stream.random() < FORGOTTEN:
                asked = [replace(one, prompt=replace(one.prompt, previous_HW=None)) for one in asked]
        return self.answer(self.network, features, asked, told), targets_of(asked, image_N3HW.device)

    @torch.no_grad()
    def corrected(
        self,
        features: Sequence[Tensor],
        asked: list[Question],
        told: Sequence[bool],
        rounds: int,
        streams: Sequence[np.random.Generator],
    ) -> list[Question]:
        """The questions after some rounds of an answer and a click on what is wrong with it."""
        self.network.eval()
        for _ in range(rounds):
            guess_NHW = flags(self.answer(self.network, features, asked, told))
            asked = [corrected(*pair) for pair in zip(asked, guess_NHW, streams, strict=True)]
        self.network.train()
        # Autocast keeps weights that it has converted, here without their gradients.
        torch.clear_autocast_cache()
        return asked

    def answer(
        self, network: PromptNetwork, features: Sequence[Tensor], asked: Sequence[Question], told: Sequence[bool]
    ) -> Tensor:
        """Logits (N, 1, H, W) for the prompts of a batch."""
        device = features[0].device
        planes_NPHW = draw_prompts(network, asked, self.recipe.prompt.sigma, device)
        logits: Tensor = network.answer(features, planes_NPHW, tell_classes(network, asked, told, device))
        return logits

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.found_2K2[:] = 0
        self.val_seen = 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        image_N3HW, mask_NHW = batch
        # Of several processes each sees every n-th image.
        places = processes.rank() + processes.count() * (self.val_seen + np.arange(len(image_N3HW)))
        self.val_seen += len(image_N3HW)
        streams = [np.random.default_rng((int(place), *VALIDATION)) for place in places]
        asked = ask(mask_NHW, self.classes, self.recipe.prompt, streams)
        # Who has not learned to do without the class is told it.
        told = [self.recipe.prompt.class_told == 1] * len(asked)
        features = self.average.encode_image(image_N3HW)
        logits = self.answer(self.average, features, asked, told)
        self.val_losses.append(float(self.loss(logits, targets_of(asked, logits.device))))
        guess_NHW = flags(logits)
        self.count(asked, guess_NHW, after_clicks=False)
        if self.recipe.prompt.clicks:
            asked, guess_NHW = [without_prompt(one) for one in asked], np.zeros_like(guess_NHW)
            for _ in range(CLICKS_SCORED):
                asked = [corrected(*pair) for pair in zip(asked, guess_NHW, strict=True)]
                guess_NHW = flags(self.answer(self.average, features, asked, told))
            self.count(asked, guess_NHW, after_clicks=True)
        if self.wants_example(batch_idx):
            self.val_examples.append(example(image_N3HW[0], asked[0], guess_NHW[0], self.classes))

    def count(self, asked: Sequence[Question], guess_NHW: NDArray[np.bool_], *, after_clicks: bool) -> None:
        """Take the IoU of every answer into account; questions without a right answer have none."""
        for one, guess_HW in zip(asked, guess_NHW, strict=True):
            if one.prompt.class_id is not None:
                self.found_2K2[int(after_clicks), one.prompt.class_id] += (iou(one, guess_HW), 1)

    def on_validation_epoch_end(self) -> None:
        self.found_2K2 = processes.summed(torch.from_numpy(self.found_2K2)).numpy()
        super().on_validation_epoch_end()

    def val_score(self) -> float:
        """Mean over images of the IoU with what is meant; picks the best weights."""
        return self._means()[bool(self.recipe.prompt.clicks)]

    def val_iou(self) -> dict[str, float]:
        """The same by class of the object that is meant; NaN where none was."""
        total_K, count_K = self.found_2K2[int(self.recipe.prompt.clicks > 0)].T
        with np.errstate(invalid="ignore"):
            return dict(zip(self.classes.names, (total_K / count_K).tolist(), strict=True))

    def val_more(self) -> dict[str, float]:
        """The IoU at one random prompt and, for networks that learn from clicks, after 3 of them."""
        first, later = self._means()
        return {"val_iou_one_prompt": first} | (
            {f"val_iou_{CLICKS_SCORED}_clicks": later} if self.recipe.prompt.clicks else {}
        )

    def _means(self) -> tuple[float, float]:
        totals = self.found_2K2.sum(axis=1)
        first, later = (float(total / max(1.0, count)) for total, count in totals)
        return first, later


class Pointed(nn.Module):
    """A network and its prompts as one of photos alone: the planes lie behind the three channels of the photo."""

    def __init__(self, network: PromptNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, both_NCHW: Tensor) -> Any:
        return self.network(both_NCHW[:, :3], both_NCHW[:, 3:])


def examine_prompts(
    run: Run,
    network: Network,
    loss: LossFunction,
    batches: DataLoader[Batch],
    pixels_K: NDArray[np.int64],
    weight_K: Tensor | None,
) -> list[Check]:
    """What `doctor.examine` does, for a network that answers prompts; the picture shows them and what they mean."""
    assert isinstance(network, PromptNetwork)
    recipe, classes, began = run.recipe, run.classes, time.perf_counter()
    require_labels(pixels_K, recipe, classes)
    if not recipe.loss.check:
        return []
    image_N3HW, mask_NHW = batch = first_batch(batches, classes.ignore)
    address = (recipe.train.seed, 0, 0)
    streams = [np.random.default_rng((*address, place, *ASKING)) for place in range(len(image_N3HW))]
    asked = ask(mask_NHW, classes, recipe.prompt, streams)
    target_NHW = targets_of(asked, image_N3HW.device)
    shown = [marked(image, one.prompt) for image, one in zip(image_N3HW, asked, strict=True)]
    sheet = draw_batch(torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2), target_NHW, ANSWERS)
    write_image(run.path / "samples" / "first_batch.png", sheet)
    planes_NPHW = draw_prompts(network, asked, recipe.prompt.sigma, image_N3HW.device)
    both_NCHW = torch.cat([image_N3HW.float(), planes_NPHW], dim=1)
    found = [about_recipe(recipe, ANSWERS), *about_data(batch, pixels_K, weight_K, classes)]
    found += examine_loss(Pointed(network), loss, (both_NCHW, target_NHW), recipe, ANSWERS)
    write_checks(run, found, round(time.perf_counter() - began, 2))
    return found


def flags(logits_N1HW: Tensor) -> NDArray[np.bool_]:
    """Where an answer says 'object', at a probability of 0.5."""
    found: NDArray[np.bool_] = (logits_N1HW[:, 0] > 0).cpu().numpy()
    return found


def iou(question: Question, guess_HW: NDArray[np.bool_]) -> float:
    """Intersection over union of an answer with what is meant; ignored pixels do not count."""
    guess_HW = guess_HW & ~question.ignored_HW
    return float((guess_HW & question.object_HW).sum() / max(1, (guess_HW | question.object_HW).sum()))


def example(
    image_3HW: Tensor, question: Question, guess_HW: NDArray[np.bool_], classes: Classes
) -> tuple[Tensor, Tensor, Tensor]:
    """Photo with prompt, what is meant and the answer, both in the colour of the class; the rest is white."""
    colour = 0 if question.prompt.class_id is None else question.prompt.class_id
    planes = [
        torch.from_numpy(np.where(flags_HW, colour, classes.ignore)) for flags_HW in (question.object_HW, guess_HW)
    ]
    return torch.from_numpy(marked(image_3HW, question.prompt)).permute(2, 0, 1), planes[0], planes[1]
