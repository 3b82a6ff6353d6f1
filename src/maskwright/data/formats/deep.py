"""Photos of more than 8 bits a channel (16-bit PNG and TIFF, floating point) as 8 bits, all of them by one rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.formats.listing import Item
from maskwright.files import read_bytes
from maskwright.imageio import encode_image, is_deep
from maskwright.png import encode_plane
from maskwright.types import InputError

_TAILS = (0.1, 99.9)  # per cent of a photo's values: a hot pixel does not darken all photos
_LOOKED_AT = 1_000_000  # values of a photo, evenly spaced


@dataclass(frozen=True)
class Scale:
    """Reads a photo; deep ones linearly between two values, of which the lower is black and the higher white.

    `ends` has them for every kind of number, as in ('uint16', 71.0, 3809.0): 16-bit and floating point photos have
    nothing in common.
    """

    ends: tuple[tuple[str, float, float], ...]

    def __call__(self, item: Item) -> tuple[bytes, str]:
        """The encoded photo, 8 bits a channel, and its suffix; raises InputError for one that is damaged."""
        data = read_bytes(item.image)
        if not is_deep(data, item.image):
            return data, item.image.suffix.lower()
        pixels = _pixels(data, item.image)
        black, white = next((low, high) for kind, low, high in self.ends if kind == pixels.dtype.name)
        plain = np.clip((pixels.astype(np.float32) - black) * (255 / (white - black)) + 0.5, 0, 255).astype(np.uint8)
        return (encode_plane(plain, None) if plain.ndim == 2 else encode_image(plain, ".png")), ".png"

    def says(self) -> str:
        """One line for the person."""
        rules = "; ".join(f"{kind}: {low:g} is black, {high:g} is white" for kind, low, high in self.ends)
        return f"Photos of more than 8 bits are stored as 8 bits, all by one rule ({rules}), kept in dataset.yaml."


def scale_of(photos: Iterable[Path]) -> Scale | None:
    """One rule for all deep photos, which keeps 99.8 % of each one's values; None where none is deep.

    Files that cannot be read have no say: they are left out, with their reason, when they are taken in.
    """
    found: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for path in photos:
        try:
            data = read_bytes(path)
            if is_deep(data, path):
                values = _pixels(data, path).ravel()
                values = values[:: max(1, values.size // _LOOKED_AT)]
                found[values.dtype.name].append(np.percentile(values, _TAILS))
        except InputError:
            continue
    ends = []
    for kind, each in sorted(found.items()):
        black, white = float(min(low for low, _ in each)), float(max(high for _, high in each))
        ends.append((kind, black, white if white > black else black + 1))
    return Scale(tuple(ends)) if ends else None


def _pixels(data: bytes, path: Path) -> NDArray[Any]:
    """Grey (H, W) or RGB (H, W, 3), upright, in the file's own numbers; raises InputError where that fails."""
    try:
        # Not IMREAD_COLOR_RGB: OpenCV 5 makes noise of 16-bit TIFF with it.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        pixels = None
    if pixels is None or not np.isfinite(pixels).all():
        raise InputError(f"{path} cannot be scaled to 8 bits (it is damaged, or of a rare kind); export it as PNG.")
    return np.asarray(pixels if pixels.ndim == 2 else pixels[..., ::-1])
