"""Data sets that are drawn: raindrops over photos, with exact masks, split by photo."""

from __future__ import annotations

import importlib.resources
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskwright.console import Skipped, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.doors import Imported, Shares
from maskwright.data.raindrops import DropStyle, raindrops
from maskwright.data.split import assign_splits, group_of
from maskwright.files import content_hash, explained, list_files, read_bytes, staged_folder, stem_of, write_bytes
from maskwright.imageio import IMAGE_SUFFIXES, decode_image, encode_mask
from maskwright.types import Classes, Image, InputError, TargetError

CLASSES = Classes.from_names(["background", "raindrop"], colours={"raindrop": (26, 133, 255)})

# Grey textures join the colour photographs: fine detail is where the smooth inside of a drop stands out.
_PHOTOS = {
    "skimage": (
        "data/astronaut.png",
        "data/brick.png",
        "data/camera.png",
        "data/chelsea.png",
        "data/clock_motion.png",
        "data/coffee.png",
        "data/coins.png",
        "data/grass.png",
        "data/gravel.png",
        "data/ihc.png",
        "data/moon.png",
        "data/motorcycle_left.png",
        "data/page.png",
        "data/rocket.jpg",
    ),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}


@dataclass(frozen=True, kw_only=True)
class _Plan:
    per_photo: int
    size: tuple[int, int] | None
    extent: tuple[float, float]
    seed: int
    style: DropStyle


def synth_raindrops(
    photos: str | Path,
    target: str | Path,
    *,
    per_photo: int = 8,
    size: tuple[int, int] | None = None,
    extent: tuple[float, float] = (0.6, 1.0),
    seed: int = 0,
    shares: Shares | None = None,
    style: DropStyle | None = None,
    strict: bool = False,
) -> Imported:
    """Write a data set folder `target` with `per_photo` pictures of every photo under drops, all of it or nothing.

    With `size` (rows, columns) each picture is a random crop scaled to it, some mirrored, that shows a share of
    the photo between the two of `extent`; without it, the whole photo. The split is by photo: the group is its
    stem, or what `shares.group` finds in it. Each picture depends on seed, photo and number alone, so that adding
    photos changes no other picture.
    Photos that cannot be used are left out and returned with the reason; with `strict` the first one raises.
    Raises InputError for a folder without one usable photo, too few photos to split, or a target that exists.
    """
    photos, shares = Path(photos), shares or Shares()
    if per_photo < 1 or seed < 0 or (size is not None and min(size) < 16) or not 0 < extent[0] <= extent[1] <= 1:
        raise InputError("Give at least 1 picture a photo, a size from 16 x 16, an extent in 0 to 1 and a seed from 0.")
    plan = _Plan(per_photo=per_photo, size=size, extent=extent, seed=seed, style=style or DropStyle())
    paths, skipped = _photos_in(photos, strict)
    _split(paths, shares)  # before the work: too few photos, or shares that leave nothing to train on
    samples: list[Sample] = []
    used: dict[str, Path] = {}
    with staged_folder(Path(target)) as stage, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for folder in ("images", "masks"):
            (stage / folder).mkdir()
        for path in track(paths, f"drawing drops on {len(paths)} photos, {per_photo} times each"):
            try:
                samples += _draw_pictures(path, used, stage, plan, pool)
            except TargetError:
                raise
            except InputError as error:
                if strict:
                    raise
                skipped.append(Skipped(str(path), str(error)))
        if not samples:
            raise InputError(f"None of {len(paths)} photos could be used. The first: {skipped[0].reason}")
        sides = _split(used.values(), shares)
        samples = [replace(s, group=sides[s.group][0], split=sides[s.group][1]) for s in samples]
        split = f"by hash of the photo, seed {shares.seed}, {shares.val:.0%} validation, {shares.test:.0%} test"
        source = {"format": "raindrops", "path": str(photos), **asdict(plan)}
        Dataset.create(stage, CLASSES, samples, {"from": source, "split": split})
    return Imported(dataset=Dataset.open(target), skipped=skipped)


