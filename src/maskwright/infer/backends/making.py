"""From a run to a backend that is proven: export, convert, hold against torch on photos, keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from maskwright.console import say, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.geometry import Letterbox
from maskwright.imageio import read_image
from maskwright.infer.backends.core import Canvases, Core
from maskwright.infer.backends.proof import Picture, Plan, Proof, prove
from maskwright.infer.backends.store import Kept, Key, keep
from maskwright.run import Run
from maskwright.types import InputError

if TYPE_CHECKING:
    from maskwright.infer.backends.runtimes import Backend
    from maskwright.models import Network

T = TypeVar("T")

PROOF_PHOTOS = 24
CALIBRATION_PHOTOS = 32


def make(run: Run, weights: str, backend: Backend, key: Key, examples: Sequence[Path]) -> Kept:
    """Convert a run's network and prove it, on the labelled photos it was validated on or else on `examples`.

    int8 is calibrated on other photos, those of the training. Raises InputError where the network cannot be converted.
    """
    from maskwright.infer.backends.torch_core import each_class_of
    from maskwright.infer.weights import load_network

    size_hw = run.recipe.data.size
    assert size_hw is not None, "a run's recipe is resolved"
    network, each_class = load_network(run, weights), each_class_of(run)
    say(f"Preparing backend {key.name} for {run.path}; it is kept, so this happens once.")

    def fill(stage: Path) -> Proof:
        calibration = _canvases(run, examples) if backend.calibrated else []
        _convert(network, size_hw, each_class, backend, stage, calibration)
        pictures, source = _pictures(run, examples)
        plan = Plan(
            name=key.name,
            precision=key.precision,
            each_class=each_class,
            source=source,
            classes=run.classes,
            size_hw=size_hw,
            fit=run.recipe.data.fit,
        )
        cores = {**_torch_cores(network, each_class), key.name: backend.open(stage, key.precision)}
        for core in cores.values():
            core(np.zeros((1, *size_hw, 3), np.uint8))  # what happens once only is not timed
        return prove(cores, pictures, plan)

    return keep(run, key, fill)


def _convert(
    network: Network,
    size_hw: tuple[int, int],
    each_class: bool,
    backend: Backend,
    folder: Path,
    calibration: Sequence[Canvases],
) -> None:
    """Fill a folder with the runtime's files; raises InputError where that cannot be."""
    from maskwright.infer.backends.graph import exported

    if backend.calibrated and not calibration:
        raise InputError(
            f"{backend.says} needs real photos, and the run's data set is not where it was; put it back, or take "
            "--backend openvino."
        )
    program = exported(network, size_hw, each_class=each_class)
    try:
        backend.make(program, folder, calibration)
    except (InputError, OSError):
        raise
    except Exception as error:  # what is raised for a layer that it does not know is the runtime's own
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"This network cannot be converted for {backend.says} ({first}); take --backend torch."
        ) from error


def _torch_cores(network: Network, each_class: bool) -> dict[str, Core]:
    """Torch in fp32, and as it would run here otherwise, by the names that a proof has."""
    import torch

    from maskwright.infer.backends.torch_core import TorchCore
    from maskwright.infer.device import choose_precision

    cpu = torch.device("cpu")
    precisions = dict.fromkeys(("fp32", choose_precision("auto", cpu)[0]))
    return {f"torch {each}": TorchCore(network, cpu, each, each_class=each_class) for each in precisions}


def can_prove(run: Run, examples: Sequence[Path]) -> bool:
    """Whether there are photos to hold a backend against torch on."""
    data = _data(run)
    return bool(examples) or (data is not None and bool(_some(data, "val", 1)))


def _pictures(run: Run, examples: Sequence[Path]) -> tuple[list[Callable[[], Picture]], str]:
    """Photos to prove on, each to be read when its turn comes, and where they are from."""
    data = _data(run)
    if data is not None and (samples := _some(data, "val", PROOF_PHOTOS)):
        return [partial(_labelled, data, sample) for sample in samples], f"the val split of {data.path}"
    photos = [partial(_photo, path) for path in spread(examples, PROOF_PHOTOS)]
    return [*photos], "the photos to be predicted" if photos else "nowhere"


def _labelled(data: Dataset, sample: Sample) -> Picture:
    return Picture(image_HW3=data.image(sample), mask_HW=data.mask(sample))


def _photo(path: Path) -> Picture:
    return Picture(image_HW3=read_image(path))


def _canvases(run: Run, examples: Sequence[Path]) -> list[Canvases]:
    """Photos to calibrate on, as canvases (1, H, W, 3)."""
    size_hw, fit = run.recipe.data.size, run.recipe.data.fit
    assert size_hw is not None, "a run's recipe is resolved"
    data = _data(run)
    samples = (_some(data, "train", CALIBRATION_PHOTOS) or _some(data, "val", CALIBRATION_PHOTOS)) if data else []
    reads: list[Callable[[], Picture]] = [partial(_photo, path) for path in spread(examples, CALIBRATION_PHOTOS)]
    if data and samples:
        reads = [partial(_labelled, data, sample) for sample in samples]
    canvases = []
    for read in track(reads, "reading photos"):
        with suppress(InputError):
            picture = read()
            box = Letterbox.fit(picture.size_hw, size_hw, fit)
            canvases.append(np.ascontiguousarray(box.forward_image(picture.image_HW3)[None]))
    return canvases


def _data(run: Run) -> Dataset | None:
    """The data set that a run learned from, if it is still where it was, with the same classes."""
    path = (run.about.get("data") or {}).get("path")
    with suppress(InputError):
        data = Dataset.open(path) if path else None
        return data if data is not None and data.classes.names == run.classes.names else None
    return None


def _some(data: Dataset, split: str, count: int) -> Sequence[Sample]:
    """Labelled samples all over a split whose files are there."""
    have = [sample for sample in data.samples if sample.mask and sample.split == split]
    return [s for s in spread(have, count) if all((data.path / file).is_file() for file in (s.image, s.mask))]


def spread(items: Sequence[T], count: int) -> Sequence[T]:
    """`count` of the items, evenly spread; all where there are fewer."""
    places = sorted({round(place) for place in np.linspace(0, len(items) - 1, count)}) if items else []
    return [items[place] for place in places]
