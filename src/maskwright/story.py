"""The demo: photographs, raindrops drawn on them, a model that finds the drops on photographs it never saw."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.config import Recipe
from maskwright.console import say
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares
from maskwright.data.drops.raindrops import DropStyle
from maskwright.data.drops.synth import demo_photos, synth_raindrops
from maskwright.files import require_free
from maskwright.infer.predicting.predict import predict
from maskwright.reporting.page import report
from maskwright.scoring.evaluating.score import evaluate
from maskwright.training.fit import train

PER_PHOTO = 100
SIDE = 160
EXTENT = (0.25, 0.7)
# By this hash twelve photos out of fifteen teach or choose the best weights, and three test: one of an object, one of
# a scene, one of a surface.
SHARES = Shares(val=0.15, test=0.22, seed=3)
# Few, large and mostly crisp: what a small network can learn from ten photographs in two minutes.
STYLE = DropStyle(count=(3, 8), radius=(0.08, 0.2), smallness=1.2, soft=0.05, rim=1.0, highlight=1.0)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the demo reached and where it is."""

    folder: Path
    drop_iou: float
    mean_iou: float
    test_images: int
    test_photos: list[str]
    seconds: float
    report: Path

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in vars(self).items()}

    def story(self) -> list[str]:
        """The lines that the demo ends with."""
        photos = ", ".join(self.test_photos)
        return [
            "",
            f"Raindrop IoU {self.drop_iou:.3f} on {self.test_images} pictures of photos never seen ({photos}).",
            f"Report: {self.report}   (after {self.seconds:.0f} s)",
            "Next, on your own photos:",
            "  maskwright synth raindrops PHOTOS drops        # train on drops drawn over them",
            "  maskwright import folders LABELLED data        # or on your own images and masks",
            f"  maskwright predict {self.folder / 'run'} PHOTOS -o found   # or use this model as it is",
        ]


def demo(out: str | Path = "maskwright-demo", *, seed: int = 0) -> Story:
    """Draw a data set, split it by photo, train, evaluate on unseen photos, predict, report; all below `out`.

    The same seed gives the same numbers. Raises InputError if `out` exists already.
    """
    began = time.monotonic()
    folder = Path(out)
    require_free(folder)
    say("1/5  drawing raindrops on fifteen photographs")
    demo_photos(folder / "photos")
    synth_raindrops(
        folder / "photos",
        folder / "data",
        per_photo=PER_PHOTO,
        size=(SIDE, SIDE),
        extent=EXTENT,
        seed=seed,
        shares=SHARES,
        style=STYLE,
    )
    say("2/5  training a small U-Net")
    trained = train(folder / "data", Recipe.load("demo", [f"train.seed={seed}"]), out=folder / "run")
    say("3/5  scoring it on photographs it never saw")
    result = evaluate(trained.run, split="test")
    say("4/5  predicting some of them to files")
    data = Dataset.open(folder / "data")
    predict(trained.run, [data.path / sample.image for sample in data.labelled("test")[::10]], folder / "predictions")
    say("5/5  writing the report")
    page = report(trained.run)
    drop = next(row for row in result.scores["classes"] if row["name"] == "raindrop")
    return Story(
        folder=folder,
        drop_iou=drop["iou"],
        mean_iou=result.scores["mean_iou"],
        test_images=result.scores["images"],
        test_photos=sorted(result.scores["groups"]),
        seconds=time.monotonic() - began,
        report=page,
    )
