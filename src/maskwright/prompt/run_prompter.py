"""A run trained with prompts as a prompter: the image once through its encoder, each click through its decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskwright.data.clicks.heat import draw_planes, strokes_mask
from maskwright.geometry import Letterbox
from maskwright.infer.device import arithmetic, choose_device, choose_precision
from maskwright.infer.fitting import require_fit
from maskwright.infer.weights import fill_weights
from maskwright.models import PROMPT_MODELS, PromptNetwork, build_prompted
from maskwright.prompt.prompter import Candidates, Encoding
from maskwright.prompt.soft_masks import Logits, cleaned, hold_prompt, in_order, pixel_of, soft_at
from maskwright.run import Run
from maskwright.types import Image, InputError, Prompt, Stroke

_SPECKS = 0.01  # islands and holes below this share of a mask are removed
_STEP = 1.5  # in logits, from the answer to a stricter and to a looser one
_SURE = 4.0  # the logit of a mask that is given
_GRAIN = 0.05  # of probability
_LARGEST_HALF = 60_000.0


class RunPrompter:
    """A run's network, ready to be asked.

    >>> prompter = RunPrompter.load("runs/rocks")                                       # doctest: +SKIP
    >>> prompter.set_image(image_HW3)                                                   # doctest: +SKIP
    >>> prompter.predict(Prompt(points_xy=((40, 30),), positive=(True,))).mask_HW      # doctest: +SKIP
    """

    def __init__(self, network: PromptNetwork, run: Run, device: torch.device, precision: str) -> None:
        assert run.recipe.data.size is not None, "a run's recipe is resolved"
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.device, self.precision, self.recipe = device, precision, run.recipe
        self.name, self.fingerprint = f"run:{run.path.name}", ""
        self._features: list[Tensor] = []
        self._box: Letterbox | None = None

    @classmethod
    def load(
        cls, run: str | Path | Run, *, weights: str = "best", device: str = "auto", precision: str = "auto"
    ) -> RunPrompter:
        """Load a run's 'best' or 'last' weights; raises InputError if it answers no prompts, or cannot be used."""
        run = run if isinstance(run, Run) else Run.open(run)
        if run.recipe.model.name not in PROMPT_MODELS:
            raise InputError(
                f"{run.path} answers no prompts (its model is '{run.recipe.model.name}'); train one that does with "
                "'maskwright train DATASET --recipe prompt-clicks'."
            )
        path = run.weights(weights)
        if run.packed:
            require_fit(run, path)
        network = build_prompted(run.recipe.model, len(run.classes) if run.recipe.prompt.class_told else 0)
        fill_weights(network, path)
        where, _ = choose_device(device)
        prompter = cls(network, run, where, choose_precision(precision, where)[0])
        content = hashlib.blake2b(run.recipe.to_yaml().encode() + prompter.precision.encode(), digest_size=16)
        content.update(path.read_bytes())
        prompter.fingerprint = content.hexdigest()
        return prompter

    def encode(self, image_HW3: Image) -> Encoding:
        """The image's features by level, as half floats."""
        if image_HW3.ndim == 2 or image_HW3.shape[2] == 1:
            image_HW3 = image_HW3.reshape(*image_HW3.shape[:2], 1).repeat(3, axis=2)
        canvas_HW3 = self._letterbox((image_HW3.shape[0], image_HW3.shape[1])).forward_image(image_HW3)
        batch = torch.from_numpy(np.ascontiguousarray(canvas_HW3)).to(self.device).permute(2, 0, 1)[None]
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            features = self.network.encode_image(batch)
        encoding: Encoding = {"size_hw": np.array(image_HW3.shape[:2])}
        for level, found in enumerate(features):
            half = found.float().clamp(-_LARGEST_HALF, _LARGEST_HALF).half()
            encoding[f"level{level}"] = half.contiguous().cpu().numpy()
        return encoding

    def set_image(self, image_HW3: Image) -> None:
        """Take an image: `set_encoding(encode(image_HW3))`."""
        self.set_encoding(self.encode(image_HW3))

    def set_encoding(self, encoding: Encoding) -> None:
        """Take an image that was encoded before."""
        levels = [encoding[f"level{level}"] for level in range(len(encoding) - 1)]
        self._features = [
            torch.from_numpy(each).to(self.device).float().contiguous(memory_format=torch.channels_last)
            for each in levels
        ]
        rows, columns = encoding["size_hw"].tolist()
        self._box = self._letterbox((rows, columns))

    def predict(self, prompt: Prompt) -> Candidates:
        """The network's answer, cleaned of specks, and a stricter, a looser and a narrower or wider reading of it.

        Scores are the IoU that each mask would have on average if the probabilities were right. Raises InputError
        for a prompt that says nothing, and before an image was set.
        """
        if self._box is None:
            raise InputError("There is no image yet; set one before a prompt.")
        box, size_hw = self._box, self._box.source_hw
        prompt = replace(prompt, strokes=tuple(stroke for stroke in prompt.strokes if stroke.points_xy))
        prompt.check(size_hw)
        logits_hw = self._logits(_on_canvas(prompt, box), prompt.class_id)
        top, left = box.offset_yx
        logits_hw = logits_hw[top : top + box.inner_hw[0], left : left + box.inner_hw[1]]
        small = _scaled(prompt, box, (0.0, 0.0))
        readings = self._readings(logits_hw, small)
        soft_NHW = np.zeros((len(readings), *size_hw), np.uint8)
        for reading_hw, soft_HW in zip(readings, soft_NHW, strict=True):
            soft_at(reading_hw, soft_HW)
            hold_prompt(soft_HW, prompt)
        chance_hw = _sigmoid(readings[0])
        # A little everywhere is the network's grain, and would outweigh a small object in a large photo.
        chance_hw[chance_hw < _GRAIN] = 0
        scores_N = np.array([_expected_iou(reading_hw >= 0, chance_hw) for reading_hw in readings], np.float32)
        return in_order(soft_NHW, scores_N, 0)

    def _letterbox(self, size_hw: tuple[int, int]) -> Letterbox:
        assert self.recipe.data.size is not None
        return Letterbox.fit(size_hw, self.recipe.data.size, self.recipe.data.fit)

    def _logits(self, prompt: Prompt, class_id: int | None) -> Logits:
        """What the network says at the working size to a prompt on it."""
        if "negative" in self.network.body.planes:
            return np.asarray(self._answers([prompt], class_id)[0])
        # It learned to answer one prompt: several are united, and what negative ones mean is taken away.
        wanted, unwanted = _single(prompt)
        chance_hw = np.zeros(self._canvas_hw, np.float32)
        if not wanted:
            assert prompt.previous_HW is not None
            chance_hw = _sigmoid(_SURE * (2 * prompt.previous_HW.astype(np.float32) - 1))
        found = _sigmoid(self._answers([*wanted, *unwanted], class_id))
        for one_hw in found[: len(wanted)]:
            chance_hw = np.maximum(chance_hw, one_hw)
        for one_hw in found[len(wanted) :]:
            chance_hw = chance_hw * (1 - one_hw)
        chance_hw = np.clip(chance_hw, 1e-6, 1 - 1e-6)
        return np.asarray(np.log(chance_hw / (1 - chance_hw)), np.float32)

    @property
    def _canvas_hw(self) -> tuple[int, int]:
        assert self.recipe.data.size is not None
        return self.recipe.data.size

    def _answers(self, prompts: Sequence[Prompt], class_id: int | None) -> Logits:
        body, sigma = self.network.body, self.recipe.prompt.sigma
        planes = np.stack([draw_planes(one, body.planes, self._canvas_hw, sigma) for one in prompts])
        class_N: Tensor | None = None
        if body.classes:
            known = class_id if class_id is not None and class_id < body.classes else body.classes
            class_N = torch.full((len(prompts),), known, device=self.device)
        features = [each.expand(len(prompts), -1, -1, -1) for each in self._features]
        with torch.inference_mode(), arithmetic(self.device, self.precision):
            logits = self.network.answer(features, torch.from_numpy(planes).to(self.device), class_N)
        return np.asarray(logits[:, 0].float().cpu().numpy())

    def _readings(self, logits_hw: Logits, prompt: Prompt) -> list[Logits]:
        """The answer first, then others of different extent, each mask once."""
        size_hw = (logits_hw.shape[0], logits_hw.shape[1])
        points = zip(prompt.points_xy, prompt.positive, strict=True)
        places: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        for point, positive in points:
            places[positive].append(pixel_of(point, size_hw))
        whole_hw = cleaned(logits_hw, _SPECKS, places[True], places[False])
        part_hw = _touched(whole_hw, prompt, places[True])
        answer_hw, other_hw = (part_hw, whole_hw) if self.recipe.prompt.target == "region" else (whole_hw, part_hw)
        found = [answer_hw]
        for reading_hw in (other_hw, answer_hw - _STEP, answer_hw + _STEP):
            mask_hw = reading_hw >= 0
            if mask_hw.any() and not any(np.array_equal(mask_hw, other >= 0) for other in found):
                found.append(reading_hw)
        return found


