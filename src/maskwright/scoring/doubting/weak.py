"""Where a model is weak, and where its labels may be: images by suspicion of their label, and slices of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.console import track
from maskwright.files import explained, write_json
from maskwright.imageio import write_image
from maskwright.metrics.tally import MEANS, Tally
from maskwright.scoring.doubting.attributes import Attributes, attributes_of
from maskwright.scoring.doubting.slices import find_slices
from maskwright.scoring.doubting.suspicion import contradicted, moved
from maskwright.scoring.doubting.weak_pictures import panels
from maskwright.scoring.evaluating.pictures import See
from maskwright.types import Classes, Image, Mask

SURE = 0.9  # probability from which a wrong prediction is a sure one
CONTRADICTED = 0.25  # weight against the gain of a move, chosen on training and validation images
SUSPECT = 3.0  # robust standard deviations above the usual image of the split
LEAST_SPREAD = 0.015  # of the doubt: where all images look the same, noise is no evidence
LEAST_IMAGES = 10
WORST = 0.1  # share of the images, by loss, that the model is weak on
FAR_ABOVE = 1.5  # times the usual loss
DRAWN = 6

DEFINITIONS = {
    "loss": "mean of -log p of the labelled class over labelled pixels, in nats",
    "suspicion": "evidence against the label: the share of its loss that moving it would take away, and how sure the "
    "model is of other classes where it contradicts it most (softmin); in robust standard deviations above the median "
    "image of this split",
    "label": f"suspicion above {SUSPECT:g}: look at the label first",
    "model": f"among the worst {WORST:.0%} by loss, at least {FAR_ABOVE:g} times the median, and the label not suspect",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one image leaves behind; the numbers about the label are None where there were no probabilities.

    `doubt` adds up the evidence, `gain` is that of the best move (rows, columns), a share of the label's loss.
    `disputed` is the share of labelled pixels where a sure prediction contradicts the label, `dispute` the most
    frequent (label, prediction) among the wrong ones.
    """

    loss: float | None
    doubt: float | None
    gain: float
    move: tuple[int, int]
    disputed: float
    dispute: tuple[int, int] | None
    attributes: Attributes


def look(
    image_HW3: Image,
    truth_HW: Mask,
    guess_HW: Mask,
    probabilities_KHW: NDArray[np.float32] | None,
    classes: Classes,
) -> Look:
    """Look at one image: its loss, the evidence against its label, and the attributes that slices are made of."""
    attributes = attributes_of(image_HW3, truth_HW, classes)
    known_HW = truth_HW != classes.ignore
    wrong_HW = known_HW & (truth_HW != guess_HW)
    pairs = truth_HW[wrong_HW].astype(np.int64) * len(classes) + guess_HW[wrong_HW]
    most = divmod(int(np.bincount(pairs).argmax()), len(classes)) if pairs.size else None
    if probabilities_KHW is None or not known_HW.any():
        return Look(loss=None, doubt=None, gain=0, move=(0, 0), disputed=0, dispute=most, attributes=attributes)
    labels = np.where(known_HW, truth_HW, 0).astype(np.intp)
    own_N = np.take_along_axis(probabilities_KHW, labels[None], axis=0)[0][known_HW]
    top_HW = probabilities_KHW.max(0)
    sure_HW = wrong_HW & (top_HW >= SURE)
    gain, move = moved(probabilities_KHW, truth_HW)
    return Look(
        loss=float(-np.log(np.maximum(own_N, np.finfo(np.float32).eps)).mean()),
        doubt=gain + CONTRADICTED * contradicted(top_HW[known_HW] - own_N),
        gain=gain,
        move=move,
        disputed=float(sure_HW.sum() / known_HW.sum()),
        dispute=most,
        attributes=attributes,
    )