def demo_photos(folder: Path) -> list[Path]:
    """Copy fifteen photographs that come inside the wheels of scikit-image and matplotlib into `folder`.

    Nothing is downloaded. Returns the copies, sorted by name. Raises InputError where a package lacks one of them.
    """
    copies: list[Path] = []
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for package, names in _PHOTOS.items():
        for name in names:
            source = importlib.resources.files(package) / name
            if not source.is_file():
                raise InputError(f"{name} is missing from {package}; install {package} anew from its wheel.")
            copies.append(folder / source.name)
            write_bytes(copies[-1], source.read_bytes())
    return sorted(copies)


def _photos_in(folder: Path, strict: bool) -> tuple[list[Path], list[Skipped]]:
    paths = list_files(folder, IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{folder} holds no images; expected JPEG or PNG files.")
    stems = Counter(stem_of(path) for path in paths)
    twins = [path for path in paths if stems[stem_of(path)] > 1]
    skipped = [Skipped(str(path), f"{path} shares its stem with another photo; rename one.") for path in twins]
    if strict and skipped:
        raise InputError(skipped[0].reason)
    return [path for path in paths if stems[stem_of(path)] == 1], skipped


def _split(paths: Iterable[Path], shares: Shares) -> dict[str, tuple[str, str]]:
    """Stem -> group and split."""
    groups = {stem_of(path): group_of(stem_of(path), shares.group) or stem_of(path) for path in paths}
    side = assign_splits(groups.values(), val=shares.val, test=shares.test, seed=shares.seed)
    return {stem: (group, side[group]) for stem, group in groups.items()}


def _draw_pictures(
    path: Path, used: dict[str, Path], stage: Path, plan: _Plan, pool: ThreadPoolExecutor
) -> list[Sample]:
    """All pictures of one photo, noted in `used` by its hash; a copy of a photo used before is an InputError."""
    data = read_bytes(path)
    digest = content_hash(data)
    if digest in used:
        raise InputError(f"{path} is a copy of {used[digest]} and would leak between splits; remove one.")
    photo_HW3 = decode_image(data, path)
    used[digest] = path

    def draw(variant: int) -> Sample:
        rng = np.random.default_rng((plan.seed, int(digest, 16), variant))
        view_HW3 = photo_HW3 if plan.size is None else _random_view(photo_HW3, plan.size, plan.extent, rng)
        return _write_picture(stage, path, variant, *raindrops(view_HW3, rng, style=plan.style))

    return list(pool.map(draw, range(plan.per_photo)))


def _random_view(
    photo_HW3: Image, size_hw: tuple[int, int], extent: tuple[float, float], rng: np.random.Generator
) -> Image:
    """A crop with a share of the photo's extent, in the shape of `size_hw` and scaled to it, every second mirrored."""
    rows, columns = photo_HW3.shape[:2]
    scale = min(rows / size_hw[0], columns / size_hw[1]) * rng.uniform(*extent)
    height, width = (max(1, round(side * scale)) for side in size_hw)
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    crop_HW3 = photo_HW3[top : top + height, left : left + width]
    if rng.random() < 0.5:
        crop_HW3 = crop_HW3[:, ::-1]
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(crop_HW3), size_hw[::-1], interpolation=how), np.uint8)


def _write_picture(stage: Path, photo: Path, variant: int, image_HW3: Image, mask_HW: NDArray[np.uint8]) -> Sample:
    name = f"{stem_of(photo)}-{variant:03d}"
    # Drops are thin and colourful at the rim: full chroma keeps the picture true to the mask there.
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    written, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image_HW3, cv2.COLOR_RGB2BGR), options)
    assert written
    image, mask = jpeg.tobytes(), encode_mask(mask_HW, CLASSES)
    write_bytes(stage / "images" / f"{name}.jpg", image)
    write_bytes(stage / "masks" / f"{name}.png", mask)
    return Sample(
        id=name,
        image=f"images/{name}.jpg",
        mask=f"masks/{name}.png",
        group=stem_of(photo),
        source=photo.name,
        height=image_HW3.shape[0],
        width=image_HW3.shape[1],
        image_hash=content_hash(image),
        mask_hash=content_hash(mask),
        status="labelled",
    )
