"""Prompters that know the answer, more or less: what a protocol needs to be tested."""

from __future__ import annotations

import cv2
import numpy as np

from maskwright.data.dataset import Dataset
from maskwright.data.pixels.parts import labelled_parts
from maskwright.prompt.prompter import Candidates, Encoding
from maskwright.types import Image, InputError, Mask, Prompt


class Knowing:
    """Answers with the labelled region under the first click once it has had `needs` clicks, before with nothing.

    With `best` the right mask is among the candidates from the first click, but is not chosen before.
    """

    def __init__(self, data: Dataset, name: str = "knowing", *, needs: int = 1, best: bool = False) -> None:
        self.name, self.needs, self.best = name, needs, best
        self.labels = {data.image(sample).tobytes(): data.mask(sample) for sample in data.samples if sample.mask}
        self.asked: list[Prompt] = []
        self.images = 0

    def encode(self, image_HW3: Image) -> Encoding:
        """The photo."""
        return {"image": image_HW3, "size_hw": np.array(image_HW3.shape[:2])}

    def set_image(self, image_HW3: Image) -> None:
        """Look the label up; an unknown photo is one without anything."""
        self.set_encoding(self.encode(image_HW3))

    def set_encoding(self, encoding: Encoding) -> None:
        """The same."""
        image_HW3 = encoding["image"]
        self.images += 1
        self.label: Mask = self.labels.get(image_HW3.tobytes(), np.zeros(image_HW3.shape[:2], np.uint8))

    def predict(self, prompt: Prompt) -> Candidates:
        """Nothing, then the truth."""
        prompt.check(self.label.shape)
        self.asked.append(prompt)
        if prompt.boxes_xyxy:
            left, top, right, bottom = (int(side) for side in prompt.boxes_xyxy[0])
            right_HW = np.zeros(self.label.shape, np.bool_)
            right_HW[top:bottom, left:right] = True
        else:
            parts_HW = labelled_parts(self.label)[0]
            x, y = prompt.points_xy[0]
            right_HW = parts_HW == parts_HW[int(y), int(x)]
        nothing_HW = np.zeros_like(right_HW)
        good = len(prompt.points_xy) >= self.needs or bool(prompt.boxes_xyxy)
        soft = np.stack([right_HW if good or self.best else nothing_HW, nothing_HW]).astype(np.uint8) * np.uint8(255)
        return Candidates(soft_NHW=soft, scores_N=np.array([0.9, 0.1], np.float32), chosen=0 if good else 1)


class Useless(Knowing):
    """Always answers with nothing, and to every third prompt not at all."""

    def predict(self, prompt: Prompt) -> Candidates:
        """Nothing."""
        self.asked.append(prompt)
        if len(self.asked) % 3 == 0:
            raise InputError("It cannot be said; click elsewhere.")
        return Candidates(
            soft_NHW=np.zeros((1, *self.label.shape), np.uint8), scores_N=np.ones(1, np.float32), chosen=0
        )


class Growing(Knowing):
    """The right region, too small by some pixels less with every click."""

    def predict(self, prompt: Prompt) -> Candidates:
        """The region, eroded."""
        found = super().predict(prompt)
        less = max(0, 4 - len(prompt.points_xy))
        soft = np.stack([cv2.erode(plane, np.ones((2 * less + 1,) * 2, np.uint8)) for plane in found.soft_NHW])
        return Candidates(soft_NHW=np.asarray(soft, np.uint8), scores_N=found.scores_N, chosen=found.chosen)
