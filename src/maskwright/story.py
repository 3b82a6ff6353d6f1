"""The demo: photographs, raindrops drawn on them, a model that finds the drops on photographs it never saw."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskwright.config import Recipe
from maskwright.console import say
from maskwright.data.doors import Shares
from maskwright.data.raindrops import DropStyle
from maskwright.data.synth import demo_photos, synth_raindrops
from maskwright.files import require_free
from maskwright.infer.predict import predict
from maskwright.reporting.page import report
from maskwright.scoring.score import evaluate
from maskwright.training.fit import train

PER_PHOTO = 24
SIDE = 192
# By this hash three photos test, one chooses the best weights, six teach; chosen before any score was seen.
SHARES = Shares(val=0.2, test=0.3, seed=10)
# Drops a few pixels wide tell little at this size.
STYLE = DropStyle(count=(5, 14), radius=(0.04, 0.15), soft=0.2)


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
    say("1/5  drawing raindrops on ten photographs")
    demo_photos(folder / "photos")
    synth_raindrops(
        folder / "photos",
        folder / "data",
        per_photo=PER_PHOTO,
        size=(SIDE, SIDE),
        seed=seed,
        shares=SHARES,
        style=STYLE,
    )
    say("2/5  training a small U-Net")
    trained = train(folder / "data", Recipe.load("demo", [f"train.seed={seed}"]), out=folder / "run")
    say("3/5  scoring it on photographs it never saw")
    result = evaluate(trained.run, split="test")
    say("4/5  predicting whole photographs")
    predict(trained.run, folder / "photos", folder / "predictions")
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
