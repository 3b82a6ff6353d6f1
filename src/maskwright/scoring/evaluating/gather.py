"""Everything that was observed, image after image in arrays: what tables, intervals and comparisons are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskwright.metrics.boundary import BoundaryCounts
from maskwright.metrics.calibration import Calibration
from maskwright.metrics.counts import Confusion
from maskwright.metrics.surface import SurfaceDistances
from maskwright.metrics.tally import Tally, binary
from maskwright.run import Counted
from maskwright.scoring.doubting.weak import Look
from maskwright.scoring.evaluating.observe import Observed
from maskwright.types import Classes

NOTHING = np.zeros((0, 0), np.int64)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Counts of N images, in their order; K classes, S sizes of object, R regions of the image.

    `binary_N32` is foreground against background, None without a background; the confusion matrix is summed at once,
    since 10,000 of them for 150 classes would fill 2 GB.
    """

    ids: list[str]
    groups: list[str]
    confusion_KK: Confusion
    tally_N3K: Tally
    binary_N32: Tally | None
    regions_NR3K: Tally
    boundary_N7K: BoundaryCounts
    objects_N4SK: NDArray[np.int64]
    sizes_N2SK: NDArray[np.int64]
    looks: list[Look]
    calibrations: list[Calibration]
    surfaces: list[SurfaceDistances]

    @property
    def counted(self) -> Counted:
        """What `counts.npz` holds."""
        return Counted(
            ids=np.array(self.ids, np.str_),
            groups=np.array(self.groups, np.str_),
            tally_N3K=self.tally_N3K,
            boundary_N7K=self.boundary_N7K,
            objects_N4SK=self.objects_N4SK,
        )


def gather(observed: Iterable[Observed], classes: Classes) -> Gathered:
    """Collect images as they come, at least one; only counts are kept."""
    seen: list[Observed] = []
    binaries: list[Tally] = []
    whole = np.zeros((len(classes), len(classes)), np.int64)
    for one in observed:
        whole += one.confusion_KK
        if classes.background is not None:
            binaries.append(binary(one.confusion_KK, classes.background))
        seen.append(replace(one, confusion_KK=NOTHING))
    regions_NR3K = np.stack([one.regions_R3K for one in seen])
    return Gathered(
        ids=[one.id for one in seen],
        groups=[one.group for one in seen],
        confusion_KK=whole,
        tally_N3K=regions_NR3K.sum(1),
        binary_N32=np.stack(binaries) if binaries else None,
        regions_NR3K=regions_NR3K,
        boundary_N7K=np.stack([one.boundary_7K for one in seen]),
        objects_N4SK=np.stack([one.objects_4SK for one in seen]),
        sizes_N2SK=np.stack([one.sizes_2SK for one in seen]),
        looks=[one.look for one in seen],
        calibrations=[one.calibration for one in seen if one.calibration is not None],
        surfaces=[one.surface for one in seen if one.surface is not None],
    )
