"""The worst cases of a stress test: a large and a small object, found on the photo as it is, lost when it is spoiled.

An object is a connected part of a class's label (8-connected), the background's apart. Large is at least a twentieth of
the image, small between a two-thousandth and a hundredth of it, and at least 25 pixels: what a reader of the picture
would call so, at any resolution. It is found where the class's IoU near it, in a box of twice its extent, is at least
one half, so that nothing counts as found in a wall of its class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.perturbing import Perturbation, perturb
from maskwright.imageio import overlay, write_image
from maskwright.infer.predictor import Predictor
from maskwright.types import Classes, Image, Mask

SHARES = {"large": (1 / 20, 1.0), "small": (1 / 2000, 1 / 100)}
LEAST_PX = 25
FOUND = 0.5
NEAR = 0.5  # of its extent, to each side

PANEL_HW = (192, 256)
AROUND = 1.6  # times the object's own extent
LEAST_VIEW_PX = 64
OPACITY = 0.6


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The large and small objects of one image that were found on the photo as it is."""

    pixels: NDArray[np.intp]  # of all objects, as indices into the flat image
    owner: NDArray[np.intp]  # the object of each
    truth: Mask  # the class of each
    rows: tuple[dict[str, Any], ...]  # size, class, and the place of one pixel, object by object
    recall: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def lost(self, guess_HW: Mask) -> list[dict[str, Any]]:
        """Of each size, the object of which the largest share of pixels is lost in this prediction."""
        drop = self.recall - self.shares(guess_HW)
        best: dict[str, dict[str, Any]] = {}
        for row, value in zip(self.rows, drop.tolist(), strict=True):
            if value > best.get(row["size"], {"drop": 0.0})["drop"]:
                best[row["size"]] = {**row, "drop": value}
        return list(best.values())

    def shares(self, guess_HW: Mask) -> NDArray[np.float64]:
        """The share of each object's pixels that a prediction takes for its class."""
        hit = guess_HW.ravel()[self.pixels] == self.truth
        count = len(self.rows)
        return np.bincount(self.owner[hit], minlength=count) / np.bincount(self.owner, minlength=count)


def find_objects(mask_HW: Mask, guess_HW: Mask, classes: Classes) -> Objects:
    """The objects to look for, with their recall in the prediction of the photo as it is."""
    numbered_HW = np.zeros(mask_HW.shape, np.int32)  # the object of each pixel, from 1
    rows: list[dict[str, Any]] = []
    for k in np.unique(mask_HW).tolist():
        if k >= len(classes) or k == classes.background:
            continue
        label_HW, found_HW = mask_HW == k, guess_HW == k
        _, parts_HW, stats, _ = cv2.connectedComponentsWithStats(label_HW.view(np.uint8), connectivity=8)
        numbers = np.zeros(len(stats), np.int32)
        for part, (left, top, width, height, area) in enumerate(stats.tolist()):
            size = size_of(area, mask_HW.size) if part else ""
            if size and _near_iou(label_HW, found_HW, (top, left, height, width)) >= FOUND:
                rows.append({"size": size, "class": k})
                numbers[part] = len(rows)
        if numbers.any():
            numbered_HW += numbers[parts_HW]
    pixels = np.flatnonzero(numbered_HW)
    owner = numbered_HW.ravel()[pixels].astype(np.intp) - 1
    for row, place in zip(rows, pixels[np.unique(owner, return_index=True)[1]].tolist(), strict=True):
        row["at"] = list(divmod(place, mask_HW.shape[1]))
    found = Objects(pixels=pixels, owner=owner, truth=mask_HW.ravel()[pixels], rows=tuple(rows))
    return replace(found, recall=found.shares(guess_HW))


def _near_iou(label_HW: NDArray[np.bool_], found_HW: NDArray[np.bool_], box: tuple[int, int, int, int]) -> float:
    top, left, height, width = box
    above, beside = round(NEAR * height), round(NEAR * width)
    near = (
        slice(max(0, top - above), top + height + above),
        slice(max(0, left - beside), left + width + beside),
    )
    hit = np.count_nonzero(label_HW[near] & found_HW[near])
    return hit / np.count_nonzero(label_HW[near] | found_HW[near])


def size_of(area_px: int, image_px: int) -> str:
    """'large', 'small', or '' for what is neither."""
    for size, (low, high) in SHARES.items():
        if area_px >= LEAST_PX and low <= area_px / image_px <= high:
            return size
    return ""


