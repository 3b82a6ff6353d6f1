"""Whether a backend is the same network: held against torch in fp32, photo by photo."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from maskwright.console import track
from maskwright.geometry import Fit, Letterbox
from maskwright.infer.backends.core import Core, Scores
from maskwright.infer.highest import first_maximum
from maskwright.types import Classes, Image, InputError, Mask


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What a backend may differ by: pixels with another class, as a share, and mean IoU lost, in points."""

    disagreement: float
    points: float


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was measured on `images` photos from `source`, `labelled` of them with a mask, against torch in fp32.

    `agreement` is the share of canvas pixels with the same class; `mean_difference` and `largest_difference` are of
    scores; both means of IoU are over classes, of these photos only, at their own size; None without labels.
    `milliseconds` is the least for one canvas (other work on the machine only slows), by who computed it: 'torch fp32',
    torch as it would run otherwise, and the backend itself, as `name`.
    """

    name: str
    precision: str
    each_class: bool
    source: str
    images: int
    labelled: int
    agreement: float
    mean_difference: float
    largest_difference: float
    reference_mean_iou: float | None
    mean_iou: float | None
    milliseconds: Mapping[str, float]

    @property
    def points_lost(self) -> float | None:
        """Mean IoU below that of torch in fp32, in points (0.01); negative where it is above."""
        if self.mean_iou is None or self.reference_mean_iou is None:
            return None
        return 100 * (self.reference_mean_iou - self.mean_iou)

    @property
    def speed(self) -> float:
        """How many times as fast as torch would be here otherwise; 0 where nothing was timed."""
        if not self.images:
            return 0.0
        torch_ms = [value for name, value in self.milliseconds.items() if name != self.name]
        return torch_ms[-1] / self.milliseconds[self.name]

    def fault(self, allowed: Tolerance) -> str:
        """Why this backend is not equal enough, as half a sentence; '' where it is."""
        if not self.images:
            return "it is not proven, as there were no photos to hold it against torch on"
        if 1 - self.agreement > allowed.disagreement:
            share, bound = (f"{100 * value:.2f} %" for value in (1 - self.agreement, allowed.disagreement))
            return f"{share} of the pixels of {self.images} photos get another class than by torch, {bound} are allowed"
        if self.points_lost is not None and self.points_lost > allowed.points:
            lost = f"{self.points_lost:.2f} points of mean IoU on {self.labelled} labelled photos"
            return f"it loses {lost} against torch, {allowed.points:g} are allowed"
        return ""

    def says(self) -> str:
        """What was found, in a few words."""
        if not self.images:
            return "not proven, as there were no photos to hold it against torch on"
        lost = "" if self.points_lost is None else f", mean IoU {-self.points_lost:+.2f} points"
        return f"{100 * self.agreement:.2f} % of pixels as torch{lost}, {self.images} photos"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Proof:
        """The way back; raises TypeError or KeyError for what is no proof."""
        return cls(**{item.name: found[item.name] for item in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A photo to hold backends against each other, with its mask where it is labelled."""

    image_HW3: Image
    mask_HW: Mask | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image_HW3.shape[0], self.image_HW3.shape[1]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a proof is of, beside the cores: `source` says where the photos are from."""

    name: str
    precision: str
    each_class: bool
    source: str
    classes: Classes
    size_hw: tuple[int, int]
    fit: Fit


def prove(cores: Mapping[str, Core], pictures: Sequence[Callable[[], Picture]], plan: Plan) -> Proof:
    """Hold the last of `cores` against the first, which is torch in fp32; all see a photo before the next one comes.

    Names of cores become those of the proof's milliseconds. A picture is read when its turn comes; one that cannot be
    read is left out here, as whoever wants it predicted will hear of it.
    """
    from maskwright.metrics.counts import confusion, mean_iou  # numba: only what is proven anew needs it

    reference, name = next(iter(cores)), list(cores)[-1]
    seconds: dict[str, list[float]] = {core: [] for core in cores}
    differences: list[tuple[float, float, float]] = []
    labelled = 0
    counts_2KK = np.zeros((2, len(plan.classes), len(plan.classes)), np.int64)
    for read in track(pictures, f"holding {name} against torch"):
        try:
            picture = read()
        except InputError:
            continue
        box = Letterbox.fit(picture.size_hw, plan.size_hw, plan.fit)
        canvas_1HW3 = np.ascontiguousarray(box.forward_image(picture.image_HW3)[None])
        found: dict[str, Scores] = {}
        for core in cores:
            start = time.perf_counter()
            found[core] = cores[core](canvas_1HW3)[0]
            seconds[core].append(time.perf_counter() - start)
        pair = (found[reference], found[name])
        differences.append(_differences(*pair, plan.classes))
        if picture.mask_HW is not None:
            labelled += 1
            for counts_KK, scores_KHW in zip(counts_2KK, pair, strict=True):
                ids_HW = first_maximum(box.back_scores(scores_KHW), plan.classes)
                counts_KK += confusion(picture.mask_HW, ids_HW, len(plan.classes))
    means = [mean_iou(counts_KK) if labelled else None for counts_KK in counts_2KK]
    return Proof(
        name=plan.name,
        precision=plan.precision,
        each_class=plan.each_class,
        source=plan.source,
        images=len(differences),
        labelled=labelled,
        agreement=float(np.mean([row[0] for row in differences])) if differences else 0.0,
        mean_difference=float(np.mean([row[1] for row in differences])) if differences else 0.0,
        largest_difference=max((row[2] for row in differences), default=0.0),
        reference_mean_iou=means[0],
        mean_iou=means[1],
        milliseconds={core: 1000 * min(values) for core, values in seconds.items() if values},
    )


def _differences(first_KHW: Scores, second_KHW: Scores, classes: Classes) -> tuple[float, float, float]:
    """Share of pixels with the same class, mean and largest difference of scores."""
    away_KHW = np.abs(first_KHW - second_KHW)
    same_HW = first_maximum(first_KHW, classes) == first_maximum(second_KHW, classes)
    return float(same_HW.mean()), float(away_KHW.mean()), float(away_KHW.max())
