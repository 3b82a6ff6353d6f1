"""Score a run on a split, at every image's original size: counts first, ratios after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from maskwright.console import Skipped, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.splits.split import with_fold
from maskwright.files import write_json
from maskwright.imageio import colourise, overlay, write_image
from maskwright.infer.predictor import Predictor
from maskwright.metrics.counts import DEFINITIONS, Confusion, confusion, mean_iou, scores, summary, without_labels
from maskwright.run import Run, now
from maskwright.types import Classes, Image, InputError, Mask

GALLERY = 4
GALLERY_SIDE = 480
MOST_GROUPS = 30


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts and rows of one evaluation; `scores` is what `scores.json` holds."""

    confusion_KK: Confusion
    scores: dict[str, Any]
    images: list[dict[str, Any]]
    skipped: list[Skipped]


def evaluate(
    run: Run | str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    split: str = "test",
    batch: int = 1,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    strict: bool = False,
) -> Evaluation:
    """Predict every labelled image of `split`, count against its label, write the run's evaluation folder.

    Without `dataset` the run's own is used. Raises InputError if the run, the data set or the split is
    unusable, or if their class tables differ; with `strict` also for a single file that cannot be read.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    data = open_dataset(run, dataset)
    if data.classes.names != run.classes.names:
        raise InputError(f"{data.path} has classes {data.classes.names}, but {run.path} has {run.classes.names}.")
    data, skipped = data.refresh(strict=strict)
    samples = as_trained(run, data).labelled(split)
    predictor = Predictor.load(run, weights=weights, device=device, precision=precision)
    unlabelled = run.classes.background if run.recipe.background_ignored else None
    rows: list[dict[str, Any]] = []
    counts: list[Confusion] = []
    for sample, truth, guess in predictions(predictor, data, samples, batch):
        count = without_labels(confusion(truth, guess, len(data.classes)), unlabelled)
        counts.append(count)
        rows.append(image_row(sample, count, data.classes))
    total = np.sum(counts, axis=0)
    result = {
        "split": split,
        "time": now(),
        "images": len(rows),
        "dataset": {"path": str(data.path.resolve()), "fingerprint": data.fingerprint},
        "weights": weights,
        "precision": predictor.precision,
        "scored_at": "the original size of every image",
        "definitions": definitions(run),
        **summary(total, data.classes),
        "confusion": total.tolist(),
        "groups": by_group(samples, counts, data.classes),
    }
    # The gallery first: scores.json marks an evaluation as complete.
    write_gallery(run.evaluation_folder(split) / "gallery", predictor, data, samples, rows)
    run.write_scores(split, result, rows)
    return Evaluation(confusion_KK=total, scores=result, images=rows, skipped=skipped)


def definitions(run: Run) -> dict[str, str]:
    """What the numbers of this run's evaluations mean."""
    if not run.recipe.background_ignored or run.classes.background is None:
        return DEFINITIONS
    name = run.classes.names[run.classes.background]
    return {
        **DEFINITIONS,
        "ignored": f"{DEFINITIONS['ignored']}, and neither are pixels labelled {name}, "
        "as the recipe's loss.background is false",
    }


def open_dataset(run: Run, dataset: Dataset | str | Path | None) -> Dataset:
    """The data set given, or the one that the run was trained on."""
    if isinstance(dataset, Dataset):
        return dataset
    if dataset is not None:
        return Dataset.open(dataset)
    trained_on = str(run.about.get("data", {}).get("path", ""))
    if not trained_on or not Path(trained_on).exists():
        raise InputError(f"{run.path} was trained on {trained_on or 'nothing yet'}, which is gone; name a data set.")
    return Dataset.open(trained_on)


def as_trained(run: Run, data: Dataset) -> Dataset:
    """The data set with the run's own fold for validation, if the run was trained on it."""
    trained_on = run.about.get("data") or {}
    own = trained_on.get("path") == str(data.path.resolve()) or trained_on.get("fingerprint") == data.fingerprint
    return with_fold(data, run.recipe.data.fold) if own else data


