"""Every source, one after the other: here, with one model, or by workers that load one each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from maskwright.console import Skipped, progress_bar
from maskwright.data.jobs import Workers, pooled
from maskwright.infer.predicting.filming import predict_clip
from maskwright.infer.predicting.sources import Clip, Photo, Source
from maskwright.infer.predicting.working import Model, Task, Value, answer_to, predict_parts, predict_photos, value_of
from maskwright.infer.segmenting.segment import Segmenter
from maskwright.run import Run
from maskwright.types import InputError, TargetError

FRAMES_OF_A_CLIP = 100  # at least: how many photos it counts as when a backend is chosen
MANY = 1_000  # what a worker is told, which does not know how many photos it will get
CHUNK = 4


class PredictAll:
    """Predicts sources and says afterwards, in `reason`, which backend was taken and why."""

    def __init__(self, model: Model, task: Task, workers: Workers = None) -> None:
        self.model, self.task, self.workers = model, task, workers
        self.reason = ""

    def __call__(self, sources: Sequence[Source]) -> Iterator[Value | Skipped]:
        """One value a source, in order. The model is loaded first: where that fails, no folder is made."""
        if not sources:
            return iter(())
        facts = {"run": str(self.model.run.resolve()), "classes": Run.open(self.model.run).classes.names}
        if self.workers is not None:
            self.task.results.begin(facts)
            return self._elsewhere(sources)
        clips = sum(isinstance(item, Clip) for item in sources)
        segmenter = self.model.load(len(sources) + FRAMES_OF_A_CLIP * clips)
        self.reason = segmenter.predictor.reason
        self.task.results.begin(facts)
        return self._here(segmenter, sources)

    def _elsewhere(self, sources: Sequence[Source]) -> Iterator[Value | Skipped]:
        from maskwright.data.engines import on_device  # not needed by a single photo

        return pooled(
            PredictSource(model=self.model, task=self.task),
            sources,
            label=f"predicting {len(sources):,} images",
            workers=on_device(self.workers, self.model.device),
            strict=self.task.strict,
            chunk=CHUNK,
        )

    def _here(self, segmenter: Segmenter, sources: Sequence[Source]) -> Iterator[Value | Skipped]:
        photos = [item for item in sources if isinstance(item, Photo) and not item.parts]
        if photos:
            with progress_bar() as bar:
                values = predict_photos(self.task, segmenter, photos)
                yield from bar.track(values, description=f"predicting {len(photos):,} images", total=len(photos))
        for item in sources[len(photos) :]:
            try:
                yield self._alone(segmenter, item)
            except TargetError:
                raise
            except InputError as error:
                if self.task.strict:
                    raise
                yield Skipped(str(item), str(error))

    def _alone(self, segmenter: Segmenter, item: Source) -> Value:
        """A source that takes so long that it has a bar of its own."""
        with progress_bar() as bar:
            shown = bar.add_task(f"predicting {item.name}", total=None)

            def progress(done: int, total: int) -> None:
                bar.update(shown, completed=done, total=total or None)

            if isinstance(item, Clip):
                return predict_clip(self.task, segmenter, item, progress)
            return predict_parts(self.task, segmenter, item, progress)


@dataclass(frozen=True, kw_only=True)
class PredictSource:
    """The work on one source, to be sent to a worker, which loads the model once."""

    model: Model
    task: Task

    def __call__(self, source: Source) -> Value:
        """Predict it and write its files; raises InputError where it cannot be used."""
        segmenter = _loaded(self.model)
        if isinstance(source, Clip):
            return predict_clip(self.task, segmenter, source)
        if source.parts:
            return predict_parts(self.task, segmenter, source)
        return value_of(self.task, answer_to(self.task, segmenter, source))


@lru_cache(maxsize=1)
def _loaded(model: Model) -> Segmenter:
    return model.load(MANY)
