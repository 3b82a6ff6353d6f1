"""What a recipe does to samples, on one sheet: each sample as it is, then random draws of it, masks laid over."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from maskwright.config import AugmentRecipe, Recipe
from maskwright.data.augmenting.augment import draw_generator, draw_sample
from maskwright.data.augmenting.sampling import balance, count_classes, minority_classes
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.pairs import Decoded, Pair
from maskwright.geometry import resize_nearest
from maskwright.imageio import colourise
from maskwright.types import Classes, Colour, Image, InputError, Mask

Font = ImageFont.FreeTypeFont

LONGEST_PX = 256
PARTNERS = 60
LEGEND_CLASSES = 24
MARGIN, GAP, LINE = 24, 10, 22
PAPER, INK, QUIET = (255, 255, 255), (31, 41, 55), (107, 114, 128)


def preview(dataset: Dataset, recipe: Recipe, samples: Sequence[Sample], seed: int = 0, *, draws: int = 5) -> Image:
    """A sheet (H, W, 3) uint8: a row a sample, first as it is, then `draws` random versions as training sees them.

    Masks lie over the pictures in their class colours with outlines; ignored pixels are hatched. Partners for mixing
    come from the samples and at most 60 more labelled ones. The seed alone decides the draws; open keys of the recipe
    (working size, classes to paste) are derived from the samples. Raises InputError where no sample has a mask.
    """
    shown = [sample for sample in samples if sample.mask]
    if not shown or draws < 1:
        raise InputError("A preview needs at least one labelled sample and one draw; label some images first.")
    recipe = _with_size(recipe, shown)
    others = [sample for sample in dataset.labelled() if sample not in shown]
    pool = [*shown, *others[:: max(1, -(-len(others) // PARTNERS))]]
    pairs = Decoded(dataset, pool, recipe)
    counts = count_classes(pairs, len(dataset.classes))
    if recipe.augment.paste and recipe.augment.paste_classes is None:
        names = [dataset.classes.names[k] for k in minority_classes(counts.pixels(), dataset.classes)]
        recipe = recipe.with_values(augment__paste_classes=names)
    found = balance(counts, recipe, dataset.classes)

    def drawn(index: int, draw: int) -> Pair:
        rng = draw_generator(seed, draw, index)
        return draw_sample(pairs, index, recipe, rng, ignore=dataset.classes.ignore, balance=found)

    rows = [[pairs[index], *(drawn(index, draw) for draw in range(draws))] for index in range(len(shown))]
    return _sheet(rows, [sample.id for sample in shown], recipe, dataset.classes)


def active_options(recipe: Recipe) -> list[str]:
    """What changes samples in a recipe, each option with its value, in recipe order."""
    off = {**AugmentRecipe(flip=0).model_dump(), "crop": None, "crop_focus": 0.0}
    crops = {"crop": recipe.data.crop, "crop_focus": recipe.data.crop_focus}
    values = {key: value for key, value in {**crops, **recipe.augment.model_dump()}.items() if value != off[key]}
    return [f"{key} {_words(value)}" for key, value in values.items()] or ["nothing is changed"]


def show_mask(image_HW3: Image, mask_HW: Mask, classes: Classes) -> Image:
    """The picture with its mask: tinted and outlined in class colours, ignored pixels hatched in white.

    The background of the class table is left as it is.
    """
    colours_HW3 = colourise(mask_HW, classes)
    ignored = mask_HW == classes.ignore
    plain = ignored if classes.background is None else ignored | (mask_HW == classes.background)
    tinted = np.where(plain[..., None], image_HW3, cv2.addWeighted(image_HW3, 0.62, colours_HW3, 0.38, 0))
    edges = _edges(mask_HW) & ~plain
    tinted[edges] = colours_HW3[edges]
    y, x = np.ogrid[: mask_HW.shape[0], : mask_HW.shape[1]]
    lines = (x + y) % 8 < 2
    tinted[ignored] = tinted[ignored] // 2 + 90
    tinted[ignored & lines] = 255
    return tinted.astype(np.uint8, copy=False)


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " / ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in value) or "none"
    return "on" if value is True else f"{value:g}" if isinstance(value, float) else str(value)


def _with_size(recipe: Recipe, samples: Sequence[Sample]) -> Recipe:
    if recipe.data.size is not None:
        return recipe
    height, width = (float(np.median(sides)) for sides in zip(*(sample.size_hw for sample in samples), strict=True))
    scale = min(1.0, 1.5 * LONGEST_PX / max(height, width))
    return recipe.with_values(data__size=(max(1, round(height * scale)), max(1, round(width * scale))))


def _edges(mask_HW: Mask) -> NDArray[np.bool_]:
    """Pixels, on either side, where the id changes: lines of two pixels."""
    found = np.zeros(mask_HW.shape, bool)
    for axis in (0, 1):
        ahead = (slice(1, None), slice(None))[:: 1 if axis == 0 else -1]
        behind = (slice(None, -1), slice(None))[:: 1 if axis == 0 else -1]
        changed = mask_HW[ahead] != mask_HW[behind]
        found[ahead] |= changed
        found[behind] |= changed
    return found


def _panel(pair: Pair, classes: Classes) -> Image:
    image_HW3, mask_HW = pair
    scale = LONGEST_PX / max(mask_HW.shape)
    size = (max(1, round(mask_HW.shape[1] * scale)), max(1, round(mask_HW.shape[0] * scale)))
    image = cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return show_mask(np.asarray(image, np.uint8), resize_nearest(mask_HW, size[::-1]), classes)


def _sheet(rows: Sequence[Sequence[Pair]], names: Sequence[str], recipe: Recipe, classes: Classes) -> Image:
    panels = [[_panel(pair, classes) for pair in row] for row in rows]
    cell_w = max(LONGEST_PX // 2, *(panel.shape[1] for row in panels for panel in row))
    cell_h = max(panel.shape[0] for row in panels for panel in row)
    columns = len(panels[0])
    width = 2 * MARGIN + columns * cell_w + (columns - 1) * GAP
    plain, title = font_of(13), font_of(18)
    about = _lines(active_options(recipe), plain, width - 2 * MARGIN)
    seen = np.unique(np.concatenate([np.unique(pair[1]) for row in rows for pair in row]))
    top = MARGIN + 30 + LINE * len(about) + 12 + LINE
    body = len(panels) * (cell_h + LINE + GAP)
    legend, legend_h = _legend(seen, classes, width - 2 * MARGIN, plain)
    sheet = PILImage.new("RGB", (width, top + body + legend_h + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), f"Recipe {recipe.name}", INK, title)
    for number, line in enumerate(about):
        pen.text((MARGIN, MARGIN + 30 + LINE * number), line, QUIET, plain)
    for column in range(columns):
        word = "original" if column == 0 else f"draw {column}"
        pen.text((MARGIN + column * (cell_w + GAP), top - LINE), word, INK, plain)
    for number, (row, name) in enumerate(zip(panels, names, strict=True)):
        y = top + number * (cell_h + LINE + GAP)
        for column, panel in enumerate(row):
            sheet.paste(PILImage.fromarray(panel), (MARGIN + column * (cell_w + GAP), y))
        pen.text((MARGIN, y + row[0].shape[0] + 3), _shortened(name, plain, width - 2 * MARGIN), QUIET, plain)
    sheet.paste(legend, (MARGIN, top + body))
    return np.array(sheet, np.uint8)


def font_of(size_px: int) -> Font:
    """The font of all sheets at a size in pixels."""
    # Pillow's own font knows no umlauts.
    with importlib.resources.as_file(importlib.resources.files("matplotlib") / "mpl-data/fonts/ttf") as folder:
        return ImageFont.truetype(folder / "DejaVuSans.ttf", size_px)


def _lines(items: Sequence[str], font: Font, room_px: int) -> list[str]:
    """The items with commas between them, broken between items where a line is full."""
    lines = [items[0]]
    for item in items[1:]:
        if font.getlength(f"{lines[-1]}, {item},") <= room_px:
            lines[-1] += f", {item}"
        else:
            lines[-1] += ","
            lines.append(item)
    return lines


def _shortened(name: str, font: Font, room_px: int) -> str:
    while font.getlength(name) > room_px and len(name) > 4:
        name = f"{name[: max(1, len(name) - 8)]}..."
    return name


def _legend(seen: NDArray[np.unsignedinteger], classes: Classes, width: int, font: Font) -> tuple[PILImage.Image, int]:
    """Swatches and names of the classes on the sheet, wrapped to `width`."""
    ids = [int(k) for k in seen if k != classes.ignore]
    entries: list[tuple[Colour | None, str]] = [
        (
            classes.items[k].colour,
            classes.items[k].name + (" (not tinted)" if k == classes.background else ""),
        )
        for k in ids[:LEGEND_CLASSES]
    ]
    if len(ids) > LEGEND_CLASSES:
        entries.append((PAPER, f"and {len(ids) - LEGEND_CLASSES} more"))
    if classes.ignore in seen:
        entries.append((None, "ignored"))
    places: list[tuple[int, int]] = []
    x = y = 0
    for _, name in entries:
        needed = 20 + int(font.getlength(name)) + 18
        if x and x + needed > width:
            x, y = 0, y + LINE
        places.append((x, y))
        x += needed
    picture = PILImage.new("RGB", (width, y + LINE + 8), PAPER)
    pen = ImageDraw.Draw(picture)
    for (colour, name), (left, above) in zip(entries, places, strict=True):
        swatch = np.full((14, 14, 3), 110, np.uint8) if colour is None else np.full((14, 14, 3), colour, np.uint8)
        if colour is None:
            row, column = np.ogrid[:14, :14]
            swatch[(row + column) % 8 < 2] = 255
        picture.paste(PILImage.fromarray(swatch), (left, above + 2))
        pen.rectangle((left, above + 2, left + 13, above + 15), outline=QUIET if colour != PAPER else PAPER)
        pen.text((left + 20, above), name, INK, font)
    return picture, picture.height
