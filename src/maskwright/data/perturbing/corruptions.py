"""Common corruptions: camera, weather, file and pose, each as it is (level 1) and at five severities (levels 2 to 6).

Motion blur, defocus, JPEG, pixelate, fog and snow have the parameters of ImageNet-C (Hendrycks & Dietterich,
"Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019), which Michaelis et al.
("Benchmarking Robustness in Object Detection", 2019) and Kamann & Rother ("Benchmarking the Robustness of Semantic
Segmentation Models", CVPR 2020) took over for larger pictures: sizes are in pixels, whatever the picture's. The other
kinds have no published severities for this purpose; theirs are our own: rain on the lens from the drop generator,
colour cast, rotation, scale, gamma and low light.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from maskwright.data.augmenting.warp import warp
from maskwright.data.perturbing.ladder import draw_uint16, normal_quantiles, tabled
from maskwright.data.perturbing.optics import defocus_blur, motion_blur
from maskwright.data.perturbing.perturbation import Apply, Move, Perturbation, Value, as_dict
from maskwright.data.perturbing.weather import fog, rain, snow
from maskwright.types import Image, Mask

_FULL_WELL, _READ_NOISE = 8000, 3  # electrons of a small sensor at white, and of its noise in the dark
_GAMMA = 2.2


def jpeg(image_HW3: Image, quality: float, rng: np.random.Generator) -> Image:
    """What JPEG leaves of a picture; chroma is halved, as cameras and web sites do."""
    # OpenCV takes the first channel for blue, and so would keep the wrong one sharp.
    bgr_HW3 = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2BGR)
    done, packed = cv2.imencode(".jpg", bgr_HW3, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    assert done
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB), np.uint8)


def pixelate(image_HW3: Image, share: float, rng: np.random.Generator) -> Image:
    """Scaled to this share of the sides by area averaging, and back by repeating pixels."""
    rows, columns = image_HW3.shape[:2]
    size = max(1, int(columns * share)), max(1, int(rows * share))
    coarse = cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def colour_cast(image_HW3: Image, strength: float, rng: np.random.Generator) -> Image:
    """A wrong white balance: gains of 1 + strength * cos around the colour circle, towards a hue that is drawn."""
    hue = rng.uniform(0, 2 * math.pi)
    gains = 1 + strength * np.cos(hue - 2 * math.pi / 3 * np.arange(3))
    return tabled(image_HW3, np.arange(256)[:, None] * gains)


def gamma(image_HW3: Image, exponent: float, rng: np.random.Generator) -> Image:
    """Grey values to the power of the exponent (darker) or of its inverse (brighter), as drawn."""
    power = exponent if rng.random() < 0.5 else 1 / exponent
    return tabled(image_HW3, 255 * (np.arange(256) / 255) ** power)


def low_light(image_HW3: Image, stops: float, rng: np.random.Generator) -> Image:
    """So many halvings of the light; the camera's gain makes up for half of them, and raises the noise with the rest.

    Photons arrive at random (their noise is the square root of their number) and reading adds some electrons; mean
    and deviation of each grey value follow by passing that through the gamma curve. Noise of each channel is
    independent.
    """
    electrons = _FULL_WELL / 2**stops
    quantiles = normal_quantiles()[512::1024]
    mean = (np.arange(256) / 255) ** _GAMMA * electrons
    counted = mean[:, None] + np.sqrt(mean + _READ_NOISE**2)[:, None] * quantiles
    shown = 255 * (np.clip(counted / electrons, 0, None) * 2 ** (-stops / 2)) ** (1 / _GAMMA)
    dark_HW3 = tabled(image_HW3, shown.mean(axis=1))
    # Deviations in sixteenths of a grey value and quantiles in 1/2048 fit into 16 bits, and their product is scaled.
    deviation_HW3 = cv2.LUT(image_HW3, np.rint(shown.std(axis=1) * 16).astype(np.int16))
    field = np.rint(normal_quantiles() * 2048).astype(np.int16)
    grain_HW3 = cv2.multiply(deviation_HW3, np.take(field, draw_uint16(image_HW3.shape, rng)), scale=1 / (16 * 2048))
    return np.asarray(cv2.add(dark_HW3, grain_HW3, dtype=cv2.CV_8U), np.uint8)


def rotation(
    image_HW3: Image, mask_HW: Mask, degrees: float, rng: np.random.Generator, ignore: int
) -> tuple[Image, Mask]:
    """Turned about its middle to the side that is drawn; the picture is mirrored at new borders, the mask ignored."""
    return _turned(image_HW3, mask_HW, degrees if rng.random() < 0.5 else -degrees, 1.0, ignore)


def scale(image_HW3: Image, mask_HW: Mask, factor: float, rng: np.random.Generator, ignore: int) -> tuple[Image, Mask]:
    """Enlarged by the factor or reduced by it, as drawn, about its middle; new borders as in `rotation`."""
    return _turned(image_HW3, mask_HW, 0.0, factor if rng.random() < 0.5 else 1 / factor, ignore)


def _turned(image_HW3: Image, mask_HW: Mask, degrees: float, zoom: float, ignore: int) -> tuple[Image, Mask]:
    rows, columns = mask_HW.shape
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), degrees, zoom)
    return warp(image_HW3, mask_HW, matrix, (rows, columns), ignore)


def _image_of(move: Move) -> Apply:
    """What a move does to the picture alone."""

    def apply(image_HW3: Image, value: float, rng: np.random.Generator) -> Image:
        return move(image_HW3, np.zeros(image_HW3.shape[:2], np.uint8), value, rng, 255)[0]

    return apply


def _kind(name: str, title: str, unit: str, severities: tuple[Value, ...], apply: Apply) -> Perturbation:
    return Perturbation(name=name, title=title, unit=unit, values=(None, *severities), apply=apply)


def _move(name: str, title: str, unit: str, severities: tuple[Value, ...], move: Move) -> Perturbation:
    return Perturbation(
        name=name, title=title, unit=unit, values=(None, *severities), apply=_image_of(move), moves=move
    )


CORRUPTIONS = as_dict(
    _kind(
        "motion_blur",
        "Motion blur",
        "radius / sigma, px",
        ((10.0, 3.0), (15.0, 5.0), (15.0, 8.0), (15.0, 12.0), (20.0, 15.0)),
        motion_blur,
    ),
    _kind(
        "defocus_blur",
        "Defocus blur",
        "radius / edge sigma, px",
        ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
        defocus_blur,
    ),
    _kind("jpeg", "JPEG", "quality", (25.0, 18.0, 15.0, 10.0, 7.0), jpeg),
    _kind("pixelate", "Pixelate", "share of the sides", (0.6, 0.5, 0.4, 0.3, 0.25), pixelate),
    _kind("fog", "Fog", "strength / decay", ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)), fog),
    _kind("rain", "Rain on the lens", "share of the glass", (0.05, 0.1, 0.17, 0.25, 0.33), rain),
    _kind("snow", "Snow", "severity", (1.0, 2.0, 3.0, 4.0, 5.0), snow),
    _kind("colour_cast", "Colour cast", "largest gain", (0.08, 0.15, 0.22, 0.3, 0.4), colour_cast),
    _move("rotation", "Rotation", "degrees", (3.0, 6.0, 10.0, 15.0, 20.0), rotation),
    _move("scale", "Scale", "factor", (1.1, 1.25, 1.5, 1.75, 2.0), scale),
    _kind("gamma", "Gamma", "exponent", (1.2, 1.5, 1.8, 2.2, 2.8), gamma),
    _kind("low_light", "Low light", "stops", (1.5, 3.0, 4.5, 6.0, 7.5), low_light),
)
