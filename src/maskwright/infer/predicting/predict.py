"""Predict photos of any size, folders, archives, videos and cameras; answers have the original's size and name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskwright.console import Skipped
from maskwright.data.jobs import Workers, remembered
from maskwright.imageio import IMAGE_SUFFIXES, encode_image, read_mask
from maskwright.infer.predicting.everything import PredictAll
from maskwright.infer.predicting.outputs import DEFAULT, DEFAULT_OF_CLIPS, EACH, GATHERED, check_outputs, each_of
from maskwright.infer.predicting.outputs.answer import Gathering, Row
from maskwright.infer.predicting.results import Results
from maskwright.infer.predicting.sources import VIDEO_SUFFIXES, Given, Photo, Source, find_sources
from maskwright.infer.predicting.video import grab
from maskwright.infer.predicting.working import Model, Task, answer_to
from maskwright.infer.segmenting.segment import How
from maskwright.infer.temper import temperature_of, weights_hash
from maskwright.run import Run
from maskwright.types import InputError, Mask, TargetError, unknown_name

FORMAT = 1  # of what is remembered
LARGEST_LOOKED_AT = 1 << 28  # pixels of an image whose ids are opened again for a gathered file


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Where predictions went, what was predicted, and which files had to be left out.

    `images` are names of photos and of predicted frames, `films` and `gathered` files below `out`, and `reason` says
    which backend was taken and why ('' where everything was done already).
    """

    out: Path
    images: list[str]
    films: list[str] = field(default_factory=list)
    gathered: list[str] = field(default_factory=list)
    reason: str = ""
    skipped: list[Skipped] = field(default_factory=list)


def predict(
    run: Run | str | Path,
    images: Given | Sequence[Given],
    out: str | Path,
    *,
    write: Sequence[str] | None = None,
    how: How | None = None,
    batch: int | None = None,
    every: int = 1,
    frames: int | None = None,
    simplify_px: float = 0.0,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    workers: Workers = None,
    strict: bool = False,
) -> Predicted:
    """Predict files, folders, patterns, zip archives, videos, encoded images (bytes) and cameras (numbers) into `out`.

    `write` names outputs (`outputs.EACH`, `outputs.GATHERED`); left out it is ids, colours and overlays of photos, and
    overlays of videos. `every` and `frames` are of videos: the mask of every n-th frame is held until the next, and the
    film ends after so many; a camera gives one frame as a photo where `frames` is left out, and films until Ctrl-C for
    0. `workers` are processes or an engine, each with a model of its own; None predicts here.

    `out` may hold results of the same job: what is done already and has not changed is not done again. Unreadable
    files are left out and returned; with `strict` the first one raises. Raises InputError where there is no image at
    all, and TargetError where `out` is in other use.
    """
    opened = run if isinstance(run, Run) else Run.open(run)
    kinds = check_outputs(DEFAULT if write is None else write)
    load = {"weights": weights, "device": device, "precision": precision, "backend": backend}
    model = Model(run=opened.path, how=how or How(), batch=batch, **load)
    task = Task(
        results=Results(target=_folder(out), job=_job(opened, model, simplify_px)),
        kinds=each_of(kinds),
        clip_kinds=each_of(DEFAULT_OF_CLIPS if write is None else kinds),
        simplify_px=simplify_px,
        every=every,
        frames=frames,
        strict=strict,
    )
    task.results.check()
    found, refused = _sources(images, task)
    return _predict(PredictAll(model, task, workers), found, refused, [kind for kind in kinds if kind in GATHERED])


def predict_image(
    run: Run | str | Path,
    image: Given,
    *,
    write: str = "ids",
    how: How | None = None,
    backend: str = "auto",
    **load: Any,
) -> bytes:
    """One image, as a path, encoded or from a camera, to the bytes of one of `outputs.EACH`; nothing is written.

    `load` are `weights`, `device` and `precision`. Raises InputError where the image cannot be read.
    """
    if write not in EACH:
        raise unknown_name("output of one image", write, EACH)
    opened = run if isinstance(run, Run) else Run.open(run)
    found, refused = find_sources(_given(image, None))
    if len(found) != 1 or refused or not isinstance(photo := found[0], Photo) or photo.parts:
        raise InputError(f"{image!r} is not one photo; name a folder for the results of several, or of a video.")
    segmenter = Model(run=opened.path, how=how or How(), backend=backend, **load).load(1)
    task = Task(results=Results(target=Path(), job={}), kinds=(write,), clip_kinds=())
    return EACH[write].encode(answer_to(task, segmenter, photo))


