"""Whether an exported file says what the run says: on real photos, at several sizes, one by one and in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from maskwright.console import track
from maskwright.infer.exporting.opened import Opened
from maskwright.infer.exporting.photos import Photo
from maskwright.infer.predictor import Predictor
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.types import Image, InputError

BATCH = 3
# Sizes of the batches, as shares of the working size; odd numbers come from the rounding.
SCALES = ((1.0, 1.0), (0.5, 0.5), (1.37, 1.37), (0.31, 0.83), (1.9, 0.7))


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The least share of pixels with the same class, and the most mean IoU that may be lost where there are labels."""

    agreement: float
    lost: float


LIMITS = {
    "fp32": Limit(agreement=0.999, lost=0.001),
    "fp16": Limit(agreement=0.99, lost=0.002),
    "bf16": Limit(agreement=0.98, lost=0.002),
    "int8": Limit(agreement=0.95, lost=0.01),
}


# Where one side of a photo shrinks and the other grows, OpenCV rounds in fixed point: grey levels differ by 1.
LEAST_OF_A_TEST = 0.995


@dataclass
class Count:
    """Pixels compared, and those of the same class."""

    pixels: int = 0
    same: int = 0
    photos: int = 0

    def add(self, exported: Any, expected: Any) -> None:
        """Take in class ids of one photo."""
        self.pixels += expected.size
        self.same += int((np.asarray(exported) == expected).sum())
        self.photos += 1

    @property
    def agreement(self) -> float:
        """Share of pixels."""
        return self.same / self.pixels


@dataclass(kw_only=True)
class Parity:
    """What was found, by kind of test; both means of IoU are of the labelled photos only, and of nothing else."""

    tests: dict[str, Count] = field(default_factory=dict)
    labelled: int = 0
    mean_iou_run: float | None = None
    mean_iou: float | None = None
    probability_difference: float | None = None

    @property
    def agreement(self) -> float:
        """Share of all pixels compared that have the same class."""
        return sum(test.same for test in self.tests.values()) / sum(test.pixels for test in self.tests.values())

    @property
    def worst(self) -> tuple[str, float]:
        """The kind of test that agrees least, and how much."""
        name = min(self.tests, key=lambda key: self.tests[key].agreement)
        return name, self.tests[name].agreement

    @property
    def lost(self) -> float | None:
        """Mean IoU that the export has less than the run; negative where it has more."""
        return None if self.mean_iou is None or self.mean_iou_run is None else self.mean_iou_run - self.mean_iou

    def fault(self, limit: Limit, *, exact: bool) -> str:
        """Why the export is refused; '' where it is not. With `exact`, no kind of test may be far below the others."""
        if self.agreement < limit.agreement:
            return f"it agrees with the run on {self.agreement:.3%} of the pixels, {limit.agreement:.1%} are wanted"
        name, share = self.worst
        if exact and share < LEAST_OF_A_TEST:
            return f"on {name}, it agrees with the run on {share:.3%} of the pixels, {LEAST_OF_A_TEST:.1%} are wanted"
        if self.lost is not None and self.lost > limit.lost:
            return f"it loses {self.lost:.4f} of mean IoU on {self.labelled} photos, {limit.lost:g} are allowed"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "agreement": self.agreement,
            "tests": {
                name: {"photos": test.photos, "pixels": test.pixels, "agreement": test.agreement}
                for name, test in self.tests.items()
            },
            "labelled": self.labelled,
            "mean_iou_run": self.mean_iou_run,
            "mean_iou": self.mean_iou,
            "lost": self.lost,
            "probability_difference": self.probability_difference,
        }


def measure(opened: Opened, predictor: Predictor, photos: Sequence[Photo]) -> Parity:
    """Hold an export against the run's own predictor, in fp32, on these photos."""
    found = Parity()
    own = found.tests["their own sizes, one by one"] = Count()
    count = len(predictor.classes)
    run_KK, export_KK = np.zeros((2, count, count), np.int64)
    for photo in track(photos, f"comparing on {len(photos)} photos"):
        image_HW3 = photo.image()
        expected_HW = predictor.ids(image_HW3)
        answer = answered(opened, image_HW3[None])
        own.add(answer[0][0], expected_HW)
        if len(answer) > 1:
            gap = float(np.abs(answer[1][0] - predictor.probabilities(image_HW3)).max())
            found.probability_difference = max(gap, found.probability_difference or 0.0)
        if photo.labelled:
            mask_HW = photo.mask()
            found.labelled += 1
            run_KK += confusion(mask_HW, expected_HW, count)
            export_KK += confusion(mask_HW, answer[0][0], count)
    if found.labelled:
        found.mean_iou_run, found.mean_iou = mean_iou(run_KK), mean_iou(export_KK)
    for name, batch in batches(photos[:BATCH], predictor.size_hw):
        test = found.tests[name] = Count()
        expected = predictor.ids_of(list(batch))
        for one in (answered(opened, batch)[0], np.concatenate([answered(opened, photo[None])[0] for photo in batch])):
            for ids_HW, expected_HW in zip(one, expected, strict=True):
                test.add(ids_HW, expected_HW)
    return found


def answered(opened: Opened, image_NHW3: Image) -> list[Any]:
    """What an export returns; raises InputError where its runtime fails."""
    try:
        return opened(image_NHW3)
    except Exception as error:  # every runtime has exceptions of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        size = "x".join(map(str, image_NHW3.shape[:3]))
        raise InputError(f"The export fails on photos of {size} ({reason}), so it was not kept.") from error


def batches(photos: Sequence[Photo], size_hw: tuple[int, int]) -> Iterator[tuple[str, Image]]:
    """Three photos at a time (fewer where there are not so many), brought to sizes that the run may not have seen."""
    images = [photo.image() for photo in photos]
    for rows, columns in SCALES:
        height, width = round(size_hw[0] * rows) | (rows != 1), round(size_hw[1] * columns) | (columns != 1)
        resized = [cv2.resize(image_HW3, (width, height)).astype(np.uint8, copy=False) for image_HW3 in images]
        yield f"{height}x{width}, one by one and in batches of {len(images)}", np.stack(resized)
