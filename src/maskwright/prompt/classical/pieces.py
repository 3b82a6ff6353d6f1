"""What is known of an image before the first click: its pieces, how strong their borders are, how they merge.

A border's strength is a product of powers of what changes across it (brightness and colour at two scales, mean colour
and texture of the two pieces and of their surroundings), in the manner of Martin, Fowlkes and Malik (PAMI 2004), who
learned how to weigh such cues from outlines that people drew. The exponents are a logistic regression's, on outlines
of COCO's training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.prompt.classical.graph import rows_of
from maskwright.prompt.classical.superpixels import means, superpixels, touching
from maskwright.prompt.classical.tree import merge
from maskwright.types import Image

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

LONGEST = 512  # pieces are made at this size, edges are refined at a finer one
STEP_PX = 5.5
_COMPACTNESS = 6.0
_EXPONENTS = np.array([0.37, 0.2, 0.34, 0.41, 0.13, 0.3], np.float32)
_SCALE = float(np.exp(-1.5))
_TEXTURE = 8.0  # a step in texture weighs as much as so many in CIE L
_WORDS = 40
_WORD_WIDTH = 6.0


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """N pieces of an image, E pairs of them that touch; sizes and places in pixels of the working size."""

    labels_HW: Ints
    sizes_N: Floats
    centres_N2: Floats
    rim_N: Floats
    colour_ND: Floats
    around_ND: Floats
    words_NK: Floats
    pairs_E2: Ints
    lengths_E: Floats
    strengths_E: Floats
    starts: Ints
    others: Ints
    edges: Ints
    parents: Ints
    heights: Floats

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return len(self.sizes_N)

    @property
    def diagonal_px(self) -> float:
        """The working size's diagonal, the unit of distances."""
        return float(np.hypot(*self.labels_HW.shape))

    def share_of(self, flags_hw: NDArray[np.bool_]) -> Floats:
        """How much of each piece a mask at the working size covers, 0 to 1."""
        covered = np.bincount(self.labels_HW.ravel(), weights=flags_hw.ravel(), minlength=self.count)
        return np.asarray(covered / self.sizes_N, np.float32)


def rgb_of(image: Image) -> Image:
    """Three channels; a grey image has the same one three times."""
    return cast(Image, np.repeat(image, 3, axis=2)) if image.shape[2] == 1 else image


