"""An image of any size -> class ids: whole, or in tiles at the scale of the training photos, and seen several ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.files import explained, write_through
from maskwright.imageio import read_image, write_image
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.infer.segmenting.thumbnail import Thumbnail
from maskwright.infer.segmenting.tiling import Block, Grid, blended, photo_hw, tile_of
from maskwright.infer.segmenting.tta import mean_scores
from maskwright.infer.segmenting.windows import ArrayRows, Rows, is_large_tiff, open_tiff
from maskwright.infer.temper import tempered
from maskwright.png import encode_bands
from maskwright.types import Classes, Image, InputError, Mask

Scores = NDArray[np.float32]
Tiles = Literal["auto", "off"] | tuple[int, int]
See = Callable[[int, Image], None]

MUCH_LARGER = 1.5  # than the training photos: from there on an image is cut into tiles
LEAST_TILE = 16
MOST_OVERLAP = 0.75


@dataclass(frozen=True, kw_only=True)
class How:
    """How images are segmented. Raises InputError for what makes no sense.

    `tiles`: 'auto' cuts images that are much larger than the training photos, 'off' none, (rows, columns) of the image
    those that are larger than that. Neighbouring tiles share `overlap` of their side or more. `flips` adds the view in
    a mirror; `scales` adds views at other working sizes (0.75: three quarters of it). The answer is the mean over all.
    """

    tiles: Tiles = "auto"
    overlap: float = 0.25
    flips: bool = False
    scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.tiles, str):
            if self.tiles not in ("auto", "off"):
                raise InputError(f"Tiles '{self.tiles}' are not known; take 'auto', 'off' or (rows, columns).")
        elif len(self.tiles) != 2 or min(self.tiles) < LEAST_TILE:
            raise InputError(f"Tiles of {self.tiles} make no sense; take two sides of {LEAST_TILE} pixels or more.")
        if not 0 <= self.overlap <= MOST_OVERLAP:
            raise InputError(f"An overlap of {self.overlap:g} makes no sense; take one from 0 to {MOST_OVERLAP}.")
        if wrong := [scale for scale in self.scales if not (0.1 <= scale <= 4 and scale != 1)]:
            raise InputError(
                f"Scale {wrong[0]:g} makes no sense; take some from 0.1 to 4, without 1: it always counts."
            )


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """What `segment_file` did: rows and columns, tiles it took (1: whole), and pixels by class id."""

    size_hw: tuple[int, int]
    tiles: int
    pixels_K: NDArray[np.int64]


class Segmenter:
    """A predictor for images of any size, with tiles and views as `how` says; `batch` tiles or images at a time.

    Raises InputError for scales with a backend whose working size is fixed.
    """

    def __init__(self, predictor: Predictor, how: How | None = None, *, batch: int = 1) -> None:
        self.predictor, self.how, self.batch = predictor, how or How(), batch
        self.classes: Classes = predictor.classes
        if self.how.scales and predictor.backend != "torch":
            raise InputError(f"Backend '{predictor.backend}' has one working size; for scales take --backend torch.")

    @cached_property
    def photo_hw(self) -> tuple[int, int] | None:
        """Rows and columns that the run's training photos had; None where nothing says so."""
        return photo_hw(self.predictor.run)

    def tile_hw(self, size_hw: tuple[int, int]) -> tuple[int, int] | None:
        """Rows and columns of a tile of an image of this size; None where it goes through the network whole."""
        tiles = self.how.tiles
        if tiles == "auto":
            seen = self.photo_hw
            if seen is None or all(side <= MUCH_LARGER * usual for side, usual in zip(size_hw, seen, strict=True)):
                return None
            tiles = tile_of(seen, self.predictor.size_hw, self.predictor.fit)
        if tiles == "off" or (size_hw[0] <= tiles[0] and size_hw[1] <= tiles[1]):
            return None
        return tiles

    def probabilities(self, image_HW3: Image) -> Scores:
        """Class probabilities (K, H, W) float32 of one image, as `Predictor.probabilities`."""
        rows = ArrayRows(image_HW3=image_HW3)
        tile_hw = self.tile_hw(rows.size_hw)
        if tile_hw is None:
            (scores_KHW,) = self._seen([image_HW3])
        else:
            scores_KHW = np.empty((0, *rows.size_hw), np.float32)
            for down, across, block_KHW in self.blocks(rows, tile_hw):
                if not len(scores_KHW):
                    scores_KHW = np.empty((len(block_KHW), *rows.size_hw), np.float32)
                scores_KHW[:, down, across] = block_KHW
        return tempered(scores_KHW, self.predictor.temperature, each_class=self.predictor.each_class)

    def probabilities_of(self, images: Sequence[Image]) -> Iterator[Scores]:
        """`probabilities` of several images, one by one; where none needs tiles or views, in one batch."""
        cut = any(self.tile_hw((image.shape[0], image.shape[1])) for image in images)
        if images and not cut and not self.how.flips and not self.how.scales:
            return self.predictor.probabilities_of(images)
        return map(self.probabilities, images)

    def ids(self, image_HW3: Image) -> Mask:
        """Class ids (H, W) of one image; of a tiled one its probabilities are never held as a whole."""
        return self.ids_of([image_HW3])[0]

    def ids_of(self, images: Sequence[Image]) -> list[Mask]:
        """Class ids of several images; those that need no tiles go `batch` at a time."""
        found: dict[int, Mask] = {}
        whole: list[int] = []
        for index, image_HW3 in enumerate(images):
            tile_hw = self.tile_hw((image_HW3.shape[0], image_HW3.shape[1]))
            if tile_hw is None:
                whole.append(index)
            else:
                bands = self.bands(ArrayRows(image_HW3=image_HW3), tile_hw)
                found[index] = np.concatenate([ids_HW for _, ids_HW in bands])
        for start in range(0, len(whole), self.batch):
            chunk = whole[start : start + self.batch]
            several = self._whole_ids([images[index] for index in chunk])
            found |= dict(zip(chunk, several, strict=True))
        return [found[index] for index in range(len(images))]

    def bands(self, rows: Rows, tile_hw: tuple[int, int], see: See | None = None) -> Iterator[tuple[int, Mask]]:
        """Class ids of a tiled image as bands, each with its first row; `see` is shown the rows of the image."""
        columns = rows.size_hw[1]
        band_HW = np.empty((0, columns), self.classes.dtype)
        for down, across, block_KHW in self.blocks(rows, tile_hw, see):
            if across.start == 0:
                band_HW = np.empty((down.stop - down.start, columns), self.classes.dtype)
            band_HW[:, across] = first_maximum(block_KHW, self.classes)
            if across.stop == columns:
                yield down.start, band_HW

    def blocks(self, rows: Rows, tile_hw: tuple[int, int], see: See | None = None) -> Iterator[Block]:
        """Scores of a tiled image before any temperature, as blocks that touch: rows, columns, (K, h, w)."""
        grid = self.grid(rows.size_hw, tile_hw)
        return blended(grid, self._tile_scores(rows, grid, tile_hw, see))

    def grid(self, size_hw: tuple[int, int], tile_hw: tuple[int, int]) -> Grid:
        """Where the tiles lie."""
        return Grid.of(size_hw, tile_hw, self.how.overlap)

    def _tile_scores(self, rows: Rows, grid: Grid, tile_hw: tuple[int, int], see: See | None) -> Iterator[Scores]:
        windows = _windows(rows, grid, see)
        while chunk := list(islice(windows, self.batch)):
            high, wide = chunk[0].shape[:2]
            if self.predictor.fit == "stretch" and (high, wide) != tile_hw:
                # Stretched to the working size, a low image would no more have the scale of a training photo.
                chunk = [_reflected(window, tile_hw) for window in chunk]
            for scores_KHW in self._seen(chunk):
                yield scores_KHW[:, :high, :wide]

    def _seen(self, images: Sequence[Image]) -> list[Scores]:
        return mean_scores(self.predictor, images, flips=self.how.flips, scales=self.how.scales)

    def _whole_ids(self, images: Sequence[Image]) -> list[Mask]:
        if not self.how.flips and not self.how.scales:
            return self.predictor.ids_of(images)
        return [first_maximum(scores_KHW, self.classes) for scores_KHW in self._seen(images)]


