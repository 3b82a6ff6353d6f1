"""Data sets that are drawn: raindrops over photos, with exact masks, split by photo."""

from __future__ import annotations

import importlib.resources
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from maskwright.console import Skipped
from maskwright.data.build import Built, Made, gather, store
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.doors import Shares
from maskwright.data.drops.raindrops import DropStyle, raindrops
from maskwright.data.jobs import pooled
from maskwright.data.splits.split import assign_splits, group_of
from maskwright.files import (
    content_hash,
    explained,
    list_files,
    read_bytes,
    require_free,
    resumable_folder,
    stem_of,
    write_bytes,
)
from maskwright.imageio import IMAGE_SUFFIXES, decode_image
from maskwright.types import Classes, Image, InputError

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
    workers: int | None = None,
    strict: bool = False,
) -> Built:
    """Write a data set folder `target` with `per_photo` pictures of every photo under drops, all of it or nothing.

    With `size` (rows, columns) each picture is a random crop scaled to it, some mirrored, that shows a share of
    the photo between the two of `extent`; without it, the whole photo. The split is by photo: the group is its
    stem, or what `shares.group` finds in it. Each picture depends on seed, photo and number alone, so that adding
    photos changes no other picture, and an interrupted call goes on where it ended.
    Photos that cannot be used are left out and returned with the reason; with `strict` the first one raises.
    `workers` is the number of processes; None takes all cores, as processes where there are many photos.
    Raises InputError for a folder without one usable photo, too few photos to split, or a target that exists.
    """
    photos, target, shares = Path(photos), Path(target), shares or Shares()
    if per_photo < 1 or seed < 0 or (size is not None and min(size) < 16) or not 0 < extent[0] <= extent[1] <= 1:
        raise InputError("Give at least 1 picture a photo, a size from 16 x 16, an extent in 0 to 1 and a seed from 0.")
    plan = _Plan(per_photo=per_photo, size=size, extent=extent, seed=seed, style=style or DropStyle())
    source = {"format": "raindrops", "path": str(photos), **asdict(plan)}
    # Before the work: a target that exists, too few photos, or shares that leave nothing to train on.
    require_free(target)
    paths, twins = _photos_in(photos, strict)
    _split(map(stem_of, paths), shares)
    hashes, skipped = _hashes(paths, twins, strict)
    with resumable_folder(target, {**source, "path": str(photos.resolve())}) as stage:
        made = gather(
            stage,
            list(hashes),
            _Pictures(stage=stage, plan=plan),
            key=lambda path: f"{path.relative_to(photos).as_posix()} {hashes[path]}",
            label=f"drawing drops on {len(hashes)} photos, {per_photo} times each",
            skipped=skipped,
            workers=workers,
            strict=strict,
        )
        sides = _split({sample.group for sample in made.samples}, shares)
        samples = [replace(s, group=sides[s.group][0], split=sides[s.group][1]) for s in made.samples]
        split = f"by hash of the photo, seed {shares.seed}, {shares.val:.0%} validation, {shares.test:.0%} test"
        Dataset.create(stage, CLASSES, samples, {"from": source, "split": split})
    return Built(dataset=Dataset.open(target), skipped=made.skipped)


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


def _split(stems: Iterable[str], shares: Shares) -> dict[str, tuple[str, str]]:
    """Stem -> group and split."""
    groups = {stem: group_of(stem, shares.group) or stem for stem in stems}
    side = assign_splits(groups.values(), val=shares.val, test=shares.test, seed=shares.seed)
    return {stem: (group, side[group]) for stem, group in groups.items()}


def _hashes(paths: Sequence[Path], skipped: Sequence[Skipped], strict: bool) -> tuple[dict[Path, str], list[Skipped]]:
    """Photo -> hash of its file, without copies, and what is left out so far."""
    found: dict[Path, str] = {}
    first: dict[str, Path] = {}
    left_out = list(skipped)
    # Reading takes a hundredth of the time of drawing: no processes for it.
    digests = pooled(_hash, paths, label=f"reading {len(paths)} photos", workers=0, strict=strict)
    for path, digest in zip(paths, digests, strict=True):
        if isinstance(digest, Skipped):
            left_out.append(digest)
        elif digest in first:
            reason = f"{path} is a copy of {first[digest]} and would leak between splits; remove one."
            left_out.append(Skipped(str(path), reason))
        else:
            found[path] = digest
            first[digest] = path
    return found, left_out


def _hash(path: Path) -> str:
    return content_hash(read_bytes(path))


@dataclass(frozen=True, kw_only=True)
class _Pictures:
    """All pictures of one photo, written into the stage."""

    stage: Path
    plan: _Plan

    def __call__(self, path: Path) -> Made:
        data = read_bytes(path)
        photo_HW3 = decode_image(data, path)
        return Made(
            samples=tuple(self.draw(path, photo_HW3, content_hash(data), index) for index in range(self.plan.per_photo))
        )

    def draw(self, path: Path, photo_HW3: Image, digest: str, index: int) -> Sample:
        plan = self.plan
        rng = np.random.default_rng((plan.seed, int(digest, 16), index))
        view_HW3 = photo_HW3 if plan.size is None else _random_view(photo_HW3, plan.size, plan.extent, rng)
        picture_HW3, mask_HW = raindrops(view_HW3, rng, style=plan.style)
        return store(
            self.stage,
            f"{stem_of(path)}-{index:03d}",
            _jpeg(picture_HW3),
            ".jpg",
            mask_HW,
            CLASSES,
            height=picture_HW3.shape[0],
            width=picture_HW3.shape[1],
            group=stem_of(path),
            source=path.name,
        )


def _jpeg(image_HW3: Image) -> bytes:
    # Drops are thin and colourful at the rim: full chroma keeps the picture true to the mask there.
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    written, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image_HW3, cv2.COLOR_RGB2BGR), options)
    assert written
    return jpeg.tobytes()


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
