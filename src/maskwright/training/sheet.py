"""Pictures of what the network is given."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from maskwright.data.augmenting.preview import show_mask
from maskwright.geometry import resize_nearest
from maskwright.types import Classes, Image, Mask

MOST, COLUMNS, LONGEST_PX, GAP_PX = 8, 4, 240, 6


def draw_batch(image_N3HW: Tensor, target_NHW: Tensor, classes: Classes) -> Image:
    """A sheet (H, W, 3) uint8 of up to 8 images (N, 3, H, W) of 0..255: each above itself with its mask laid over.

    Masks are tinted and outlined in class colours, ignored pixels hatched, the background left as it is.
    """
    cells = [
        _cell(image.permute(1, 2, 0).numpy(), target.numpy().astype(classes.dtype), classes)
        for image, target in zip(image_N3HW[:MOST].cpu(), target_NHW[:MOST].cpu(), strict=True)
    ]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % min(COLUMNS, len(cells)))
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    return np.vstack([np.hstack(row) for row in rows])


def _cell(image_HW3: Image, mask_HW: Mask, classes: Classes) -> Image:
    scale = LONGEST_PX / max(mask_HW.shape)
    size_hw = (max(1, round(mask_HW.shape[0] * scale)), max(1, round(mask_HW.shape[1] * scale)))
    # Enlarged pixels stay squares: the picture shows what the network sees, not more.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST_EXACT
    image = np.asarray(cv2.resize(np.ascontiguousarray(image_HW3), size_hw[::-1], interpolation=how), np.uint8)
    pair = (image, show_mask(image, resize_nearest(mask_HW, size_hw), classes))
    below = (GAP_PX, 4 * GAP_PX)
    edges = [((0, gap), (0, GAP_PX), (0, 0)) for gap in below]
    return np.vstack([np.pad(part, edge, constant_values=255) for part, edge in zip(pair, edges, strict=True)])
