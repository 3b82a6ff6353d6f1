"""Score a run, or masks that anybody predicted, at every image's original size: counts first, ratios after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import Workers, remembered
from maskwright.data.splits.split import with_fold
from maskwright.files import JOURNAL, content_hash, explained
from maskwright.infer.predicting.working import Model
from maskwright.infer.predictor import Predictor
from maskwright.infer.segmenting.segment import How, Segmenter
from maskwright.metrics.counts import Confusion
from maskwright.metrics.units import choose_units
from maskwright.run import Run, environment, is_run, now, write_counts, write_csv, write_scores
from maskwright.scoring.doubting.weak import weak_spots, write_weak
from maskwright.scoring.evaluating.definitions import definitions
from maskwright.scoring.evaluating.gallery import write_gallery
from maskwright.scoring.evaluating.gather import Gathered, gather
from maskwright.scoring.evaluating.kept import kept, remembered_as
from maskwright.scoring.evaluating.observe import Observed, Observer, Probabilities
from maskwright.scoring.evaluating.printed import score_table
from maskwright.scoring.evaluating.resampling import Resampling
from maskwright.scoring.evaluating.sources import RunSource, Source, folder_source
from maskwright.scoring.evaluating.tables import class_table, image_rows, tabulate
from maskwright.types import Image, InputError, Mask, TargetError

# One of them is in every folder that an evaluation has begun to write.
OF_EVALUATIONS = (JOURNAL, "counts.npz", "scores.json")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluation: `scores` is what `scores.json` in `folder` holds, `table` the same as lines of text."""

    folder: Path
    confusion_KK: Confusion
    scores: dict[str, Any]
    table: list[str]
    images: list[dict[str, Any]]
    skipped: list[Skipped]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A source in the folder `home`, the `samples` out of `asked` that can be scored, and labels that count nowhere."""

    home: Path
    source: Source
    data: Dataset
    samples: Sequence[Sample]
    asked: int
    skipped: list[Skipped]
    unlabelled: int | None = None


def evaluate(
    source: Run | str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    split: str = "test",
    out: str | Path | None = None,
    batch: int = 1,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    units: str = "auto",
    draws: int = 10_000,
    seed: int = 0,
    surface_px: float | None = None,
    how: How | None = None,
    workers: Workers = None,
    strict: bool = False,
) -> Evaluation:
    """Compare predictions with the labels of `split`, and write the folder SOURCE/evaluation/SPLIT, or `out`.

    `source` is a run, whose network predicts now (on its own data set where none is named), or a folder of prediction
    masks. Intervals are from `draws` resamples of `units`: 'images', 'groups', or 'auto', which is groups where there
    are at least 10. `surface_px` is the tolerance of surface Dice; with None, surfaces are not measured. `how` says
    how a run sees images (tiles, views), as for `predict`. `workers` is the number of processes that predict, or a
    `Ray` cluster. An interrupted call is gone on with by the same call.

    Raises InputError if source, data set, split or target is unusable, if class tables differ, or if no image can be
    scored; with `strict` also for a single file that cannot be used.
    """
    if how is not None and not isinstance(source, Run) and Path(source).is_dir() and not is_run(source):
        raise InputError(f"{source} is not a run folder but holds masks; tiles and views are for runs only.")
    load = {"weights": weights, "device": device, "precision": precision, "how": how or How()}
    plan = plan_of(source, dataset, split, batch=batch, workers=workers, strict=strict, **load)
    choose_units([sample.group for sample in plan.samples], units)  # an unknown name raises before the work
    folder = writable(plan.home / "evaluation" / split if out is None else Path(out))
    observer = Observer(classes=plan.data.classes, unlabelled=plan.unlabelled, surface_px=surface_px)
    skipped = list(plan.skipped)
    gathered = gather(observed(plan, observer, skipped, folder / JOURNAL, strict), plan.data.classes)
    resampling = Resampling(units=choose_units(gathered.groups, units), draws=draws, seed=seed)
    tables = tabulate(gathered, plan.data.classes, resampling, plan.source.temperature)
    scores = {**header(plan, split, gathered, surface_px), **tables}
    write(folder, plan, observer, gathered, scores, seed)
    return Evaluation(
        folder=folder,
        confusion_KK=gathered.confusion_KK,
        scores=scores,
        table=score_table(scores),
        images=image_rows(gathered, plan.data.classes),
        skipped=skipped,
    )


def plan_of(
    source: Run | str | Path,
    dataset: Dataset | str | Path | None,
    split: str,
    *,
    batch: int,
    workers: Workers,
    strict: bool,
    **load: Any,
) -> Plan:
    """What to score: a folder with a run.yaml or a bundle is a run, any other folder one of prediction masks."""
    if isinstance(source, Run):
        return plan_run(source, dataset, split, batch=batch, workers=workers, strict=strict, **load)
    if is_run(source):
        return plan_run(Run.open(source), dataset, split, batch=batch, workers=workers, strict=strict, **load)
    return plan_folder(Path(source), dataset, split, workers=workers, strict=strict)


def plan_run(
    run: Run,
    dataset: Dataset | str | Path | None,
    split: str,
    *,
    batch: int,
    workers: Workers,
    strict: bool,
    **load: Any,
) -> Plan:
    """A run's network and the labelled images of a split, with the run's own fold for validation."""
    data = open_matching(run, dataset)
    before, (data, skipped) = as_trained(run, data), data.refresh(strict=strict)
    after = as_trained(run, data)
    samples = after.labelled(split)
    model = Model(run=run.path, backend="torch", batch=batch, **load)
    predictor = Predictor.load(run, weights=model.weights, device=model.device, precision=model.precision)
    segmenter = Segmenter(predictor, model.how, batch=batch)
    return Plan(
        home=run.path,
        source=RunSource(run=run, segmenter=segmenter, model=model, workers=workers),
        data=data,
        samples=samples,
        asked=count_labelled(split, before, after),
        skipped=skipped,
        unlabelled=run.classes.background if run.recipe.background_ignored else None,
    )


def plan_folder(
    folder: Path, dataset: Dataset | str | Path | None, split: str, *, workers: Workers, strict: bool
) -> Plan:
    """The prediction masks in a folder and the labelled images of a split that have one."""
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist or is no folder; name a run, or a folder of prediction masks.")
    if dataset is None:
        raise InputError(
            f"{folder} is not a run folder (it has no run.yaml); for a folder of prediction masks name the data set "
            "too: maskwright evaluate PREDICTIONS DATASET."
        )
    before = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    data, skipped = before.refresh(strict=strict)
    found, samples, unusable = folder_source(folder, data, split, workers=workers, strict=strict)
    asked = count_labelled(split, before, data)
    return Plan(home=folder, source=found, data=data, samples=samples, asked=asked, skipped=[*skipped, *unusable])


def count_labelled(split: str, *versions: Dataset) -> int:
    """Labelled images of a split in any version of a data set: a file that broke since is one that was asked for."""
    return len({sample.id for data in versions for sample in data.samples if sample.mask and sample.split == split})


def observed(plan: Plan, observer: Observer, skipped: list[Skipped], journal: Path, strict: bool) -> Iterator[Observed]:
    """What each image leaves behind; images that cannot be used are added to `skipped`. At least one, or InputError.

    What the journal holds of an earlier call is not done again.
    """
    source, how = plan.source, content_hash(repr((environment()["maskwright"], observer, plan.source.facts)).encode())

    def observe(samples: Sequence[Sample]) -> Iterator[dict[str, Any] | Skipped]:
        for one in source.observe(plan.data, samples, observer, strict=strict):
            yield one if isinstance(one, Skipped) else kept(one)

    def key(sample: Sample) -> str:
        return f"{sample.id} {sample.image_hash} {sample.mask_hash} {source.state(sample)} {how}"

    some = False
    for one in remembered(observe, plan.samples, journal=journal, key=key):
        if isinstance(one, Skipped):
            skipped.append(one)
        else:
            some = True
            yield remembered_as(one)
    if not some:
        reason = f" The first: {skipped[-1].reason}" if skipped else ""
        raise InputError(f"None of {len(plan.samples)} images could be scored.{reason}")


def header(plan: Plan, split: str, gathered: Gathered, surface_px: float | None) -> dict[str, Any]:
    """What was scored, on what and when."""
    return {
        "split": split,
        "time": now(),
        "images": len(gathered.ids),
        "left_out": plan.asked - len(gathered.ids),
        "dataset": {"path": str(plan.data.path.resolve()), "fingerprint": plan.data.fingerprint},
        **plan.source.facts,
        "scored_at": "the original size of every image",
        **({} if surface_px is None else {"surface_px": surface_px}),
        "definitions": definitions(plan.data.classes, plan.unlabelled),
    }


def write(folder: Path, plan: Plan, observer: Observer, gathered: Gathered, scores: dict[str, Any], seed: int) -> None:
    """Write the evaluation; without its `scores.json`, which goes first and comes back last, it counts as none."""
    classes = plan.data.classes
    samples = {sample.id: sample for sample in plan.samples}

    def see(key: str) -> tuple[Image, Mask, Mask, Probabilities | None]:
        image_HW3, truth_HW, guess_HW, scores_KHW = plan.source.guess(plan.data, samples[key])
        return image_HW3, observer.label(truth_HW), guess_HW, scores_KHW

    rows = image_rows(gathered, classes)
    with explained(folder):
        (folder / "scores.json").unlink(missing_ok=True)
    write_counts(folder, gathered.counted)
    write_gallery(folder / "gallery", see, classes, rows)
    weak = weak_spots(gathered.ids, gathered.groups, gathered.looks, gathered.tally_N3K, classes, seed=seed)
    write_weak(folder, weak, see, classes)
    write_csv(folder / "classes.csv", class_table(scores))
    write_scores(folder, scores, rows, score_table(scores))
    with explained(folder):
        (folder / JOURNAL).unlink(missing_ok=True)


def writable(folder: Path) -> Path:
    """Make the folder, before hours of work; raises TargetError where that is not allowed or it holds other things."""
    with explained(folder):
        if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).is_file() for name in OF_EVALUATIONS):
            raise TargetError(f"{folder} holds other things than an evaluation; choose a new folder.")
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    return folder


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


def open_matching(run: Run, dataset: Dataset | str | Path | None) -> Dataset:
    """`open_dataset`, with the run's class table; raises InputError where it has another one."""
    data = open_dataset(run, dataset)
    if data.classes.names != run.classes.names:
        raise InputError(f"{data.path} has classes {data.classes.names}, but {run.path} has {run.classes.names}.")
    return data


def as_trained(run: Run, data: Dataset) -> Dataset:
    """The data set with the run's own fold for validation, if the run was trained on it."""
    trained_on = run.about.get("data") or {}
    own = trained_on.get("path") == str(data.path.resolve()) or trained_on.get("fingerprint") == data.fingerprint
    return with_fold(data, run.recipe.data.fold) if own else data