def _windows(rows: Rows, grid: Grid, see: See | None) -> Iterator[Image]:
    """The tiles of an image, row by row; `see` gets its rows, once each."""
    for top, high in zip(grid.rows.starts, grid.rows.done, strict=True):
        strip_HW3 = rows.read(top, top + grid.rows.tile)
        if see is not None:
            see(top, strip_HW3[:high])
        for left in grid.columns.starts:
            yield strip_HW3[:, left : left + grid.columns.tile]


def _reflected(image_HW3: Image, size_hw: tuple[int, int]) -> Image:
    below, beside = size_hw[0] - image_HW3.shape[0], size_hw[1] - image_HW3.shape[1]
    return np.asarray(cv2.copyMakeBorder(image_HW3, 0, below, 0, beside, cv2.BORDER_REFLECT), np.uint8)


def parse_tiles(text: str) -> Tiles:
    """'auto', 'off', '1024' or '768x1024' (rows x columns of the image) -> `How.tiles`; InputError for others."""
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    if match := re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text.strip()):
        return int(match[1]), int(match[2] or match[1])
    raise InputError(f"--tiles {text} is not known; write auto, off, a side as 1024, or rows x columns as 768x1024.")


def by_parts(path: Path) -> bool:
    """Whether a file is a TIFF of more pixels than are opened at once: it is for `segment_file` only."""
    return is_large_tiff(path)


