"""Real photos that an export is calibrated on and held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwright.data.dataset import Dataset, Sample
from maskwright.files import list_files
from maskwright.imageio import IMAGE_SUFFIXES, read_image
from maskwright.run import Run
from maskwright.types import Image, InputError, Mask

LEAST = 20


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A file, or a sample of a data set; its pixels are read when they are asked for."""

    path: Path
    data: Dataset | None = None
    sample: Sample | None = None

    @property
    def labelled(self) -> bool:
        """Whether it has a mask."""
        return self.sample is not None and bool(self.sample.mask)

    def image(self) -> Image:
        """RGB uint8, shape (H, W, 3)."""
        return read_image(self.path)

    def mask(self) -> Mask:
        """Class ids (H, W)."""
        assert self.data is not None
        assert self.sample is not None
        return self.data.mask(self.sample)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Photos to compare on, photos to calibrate on, and where they come from."""

    compared: Sequence[Photo]
    calibration: Sequence[Photo]
    source: str


def choose(run: Run, images: str | Path | None, *, compared: int, calibration: int) -> Chosen:
    """Photos of a folder, or of the run's own data set: compared on validation images, calibrated on training images.

    Test images fill up where there are fewer than 20 for validation. Raises InputError where there is none.
    """
    if images is not None:
        folder = Path(images)
        files = [Photo(path=path) for path in list_files(folder, IMAGE_SUFFIXES)]
        if not files:
            raise InputError(f"{folder} holds no images; expected JPEG or PNG files.")
        return Chosen(compared=spread(files, compared), calibration=spread(files, calibration), source=str(folder))
    data = own_dataset(run)
    by_split = {name: photos_of(data, name) for name in ("train", "val", "test")}
    validation = spread(by_split["val"], compared)
    for split in ("test", "train"):
        validation += spread(by_split[split], max(0, min(LEAST, compared) - len(validation)))
    return Chosen(
        compared=validation,
        calibration=spread(by_split["train"] or by_split["val"], calibration),
        source=f"the data set {data.path.name}",
    )


def own_dataset(run: Run) -> Dataset:
    """The data set that a run was trained on; raises InputError where it is gone or has other classes."""
    path = (run.about.get("data") or {}).get("path")
    remedy = "name a folder of photos like those that it is for with --images"
    if not path or not (Path(path) / "dataset.yaml").is_file():
        raise InputError(f"The data set of {run.path} is not at {path or 'any known place'}; {remedy}.")
    data = Dataset.open(path)
    if data.classes.names != run.classes.names:
        raise InputError(f"{path} has other classes than {run.path} by now; {remedy}.")
    return data


def photos_of(data: Dataset, split: str) -> list[Photo]:
    """The labelled samples of a split as photos."""
    found = [sample for sample in data.samples if sample.split == split and sample.mask]
    return [Photo(path=data.path / sample.image, data=data, sample=sample) for sample in found]


def spread(photos: Sequence[Photo], count: int) -> list[Photo]:
    """So many of them, evenly from the first to the last: neighbours in a video look alike."""
    if len(photos) <= count:
        return list(photos)
    return [photos[index * len(photos) // count] for index in range(count)]
