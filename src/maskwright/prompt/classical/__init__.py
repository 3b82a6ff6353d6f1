"""Masks from clicks without a trained network: region growing over superpixels with fitted evidence.

The photo is cut into some 3,000 pieces once (`pieces.py`). A first click makes them join one after another, the
likeliest first, and a regression says at which extents to stop: that gives the candidates (`growing.py`). Every further
click that the mask contradicts grows a region that changes sides (`answering.py`), boxes are filled by colour models
(`boxes.py`), and the edge is found again at a finer size (`refining.py`). `fitted.json` holds the few hundred numbers
that weigh the evidence; `benchmarks/prompters.py` measures it against others.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.prompt.classical.answering import (
    Answer,
    contradicts,
    corrected,
    from_boxes,
    from_mark,
    from_mask,
    marks_of,
)
from maskwright.prompt.classical.pieces import Pieces, find_pieces
from maskwright.prompt.classical.refining import medium_of, refined
from maskwright.prompt.classical.weighing import Fitted, fitted
from maskwright.prompt.prompter import Candidates, Encoding
from maskwright.prompt.soft_masks import hold_prompt, in_order
from maskwright.types import Image, InputError, Prompt

_ALIKE = 0.9  # the IoU from which two candidates are one


class Classical:
    """The default prompter: no weights, no torch."""

    name = "classical"

    def __init__(self, fit: Fitted | None = None) -> None:
        self._fit = fit or fitted()
        self._image: Image | None = None
        self._medium: Image | None = None
        self._pieces: Pieces | None = None

    def encode(self, image_HW3: Image) -> Encoding:
        """The pieces of a photo (3 channels, or 1) and the photo itself, in which edges are looked for later."""
        pieces = find_pieces(image_HW3)
        arrays: dict[str, NDArray[Any]] = {field.name: getattr(pieces, field.name) for field in fields(pieces)}
        kept: Encoding = {"size_hw": np.array(image_HW3.shape[:2]), "image_HW3": image_HW3, **arrays}
        medium = medium_of(image_HW3)
        return kept if medium is image_HW3 else kept | {"medium_HW3": medium}

    def set_image(self, image_HW3: Image) -> None:
        """Take a photo: `set_encoding(encode(image_HW3))`."""
        self.set_encoding(self.encode(image_HW3))

    def set_encoding(self, encoding: Encoding) -> None:
        """Take a photo that was encoded before."""
        self._image = encoding["image_HW3"]
        self._medium = encoding.get("medium_HW3")
        self._pieces = Pieces(**{field.name: encoding[field.name] for field in fields(Pieces)})

    def predict(self, prompt: Prompt) -> Candidates:
        """Candidates for a prompt; raises InputError for one that cannot be answered, or where no image was set."""
        if self._image is None or self._pieces is None:
            raise InputError("No image was set; call set_image before predict.")
        rows, columns = self._image.shape[:2]
        prompt.check((rows, columns))
        before_hw = None if prompt.previous_HW is None else _shrunk(prompt.previous_HW, self._pieces)
        answer = _answer(self._pieces, prompt, (rows, columns), before_hw, self._fit)
        start_hw = np.zeros(self._pieces.labels_HW.shape, np.bool_) if before_hw is None else before_hw
        kept = _different(answer)
        guesses = [answer.guesses[index] for index in kept]
        medium = self._image if self._medium is None else self._medium
        soft_NHW = np.empty((len(guesses), rows, columns), np.uint8)
        for soft_HW, guess in zip(soft_NHW, guesses, strict=True):
            moved_hw = guess.mask_hw != start_hw
            soft_HW[...] = refined(self._image, medium, guess.logit_hw, moved_hw, prompt.previous_HW)
            hold_prompt(soft_HW, prompt)
        scores_N = np.array([guess.score for guess in guesses], np.float32)
        return in_order(soft_NHW, scores_N, kept.index(answer.chosen))


def _answer(
    pieces: Pieces, prompt: Prompt, size_hw: tuple[int, int], before_hw: NDArray[np.bool_] | None, fit: Fitted
) -> Answer:
    """Start from the mask so far, the boxes or the first positive mark; then let every other mark correct that."""
    marks = marks_of(pieces, prompt, size_hw)
    if before_hw is not None:
        answer = from_mask(before_hw)
    elif prompt.boxes_xyxy:
        down, across = pieces.labels_HW.shape[0] / size_hw[0], pieces.labels_HW.shape[1] / size_hw[1]
        boxes = [(x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in prompt.boxes_xyxy]
        answer = from_boxes(pieces, boxes)
    else:
        answer = from_mark(pieces, next(mark for mark in marks if mark.positive), fit)
    for mark in marks:
        if contradicts(answer.mask_hw, mark):
            others = [other for other in marks if other is not mark]
            answer = corrected(pieces, answer.mask_hw, mark, others, fit)
    return answer


def _shrunk(mask_HW: NDArray[np.bool_], pieces: Pieces) -> NDArray[np.bool_]:
    import cv2

    rows, columns = pieces.labels_HW.shape
    if mask_HW.shape == (rows, columns):
        return mask_HW
    return np.asarray(cv2.resize(mask_HW.astype(np.uint8) * 255, (columns, rows), interpolation=cv2.INTER_AREA) > 127)


def _different(answer: Answer) -> list[int]:
    """Indices of guesses that are no near-duplicate of the chosen one or of one that is kept."""
    kept, masks = [answer.chosen], [guess.mask_hw for guess in answer.guesses]
    for index, mask_hw in enumerate(masks):
        alike = [
            np.count_nonzero(mask_hw & masks[other]) >= _ALIKE * np.count_nonzero(mask_hw | masks[other])
            for other in kept
        ]
        if mask_hw.any() and not any(alike):
            kept.append(index)
    return sorted(kept)