def segment_file(
    segmenter: Segmenter,
    path: Path,
    ids: Path,
    *,
    overlay: Path | None = None,
    preview_px: int = 2048,
    progress: Callable[[int, int], None] | None = None,
) -> Segmented:
    """Segment an image file of any size, a TIFF beyond memory included, and write its class ids as a PNG.

    A large TIFF is read, and its PNG written, a row of tiles at a time. `overlay` becomes a picture of at most
    `preview_px` a side: the photo under its mask. `progress` is told the rows done and the rows in all. Raises
    InputError where the file is no image, or too large to be opened at once and no TIFF that can be read by parts.
    """
    large = by_parts(path)
    with open_tiff(path) if large else nullcontext(ArrayRows(image_HW3=read_image(path))) as rows:
        tile_hw = segmenter.tile_hw(rows.size_hw)
        if tile_hw is None and large:
            raise InputError(
                f"{path} is too large to be opened whole, and tiles are off or the size of the run's training "
                "photos is not known; give --tiles ROWSxCOLUMNS, as large as a training photo."
            )
        small = Thumbnail(rows.size_hw, segmenter.classes, preview_px)
        pixels_K = np.zeros(len(segmenter.classes), np.int64)

        def bands() -> Iterator[Mask]:
            for top, ids_HW in _bands(segmenter, rows, tile_hw, small.take_image):
                small.take_ids(top, ids_HW)
                pixels_K[:] += sum(np.bincount(line, minlength=len(pixels_K)) for line in ids_HW)
                if progress is not None:
                    progress(top + len(ids_HW), rows.size_hw[0])
                yield ids_HW

        write_bands(ids, bands(), rows.size_hw, segmenter.classes)
        if overlay is not None:
            write_image(overlay, small.overlay())
        tiles = 1 if tile_hw is None else len(segmenter.grid(rows.size_hw, tile_hw))
        return Segmented(size_hw=rows.size_hw, tiles=tiles, pixels_K=pixels_K)


def _bands(segmenter: Segmenter, rows: Rows, tile_hw: tuple[int, int] | None, see: See) -> Iterator[tuple[int, Mask]]:
    if tile_hw is not None:
        return segmenter.bands(rows, tile_hw, see)
    image_HW3 = rows.read(0, rows.size_hw[0])
    see(0, image_HW3)
    return iter([(0, segmenter.ids(image_HW3))])


def write_bands(path: Path, bands: Iterable[Mask], size_hw: tuple[int, int], classes: Classes) -> None:
    """Write the mask (rows, columns) that comes as bands of rows, as `write_mask` does, and never hold all of it."""
    palette = classes.palette() if classes.dtype == np.uint8 else None

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.writelines(encode_bands(bands, size_hw, classes.dtype, palette))

    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_through(path, write)