def choose(candidates: Iterable[Mapping[str, Any]], kinds: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Size -> the object that lost most under the kind that costs most at its last level."""
    last = {kind["name"]: kind["levels"][-1]["mean_iou"] for kind in kinds}
    chosen: dict[str, Mapping[str, Any]] = {}
    for row in candidates:
        known = chosen.get(row["size"])
        if known is None or _rank(row, last) < _rank(known, last):
            chosen[row["size"]] = row
    return {size: chosen[size] for size in SHARES if size in chosen}


def _rank(row: Mapping[str, Any], last: Mapping[str, float]) -> tuple[float, float, str]:
    return last[row["kind"]], -row["drop"], row["id"]


@dataclass(frozen=True, kw_only=True)
class View:
    """What a case is drawn from: photo, label and prediction, and where the object is."""

    image_HW3: Image
    under_HW3: Image  # what masks are laid over: the photo as it is, unless things moved
    mask_HW: Mask
    guess_HW: Mask
    object_HW: NDArray[np.bool_]

    def recall(self) -> float | None:
        """The share of the object's pixels that is found; None where it left the picture."""
        if not self.object_HW.any():
            return None
        return float((self.guess_HW == self.mask_HW)[self.object_HW].mean())


def draw_cases(
    folder: Path,
    predictor: Predictor,
    data: Dataset,
    chosen: Mapping[str, tuple[Sample, Mapping[str, Any]]],
    kinds: Iterable[tuple[Perturbation, int]],
    *,
    seed: int,
) -> list[dict[str, Any]]:
    """Draw each chosen object under every kind at the level given; paths in the rows are relative to `folder`."""
    (folder / "cases").mkdir(exist_ok=True)
    cases = []
    worst = list(kinds)
    for size, (sample, row) in chosen.items():
        image_HW3, mask_HW = data.image(sample), data.mask(sample)
        part_HW = _part(mask_HW, row["class"], row["at"])
        clean = View(
            image_HW3=image_HW3,
            under_HW3=image_HW3,
            mask_HW=mask_HW,
            guess_HW=predictor.ids(image_HW3),
            object_HW=part_HW,
        )
        still = {name: f"cases/{size}-{name}.jpg" for name in ("photo", "label", "clean")}
        _write(folder, still, clean, clean.object_HW, data.classes)
        for kind, level in worst:
            seen = _spoiled(clean, kind, level, sample, predictor, seed)
            moved = {"label": f"cases/{size}-{kind.name}-label.jpg"} if kind.moves else {}
            own = {name: f"cases/{size}-{kind.name}-{name}.jpg" for name in ("perturbed", "prediction")} | moved
            _write(folder, own, seen, seen.object_HW if seen.object_HW.any() else part_HW, data.classes)
            cases.append(
                {
                    "kind": kind.name,
                    "level": level,
                    "size": size,
                    "class": data.classes.names[row["class"]],
                    "id": sample.id,
                    "recall_clean": clean.recall(),
                    "recall": seen.recall(),
                    "pictures": still | own,
                }
            )
    return cases


def _part(mask_HW: Mask, class_id: int, at: tuple[int, int]) -> NDArray[np.bool_]:
    _, parts = cv2.connectedComponents((mask_HW == class_id).view(np.uint8), connectivity=8)
    return np.asarray(parts == parts[at[0], at[1]], np.bool_)


def _spoiled(clean: View, kind: Perturbation, level: int, sample: Sample, predictor: Predictor, seed: int) -> View:
    ignore = predictor.classes.ignore

    def spoil(mask_HW: Mask) -> tuple[Image, Mask]:
        return perturb(kind, level, clean.image_HW3, mask_HW, seed=seed, sample_id=sample.id, ignore=ignore)

    image_HW3, mask_HW = spoil(clean.mask_HW)
    object_HW: Mask = clean.object_HW.astype(predictor.classes.dtype)
    moved_HW = spoil(object_HW)[1] == 1
    return View(
        image_HW3=image_HW3,
        under_HW3=image_HW3 if kind.moves else clean.image_HW3,
        mask_HW=mask_HW,
        guess_HW=predictor.ids(image_HW3),
        object_HW=moved_HW,
    )


def _write(folder: Path, names: Mapping[str, str], view: View, near_HW: NDArray[np.bool_], classes: Classes) -> None:
    """Write the panels named, cropped around `near_HW`, the object outlined."""
    window = around(near_HW)
    image_HW3, inside_HW = view.image_HW3[window], view.object_HW[window]
    for name, path in names.items():
        panel_HW3 = image_HW3
        if name in ("label", "clean", "prediction"):
            plane_HW = (view.mask_HW if name == "label" else view.guess_HW)[window]
            panel_HW3 = overlay(view.under_HW3[window], plane_HW, classes, opacity=OPACITY)
        write_image(folder / path, _outlined(panel_HW3, inside_HW))


def around(object_HW: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A window of the panel's aspect around an object, inside the image as far as that is large enough."""
    rows, columns = np.flatnonzero(object_HW.any(1)), np.flatnonzero(object_HW.any(0))
    aspect = PANEL_HW[1] / PANEL_HW[0]
    height = max(AROUND * np.ptp(rows), AROUND * np.ptp(columns) / aspect, LEAST_VIEW_PX)
    sides = round(height), round(height * aspect)
    middles = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    window = []
    for side, middle, whole in zip(sides, middles, object_HW.shape, strict=True):
        side = min(side, whole)
        start = min(max(0, round(middle - side / 2)), whole - side)
        window.append(slice(start, start + side))
    return window[0], window[1]


def _outlined(panel_HW3: Image, object_HW: NDArray[np.bool_]) -> Image:
    """As large as a panel, with a white line on a dark one around the object."""
    scale = min(PANEL_HW[0] / panel_HW3.shape[0], PANEL_HW[1] / panel_HW3.shape[1])
    size = (max(1, round(panel_HW3.shape[1] * scale)), max(1, round(panel_HW3.shape[0] * scale)))
    drawn = np.array(
        cv2.resize(panel_HW3, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8
    )
    plane = cv2.resize(object_HW.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    lines, _ = cv2.findContours(plane, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for colour, width in (((20, 20, 20), 3), ((255, 255, 255), 1)):
        cv2.drawContours(drawn, lines, -1, colour, width, cv2.LINE_AA)
    return drawn
