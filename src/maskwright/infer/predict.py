"""Predict files and folders of any size and aspect; the answer has the photo's own size and name."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskwright.console import Skipped, track
from maskwright.files import explained, list_files, stem_of, write_bytes
from maskwright.imageio import IMAGE_SUFFIXES, colourise, overlay, read_image, write_image, write_mask
from maskwright.infer.predictor import Predictor, first_maximum
from maskwright.run import Run
from maskwright.types import InputError, TargetError


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Where predictions went, how many there are, and which files had to be left out."""

    out: Path
    images: list[str]
    skipped: list[Skipped]


def predict(
    run: Run | str | Path,
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    probabilities: bool = False,
    weights: str = "best",
    device: str = "auto",
    precision: str = "auto",
    strict: bool = False,
) -> Predicted:
    """Write `out/ids`, `out/colour` and `out/overlay` for a file, a folder or a list of them.

    Folders keep their inner structure. With `probabilities` also `out/probabilities/NAME.npz`, whose array
    `probabilities` is (K, H, W) float16. Unreadable files are left out and returned; with `strict` the first
    one raises. Raises InputError where there is no image at all.
    """
    found, twins = find_images([images] if isinstance(images, str | Path) else images)
    if strict and twins:
        raise InputError(twins[0].reason)
    predictor = Predictor.load(run, weights=weights, device=device, precision=precision)
    target = Path(out)
    done: list[str] = []
    skipped = list(twins)
    for name, path in track(list(found.items()), f"predicting {len(found)} images"):
        try:
            predict_one(predictor, path, target, name, probabilities)
            done.append(name)
        except TargetError:
            raise
        except InputError as error:
            if strict:
                raise
            skipped.append(Skipped(str(path), str(error)))
    if not done:
        raise InputError(f"None of {len(found)} images could be predicted. The first: {skipped[0].reason}")
    return Predicted(out=target, images=done, skipped=skipped)


def predict_one(predictor: Predictor, path: Path, target: Path, name: str, probabilities: bool) -> None:
    """Predict one file and write its pictures."""
    image_HW3 = read_image(path)
    scores_KHW = predictor.probabilities(image_HW3)
    mask_HW = first_maximum(scores_KHW, predictor.classes)
    with explained(target):
        for folder in ("ids", "colour", "overlay"):
            (target / folder / name).parent.mkdir(parents=True, exist_ok=True)
    write_mask(target / "ids" / f"{name}.png", mask_HW, predictor.classes)
    write_image(target / "colour" / f"{name}.png", colourise(mask_HW, predictor.classes))
    write_image(target / "overlay" / f"{name}.jpg", overlay(image_HW3, mask_HW, predictor.classes))
    if probabilities:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, probabilities=scores_KHW.astype(np.float16))
        (target / "probabilities" / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target / "probabilities" / f"{name}.npz", buffer.getvalue())


def find_images(sources: Sequence[str | Path]) -> tuple[dict[str, Path], list[Skipped]]:
    """Output name -> file for every image named or below a folder named, and files whose names would collide."""
    files: list[tuple[str, Path]] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = list_files(source, IMAGE_SUFFIXES)
            files += [((path.relative_to(source).parent / stem_of(path)).as_posix(), path) for path in inside]
        elif source.exists():
            files.append((stem_of(source), source))
        else:
            raise InputError(f"{source} does not exist; check the path.")
    if not files:
        raise InputError(f"{', '.join(map(str, sources))} holds no images; expected JPEG or PNG files.")
    count = Counter(name for name, _ in files)
    twins = [
        Skipped(str(path), f"{path} would overwrite the result of another image called '{name}'; rename one.")
        for name, path in files
        if count[name] > 1
    ]
    return {name: path for name, path in files if count[name] == 1}, twins