def working_size(size_hw: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns at which the pieces of an image are made."""
    scale = min(1.0, LONGEST / max(size_hw[:2]))
    return max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale))


def lab_of(image_HW3: Image) -> Floats:
    """CIE Lab: L from 0 to 100, a and b around 0."""
    lab = cv2.cvtColor(np.ascontiguousarray(image_HW3), cv2.COLOR_RGB2LAB).astype(np.float32)
    return np.asarray((lab - np.array([0, 128, 128])) * np.array([100 / 255, 1, 1]), np.float32)


def find_pieces(image_HW3: Image) -> Pieces:
    """The pieces of an image, at the working size."""
    rows, columns = working_size(image_HW3.shape)
    shrunk = (rows, columns) != image_HW3.shape[:2]
    small: Any = cv2.resize(image_HW3, (columns, rows), interpolation=cv2.INTER_AREA) if shrunk else image_HW3
    lab = lab_of(rgb_of(small.reshape(rows, columns, -1)))
    texture = _texture(lab[..., 0])
    labels, count = superpixels(np.asarray(cv2.GaussianBlur(lab, (0, 0), 0.7), np.float32), STEP_PX, _COMPACTNESS)
    pairs, lengths, edges, places = touching(labels, count)
    sizes = np.bincount(labels.ravel(), minlength=count).astype(np.float32)
    across, down = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    found = means(labels, count, np.dstack([lab, _TEXTURE * texture, across, down]))
    colour, centres = np.ascontiguousarray(found[:, :-2]), np.ascontiguousarray(found[:, -2:])
    around = _with_neighbours(colour, sizes, pairs)
    steps = [np.bincount(edges, _steepness(lab, s).ravel()[places], len(pairs)) / lengths for s in (1.0, 2.5)]
    first, second = pairs.T
    for values in (colour, around):
        change = (values[first] - values[second]) ** 2
        steps += [np.sqrt(change[:, :3].sum(axis=1)), np.sqrt(change[:, 3:].sum(axis=1)) / _TEXTURE]
    strengths = (_SCALE * np.exp(np.log(np.stack(steps, axis=1) + 0.1) @ _EXPONENTS)).astype(np.float32)
    parents, heights = np.full(2 * count - 1, -1, np.int32), np.zeros(2 * count - 1, np.float32)
    merge(pairs, lengths, strengths, np.append(sizes, np.zeros(count - 1)), parents, heights)
    starts, others, edges = rows_of(pairs, count)
    return Pieces(
        labels_HW=labels,
        sizes_N=sizes,
        centres_N2=centres,
        rim_N=_rim(labels, count),
        colour_ND=colour,
        around_ND=around,
        words_NK=_words(colour, sizes),
        pairs_E2=pairs,
        lengths_E=lengths.astype(np.float32),
        strengths_E=strengths,
        starts=starts,
        others=others,
        edges=edges,
        parents=parents,
        heights=heights,
    )


def _steepness(lab_HW3: Floats, sigma: float) -> Floats:
    """Length of the gradient in colour, per pixel, after blurring."""
    smooth = cv2.GaussianBlur(lab_HW3, (0, 0), sigma)
    right, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    return np.asarray(np.sqrt((right * right + down * down).sum(axis=2)), np.float32)


def _texture(light_HW: Floats) -> Floats:
    """How much the brightness varies nearby in four directions, and at a point, in logarithms."""
    right, down = (cv2.Sobel(light_HW, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    spots = cv2.Laplacian(cv2.GaussianBlur(light_HW, (0, 0), 1.0), cv2.CV_32F)
    energy = np.abs(np.stack([right, down, right + down, right - down, spots], axis=-1))
    return np.asarray(np.log1p(cv2.GaussianBlur(energy, (0, 0), 3.0)), np.float32)


def _with_neighbours(values_ND: Floats, sizes_N: Floats, pairs_E2: Ints) -> Floats:
    """Mean over a piece and those that it touches."""
    first, second = np.concatenate([pairs_E2, pairs_E2[:, ::-1]]).T
    count = len(sizes_N)
    total = sizes_N + np.bincount(first, sizes_N[second], count)
    sums = [sizes_N * v + np.bincount(first, (sizes_N * v)[second], count) for v in values_ND.T]
    return np.asarray(np.stack(sums, axis=1) / total[:, None], np.float32)


def _rim(labels_HW: Ints, count: int) -> Floats:
    """Pixels of each piece along the image's border."""
    sides = np.concatenate([labels_HW[0], labels_HW[-1], labels_HW[:, 0], labels_HW[:, -1]])
    return np.bincount(sides, minlength=count).astype(np.float32)


def _words(colour_ND: Floats, sizes_N: Floats) -> Floats:
    """How much of each of K typical colours and textures a piece is, rows that sum to 1.

    k-means, weighted by size, from centres that were each the piece worst described so far: nothing is drawn at random.
    """
    chosen = [int(np.argmin(((colour_ND - colour_ND.mean(axis=0)) ** 2).sum(axis=1)))]
    far = np.full(len(colour_ND), np.inf)
    for _ in range(min(_WORDS, len(colour_ND)) - 1):
        far = np.minimum(far, ((colour_ND - colour_ND[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(far * np.sqrt(sizes_N))))
    centres = colour_ND[chosen].copy()
    for _ in range(6):
        mine = np.zeros((len(colour_ND), len(centres)), np.float32)
        mine[np.arange(len(mine)), _squares(colour_ND, centres).argmin(axis=1)] = sizes_N
        weight = mine.sum(axis=0)
        centres[weight > 0] = (mine.T @ colour_ND)[weight > 0] / weight[weight > 0, None]
    far = _squares(colour_ND, centres)
    share = np.exp((far.min(axis=1, keepdims=True) - far) / (2 * _WORD_WIDTH**2))
    return np.asarray(share / share.sum(axis=1, keepdims=True), np.float32)


def _squares(values_ND: Floats, centres_KD: Floats) -> Floats:
    """Squared distances, (N, K)."""
    squares = (values_ND**2).sum(axis=1)[:, None] - 2 * values_ND @ centres_KD.T + (centres_KD**2).sum(axis=1)
    return np.asarray(np.maximum(squares, 0), np.float32)
