"""Augmentation that is written down: several versions of every training image, more of those with rare classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.config import Recipe
from maskwright.console import Skipped
from maskwright.data.augmenting.augment import draw_sample
from maskwright.data.augmenting.preview import preview as sheet
from maskwright.data.augmenting.sampling import Balance, balance, count_classes, minority_classes, needs_balance
from maskwright.data.build import Built, Made, gather, store
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import Workers, pooled
from maskwright.data.pairs import Pair
from maskwright.data.perturbing.training import kinds_of
from maskwright.data.splits.split import place
from maskwright.files import read_bytes, resumable_folder
from maskwright.geometry import Letterbox
from maskwright.imageio import encode_image, write_image
from maskwright.types import InputError, Mask

MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Versions:
    """How many versions of an image there shall be in all, the image itself included.

    `by_class` asks for more (or fewer) of the images that hold a class; among the classes of an image that are named,
    the largest number counts.
    """

    each: int = 4
    by_class: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in (self.each, *self.by_class.values()):
            if not 1 <= number <= MOST:
                raise InputError(f"{number} versions of an image are not possible; give a number from 1 to {MOST}.")

    def of(self, names: Sequence[str]) -> int:
        """Versions of an image that holds these classes."""
        return max((self.by_class[name] for name in names if name in self.by_class), default=self.each)


def augment_dataset(
    dataset: Dataset | str | Path,
    target: str | Path,
    recipe: Recipe,
    *,
    versions: Versions | None = None,
    seed: int = 0,
    strict: bool = False,
    workers: Workers = None,
) -> Built:
    """Write a new data set folder `target` with every image of a data set and drawn versions of its training images.

    What is drawn is the recipe's `augment` section, at each image's own size. Only labelled images of the training
    split are drawn, mixed only with one another; a version keeps split and group, and `parent` in `samples.csv` names
    its image. Each version depends on seed, image id and number alone, but for partners that are mixed in: those
    depend on the list of training images. Damaged images are left out and returned with the reason; with `strict` the
    first one raises. `workers` is the number of processes, or a `Ray` cluster. Raises InputError for an unknown class
    or perturbation, or a target that exists.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    versions = versions or Versions()
    for name in versions.by_class:
        data.classes.id_of(name)
    kinds_of(recipe.augment)
    base = [sample for sample in data.samples if sample.mask and (sample.split or "train") == "train"]
    if not base:
        raise InputError(f"{data.path} has no labelled training image; label some, or move some to train.")
    numbers, skipped = _numbers(data, base, versions, strict=strict, workers=workers)
    sound = [sample for sample in base if sample.id in numbers]
    if not sound:
        raise InputError(f"None of {len(base)} training images can be read. The first: {skipped[0].reason}")
    native = AtSize(data.only_table(), tuple(sound), None)
    recipe, found = _balanced(native, recipe, data)
    items = _tasks(data, sound, numbers, {row.file for row in skipped})
    settings = {"recipe": recipe.augment.model_dump(mode="json"), "each": versions.each, **dict(versions.by_class)}
    record = {"from": {"dataset": str(data.path), "fingerprint": data.fingerprint}, "augmented": settings, "seed": seed}
    with resumable_folder(Path(target), {"verb": "augment", **record}) as stage:
        made = gather(
            stage,
            items,
            Multiply(stage, native, recipe, found, seed),
            key=_key,
            name=_name,
            label=f"writing {sum(item.versions for item in items)} images",
            skipped=skipped,
            workers=workers,
            strict=strict,
        )
        Dataset.create(stage, data.classes, made.samples, record)
    return Built(dataset=Dataset.open(target), skipped=made.skipped)


