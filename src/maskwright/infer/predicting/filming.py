"""The work on a video or camera: frames in; films with the same rate and size, and files for single frames, out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from typing import Any

from maskwright.imageio import colourise, overlay
from maskwright.infer.predicting.outputs.answer import Answer, Row
from maskwright.infer.predicting.results import row_of
from maskwright.infer.predicting.sources import Clip
from maskwright.infer.predicting.video import SUFFIX, Footage, film, footage
from maskwright.infer.predicting.working import Task, Value
from maskwright.infer.predictor import first_maximum
from maskwright.infer.segmenting.segment import Segmenter
from maskwright.types import Image

FILMS: dict[str, Callable[[Answer], Image]] = {
    "colour": lambda answer: colourise(answer.mask_HW, answer.classes),
    "overlay": lambda answer: overlay(answer.image_HW3, answer.mask_HW, answer.classes),
}
MISSING = 0.05  # share of the announced frames beyond which a video is called cut off; the count is an estimate
TRIAL_FRAMES = 3


def predict_clip(
    task: Task, segmenter: Segmenter, clip: Clip, progress: Callable[[int, int], None] | None = None
) -> Value:
    """Predict every `task.every`-th frame and hold its mask until the next; raises InputError for what is no video.

    Colours and overlays become films, every other kind a file for each predicted frame, CLIP/NUMBER. Ctrl-C ends the
    film of a camera, as its last frame would.
    """
    stills = [kind for kind in task.clip_kinds if kind not in FILMS]
    rows: list[Row] = []
    count = 0
    with ExitStack() as stack:
        shot = stack.enter_context(footage(clip.path, clip.camera))
        fps = shot.fps if clip.camera is None else min(shot.fps, _rate(segmenter, shot, task.every))
        films = {kind: f"{kind}/{clip.name}{SUFFIX}" for kind in task.clip_kinds if kind in FILMS}
        add = {
            kind: stack.enter_context(film(task.results.place(file), fps, shot.size_hw)) for kind, file in films.items()
        }
        whole = min(shot.announced or task.frames or 0, task.frames or shot.announced)
        try:
            for answer in islice(_answers(task, segmenter, clip, shot), task.frames or None):
                if count % task.every == 0:
                    rows.append(task.results.write(answer, stills) if stills else row_of(answer, []))
                for kind, write in add.items():
                    write(FILMS[kind](answer))
                count += 1
                if progress is not None:
                    progress(count, whole)
        except KeyboardInterrupt:
            if clip.camera is None or not count:
                raise
    remarks = []
    if not task.frames and count < (1 - MISSING) * shot.announced:
        remark = f"{clip} holds {count:,} frames of the {shot.announced:,} that it announces: it is cut off."
        remarks.append((str(clip), remark))
    return {
        "clip": True,
        "kinds": list(task.clip_kinds),
        "rows": [asdict(row) for row in rows],
        "films": list(films.values()),
        "remarks": remarks,
    }


def _answers(task: Task, segmenter: Segmenter, clip: Clip, shot: Footage) -> Iterator[Answer]:
    """Every frame with its mask, or with that of the last frame that was predicted."""
    batch = segmenter.batch if task.every == 1 else 1
    number, last = 0, None
    while frames := list(islice(shot.frames, batch)):
        if number % task.every == 0:
            last = _seen(task, segmenter, frames)
        assert last is not None
        for place, frame in enumerate(frames):
            mask_HW, scores_KHW = last[place]
            name = f"{clip.name}/{number:06}"
            yield Answer(
                name=name,
                file=f"{name}.png",
                target=task.results.target,
                image_HW3=frame,
                mask_HW=mask_HW,
                classes=segmenter.classes,
                scores_KHW=scores_KHW,
                simplify_px=task.simplify_px,
            )
            number += 1


def _seen(task: Task, segmenter: Segmenter, frames: list[Image]) -> list[tuple[Any, Any]]:
    if "probabilities" not in task.clip_kinds:
        return [(mask_HW, None) for mask_HW in segmenter.ids_of(frames)]
    every = [segmenter.probabilities(frame) for frame in frames]
    return [(first_maximum(scores_KHW, segmenter.classes), scores_KHW) for scores_KHW in every]


def _rate(segmenter: Segmenter, shot: Footage, every: int) -> float:
    """Frames a second that can be predicted of a camera: written at its own rate, its film would run too fast."""
    count = max(TRIAL_FRAMES, every)
    segmenter.ids(next(shot.frames))  # the first takes longer
    began = time.perf_counter()
    for number, frame in enumerate(islice(shot.frames, count)):
        if number % every == 0:
            segmenter.ids(frame)
    return count / max(time.perf_counter() - began, 1e-6)