def _on_canvas(prompt: Prompt, box: Letterbox) -> Prompt:
    """A prompt on the photo as one on the working size."""
    top, left = box.offset_yx
    moved = _scaled(prompt, box, (left, top))
    if prompt.previous_HW is None:
        return moved
    return replace(moved, previous_HW=box.forward_mask(prompt.previous_HW.astype(np.uint8), 0) > 0)


def _scaled(prompt: Prompt, box: Letterbox, offset_xy: tuple[float, float]) -> Prompt:
    (rows, columns), (height, width), (left, top) = box.inner_hw, box.source_hw, offset_xy
    across, down = columns / width, rows / height

    def moved(x: float, y: float) -> tuple[float, float]:
        return x * across + left, y * down + top

    return replace(
        prompt,
        points_xy=tuple(moved(*point) for point in prompt.points_xy),
        boxes_xyxy=tuple((*moved(x0, y0), *moved(x1, y1)) for x0, y0, x1, y1 in prompt.boxes_xyxy),
        strokes=tuple(
            Stroke(
                points_xy=tuple(moved(*point) for point in stroke.points_xy),
                positive=stroke.positive,
                radius_px=stroke.radius_px * min(across, down),
            )
            for stroke in prompt.strokes
        ),
        previous_HW=None,
    )


