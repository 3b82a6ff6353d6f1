"""Where two sources disagree, in pictures: exactly one of them is right there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.console import track
from maskwright.data.dataset import Dataset, Sample
from maskwright.imageio import overlay, write_image
from maskwright.infer.predictor import Predictor
from maskwright.metrics.tally import Tally
from maskwright.scoring.comparing.entries import Aligned, Asked, Entry, ignores_background
from maskwright.scoring.evaluating.observe import as_scored
from maskwright.scoring.evaluating.pictures import shrink
from maskwright.scoring.evaluating.predictions import find_predictions, read_prediction
from maskwright.types import Image, InputError, Mask

# Told apart by every kind of sight, and in print by their lightness.
BOTH, ONLY_A, ONLY_B, NEITHER, IGNORED = (
    np.array(colour, np.uint8)
    for colour in ((202, 209, 218), (0, 114, 178), (230, 159, 0), (58, 58, 58), (255, 255, 255))
)
# Of a sample, its photo and its label.
Guess = Callable[[Sample, Image, Mask], Mask]

LOOKED_AT = 24
MOST_PAIRS = 3
SHOWN, SHOWN_OF_SEVERAL = 6, 3


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of the labelled pixels of one image, by who is right."""

    both: float
    only_a: float
    only_b: float
    neither: float

    @property
    def share(self) -> float:
        """Where exactly one is right."""
        return self.only_a + self.only_b


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """Two sources and how they predict; pixels labelled `unlabelled` are treated as ignored."""

    names: tuple[str, str]
    guesses: tuple[Guess, Guess]
    unlabelled: int | None

    def masks(self, data: Dataset, sample: Sample) -> tuple[Image, Mask, Mask, Mask]:
        """Photo, label as it is scored, and the two predictions."""
        image, truth = data.image(sample), as_scored(data.mask(sample), self.unlabelled, data.classes)
        a, b = (guess(sample, image, truth) for guess in self.guesses)
        return image, truth, a, b


def likely(a_N3K: Tally, b_N3K: Tally) -> NDArray[np.float64]:
    """About how large a share of each image's labelled pixels exactly one source is right on, from counts alone.

    In each class that share is at least the difference of the two shares that are right, and as large as chance makes
    it where errors do not depend on each other; real ones lie between, and so does this.
    """
    labelled_NK = a_N3K[:, 1].astype(np.float64)
    sizes = np.maximum(labelled_NK, 1)
    right_a, right_b = a_N3K[:, 0] / sizes, b_N3K[:, 0] / sizes
    least, chance = np.abs(right_a - right_b), right_a * (1 - right_b) + right_b * (1 - right_a)
    total: NDArray[np.float64] = (labelled_NK * (least + chance) / 2).sum(1) / np.maximum(labelled_NK.sum(1), 1)
    return total