def preview(dataset: Dataset | str | Path, recipe: Recipe, path: Path, *, seed: int = 0, rows: int = 6) -> Path:
    """Write a sheet of `rows` training images and random versions of each, as PNG or JPEG; returns its path.

    The images are spread over the list; those of other splits are shown where there are no training images.
    """
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    labelled = data.labelled()
    base = [sample for sample in labelled if sample.split in ("train", "")] or labelled
    shown = base[:: max(1, -(-len(base) // rows))][:rows]
    write_image(path, sheet(data, recipe, shown, seed))
    return path


@dataclass(frozen=True, kw_only=True)
class Task:
    """One image, how many versions of it there shall be, and its number among the training images."""

    sample: Sample
    versions: int
    index: int


def _tasks(data: Dataset, sound: Sequence[Sample], numbers: Mapping[str, int], bad: Collection[str]) -> list[Task]:
    index_of = {sample.id: index for index, sample in enumerate(sound)}
    return [
        Task(sample=sample, versions=numbers.get(sample.id, 1), index=index_of.get(sample.id, -1))
        for sample in data.samples
        if sample.id not in bad
    ]


def _key(item: Task) -> str:
    return f"{item.sample.id} {item.sample.image_hash} {item.sample.mask_hash} {item.versions}"


def _name(item: Task) -> str:
    return item.sample.id


def _numbers(
    data: Dataset, base: Sequence[Sample], versions: Versions, *, strict: bool, workers: Workers
) -> tuple[dict[str, int], list[Skipped]]:
    """Versions of each training image by id, and the images whose masks cannot be read."""
    if not versions.by_class:
        return {sample.id: versions.each for sample in base}, []
    numbers: dict[str, int] = {}
    skipped: list[Skipped] = []
    present = pooled(
        Present(data.only_table()), base, label="reading masks", name=attrgetter("id"), strict=strict, workers=workers
    )
    for sample, names in zip(base, present, strict=True):
        if isinstance(names, Skipped):
            skipped.append(names)
        else:
            numbers[sample.id] = versions.of(names)
    return numbers, skipped


@dataclass(frozen=True)
class Present:
    """Which classes an image holds, by name."""

    dataset: Dataset

    def __call__(self, sample: Sample) -> list[str]:
        """Names in id order."""
        ids = np.unique(self.dataset.mask(sample))
        return [self.dataset.classes.names[k] for k in ids.tolist() if k < len(self.dataset.classes)]


def _balanced(native: AtSize, recipe: Recipe, data: Dataset) -> tuple[Recipe, Balance | None]:
    """What mixing needs to know of all masks."""
    if not needs_balance(recipe):
        return recipe, None
    counts = count_classes(native, len(data.classes))
    if recipe.augment.paste and recipe.augment.paste_classes is None:
        names = [data.classes.names[k] for k in minority_classes(counts.pixels(), data.classes)]
        recipe = recipe.with_values(augment__paste_classes=names)
    return recipe, balance(counts, recipe, data.classes)


@dataclass(frozen=True)
class AtSize:
    """Labelled samples by number, fitted to one size with their aspect kept, or at their own (`size_hw` None)."""

    dataset: Dataset
    samples: tuple[Sample, ...]
    size_hw: tuple[int, int] | None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Pair:
        sample = self.samples[index]
        image_HW3, mask_HW = self.dataset.image(sample), self.mask(index)
        if self.size_hw is not None:
            image_HW3 = Letterbox.fit(sample.size_hw, self.size_hw, "pad").forward_image(image_HW3)
        return image_HW3, mask_HW

    def mask(self, index: int) -> Mask:
        """The mask alone, without decoding the image."""
        sample = self.samples[index]
        mask_HW = self.dataset.mask(sample)
        if self.size_hw is None:
            return mask_HW
        return Letterbox.fit(sample.size_hw, self.size_hw, "pad").forward_mask(mask_HW, self.dataset.classes.ignore)


@dataclass(frozen=True)
class Multiply:
    """Copies one image and draws its versions."""

    stage: Path
    native: AtSize
    recipe: Recipe
    balance: Balance | None
    seed: int

    def __call__(self, item: Task) -> Made:
        """The samples of one image."""
        sample, data = item.sample, self.native.dataset
        row: dict[str, Any] = {
            "split": sample.split,
            "group": sample.group or sample.id,
            "source": sample.source,
            "height": sample.height,
            "width": sample.width,
        }
        original = data.mask(sample) if sample.mask else None
        photo, suffix = read_bytes(data.path / sample.image), Path(sample.image).suffix
        extra = dict(sample.extra)
        samples = [store(self.stage, sample.id, photo, suffix, original, data.classes, **row, extra=extra)]
        suffix = ".jpg" if suffix.lower() in (".jpg", ".jpeg") else ".png"
        for version in range(1, item.versions):
            image_HW3, mask_HW = self._drawn(item, version)
            id, photo = f"{sample.id}-v{version:03d}", encode_image(image_HW3, suffix)
            extra = {**sample.extra, "parent": sample.id, "version": str(version)}
            samples.append(store(self.stage, id, photo, suffix, mask_HW, data.classes, **row, extra=extra))
        return Made(samples=tuple(samples))

    def _drawn(self, item: Task, version: int) -> Pair:
        pairs = replace(self.native, size_hw=item.sample.size_hw)
        recipe = self.recipe.with_values(data__size=item.sample.size_hw, data__crop=None)
        rng = np.random.default_rng((int(place(item.sample.id, self.seed) * 2**53), version))
        return draw_sample(pairs, item.index, recipe, rng, ignore=pairs.dataset.classes.ignore, balance=self.balance)