def weak_spots(
    ids: Sequence[str],
    groups: Sequence[str],
    looks: Sequence[Look],
    tally_N3K: Tally,
    classes: Classes,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """What `weak.json` holds: images by suspicion of their label, the most suspect first, and slices.

    `images` is empty where there were no probabilities (foreign masks).
    """
    scored = [place for place, seen in enumerate(looks) if seen.loss is not None]
    loss = np.array([looks[place].loss for place in scored], np.float64)
    suspicion = suspicions(np.array([looks[place].doubt for place in scored], np.float64))
    mean_iou = MEANS["mean_iou"](tally_N3K, None)
    rows: list[dict[str, Any]] = []
    for place, own_loss, own, weak in zip(scored, loss, suspicion, weakest(loss), strict=True):
        enough = len(scored) >= LEAST_IMAGES
        verdict = "label" if enough and own > SUSPECT else "model" if weak else "fine"
        rows.append(
            {
                "id": ids[place],
                "mean_iou": float(mean_iou[place]),
                "loss": float(own_loss),
                "suspicion": float(own),
                "verdict": verdict,
                "why": reason(verdict, looks[place], classes),
            }
        )
    rows.sort(key=lambda row: (-row["suspicion"], row["id"]))
    attributes = [seen.attributes for seen in looks]
    return {
        "images": rows,
        "slices": find_slices(tally_N3K, attributes, groups, classes, seed=seed),
        "definitions": DEFINITIONS,
        "note": note(len(scored)),
    }


def suspicions(doubt_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Doubts in robust standard deviations (1.4826 times the median deviation) above their median."""
    if not doubt_N.size:
        return doubt_N
    above_N = doubt_N - np.median(doubt_N)
    return above_N / max(1.4826 * float(np.median(np.abs(above_N))), LEAST_SPREAD)


def weakest(loss_N: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Images among the worst tenth by loss, if their loss is far above the median."""
    if not loss_N.size:
        return np.zeros(0, bool)
    bar = np.sort(loss_N)[-max(1, round(WORST * loss_N.size))]
    return np.asarray((loss_N >= bar) & (loss_N > FAR_ABOVE * np.median(loss_N)))


def reason(verdict: str, seen: Look, classes: Classes) -> str:
    """The verdict in words; '' where all is fine."""
    if verdict == "fine" or seen.dispute is None:
        return ""
    label, guess = (classes.names[index] for index in seen.dispute)
    mostly = f"mostly {label} in the label, {guess} in the prediction"
    if verdict == "model":
        return f"the prediction fits badly, and no move of the label would help: {mostly}"
    if seen.gain > 0:
        return f"the label would fit the prediction better {direction(seen.move)}: {mostly}"
    return f"a sure prediction contradicts {seen.disputed:.0%} of the label: {mostly}"


def direction(move: tuple[int, int]) -> str:
    """'12 px further down and 3 px further left'."""
    names = (("up", "down"), ("left", "right"))
    words = [f"{abs(by)} px further {pair[by > 0]}" for by, pair in zip(move, names, strict=True) if by]
    return " and ".join(words) or "a little elsewhere"


def note(images: int) -> str:
    """What limits the verdicts; '' where nothing does."""
    if images == 0:
        return "Without probabilities nothing can be said of labels; predictions of a run have them."
    if images < LEAST_IMAGES:
        return f"{images} images are too few to know what is usual: no label is called suspect below {LEAST_IMAGES}."
    return ""


def write_weak(folder: Path, weak: dict[str, Any], see: See, classes: Classes) -> None:
    """Draw suspect labels and then the model's worst images into `folder/weak`; `folder/weak.json` comes last.

    `see` gives (photo, label, prediction, probabilities) of an image by its id. A row that was drawn gets the
    number of its pictures, `N-photo.jpg` and so on, as `pictures`.
    """
    target = folder / "weak"
    with explained(target):
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("*.jpg"):
            old.unlink()
    for number, row in enumerate(track(to_draw(weak["images"]), "drawing weak spots")):
        image_HW3, truth_HW, guess_HW, probabilities_KHW = see(row["id"])
        assert probabilities_KHW is not None, "only rows with a loss are drawn"
        for name, panel in panels(image_HW3, truth_HW, guess_HW, probabilities_KHW, classes).items():
            write_image(target / f"{number}-{name}.jpg", panel)
        row["pictures"] = number
    write_json(folder / "weak.json", weak)


def to_draw(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most suspect labels, then the images with the highest loss; half of the pictures at least for each."""
    labels = [row for row in rows if row["verdict"] == "label"]
    models = sorted((row for row in rows if row["verdict"] == "model"), key=lambda row: -row["loss"])
    half = DRAWN // 2
    return labels[: max(half, DRAWN - len(models))] + models[: max(half, DRAWN - len(labels))]
