"""The work on photos: in batches, read ahead and written behind; files beyond memory one by one.

What is known of a source afterwards is plain data, so that it can be kept in a journal: `rows` (`outputs.answer.Row`),
the `kinds` of files that were written, `films`, whether it is a `clip`, and `remarks` (file, text) for
people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from maskwright.console import Skipped
from maskwright.infer.predicting.outputs import EACH
from maskwright.infer.predicting.outputs.answer import Answer, Row
from maskwright.infer.predicting.results import Results
from maskwright.infer.predicting.sources import Clip, Photo, Source
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.infer.segmenting.segment import How, Segmenter, segment_file
from maskwright.types import Image, InputError, TargetError

T = TypeVar("T")
R = TypeVar("R")
Value = dict[str, Any]

THREADS = 2
BEHIND = 2  # answers that wait to be written: bounds memory
GPU_BATCH = 8
OF_PARTS = ("ids", "overlay")  # what is written of a file beyond memory


@dataclass(frozen=True, kw_only=True)
class Model:
    """A run, how it is computed, and how images are seen: everything that a worker loads it from."""

    run: Path
    how: How
    weights: str = "best"
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    batch: int | None = None

    def load(self, photos: int) -> Segmenter:
        """Load it, for so many photos; raises InputError where the run or a setting is unusable."""
        predictor = Predictor.load(
            self.run,
            weights=self.weights,
            device=self.device,
            precision=self.precision,
            backend=self.backend,
            photos=photos,
        )
        on_gpu = predictor.backend == "torch" and predictor.device.type == "cuda"
        return Segmenter(predictor, self.how, batch=self.batch or (GPU_BATCH if on_gpu else 1))


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is written of each photo (`kinds`) and of each video (`clip_kinds`), and where."""

    results: Results
    kinds: tuple[str, ...]
    clip_kinds: tuple[str, ...]
    simplify_px: float = 0.0
    every: int = 1
    frames: int | None = None
    strict: bool = False

    def key(self, source: Source) -> str:
        """Names a source and the state that it is in."""
        try:
            state = source.state()
        except InputError:  # reading it says so again
            state = "unreadable"
        more = f" every {self.every}, {self.frames or 'all'} frames" if isinstance(source, Clip) else ""
        return f"{source.name} {state}{more}"

    def done(self, value: Value) -> bool:
        """Whether all files of a value are there, and all that are wanted."""
        if not set(self.clip_kinds if value["clip"] else self.kinds) <= set(value["kinds"]):
            return False
        files = [*value["films"], *(file for row in value["rows"] for file in row["wrote"])]
        return all((self.results.target / file).is_file() for file in files)

    @property
    def scored(self) -> bool:
        """Whether probabilities are wanted."""
        return "probabilities" in self.kinds


def predict_photos(task: Task, segmenter: Segmenter, photos: Sequence[Photo]) -> Iterator[Value | Skipped]:
    """Predict photos in batches, in order, while the next are read and the last are written.

    One that cannot be used becomes Skipped; with `task.strict` its InputError is raised.
    """

    def read(photo: Photo) -> tuple[Photo, Image | Skipped]:
        try:
            return photo, photo.read()
        except InputError as error:
            if task.strict:
                raise
            return photo, Skipped(str(photo), str(error))

    def write(answer: Answer | Skipped) -> Value | Skipped:
        try:
            return answer if isinstance(answer, Skipped) else value_of(task, answer)
        except TargetError:
            raise
        except InputError as error:  # a name that is no name for a file here
            if task.strict:
                raise
            assert isinstance(answer, Answer)
            return Skipped(answer.file, str(error))

    with ThreadPoolExecutor(THREADS) as pool:
        images = ahead(pool, read, photos, 2 * segmenter.batch)
        yield from ahead(pool, write, answered(task, segmenter, images), BEHIND)


def answered(
    task: Task, segmenter: Segmenter, images: Iterable[tuple[Photo, Image | Skipped]]
) -> Iterator[Answer | Skipped]:
    """The answers to photos, a batch at a time, in order."""
    waiting = iter(images)
    while group := list(islice(waiting, segmenter.batch)):
        readable = [image for _, image in group if not isinstance(image, Skipped)]
        scores = [segmenter.probabilities(image) for image in readable] if task.scored else []
        if task.scored:
            masks = [first_maximum(one, segmenter.classes) for one in scores]
        else:
            masks = segmenter.ids_of(readable) if readable else []
        place = 0
        for photo, image in group:
            if isinstance(image, Skipped):
                yield image
                continue
            yield Answer(
                name=photo.name,
                file=photo.file,
                target=task.results.target,
                image_HW3=image,
                mask_HW=masks[place],
                classes=segmenter.classes,
                scores_KHW=scores[place] if task.scored else None,
                origin=photo.path if photo.lies_alone else None,
                simplify_px=task.simplify_px,
            )
            place += 1


def answer_to(task: Task, segmenter: Segmenter, photo: Photo) -> Answer:
    """The answer to one photo; raises InputError where it cannot be read."""
    answer = next(answered(task, segmenter, [(photo, photo.read())]))
    assert isinstance(answer, Answer)
    return answer


def value_of(task: Task, answer: Answer) -> Value:
    """Write the files of a photo's answer."""
    row = task.results.write(answer, task.kinds)
    return {"clip": False, "kinds": list(task.kinds), "rows": [asdict(row)], "films": [], "remarks": []}


def predict_parts(
    task: Task, segmenter: Segmenter, photo: Photo, progress: Callable[[int, int], None] | None = None
) -> Value:
    """Predict a file beyond memory: ids, and a small overlay; other kinds cannot be made of it."""
    files = {kind: f"{kind}/{photo.name}{EACH[kind].suffix}" for kind in OF_PARTS if kind in task.kinds}
    ids = f"ids/{photo.name}{EACH['ids'].suffix}"
    overlay = task.results.place(files["overlay"]) if "overlay" in files else None
    found = segment_file(segmenter, photo.path, task.results.place(ids), overlay=overlay, progress=progress)
    row = Row(
        name=photo.name,
        file=photo.file,
        height=found.size_hw[0],
        width=found.size_hw[1],
        pixels=found.pixels_K.tolist(),
        wrote=list(dict.fromkeys([ids, *files.values()])),
    )
    left = [kind for kind in task.kinds if kind not in (*OF_PARTS, "colour")]  # ids have the colours as their palette
    remarks = (
        [(str(photo), f"{photo} is too large for {', '.join(left)}; ids and overlay are written.")] if left else []
    )
    return {"clip": False, "kinds": list(task.kinds), "rows": [asdict(row)], "films": [], "remarks": remarks}


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], most: int) -> Iterator[R]:
    """`work(item)` in threads, in order; `most` of them wait or run while the caller is busy."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