def predictions(
    predictor: Predictor, data: Dataset, samples: Sequence[Sample], batch: int
) -> Iterator[tuple[Sample, Mask, Mask]]:
    """(sample, label, prediction) of every sample, both at the original size."""
    chunks = [samples[start : start + batch] for start in range(0, len(samples), batch)]
    for chunk in track(chunks, f"evaluating {len(samples)} images"):
        guesses = predictor.ids_of([data.image(sample) for sample in chunk])
        yield from ((s, data.mask(s), guess) for s, guess in zip(chunk, guesses, strict=True))


def image_row(sample: Sample, count: Confusion, classes: Classes) -> dict[str, Any]:
    """One image's line of `images.csv`; a class that is neither there nor predicted has an empty cell."""
    ratios = scores(count)
    row: dict[str, Any] = {
        "id": sample.id,
        "group": sample.group,
        "mean_iou": _cell(mean_iou(count)),
        "pixel_accuracy": _cell(ratios.pixel_accuracy),
    }
    return row | {f"iou/{name}": _cell(value) for name, value in zip(classes.names, ratios.iou, strict=True)}


def by_group(samples: Sequence[Sample], counts: Sequence[Confusion], classes: Classes) -> dict[str, Any]:
    """Scores of each group apart, where there are between 2 and 30 of them."""
    grouped: dict[str, list[Confusion]] = defaultdict(list)
    for sample, count in zip(samples, counts, strict=True):
        if sample.group:
            grouped[sample.group].append(count)
    if not 2 <= len(grouped) <= MOST_GROUPS:
        return {}
    return {name: {"images": len(m), **summary(np.sum(m, axis=0), classes)} for name, m in sorted(grouped.items())}


def write_gallery(
    folder: Path, predictor: Predictor, data: Dataset, samples: Sequence[Sample], rows: Sequence[dict[str, Any]]
) -> None:
    """Pictures of the best, median and worst images: photo, label, prediction and where they differ."""
    scored = [i for i, row in enumerate(rows) if row["mean_iou"] != ""]
    ranked = sorted(scored, key=lambda i: (float(rows[i]["mean_iou"]), rows[i]["id"]))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    for kind, chosen in gallery_choice(ranked).items():
        for place, index in enumerate(chosen):
            sample = samples[index]
            image_HW3, truth = data.image(sample), data.mask(sample)
            guess = predictor.ids(image_HW3)
            panels = {
                "photo": image_HW3,
                "label": overlay(image_HW3, truth, data.classes, opacity=0.65),
                "prediction": overlay(image_HW3, guess, data.classes, opacity=0.65),
                "errors": draw_errors(image_HW3, truth, guess, data.classes),
            }
            for name, panel in panels.items():
                write_image(folder / f"{kind}-{place}-{name}.jpg", shrink(panel))
    ids = {kind: [rows[i]["id"] for i in chosen] for kind, chosen in gallery_choice(ranked).items()}
    write_json(folder / "gallery.json", ids)


def gallery_choice(ranked: list[int]) -> dict[str, list[int]]:
    """Indices of the worst, median and best images; none appears twice."""
    count = min(GALLERY, max(1, len(ranked) // 3))
    middle = max(0, (len(ranked) - count) // 2)
    worst, median, best = ranked[:count], ranked[middle : middle + count], ranked[::-1][:count]
    seen: set[int] = set()
    result = {}
    for kind, some in (("worst", worst), ("best", best), ("median", median)):
        result[kind] = [i for i in some if i not in seen]
        seen |= set(some)
    return result


def draw_errors(image_HW3: Image, truth: Mask, guess: Mask, classes: Classes) -> Image:
    """The photo in grey; wrong pixels in the colour of the class predicted there."""
    grey = cv2.cvtColor(cv2.cvtColor(image_HW3, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    faded = (grey.astype(np.uint16) // 2 + 100).astype(np.uint8)
    wrong = (truth != guess) & (truth != classes.ignore)
    return np.where(wrong[..., None], colourise(guess, classes), faded).astype(np.uint8)


def shrink(image_HW3: Image) -> Image:
    """At most 480 pixels a side, for pages."""
    scale = GALLERY_SIDE / max(image_HW3.shape[:2])
    if scale >= 1:
        return image_HW3
    size = (max(1, round(image_HW3.shape[1] * scale)), max(1, round(image_HW3.shape[0] * scale)))
    return np.asarray(cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA), np.uint8)


def _cell(value: float) -> float | str:
    return "" if np.isnan(value) else round(float(value), 6)