def _folder(out: str | Path) -> Path:
    target = Path(out)
    if target.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and not target.is_dir():
        raise InputError(f"{target} is named like a file; name a folder, which will hold ids/, overlay/ and so on.")
    return target


def _job(run: Run, model: Model, simplify_px: float) -> dict[str, Any]:
    """What changes predictions; results of another job are not added to."""
    return {
        "format": FORMAT,
        "weights": weights_hash(run, model.weights),
        "temperature": temperature_of(run, model.weights),
        **vars(model.how),
        "precision": model.precision,
        "backend": model.backend,
        "simplify_px": simplify_px,
    }


def _sources(images: Given | Sequence[Given], task: Task) -> tuple[list[Source], list[Skipped]]:
    """What is to be predicted, without results that lie among it, and what is left out."""
    found, refused = find_sources(_given(images, task.frames))
    if task.strict and refused:
        raise InputError(f"{refused[0].file}: {refused[0].reason}")
    found = [item for item in found if not _within(item.path, task.results.target)]
    if not found:
        raise InputError(f"{task.results.target} holds nothing but results of this command; name the photos.")
    return found, refused


def _given(images: Given | Sequence[Given], frames: int | None) -> list[Given]:
    """One or several sources; a camera that is asked for one frame is a photo."""
    several = [images] if isinstance(images, str | Path | bytes | int | Photo) else list(images)
    return [_snapshot(one) if isinstance(one, int) and frames in (None, 1) else one for one in several]


def _snapshot(camera: int) -> Photo:
    name = f"camera-{camera}"
    return Photo(name=name, path=Path(name), data=encode_image(grab(camera), ".png"))


def _within(path: Path, folder: Path) -> bool:
    """Whether a photo is itself a prediction: the folder of results may lie in that of the photos."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _predict(work: PredictAll, found: list[Source], refused: list[Skipped], gathered: Sequence[str]) -> Predicted:
    results = work.task.results
    try:
        rows, films, skipped = _done(work, found)
        skipped = refused + skipped
        if not rows:
            raise InputError(f"None of {len(found)} images could be predicted. The first: {skipped[0].reason}")
        skipped += _gather(work, rows, gathered)
    except (KeyboardInterrupt, TargetError) as error:
        if results.begun:
            error.add_note(f"What is done is kept in {results.target}: the same command goes on from there.")
        raise
    finally:
        results.tidy()
    return Predicted(
        out=results.target,
        images=[row.name for row in rows],
        films=films,
        gathered=[GATHERED[kind].file for kind in gathered],
        reason=work.reason,
        skipped=skipped,
    )


def _done(work: PredictAll, found: list[Source]) -> tuple[list[Row], list[str], list[Skipped]]:
    """Predict what is not done yet: rows of all images, films, and what is left out."""
    task = work.task
    rows: list[Row] = []
    films: list[str] = []
    skipped: list[Skipped] = []
    for value in remembered(work, found, journal=task.results.journal, key=task.key, valid=task.done):
        if isinstance(value, Skipped):
            skipped.append(value)
            continue
        rows += [Row(**row) for row in value["rows"]]
        films += value["films"]
        skipped += [Skipped(file, remark) for file, remark in value["remarks"]]
    return rows, films, skipped


def _gather(work: PredictAll, rows: Sequence[Row], kinds: Sequence[str]) -> list[Skipped]:
    """Write the files for all images; returns images that are too large for some of them."""
    target, classes = work.task.results.target, Run.open(work.model.run).classes
    small = [row for row in rows if row.height * row.width <= LARGEST_LOOKED_AT]
    large = [row for row in rows if row.height * row.width > LARGEST_LOOKED_AT]

    def ids_of(row: Row) -> Mask:
        return read_mask(target / "ids" / f"{row.name}.png", classes, (row.height, row.width))

    left: list[Skipped] = []
    for kind in kinds:
        one = GATHERED[kind]
        chosen = small if one.looks else rows
        of = Gathering(rows=chosen, ids_of=ids_of, classes=classes, simplify_px=work.task.simplify_px)
        one.write(target / one.file, of)
        left += [Skipped(row.file, f"{row.file} is too large for {one.file}.") for row in large if one.looks]
    return left
