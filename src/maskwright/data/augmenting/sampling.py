"""Which images and which places in them a training sees more often: by inverse class frequency, measured on masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.config import Recipe
from maskwright.console import say, track
from maskwright.data.pairs import Pairs
from maskwright.types import Classes, Mask

MASKS_TO_COUNT = 2000
# No image comes more rarely or more often than this, against the mean: ten copies of one image teach no class.
LEAST_OFTEN, MOST_OFTEN = 0.1, 10.0
MINORITY = 0.5
CLASSES_SAID = 12
EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Labelled pixels of every class in every image, as rows; a class that an image lacks takes no row."""

    images: int
    classes: int
    image_M: NDArray[np.int32]
    class_M: NDArray[np.int32]
    pixels_M: NDArray[np.int64]

    def pixels(self) -> NDArray[np.int64]:
        """Pixels by class, shape (K,)."""
        total: NDArray[np.int64] = np.zeros(self.classes, np.int64)
        np.add.at(total, self.class_M, self.pixels_M)
        return total

    def images_with(self) -> NDArray[np.int64]:
        """How many images hold a class, shape (K,)."""
        return np.bincount(self.class_M, minlength=self.classes).astype(np.int64)

    def holders(self, class_id: int) -> NDArray[np.int32]:
        """The images that hold a class, in order."""
        return np.asarray(self.image_M[self.class_M == class_id], np.int32)


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What the draws need to know of the whole training set; travels to every loader process.

    `weight_N` says how often an image comes in an epoch on average, `rarity_K` is 1 / pixels of a class (0 where a
    class has none or does not count), `holders` lists the images of every class that is pasted.
    """

    weight_N: NDArray[np.float64]
    rarity_K: NDArray[np.float64]
    holders: Mapping[int, NDArray[np.int32]] = field(default_factory=dict)


def class_pixels(mask_HW: Mask, classes: int) -> NDArray[np.int64]:
    """Pixels by class, shape (K,); ignore is not among them."""
    if mask_HW.size > EXACT_IN_FLOAT32:
        return np.bincount(mask_HW.ravel(), minlength=classes)[:classes].astype(np.int64)
    # Four times as fast, but it counts in float32.
    return cv2.calcHist([mask_HW], [0], None, [classes], [0, classes]).astype(np.int64).ravel()


def count_pixels(pairs: Pairs, classes: int) -> NDArray[np.int64]:
    """Labelled pixels by class, shape (K,), at the working size, over at most 2000 masks that are evenly spaced."""
    total: NDArray[np.int64] = np.zeros(classes, np.int64)
    for index in range(0, len(pairs), -(-len(pairs) // MASKS_TO_COUNT)):
        total += class_pixels(pairs.mask(index), classes)
    return total


def count_classes(pairs: Pairs, classes: int) -> ClassCounts:
    """Labelled pixels by image and class over every mask: one pass, 16 bytes an image and class that it holds."""

    def rows() -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        for index in track(range(len(pairs)), "counting classes"):
            pixels_K = class_pixels(pairs.mask(index), classes)
            present = np.flatnonzero(pixels_K)
            yield np.stack([np.full(len(present), index), present]).astype(np.int32), pixels_K[present]

    found = list(rows())
    image_M, class_M = np.concatenate([ids for ids, _ in found], axis=1)
    return ClassCounts(
        images=len(pairs),
        classes=classes,
        image_M=image_M,
        class_M=class_M,
        pixels_M=np.concatenate([pixels for _, pixels in found]),
    )


def rarity(pixels_K: NDArray[np.int64], leave_out: int | None = None) -> NDArray[np.float64]:
    """1 / pixels by class; 0 for a class without pixels and for the one left out."""
    found = np.divide(1.0, pixels_K, out=np.zeros(len(pixels_K)), where=pixels_K > 0)
    if leave_out is not None:
        found[leave_out] = 0.0
    return found


def image_weights(counts: ClassCounts, leave_out: int | None = None) -> NDArray[np.float64]:
    """How often each image should come in an epoch, mean 1, by inverse class frequency.

    Every class hands out one unit of weight, over its images in proportion to its pixels: the weight of image i is
    the sum over classes k of pixels_ik / pixels_k, scaled to mean 1. What exceeds 10 goes to all images alike, and
    a tenth of every weight is the same for all: no image is left out, and none fills the epoch. Ignored pixels
    count nowhere.
    """
    rarity_K = rarity(counts.pixels(), leave_out)
    raw = np.bincount(counts.image_M, counts.pixels_M * rarity_K[counts.class_M], minlength=counts.images)
    if not raw.any():
        return np.ones(counts.images)
    held = np.minimum(raw / raw.mean(), MOST_OFTEN)
    return np.asarray(LEAST_OFTEN + (1 - LEAST_OFTEN) * (held + 1 - held.mean()), np.float64)


def minority_classes(pixels_K: NDArray[np.int64], classes: Classes) -> list[int]:
    """Ids, background aside, of the classes with less than half of an even share of the labelled pixels, but some."""
    below = MINORITY * pixels_K.sum() / len(classes)
    return [k for k in range(len(classes)) if 0 < pixels_K[k] < below and k != classes.background]


def needs_balance(recipe: Recipe) -> bool:
    """Whether the draws of a recipe depend on what all masks hold."""
    return recipe.data.sampling == "balanced" or recipe.data.crop_focus > 0 or recipe.augment.paste > 0


def balance(counts: ClassCounts, recipe: Recipe, classes: Classes) -> Balance:
    """What the draws of a resolved recipe need; the background counts where its pixels enter the loss.

    Raises InputError where `augment.paste_classes` names a class that is not in the table.
    """
    leave_out = None if recipe.loss.background else classes.background
    balanced = recipe.data.sampling == "balanced"
    pasted = [classes.id_of(name) for name in recipe.augment.paste_classes or ()] if recipe.augment.paste else []
    held = {k: counts.holders(k) for k in pasted}
    return Balance(
        weight_N=image_weights(counts, leave_out) if balanced else np.ones(counts.images),
        rarity_K=rarity(counts.pixels(), leave_out),
        holders={k: images for k, images in held.items() if len(images)},
    )


def measure(pairs: Pairs, recipe: Recipe, classes: Classes) -> tuple[Balance | None, dict[str, Any]]:
    """What the draws need of all training masks and what the run records of it; nothing where nothing is needed.

    Costs one pass over the masks at the working size. The class shares are printed.
    """
    if not needs_balance(recipe):
        return None, {}
    counts = count_classes(pairs, len(classes))
    found = balance(counts, recipe, classes)
    facts = describe(counts, found, recipe, classes)
    say(shares_text(facts))
    return found, {"sampling": facts}


def describe(counts: ClassCounts, found: Balance, recipe: Recipe, classes: Classes) -> dict[str, Any]:
    """What was measured and derived, as plain data for the run folder; `pasted` says how many images hold a class."""
    pasted = (recipe.augment.paste_classes or ()) if recipe.augment.paste else ()
    share_K = counts.pixels() / max(1, counts.pixels().sum())
    rows = zip(classes.names, share_K, counts.images_with(), strict=True)
    return {
        "classes": {name: {"pixels": round(float(share), 6), "images": int(n)} for name, share, n in rows},
        "image_weight": {"least": round(float(found.weight_N.min()), 3), "most": round(float(found.weight_N.max()), 3)},
        "pasted": {name: len(counts.holders(classes.id_of(name))) for name in pasted},
    }


def shares_text(facts: Mapping[str, Any]) -> str:
    """One line for a person: the class shares of `describe`, rarest first."""
    rows = sorted(facts["classes"].items(), key=lambda row: row[1]["pixels"])
    listed = [f"{name} {row['pixels']:.2%} in {row['images']} images" for name, row in rows[:CLASSES_SAID]]
    more = f", and {len(rows) - CLASSES_SAID} classes more" if len(rows) > CLASSES_SAID else ""
    pasted = [f"{name} from {images} images" for name, images in facts["pasted"].items()]
    return f"class shares: {', '.join(listed)}{more}" + (f"; pasted: {', '.join(pasted)}" if pasted else "")


def draw_images(weight_N: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """N image numbers with repeats, in ascending order: image i comes weight_i times, rounded down or up.

    Systematic resampling: evenly spaced marks with one random offset on the cumulated weights. It has the means of
    independent draws with replacement and far less scatter.
    """
    count = len(weight_N)
    marks = (np.arange(count) + rng.random()) / count
    ends = np.cumsum(weight_N)
    return np.minimum(np.searchsorted(ends / ends[-1], marks, side="right"), count - 1)


def draw_focus(mask_HW: Mask, rarity_K: NDArray[np.float64], rng: np.random.Generator) -> tuple[int, int] | None:
    """A pixel (x, y) of a class that the mask holds, rare classes drawn more often; None where none counts."""
    chances = np.where(class_pixels(mask_HW, len(rarity_K)) > 0, rarity_K, 0.0)
    if not chances.any():
        return None
    chosen = int(rng.choice(len(chances), p=chances / chances.sum()))
    places = np.flatnonzero(mask_HW == chosen)
    row, column = divmod(int(places[rng.integers(len(places))]), mask_HW.shape[1])
    return column, row


def draw_partner(count: int, index: int, rng: np.random.Generator) -> int:
    """Another image than `index`, each equally likely; the same one where there is no other."""
    if count < 2:
        return index
    other = int(rng.integers(count - 1))
    return other + (other >= index)


def draw_holder(holders: Mapping[int, Sequence[int] | NDArray[np.int32]], rng: np.random.Generator) -> tuple[int, int]:
    """A class, each equally likely, and one of the images that hold it: (class id, image number)."""
    chosen = sorted(holders)[int(rng.integers(len(holders)))]
    return chosen, int(holders[chosen][int(rng.integers(len(holders[chosen])))])
