"""Write a run as one file for another program, prove on real photos that it says the same, and refuse what does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from maskwright.files import content_hash, explained, read_yaml, require_free, write_json, write_text
from maskwright.geometry import Letterbox
from maskwright.infer.exporting.build import Parts, build_onnx, build_openvino, build_torch
from maskwright.infer.exporting.opened import Opened, open_onnx, open_openvino, open_torch
from maskwright.infer.exporting.parity import LIMITS, Limit, Parity, measure
from maskwright.infer.exporting.parts import Core, Frame, core_of
from maskwright.infer.exporting.photos import LEAST, Chosen, Photo, choose
from maskwright.infer.predictor import Predictor
from maskwright.infer.temper import weights_hash
from maskwright.run import Run, now
from maskwright.types import IGNORE, Image, InputError, unknown_name

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of file: what writes and opens it, in which precisions, and why not in others."""

    file: str
    build: Callable[[Parts, str, Path], None]
    open: Callable[[Path, str], Opened]
    precisions: Sequence[str]
    why: Mapping[str, str]


TARGETS = {
    "onnx": Target(
        file="model.onnx",
        build=build_onnx,
        open=open_onnx,
        precisions=("fp32", "fp16", "int8"),
        why={"bf16": "ONNX Runtime has no bf16 convolution on CPUs"},
    ),
    "openvino": Target(
        file="model.xml",
        build=build_openvino,
        open=open_openvino,
        precisions=("fp32", "fp16", "bf16", "int8"),
        why={},
    ),
    "torch": Target(
        file="model.pt2",
        build=build_torch,
        open=open_torch,
        precisions=("fp32", "bf16"),
        why={
            "fp16": "torch computes it far slower than fp32 on a CPU, where the export is proven",
            "int8": "torch.export writes no calibrated 8-bit network",
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An export in `folder`: the model's `file`, what was found about it, and the same as plain data in `record`."""

    folder: Path
    file: Path
    parity: Parity
    record: dict[str, Any]


def export(
    run: Run | str | Path,
    to: str = "onnx",
    *,
    precision: str = "fp32",
    out: str | Path | None = None,
    probabilities: bool = False,
    images: str | Path | None = None,
    compare: int = 50,
    calibrate: int = 100,
    max_loss: float | None = None,
    weights: str = "best",
) -> Exported:
    """Write a run as ONE graph: `image` (N, H, W, 3) uint8 of any size -> `ids` (N, H, W) of that size.

    With `probabilities` it also returns `probabilities` (N, K, H, W) float32, calibrated where the run is. `to` is a
    name of TARGETS. The folder is `out` or RUN/exports/TO-PRECISION; an export that is there already is replaced.

    The file is held against the run on `compare` photos (at least 20 where there are so many) of the folder `images`,
    or of the run's data set; int8 is calibrated on `calibrate` others of its training images. Nothing is written if
    they differ by more than LIMITS allow; `max_loss` is the mean IoU that may be lost instead.

    Raises InputError for that, for what a target cannot do, for missing libraries, and where there are no photos.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    target = require_target(to, precision)
    folder = Path(out) if out is not None else run.path / "exports" / f"{to}-{precision}"
    if not (folder / "export.json").is_file():
        require_free(folder)
    chosen = choose(run, images, compared=max(compare, LEAST), calibration=max(1, calibrate))
    predictor = Predictor.load(run, weights=weights, device="cpu", precision="fp32", backend="torch")
    core = core_of(run, weights=weights)
    parts = Parts(
        frame=frame_of(run, core, predictor.temperature, probabilities=probabilities),
        core=core,
        about={"precision": precision, **about(run, weights, predictor.temperature)},
        canvases=on_canvases(chosen.calibration, predictor) if precision == "int8" else (),
    )
    limit = LIMITS[precision] if max_loss is None else loss_limit(max_loss, chosen)
    with replaced(folder) as stage:
        path = stage / target.file
        target.build(parts, precision, path)
        parity = measure(target.open(path, precision), predictor, chosen.compared)
        if fault := parity.fault(limit, exact=precision == "fp32"):
            raise InputError(f"The export to {to} in {precision} is refused: {fault}; {REMEDIES[precision]}.")
        found = described(target, chosen, parity, limit, stage)
        record = {"target": to, **parts.about, **found, "calibrated_on": len(parts.canvases)}
        finish(stage, record)
    return Exported(folder=folder, file=folder / target.file, parity=parity, record=record)


REMEDIES = {
    "fp32": "please report it with the recipe, and use another target until then",
    "fp16": "take --precision fp32",
    "bf16": "take --precision fp32",
    "int8": "calibrate on more photos with --calibrate, take --precision fp32, or allow more with --max-loss",
}


def loss_limit(max_loss: float, chosen: Chosen) -> Limit:
    """Only the mean IoU lost counts; raises InputError where no photo has a mask to measure it by."""
    if not any(photo.labelled for photo in chosen.compared):
        raise InputError("--max-loss needs photos with masks to measure it by; leave it out, or compare on a data set.")
    return Limit(agreement=0.0, lost=max_loss)


def require_target(to: str, precision: str) -> Target:
    """The target of that name; raises InputError where there is none, or where it cannot be in that precision."""
    if to not in TARGETS:
        raise unknown_name("target", to, TARGETS)
    if precision not in LIMITS:
        raise unknown_name("precision", precision, LIMITS)
    target = TARGETS[to]
    if precision not in target.precisions:
        raise InputError(
            f"There is no export to {to} in {precision}: {target.why[precision]}; take one of: "
            f"{', '.join(target.precisions)}."
        )
    return target


def frame_of(run: Run, core: Core, temperature: float, *, probabilities: bool) -> Frame:
    """What is done around a run's network."""
    return Frame(
        canvas_hw=core.canvas_hw,
        fit=run.recipe.data.fit,
        classes=len(run.classes),
        each_class=core.each_class,
        temperature=temperature,
        probabilities=probabilities,
    )


def about(run: Run, weights: str, temperature: float) -> dict[str, Any]:
    """What a file says of itself: classes and their colours, where it comes from, and under which licence."""
    card = read_yaml(run.path / "card.yaml") if (run.path / "card.yaml").is_file() else {}
    card = card if isinstance(card, dict) else {}
    return {
        "format": FORMAT,
        "maskwright": metadata.version("maskwright"),
        "classes": run.classes.names,
        "palette": [list(item.colour) for item in run.classes.items],
        "background": run.classes.background,
        "ignore": run.classes.ignore,
        "recipe": run.recipe.name,
        "recipe_hash": content_hash(run.recipe.to_yaml().encode()),
        "weights_hash": weights_hash(run, weights),
        "trained_on": str((run.about.get("data") or {}).get("fingerprint", "")),
        "licence": str(card.get("licence", "not stated")),
        "data_licence": str(card.get("data_licence", "not stated")),
        "size_hw": list(run.recipe.data.size or ()),
        "fit": run.recipe.data.fit,
        "temperature": temperature,
    }


def on_canvases(photos: Sequence[Photo], predictor: Predictor) -> list[Image]:
    """Photos as the network sees them."""
    found = []
    for photo in photos:
        image_HW3 = photo.image()
        box = Letterbox.fit((image_HW3.shape[0], image_HW3.shape[1]), predictor.size_hw, predictor.fit)
        found.append(box.forward_image(image_HW3))
    return found


def described(target: Target, chosen: Chosen, parity: Parity, limit: Limit, stage: Path) -> dict[str, Any]:
    """What is recorded of an export beside what the file says of itself."""
    return {
        "time": now(),
        "file": target.file,
        "bytes": sum(path.stat().st_size for path in stage.iterdir()),
        "photos": len(chosen.compared),
        "photos_from": chosen.source,
        "parity": parity.to_dict(),
        "limit": vars(limit),
    }


def finish(stage: Path, record: Mapping[str, Any]) -> None:
    """Write what is known of the export, and beside ONNX a program of 30 lines that needs nothing of Maskwright."""
    if record["target"] == "onnx" and len(record["classes"]) <= IGNORE:  # its PNG has 8 bits
        text = resources.files("maskwright.infer.exporting").joinpath("segment.py").read_text("utf-8")
        write_text(stage / "segment.py", text)
    write_json(stage / "export.json", record)


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A hidden neighbour to fill, which takes the folder's place if the block succeeds, and goes if it does not."""
    stage = folder.with_name(f".{folder.name}.part")
    try:
        with explained(stage):
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir(parents=True)
        yield stage
        with explained(folder):
            if folder.exists():
                shutil.rmtree(folder)
            stage.rename(folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
