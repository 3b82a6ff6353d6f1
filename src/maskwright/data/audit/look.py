"""What is measured of one image and one mask: a few numbers, a perceptual hash, a thumbnail. No pixels are kept."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.audit.alignment import Fit, fit_mask
from maskwright.data.pixels.parts import labelled_parts
from maskwright.files import content_hash
from maskwright.imageio import pack_colour, pack_colours, read_colours, read_plane
from maskwright.types import IGNORE_COLOUR, IGNORE_WIDE, Classes, Image, InputError, Mask

THUMB = 16
MASK_THUMB = 32
MOST_ALIENS = 8
ALIEN = IGNORE_WIDE - 1  # stands for a colour that is no class's
NEAR = 24.0  # distance of colours that JPEG may cause inside an area
THICK = 5
SIZE_BINS = 28  # connected parts of 1, 2-3, 4-7, ... pixels; the last bin holds all that are larger
WORKING_SIDE = 512

Plane = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """Measured of an image: `brightness` and `contrast` are mean and standard deviation of grey (0..255).

    `sharpness` is the share of the finest detail in all detail: the variance of the Laplacian over that of grey, at
    a working size of at most 512 pixels. `code` is a 64-bit hash of the low frequencies, `thumb` 16 x 16 RGB.
    """

    height: int
    width: int
    brightness: float
    contrast: float
    sharpness: float
    code: int
    thumb: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskFacts:
    """Measured of a mask, after colours of the class table were read as its ids.

    `kind` is 'ids' or 'colours'; `lossy` says that the file is a JPEG. `pixels` counts each class, `ignored` the
    ignored. `aliens` are the most frequent ids (0xRRGGBB of a colour picture) outside the table with their pixels,
    out of `alien_kinds` with `alien_pixels`, of which `mendable` are near a class's colour or in thin lines.
    `parts` counts, by class and last for ignored, connected parts of 1, 2-3, 4-7, ... pixels (8-connected). `steps`
    are places where the id jumps by more than one, `smooth` those of them with an in-between id in between.
    `corners` says how much shape there is: 2 x 2 blocks that are neither flat nor a straight edge. `digest` hashes
    the ids, `code` their coarse layout; `thumb` is 32 x 32 ids, compressed.
    """

    height: int
    width: int
    kind: str
    lossy: bool
    pixels: tuple[int, ...]
    ignored: int
    aliens: tuple[tuple[int, int], ...]
    alien_kinds: int
    alien_pixels: int
    mendable: int
    parts: tuple[tuple[int, ...], ...]
    steps: int
    smooth: int
    corners: int
    digest: str
    code: int
    thumb: bytes = field(repr=False)
    fit: Fit | None

    @property
    def area(self) -> int:
        """All pixels of the mask."""
        return self.height * self.width


def look_at_image(image_HW3: Image) -> ImageFacts:
    """Measure a photo; the hash follows Zauner (2010), section 3.2.1: signs of the low DCT frequencies."""
    rows, columns = image_HW3.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(rows, columns))
    if scale < 1:
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        image_HW3 = np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), np.uint8)
    grey = cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY)
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(grey))
    detail = float(cv2.Laplacian(grey, cv2.CV_16S).std())
    return ImageFacts(
        height=rows,
        width=columns,
        brightness=round(mean, 2),
        contrast=round(deviation, 2),
        sharpness=round(detail / (deviation + 1), 4),
        code=low_frequencies(grey),
        thumb=cv2.resize(image_HW3, (THUMB, THUMB), interpolation=cv2.INTER_AREA).tobytes(),
    )


def low_frequencies(plane_HW: Plane) -> int:
    """64 bits: which of the 63 lowest DCT coefficients of the 32 x 32 thumbnail exceed their median."""
    small = cv2.resize(plane_HW, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()[1:]
    bits = np.append(low > np.median(low), low[0] > 0)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def look_at_mask(data: bytes, path: Path, classes: Classes, image_HW3: Image | None) -> MaskFacts:
    """Measure a mask, and how it fits its photo if that is there; raises InputError where it cannot be read."""
    found = read_any_mask(path, classes)
    ids_HW = found.ids_HW
    counts = np.bincount(ids_HW.ravel(), minlength=IGNORE_WIDE + 1)
    steps, smooth = smoothed_steps(ids_HW, classes)
    return MaskFacts(
        height=ids_HW.shape[0],
        width=ids_HW.shape[1],
        kind=found.kind,
        lossy=data.startswith(b"\xff\xd8"),
        pixels=tuple(counts[: len(classes)].tolist()),
        ignored=int(counts[classes.ignore]),
        aliens=tuple(sorted(found.aliens.items(), key=lambda pair: -pair[1])[:MOST_ALIENS]),
        alien_kinds=len(found.aliens),
        alien_pixels=sum(found.aliens.values()),
        mendable=sum(found.aliens.values()) - thick_pixels(alien_plane(ids_HW, classes)) if found.aliens else 0,
        parts=part_sizes(ids_HW, classes),
        steps=steps,
        smooth=smooth,
        corners=corners(ids_HW),
        digest=content_hash(repr(ids_HW.shape).encode() + ids_HW.astype(np.uint16).tobytes()),
        code=low_frequencies(projected(ids_HW)),
        thumb=mask_thumb(ids_HW),
        fit=None if image_HW3 is None else fit_mask(image_HW3, ids_HW, classes.ignore),
    )


@dataclass(frozen=True, kw_only=True)
class AnyMask:
    """A mask of whatever kind: `ids_HW` has class ids, ignore, and ALIEN or the stored id; `aliens` counts values."""

    kind: str
    ids_HW: Mask
    aliens: dict[int, int]


def read_any_mask(path: Path, classes: Classes) -> AnyMask:
    """Class ids of a mask that stores ids, or paints them in the table's colours (`kind` 'ids' or 'colours').

    Colours within NEAR of a class's colour, as JPEG leaves them, get its id but are counted in `aliens`; other
    colours are ALIEN. Raises InputError for a file that is neither.
    """
    try:
        plane_HW = read_plane(path)
    except InputError as error:
        try:
            pixels_HW3 = read_colours(path)
        except InputError:
            raise error from None
        return _by_colour(pixels_HW3, classes)
    counts = np.bincount(plane_HW.ravel())
    odd = {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i >= len(classes) and i != classes.ignore}
    return AnyMask(kind="ids", ids_HW=plane_HW, aliens=odd)


def _by_colour(pixels_HW3: Image, classes: Classes) -> AnyMask:
    codes, inverse, counts = np.unique(pack_colours(pixels_HW3), return_inverse=True, return_counts=True)
    table = {pack_colour(item.colour): item.id for item in classes.items}
    table.setdefault(pack_colour(IGNORE_COLOUR), classes.ignore)
    colours = np.array([(code >> 16, code >> 8 & 255, code & 255) for code in table], np.float32)
    given = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.float32)
    ids = np.empty(len(codes), np.uint16)
    for start in range(0, len(codes), 4096):  # bounds memory where a photo was saved as a mask
        part = slice(start, start + 4096)
        distance = np.linalg.norm(given[part, None] - colours[None], axis=2)
        nearest = np.array(list(table.values()), np.uint16)[distance.argmin(axis=1)]
        ids[part] = np.where(distance.min(axis=1) <= NEAR, nearest, ALIEN)
    known = np.isin(codes, np.array(list(table), np.uint32))
    aliens = {int(code): int(n) for code, n in zip(codes[~known], counts[~known], strict=True)}
    return AnyMask(kind="colours", ids_HW=ids[inverse].reshape(pixels_HW3.shape[:2]), aliens=aliens)


def alien_plane(ids_HW: Mask, classes: Classes) -> NDArray[np.bool_]:
    """Where an id is neither in the class table nor ignore."""
    return np.asarray((ids_HW >= len(classes)) & (ids_HW != classes.ignore))


def thick_pixels(plane_HW: NDArray[np.bool_]) -> int:
    """Pixels that belong to more than a line: what an opening by THICK x THICK leaves."""
    kernel = np.ones((THICK, THICK), np.uint8)
    return int(np.count_nonzero(cv2.morphologyEx(plane_HW.view(np.uint8), cv2.MORPH_OPEN, kernel)))


def part_sizes(ids_HW: Mask, classes: Classes) -> tuple[tuple[int, ...], ...]:
    """Connected parts (8-connected) by class, last ignored, and by power of two of their pixels."""
    labels_HW, areas = labelled_parts(ids_HW)
    ids = np.zeros(len(areas), np.int64)
    ids[labels_HW.ravel()] = ids_HW.ravel()
    row = np.where(ids == classes.ignore, len(classes), np.minimum(ids, len(classes) + 1))
    column = np.minimum(np.log2(areas).astype(np.int64), SIZE_BINS - 1)
    table = np.bincount(row * SIZE_BINS + column, minlength=(len(classes) + 2) * SIZE_BINS).reshape(-1, SIZE_BINS)
    return tuple(tuple(np.trim_zeros(line, "b").tolist()) for line in table[: len(classes) + 1])


def smoothed_steps(ids_HW: Mask, classes: Classes) -> tuple[int, int]:
    """Places along rows and columns where the id jumps by two or more, and how many of them pass an id in between.

    A mask that was scaled with smoothing, or drawn with smooth edges, passes nearly everywhere; a true one hardly
    anywhere. Jumps to and from ignored pixels count only where the id in between is outside the table.
    """
    jumps = passes = 0
    for plane in (ids_HW, ids_HW.T):
        rows, columns = np.nonzero(plane[:, 1:-1] != plane[:, :-2])
        first, middle, last = (plane[rows, columns + i].astype(np.int32) for i in range(3))
        counts = (middle >= len(classes)) | ((first != classes.ignore) & (last != classes.ignore))
        counts &= middle != classes.ignore
        between = counts & (((first < middle) & (middle < last)) | ((first > middle) & (middle > last)))
        far = counts & (np.abs(middle - first) >= 2) & (first != classes.ignore)
        jumps += int(np.count_nonzero(far | between))
        passes += int(np.count_nonzero(between))
    return jumps, passes


def between_pixels(ids_HW: Mask, classes: Classes) -> NDArray[np.bool_]:
    """Pixels whose id lies between those of their neighbours in a row or column, in steps one or two pixels wide."""
    wide = ids_HW.astype(np.int32)
    found = np.zeros(wide.shape, bool)
    for plane, out in ((wide, found), (wide.T, found.T)):
        for width in (1, 2):
            first, last = plane[:, : -width - 1], plane[:, width + 1 :]
            inside = [plane[:, 1 + i : plane.shape[1] - width + i] for i in range(width)]
            true = (first != classes.ignore) & (last != classes.ignore)
            true &= ((first < inside[0]) & (inside[-1] < last)) | ((first > inside[0]) & (inside[-1] > last))
            for i in range(width):
                out[:, 1 + i : plane.shape[1] - width + i] |= true
    return found


def corners(ids_HW: Mask) -> int:
    """How many 2 x 2 blocks are neither flat nor crossed by one straight edge: 4 for a box, many for a true outline."""
    down, right = ids_HW[1:] != ids_HW[:-1], ids_HW[:, 1:] != ids_HW[:, :-1]
    return int(np.count_nonzero((down[:, 1:] | down[:, :-1]) & (right[1:] | right[:-1])))


def projected(ids_HW: Mask) -> NDArray[np.uint8]:
    """Ids as scattered greys, so that the layout of any classes can be hashed like a picture."""
    greys = (np.arange(IGNORE_WIDE + 1, dtype=np.uint64) * 2654435761 >> 7 & 255).astype(np.uint8)
    return np.asarray(greys[ids_HW])


def mask_thumb(ids_HW: Mask) -> bytes:
    """The ids in the middle of 32 x 32 cells, two bytes each, compressed."""
    rows, columns = (((np.arange(MASK_THUMB) + 0.5) * side / MASK_THUMB).astype(int) for side in ids_HW.shape)
    return zlib.compress(ids_HW[np.ix_(rows, columns)].astype("<u2").tobytes(), 6)


def thumb_ids(mask: MaskFacts) -> NDArray[np.uint16]:
    """What `mask_thumb` packed, shape (32, 32)."""
    return np.frombuffer(zlib.decompress(mask.thumb), "<u2").reshape(MASK_THUMB, MASK_THUMB)
