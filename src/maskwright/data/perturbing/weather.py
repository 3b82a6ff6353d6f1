"""Fog, snow, and rain on the lens."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.drops.raindrops import draw_drops, drop_style, look_through
from maskwright.data.perturbing.ladder import draw_uint16, normal_quantiles, tabled
from maskwright.data.perturbing.optics import smear
from maskwright.types import Image

_KNOTS = 128
_THINNEST = 0.5  # of the fog, as a share of its thickest
_MOST_RAIN = 0.33
_FOCUS = 0.006
_DROPS = drop_style("close", density=(_MOST_RAIN, _MOST_RAIN), size=(0.04, 0.24), focus=(_FOCUS, _FOCUS))
# Mean and spread of normal noise, its enlargement, the least value that is a flake, radius and sigma of the motion
# blur, share of the picture that stays as it is.
_SNOW = (
    (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2.0, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)


def fog(image_HW3: Image, strength_decay: tuple[float, float], rng: np.random.Generator) -> Image:
    """Light scattered by a cloud: image * t + brightest value * (1 - t), with t = 1 / (1 + strength * cloud).

    Strengths and decays are those of ImageNet-C. There the cloud goes down to 0 and t is the same everywhere, so that
    a gap in the fog is darker than the scene; here fog thins out to a half, and a thin place is a clearer one
    (Koschmieder's law). Where the cloud is thickest both agree.
    """
    strength, decay = strength_decay
    rows, columns = image_HW3.shape[:2]
    side = max(rows, columns)
    cloud = cv2.resize(fractal(decay, rng), (side, side), interpolation=cv2.INTER_CUBIC)[:rows, :columns]
    cloud_HW = np.clip(np.rint(cloud * 255), 0, 255).astype(np.uint8)
    brightest = max(1, int(image_HW3.max()))
    thickness = strength * (_THINNEST + (1 - _THINNEST) * np.arange(256) / 255)
    passes = 1 / (1 + thickness * 255 / brightest)
    seen_HW3 = cv2.multiply(image_HW3, _in_colour(tabled(cloud_HW, 255 * passes)), scale=1 / 255)
    return np.asarray(cv2.add(seen_HW3, _in_colour(tabled(cloud_HW, brightest * (1 - passes)))), np.uint8)


def fractal(decay: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A cloud of 0..1, shape (129, 129): at each halving of the grid random shifts that are decay**2 times smaller.

    As the diamond-square of ImageNet-C, whose decay enters squared; anything finer would move no grey value.
    """
    heights, reach = np.zeros((2, 2), np.float32), 1.0
    while len(heights) <= _KNOTS:
        knots = 2 * len(heights) - 1
        shifts = rng.uniform(-reach, reach, (knots, knots)).astype(np.float32)
        heights = cv2.resize(heights, (knots, knots), interpolation=cv2.INTER_CUBIC) + shifts
        reach /= decay**2
    heights -= heights.min()
    return np.asarray(heights / heights.max(), np.float32)


def snow(image_HW3: Image, severity: float, rng: np.random.Generator) -> Image:
    """Flakes, blurred by their fall in a direction that is drawn, over a picture that turns pale."""
    mean, spread, zoom, least, radius, sigma, clear = _SNOW[int(severity) - 1]
    rows, columns = image_HW3.shape[:2]
    height, width = math.ceil(rows / zoom), math.ceil(columns / zoom)
    # The largest field that any severity needs: all take their flakes from its middle.
    field = np.take(normal_quantiles(), draw_uint16((rows // 2 + 1, columns // 2 + 1), rng))
    top, left = (field.shape[0] - height) // 2, (field.shape[1] - width) // 2
    flakes = cv2.resize(field[top : top + height, left : left + width] * spread + mean, (columns, rows))
    flakes_HW = np.asarray(np.where(flakes < least, 0, np.clip(flakes, 0, 1)) * 255, np.uint8)
    flakes_HW = smear(flakes_HW, radius, sigma, rng.uniform(-135, -45))
    flakes_HW = np.asarray(cv2.add(flakes_HW, cv2.rotate(flakes_HW, cv2.ROTATE_180)), np.uint8)
    grey_HW = np.asarray(cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY), np.uint8)
    pale_HW3 = cv2.max(image_HW3, _in_colour(tabled(grey_HW, np.arange(256) * 1.5 + 127.5)))
    mixed_HW3 = cv2.addWeighted(image_HW3, clear, pale_HW3, 1 - clear, 0)
    return np.asarray(cv2.add(mixed_HW3, _in_colour(flakes_HW)), np.uint8)


def rain(image_HW3: Image, share: float, rng: np.random.Generator) -> Image:
    """Drops on glass close to the lens and slightly out of focus; those of a level are there at the next as well."""
    rows, columns = image_HW3.shape[:2]
    drops = draw_drops((rows, columns), None, _DROPS, rng)
    area = math.pi * np.array([drop.radius_px**2 for drop in drops])
    order = rng.permutation(len(drops))
    # Drops that lie anywhere leave exp(-sum of areas) of the glass dry.
    wanted = -math.log1p(-share) * rows * columns
    kept = set(order[: int(np.searchsorted(np.cumsum(area[order]), wanted)) + 1].tolist())
    chosen = [drop for number, drop in enumerate(drops) if number in kept]
    return look_through(image_HW3, chosen, _FOCUS * min(rows, columns))[0]


def _in_colour(plane_HW: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.cvtColor(plane_HW, cv2.COLOR_GRAY2RGB), np.uint8)
