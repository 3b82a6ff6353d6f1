"""A suite on one sheet: a row a kind, a column a level."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from maskwright.data.augmenting.preview import GAP, INK, LINE, MARGIN, PAPER, QUIET, font_of, show_mask
from maskwright.data.perturbing import SUITES, perturb
from maskwright.data.perturbing.perturbation import Perturbation
from maskwright.types import Classes, Image, unknown_name

LONGEST_PX = 300
_LABEL = 18
_PLAIN = Classes.from_names(["background"])


def draw_sheet(suite: str, image_HW3: Image, *, seed: int = 0) -> Image:
    """A sheet (h, w, 3) uint8 of one photo at every level of every kind of a suite, each with its value below.

    The photo is perturbed at its own size and then made smaller; new borders, which no score counts, are hatched.
    Raises InputError for an unknown suite.
    """
    if suite not in SUITES:
        raise unknown_name("suite", suite, SUITES)
    kinds: Mapping[str, Perturbation] = SUITES[suite]
    columns = max(kind.levels for kind in kinds.values())
    cell_h, cell_w = _cell(image_HW3, next(iter(kinds.values())), 1, seed).shape[:2]
    row_h = LINE + cell_h + _LABEL + GAP
    width = 2 * MARGIN + columns * cell_w + (columns - 1) * GAP
    sheet = PILImage.new("RGB", (width, 2 * MARGIN + len(kinds) * row_h), PAPER)
    pen, title, plain = ImageDraw.Draw(sheet), font_of(15), font_of(12)
    for number, kind in enumerate(kinds.values()):
        y = MARGIN + number * row_h
        pen.text((MARGIN, y), kind.title, INK, title)
        pen.text((MARGIN + title.getlength(f"{kind.title}  "), y + 3), kind.unit, QUIET, plain)
        for level in range(1, kind.levels + 1):
            x = MARGIN + (level - 1) * (cell_w + GAP)
            sheet.paste(PILImage.fromarray(_cell(image_HW3, kind, level, seed)), (x, y + LINE))
            pen.text((x, y + LINE + cell_h + 2), f"{level}: {kind.label(level)}", QUIET, plain)
    return np.array(sheet, np.uint8)


def _cell(image_HW3: Image, kind: Perturbation, level: int, seed: int) -> Image:
    mask_HW = np.zeros(image_HW3.shape[:2], np.uint8)
    picture_HW3, mask_HW = perturb(  # type: ignore[assignment]
        kind, level, image_HW3, mask_HW, seed=seed, sample_id="sheet", ignore=_PLAIN.ignore
    )
    shown_HW3 = show_mask(picture_HW3, mask_HW, _PLAIN)
    scale = LONGEST_PX / max(shown_HW3.shape[:2])
    size = max(1, round(shown_HW3.shape[1] * scale)), max(1, round(shown_HW3.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(shown_HW3, size, interpolation=how), np.uint8)