def _single(prompt: Prompt) -> tuple[list[Prompt], list[Prompt]]:
    """One prompt for every point, box and stroke that is wanted, and for every one that is not, all as wanted."""
    sides: dict[bool, list[Prompt]] = {True: [], False: []}
    for point, positive in zip(prompt.points_xy, prompt.positive, strict=True):
        sides[positive].append(Prompt(points_xy=(point,), positive=(True,)))
    sides[True] += [Prompt(boxes_xyxy=(box,)) for box in prompt.boxes_xyxy]
    for stroke in prompt.strokes:
        sides[stroke.positive].append(Prompt(strokes=(replace(stroke, positive=True),)))
    return sides[True], sides[False]


def _touched(logits_hw: Logits, prompt: Prompt, positive: Sequence[tuple[int, int]]) -> Logits:
    """The logits without the regions that no positive click or stroke lies on; all of them where none does."""
    count, region_hw = cv2.connectedComponents((logits_hw >= 0).astype(np.uint8), connectivity=8)
    touched: NDArray[np.bool_] = np.zeros(count, bool)
    for row, column in positive:
        touched[region_hw[row, column]] = True
    strokes = [stroke for stroke in prompt.strokes if stroke.positive]
    if strokes:
        touched[region_hw[strokes_mask(strokes, region_hw.shape)]] = True
    touched[0] = False
    if not touched.any():
        return logits_hw
    return np.where((region_hw == 0) | touched[region_hw], logits_hw, -np.abs(logits_hw) - _SURE)


def _expected_iou(mask_hw: NDArray[np.bool_], chance_hw: NDArray[np.float32]) -> float:
    """Expected intersection over expected union, if each pixel belonged to the object with its probability."""
    inside = float(chance_hw[mask_hw].sum())
    outside = float(chance_hw.sum()) - inside
    return min(1.0, max(0.0, inside / max(1e-6, float(mask_hw.sum()) + outside)))


def _sigmoid(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)
