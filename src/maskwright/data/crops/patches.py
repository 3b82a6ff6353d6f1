"""Crops of a data set's images: from each region, of each class, with little overlap, and never across splits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.console import Skipped, say
from maskwright.data.build import Built, Made, gather, store
from maskwright.data.crops.places import Patch, PatchPlan, Propose, choose
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import pooled
from maskwright.files import read_bytes, resumable_folder
from maskwright.imageio import encode_image
from maskwright.run import read_csv
from maskwright.types import InputError, Mask


def cut_patches(
    dataset: Dataset | str | Path,
    target: str | Path,
    *,
    plan: PatchPlan | None = None,
    seed: int = 0,
    strict: bool = False,
    workers: int | None = None,
) -> Built:
    """Write a new data set folder `target` with crops of a data set's images, stored without loss.

    A patch keeps its image's split and group (the image's id where it has none), so that no later split tears an
    image apart; `parent`, `region`, `top` and `left` in `samples.csv` say where it is from. Images smaller than a
    patch are left out and returned with the reason; with `strict` the first one raises. The draw depends on seed and
    image id alone. Raises InputError where no image can be cut, or `target` exists.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    plan = plan or PatchPlan()
    cut = [sample for sample in data.samples if (sample.split or "train") in plan.splits]
    whole = [sample for sample in data.samples if (sample.split or "train") not in plan.splits]
    if not cut:
        raise InputError(f"{data.path} has no image in split {', '.join(plan.splits)}; name another with --cut.")
    wanted = plan.count or (0 if plan.grid else 8 * len(cut))
    propose = Propose(data.only_table(), plan, _horizons(data, plan), seed, 4 + math.ceil(3 * wanted / len(cut)))
    proposals, skipped = _proposals(propose, cut, strict=strict, workers=workers)
    chosen = choose(proposals, plan, wanted)
    for shortage in _shortages(chosen, plan, wanted):
        say(shortage)
    items = [(sample, tuple(chosen[sample.id])) for sample in cut if chosen.get(sample.id)]
    items += [(sample, ()) for sample in whole]
    how = {**asdict(plan), "horizon": None if plan.horizon is None else str(plan.horizon), "seed": seed}
    record = {"from": {"dataset": str(data.path), "fingerprint": data.fingerprint}, "patches": how}
    with resumable_folder(Path(target), {"verb": "patches", **record}) as stage:
        made = gather(
            stage,
            items,
            Cut(stage, data.only_table(), plan.size),
            key=_key,
            name=_name,
            label=f"cutting {sum(map(len, chosen.values()))} patches",
            skipped=skipped,
            workers=workers,
            strict=strict,
        )
        Dataset.create(stage, data.classes, made.samples, _plain(record))
    return Built(dataset=Dataset.open(target), skipped=made.skipped)


def _proposals(
    propose: Propose, cut: Sequence[Sample], *, strict: bool, workers: int | None
) -> tuple[dict[str, list[Patch]], list[Skipped]]:
    """Places by image, and the images that have none."""
    results = pooled(propose, cut, label="finding places", name=attrgetter("id"), strict=strict, workers=workers)
    proposals: dict[str, list[Patch]] = {}
    skipped: list[Skipped] = []
    for sample, result in zip(cut, results, strict=True):
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            proposals[sample.id] = result
    return proposals, skipped


def _shortages(chosen: Mapping[str, Sequence[Patch]], plan: PatchPlan, wanted: int) -> list[str]:
    """What was asked for and does not fit."""
    regions = Counter(patch.region for patches in chosen.values() for patch in patches)
    remedy = f"allow more overlap than {plan.max_overlap:g}, make patches smaller, or ask for fewer"
    if regions.total() < wanted:
        return [f"Only {regions.total()} of {wanted} patches fit: {remedy}."]
    shares = {name: plan.share(name) for name in (plan.quota or regions)}
    aims = {name: round(wanted * share / sum(shares.values())) for name, share in shares.items()}
    return [
        f"Region '{name}' has {regions[name]} of {aim} patches, no more fit: {remedy}."
        for name, aim in aims.items()
        if regions[name] < aim - 1
    ]


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    patches = record["patches"]
    return {**record, "patches": {key: list(v) if isinstance(v, tuple) else v for key, v in patches.items()}}


def _key(item: tuple[Sample, tuple[Patch, ...]]) -> str:
    sample, patches = item
    return f"{sample.id} {sample.image_hash} {sample.mask_hash} {[(p.region, p.top, p.left) for p in patches]}"


def _name(item: tuple[Sample, tuple[Patch, ...]]) -> str:
    return item[0].id


def _horizons(data: Dataset, plan: PatchPlan) -> dict[str, int] | None:
    """Sample id -> first row below the horizon; None without one."""
    if plan.horizon is None:
        return None
    if not isinstance(plan.horizon, Path):
        share = plan.horizon
        return {s.id: round(share * s.height if 0 < share < 1 else share) for s in data.samples}
    rows = read_csv(plan.horizon)
    if not rows or not {"name", "row"} <= set(rows[0]):
        raise InputError(f"{plan.horizon} needs the columns name and row, one line an image.")
    try:
        given = {Path(row["name"]).name: float(row["row"]) for row in rows}
    except (TypeError, ValueError) as error:
        raise InputError(f"{plan.horizon}: a row is no number ({error}); give pixels, or a share below 1.") from error
    found: dict[str, int] = {}
    for sample in data.samples:
        value = given.get(sample.id, given.get(sample.source, given.get(Path(sample.image).name)))
        if value is None:
            raise InputError(f"{plan.horizon} has no horizon for '{sample.id}'; add a line '{sample.id},ROW'.")
        found[sample.id] = round(value * sample.height if 0 < value < 1 else value)
    return found


@dataclass(frozen=True)
class Cut:
    """Cuts the patches of one image out of it, or copies it whole where it has none."""

    stage: Path
    dataset: Dataset
    size: tuple[int, int]

    def __call__(self, item: tuple[Sample, tuple[Patch, ...]]) -> Made:
        """The samples of one image."""
        sample, patches = item
        mask_HW = self.dataset.mask(sample) if sample.mask else None
        row: dict[str, Any] = {"split": sample.split, "group": sample.group or sample.id, "source": sample.source}
        if not patches:
            photo = read_bytes(self.dataset.path / sample.image)
            suffix = Path(sample.image).suffix
            extra = dict(sample.extra)
            size: dict[str, Any] = {"height": sample.height, "width": sample.width}
            kept = store(
                self.stage, sample.id, photo, suffix, mask_HW, self.dataset.classes, **row, **size, extra=extra
            )
            return Made(samples=(kept,))
        image_HW3 = self.dataset.image(sample)
        rows, columns = self.size
        samples = []
        for patch in patches:
            at = np.s_[patch.top : patch.top + rows, patch.left : patch.left + columns]
            cropped: Mask | None = None if mask_HW is None else np.ascontiguousarray(mask_HW[at])  # type: ignore[assignment]
            where = {"parent": sample.id, "region": patch.region, "top": str(patch.top), "left": str(patch.left)}
            samples.append(
                store(
                    self.stage,
                    f"{sample.id}-y{patch.top}-x{patch.left}",
                    encode_image(image_HW3[at], ".png"),
                    ".png",
                    cropped,
                    self.dataset.classes,
                    **row,
                    height=rows,
                    width=columns,
                    extra={**sample.extra, **where},
                )
            )
        return Made(samples=tuple(samples))