def draw_pairs(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    entries: Sequence[Entry],
    data: Dataset,
    aligned: Aligned,
    asked: Asked,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Pictures of the best source against the next ones, and a sentence for every source that has no predictions.

    `rows` are the sources' ranks. Only the images that counts point to are predicted again.
    """
    by_rank = sorted(range(len(entries)), key=lambda place: int(rows[place]["rank"]))
    readers: dict[int, Guess] = {}
    notes: list[str] = []
    for place in by_rank[: 1 + MOST_PAIRS]:
        try:
            readers[place] = guesses_of(entries[place], data, asked)
        except InputError as error:
            notes.append(f"{entries[place].name} is in no picture: {error}")
    best, *others = [place for place in by_rank if place in readers] or [0]
    shown = SHOWN if len(others) == 1 else SHOWN_OF_SEVERAL
    found: list[dict[str, Any]] = []
    for number, other in enumerate(others, start=1):
        a, b = sorted((best, other))
        order = np.argsort(-likely(aligned.tally_SN3K[a], aligned.tally_SN3K[b]), kind="stable")[:LOOKED_AT]
        pair = Rivals(
            names=(entries[a].name, entries[b].name),
            guesses=(readers[a], readers[b]),
            unlabelled=data.classes.background if any(ignores_background(entry) for entry in entries) else None,
        )
        try:
            found += draw_pair(pair, data, [aligned.ids[i] for i in order], folder / str(number), shown)
        except InputError as error:
            notes.append(f"{pair.names[0]} and {pair.names[1]} are not drawn: {error}")
    return found, notes


def guesses_of(entry: Entry, data: Dataset, asked: Asked) -> Guess:
    """What a source predicts for an image: made anew by a run, read from a folder of predictions."""
    if entry.run is None:
        files = find_predictions(entry.path, data.samples).files

        def read(sample: Sample, image_HW3: Image, truth_HW: Mask) -> Mask:
            if sample.id not in files:
                raise InputError(f"{entry.path} has lost its prediction of {sample.id}; evaluate it again.")
            return read_prediction(files[sample.id], data.classes, truth_HW)

        return read
    predictor = Predictor.load(entry.run, weights=asked.weights, device=asked.device, precision=asked.precision)
    return lambda sample, image_HW3, truth_HW: predictor.ids(image_HW3)


def draw_pair(rivals: Rivals, data: Dataset, ids: Sequence[str], folder: Path, shown: int) -> list[dict[str, Any]]:
    """Predict the images `ids`, draw the `shown` of them with the largest share on which exactly one is right.

    Returns rows of `comparison.json`; pictures go to `folder`.
    """
    by_id = {sample.id: sample for sample in data.samples}
    seen: list[tuple[Shares, str, tuple[Image, Mask, Mask, Mask]]] = []
    for id in track(ids, f"looking where {rivals.names[0]} and {rivals.names[1]} disagree"):
        masks = rivals.masks(data, by_id[id])
        seen.append((who_is_right(*masks[1:], len(data.classes))[0], id, masks))
        seen = sorted(seen, key=lambda item: (-item[0].share, item[1]))[:shown]  # photos may be large
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for place, (shares, id, (image, truth, a, b)) in enumerate((item for item in seen if item[0].share > 0), start=1):
        panels = {
            "photo": image,
            "label": overlay(image, truth, data.classes, opacity=0.65),
            "a": overlay(image, a, data.classes, opacity=0.65),
            "b": overlay(image, b, data.classes, opacity=0.65),
            "map": who_is_right(truth, a, b, len(data.classes))[1],
        }
        pictures = {panel: f"{folder.parent.name}/{folder.name}/{place}-{panel}.jpg" for panel in panels}
        for panel, picture in panels.items():
            write_image(folder / f"{place}-{panel}.jpg", shrink(picture))
        found = {"id": id, "a": rivals.names[0], "b": rivals.names[1], "share": shares.share}
        rows.append(found | asdict(shares) | {"looked_at": len(ids), "pictures": pictures})
    return rows


def who_is_right(truth_HW: Mask, a_HW: Mask, b_HW: Mask, classes: int) -> tuple[Shares, Image]:
    """Shares of the labelled pixels by who is right, and a map of it in colours, (H, W, 3)."""
    known = truth_HW < classes
    right_a, right_b = known & (a_HW == truth_HW), known & (b_HW == truth_HW)
    kinds = {
        "both": (right_a & right_b, BOTH),
        "only_a": (right_a & ~right_b, ONLY_A),
        "only_b": (right_b & ~right_a, ONLY_B),
        "neither": (known & ~right_a & ~right_b, NEITHER),
    }
    drawn = np.full((*truth_HW.shape, 3), IGNORED, np.uint8)
    pixels = max(1, cv2.countNonZero(known.astype(np.uint8)))
    shares = {}
    for name, (where, colour) in kinds.items():
        drawn[where] = colour
        shares[name] = int(where.sum()) / pixels
    return Shares(**shares), drawn
