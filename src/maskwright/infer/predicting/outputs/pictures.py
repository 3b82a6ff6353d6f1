"""Predictions as pixels: ids, colours, an overlay, probabilities."""

from __future__ import annotations

import io

import numpy as np

from maskwright.imageio import colourise, encode_image, encode_mask
from maskwright.imageio import overlay as laid_over
from maskwright.infer.predicting.outputs.answer import Answer


def ids(answer: Answer) -> bytes:
    """Class ids, a single-channel PNG with the class colours as its palette."""
    return encode_mask(answer.mask_HW, answer.classes)


def colour(answer: Answer) -> bytes:
    """The class colours, an RGB PNG."""
    return encode_image(colourise(answer.mask_HW, answer.classes), ".png")


def overlay(answer: Answer) -> bytes:
    """The photo with the class colours laid over it, a JPEG."""
    return encode_image(laid_over(answer.image_HW3, answer.mask_HW, answer.classes), ".jpg")


def probabilities(answer: Answer) -> bytes:
    """A NumPy archive whose array `probabilities` is (K, H, W) float16."""
    assert answer.scores_KHW is not None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probabilities=answer.scores_KHW.astype(np.float16))
    return buffer.getvalue()
