"""The audit against planted faults: precision and recall of every kind; and its speed.

python benchmarks/audit.py                        drawn scenes
python benchmarks/audit.py --images DATASET       faults planted into a real data set; its own findings do not count
python benchmarks/audit.py --speed 1000           images a second, memory, and how both grow
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from maskwright.data.audit import Finding, audit_facts
from maskwright.data.audit.scan import scan
from maskwright.data.audit.twins import similar_codes
from maskwright.data.dataset import Dataset, Sample
from maskwright.files import content_hash
from maskwright.imageio import colourise, encode_mask
from maskwright.types import Classes, Image, Mask

SCENE = Classes.from_names(["sky", "ground", "tree", "house", "car"], background=None)


@dataclass
class Shot:
    """One image and mask on their way to disk; `photo` and `label` are the files' bytes once a fault has made them."""

    id: str
    image_HW3: Image
    mask_HW: Mask
    split: str
    photo: bytes = b""
    label: bytes = b""
    row: dict[str, int] = field(default_factory=dict)


def draw_scene(seed: int, hw: tuple[int, int] = (240, 320)) -> tuple[Image, Mask]:
    """Sky over ground with trees, houses and cars, shaded and noisy; every seed is another place and light."""
    rng = np.random.default_rng((71, seed))
    rows, columns = hw
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    ridge = rows * rng.uniform(0.3, 0.6) + rows * 0.08 * np.sin(x[0] / columns * rng.uniform(3, 12) + rng.uniform(0, 6))
    mask = (y > ridge).astype(np.uint8)
    scale = min(hw) / 240
    for value, count in ((3, rng.integers(1, 4)), (2, rng.integers(2, 5)), (4, rng.integers(1, 4))):
        for _ in range(count):
            centre = (int(rng.integers(0, columns)), int(ridge.mean() + rows * rng.uniform(-0.08, 0.3)))
            if value == 2:
                radii = (int(rng.uniform(12, 40) * scale), int(rng.uniform(15, 50) * scale))
                cv2.ellipse(mask, centre, radii, 0, 0, 360, value, -1)
                cv2.line(mask, centre, (centre[0], centre[1] + int(60 * scale)), value, max(2, int(5 * scale)))
            else:
                wide, high = (int(rng.uniform(18, 70) * scale), int(rng.uniform(12, 55) * scale))
                corners = [
                    (-wide, high),
                    (wide, high),
                    (wide, -high),
                    (wide * rng.uniform(-1, 1), -high * 1.6),
                    (-wide, -high),
                ]
                points = np.round(np.array(corners) * (0.6 if value == 4 else 1.0) + centre).astype(np.int32)
                cv2.fillPoly(mask, [points], value)
    colours = rng.uniform(30, 220, (5, 3)).astype(np.float32)
    texture = np.stack(
        [cv2.resize(rng.normal(0, 1, (rows // s, columns // s)).astype(np.float32), hw[::-1]) for s in (2, 7)]
    )
    light = 1 + 0.25 * (x / columns - 0.5) * rng.choice([-1, 1]) + 0.2 * (y / rows - 0.5)
    image = colours[mask] * light[..., None] + (texture * np.array([6, 8])[:, None, None]).sum(axis=0)[..., None]
    image = cv2.GaussianBlur(image, (0, 0), 0.8) + rng.normal(0, 4, (*hw, 3))
    mask[: rows // 20, : columns // 5] = SCENE.ignore
    return np.clip(image, 0, 255).astype(np.uint8), mask


def jpeg(image: Image, quality: int) -> bytes:
    coded = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(".jpg", coded, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(pixels: Image) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels)[1].tobytes()


# --------------------------------------------------------------- faults: each spoils a shot, or several, in place

Spoil = Callable[[list[Shot], Classes, np.random.Generator], None]


def cut(files: str) -> Spoil:
    def spoil(shots: list[Shot], classes: Classes, rng: np.random.Generator) -> None:
        for shot in shots:
            whole = shot.photo if files == "photo" else encode_mask(shot.mask_HW, classes)
            setattr(shot, files, whole[: int(len(whole) * rng.uniform(0.2, 0.8))])

    return spoil


def on_mask(change: Callable[[Mask, Classes, np.random.Generator], Mask]) -> Spoil:
    """A fault that only touches the ids."""

    def spoil(shots: list[Shot], classes: Classes, rng: np.random.Generator) -> None:
        for shot in shots:
            shot.mask_HW = np.ascontiguousarray(change(shot.mask_HW, classes, rng))

    return spoil


def as_colours(quality: int | None) -> Spoil:
    def spoil(shots: list[Shot], classes: Classes, rng: np.random.Generator) -> None:
        for shot in shots:
            picture = colourise(shot.mask_HW, classes)
            shot.label = png(picture) if quality is None else jpeg(picture, quality)

    return spoil


def as_jpeg(shots: list[Shot], classes: Classes, rng: np.random.Generator) -> None:
    for shot in shots:
        shot.label = jpeg(shot.mask_HW, 90)


def alien_area(mask: Mask, classes: Classes, rng: np.random.Generator) -> Mask:
    mask, (rows, columns) = mask.copy(), mask.shape
    top, left = int(rng.integers(0, rows // 2)), int(rng.integers(0, columns // 2))
    mask[top : top + rows // 4, left : left + columns // 4] = len(classes) + 3
    return mask


def smooth(mask: Mask, classes: Classes, rng: np.random.Generator) -> Mask:
    """Scaled down and up as a picture, not as ids."""
    plain = np.where(mask == classes.ignore, 0, mask)
    half = cv2.resize(plain, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(half, mask.shape[::-1], interpolation=cv2.INTER_LINEAR).astype(mask.dtype)


def shift(mask: Mask, classes: Classes, rng: np.random.Generator) -> Mask:
    distance, angle = rng.uniform(0.02, 0.05) * max(mask.shape), rng.uniform(0, 2 * np.pi)
    step = (round(distance * np.sin(angle)), round(distance * np.cos(angle)))
    moved = np.roll(mask, step, (0, 1))
    moved[: max(0, step[0])] = moved[mask.shape[0] + min(0, step[0]) :] = classes.ignore
    moved[:, : max(0, step[1])] = moved[:, mask.shape[1] + min(0, step[1]) :] = classes.ignore
    return moved


def speckle(mask: Mask, classes: Classes, rng: np.random.Generator) -> Mask:
    mask, many = mask.copy(), mask.size // 60
    rows, columns = (rng.integers(0, side, many) for side in mask.shape)
    mask[rows, columns] = rng.integers(0, len(classes), many)
    return mask


def flat(value: Callable[[Classes], int]) -> Spoil:
    return on_mask(lambda mask, classes, rng: np.full_like(mask, value(classes)))


def hardly_labelled(mask: Mask, classes: Classes, rng: np.random.Generator) -> Mask:
    few = np.full_like(mask, classes.ignore)
    few[-6:, : mask.shape[1] // 4] = mask[-6:, : mask.shape[1] // 4]
    return few


def paste(alter: bool) -> Spoil:
    """The first shot's mask on all others."""

    def spoil(shots: list[Shot], classes: Classes, rng: np.random.Generator) -> None:
        for shot in shots[1:]:
            mask = cv2.resize(shots[0].mask_HW, shot.mask_HW.shape[::-1], interpolation=cv2.INTER_NEAREST)
            if alter:
                for _ in range(4):
                    place = tuple(int(rng.integers(0, side)) for side in mask.shape[::-1])
                    cv2.circle(mask, place, max(2, min(mask.shape) // 40), int(rng.integers(0, len(classes))), -1)
            shot.mask_HW = mask

    return spoil


def twin(how: str, splits: tuple[str, str]) -> Spoil:
    """The second of every two becomes a copy of the first."""

    def spoil(shots: list[Shot], classes: Classes, rng: np.random.Generator) -> None:
        for first, second in zip(shots[::2], shots[1::2], strict=True):
            first.split, second.split = splits
            second.photo, second.mask_HW, second.image_HW3 = first.photo, first.mask_HW, first.image_HW3
            if how == "re-encoded":
                bright = np.clip(first.image_HW3 * rng.uniform(0.8, 1.2), 0, 255).astype(np.uint8)
                second.photo = jpeg(bright, 60)
            elif how == "another mask":
                second.mask_HW = first.mask_HW[:, ::-1].copy()

    return spoil


def on_photo(change: Callable[[Image], Image]) -> Spoil:
    def spoil(shots: list[Shot], classes: Classes, rng: np.random.Generator) -> None:
        for shot in shots:
            shot.image_HW3 = change(shot.image_HW3)
            shot.photo = png(shot.image_HW3)

    return spoil


@dataclass(frozen=True)
class Fault:
    """How a fault is made, of how many shots at a time, and the kind of finding that must name them."""

    kind: str
    spoil: Spoil
    at_once: int = 1


FAULTS: dict[str, Fault] = {
    "image file cut off": Fault("damaged", cut("photo")),
    "mask file cut off": Fault("damaged", cut("label")),
    "mask cropped": Fault("size", on_mask(lambda mask, classes, rng: mask[4:, :-3])),
    "mask at half size": Fault("size", on_mask(lambda mask, classes, rng: mask[::2, ::2])),
    "mask turned by 90 degrees": Fault("size", on_mask(lambda mask, classes, rng: np.rot90(mask))),
    "area of an unknown id": Fault("outside", on_mask(alien_area)),
    "mask in colours": Fault("colours", as_colours(None)),
    "mask in colours, JPEG": Fault("smoothed", as_colours(85)),
    "mask of ids, JPEG": Fault("smoothed", as_jpeg),
    "mask scaled with smoothing": Fault("smoothed", on_mask(smooth)),
    "same file in train and test": Fault("leak", twin("same", ("train", "test")), 2),
    "re-encoded copy in train and val": Fault("leak", twin("re-encoded", ("train", "val")), 2),
    "same file twice in train": Fault("copies", twin("same", ("train", "train")), 2),
    "re-encoded copy in train": Fault("copies", twin("re-encoded", ("train", "train")), 2),
    "one image, two masks": Fault("disagreeing", twin("another mask", ("train", "train")), 2),
    "mask pasted on others": Fault("same-mask", paste(alter=False), 4),
    "mask pasted and edited": Fault("near-mask", paste(alter=True), 3),
    "flipped left to right": Fault("turned", on_mask(lambda mask, classes, rng: mask[:, ::-1])),
    "flipped upside down": Fault("turned", on_mask(lambda mask, classes, rng: mask[::-1])),
    "turned by 180 degrees": Fault("turned", on_mask(lambda mask, classes, rng: mask[::-1, ::-1])),
    "shifted by 2 to 5 %": Fault("shifted", on_mask(shift)),
    "specks": Fault("specks", on_mask(speckle)),
    "all ignored": Fault("constant", flat(lambda classes: classes.ignore)),
    "one class everywhere": Fault("constant", flat(lambda classes: len(classes) - 1)),
    "labelling broken off": Fault("unexplained", on_mask(hardly_labelled)),
    "night": Fault("outlier", on_photo(lambda image: (image * 0.06).astype(np.uint8))),
    "out of focus": Fault("outlier", on_photo(lambda image: cv2.GaussianBlur(image, (0, 0), 12))),
}


def plant(shots: list[Shot], classes: Classes, target: Path, each: int, seed: int = 0) -> dict[str, list[set[str]]]:
    """Write a data set with every fault `each` times; returns the ids by fault, a set for every time."""
    rng = np.random.default_rng(seed)
    order = [shots[i] for i in rng.permutation(len(shots))]
    planted: dict[str, list[set[str]]] = {name: [] for name in FAULTS}
    for name, fault in FAULTS.items():
        for _ in range(each):
            chosen, order = order[: fault.at_once], order[fault.at_once :]
            if len(chosen) < fault.at_once:
                raise SystemExit(f"{len(shots)} images are too few to plant every fault {each} times; lower --each.")
            fault.spoil(chosen, classes, rng)
            # The first of pasted masks is true, and need not be named.
            planted[name].append({shot.id for shot in chosen})
    write(shots, classes, target)
    return planted


def write(shots: Iterable[Shot], classes: Classes, target: Path) -> None:
    for folder in ("images", "masks"):
        (target / folder).mkdir(parents=True)
    samples = []
    for shot in shots:
        label = shot.label or png(shot.mask_HW)
        (target / "images" / f"{shot.id}.jpg").write_bytes(shot.photo)
        (target / "masks" / f"{shot.id}.png").write_bytes(label)
        samples.append(
            Sample(
                id=shot.id,
                image=f"images/{shot.id}.jpg",
                mask=f"masks/{shot.id}.png",
                split=shot.split,
                height=shot.image_HW3.shape[0],
                width=shot.image_HW3.shape[1],
                image_hash=content_hash(shot.photo),
                mask_hash=content_hash(label),
                status="labelled",
            )
        )
    Dataset.create(target, classes, samples, {"from": {"format": "planted"}})


def drawn_shots(count: int, hw: tuple[int, int] = (240, 320)) -> list[Shot]:
    shots = []
    for number in range(count):
        image, mask = draw_scene(number, hw)
        split = "train" if number % 10 < 7 else "val" if number % 10 < 8 else "test"
        shots.append(Shot(f"scene-{number:05}", image, mask, split, photo=jpeg(image, 90)))
    return shots


def real_shots(data: Dataset) -> list[Shot]:
    return [
        Shot(s.id, data.image(s), data.mask(s), s.split, photo=(data.path / s.image).read_bytes())
        for s in data.labelled()
    ]


def found_in(path: Path) -> list[Finding]:
    data = Dataset.open(path)
    return list(audit_facts(data, tuple(scan(data))).findings)


def scores(
    planted: dict[str, list[set[str]]], found: list[Finding], known: set[tuple[str, str]]
) -> list[tuple[str, int, int, int, int]]:
    """By fault and by kind: how many were planted and found, how many findings there are and are true.

    A finding is true if it names a sample that was spoiled in a way that leads to its kind; what the base has by
    itself (`known`: kind and id) is left out.
    """
    rows = []
    for name, groups in planted.items():
        kind = FAULTS[name].kind
        named = [set(f.ids) for f in found if f.kind == kind]
        hit = sum(any(len(group & ids) >= min(len(group), 2) for ids in named) for group in groups)
        rows.append((name, len(groups), hit, 0, 0))
    spoiled = {key for groups in planted.values() for group in groups for key in group}
    for kind in dict.fromkeys(f.kind for f in found if f.ids):
        own = {key for name, groups in planted.items() if FAULTS[name].kind == kind for g in groups for key in g}
        mine = [f for f in found if f.kind == kind and not all((kind, key) in known for key in f.ids)]
        true = sum(bool(set(f.ids) & own) for f in mine)
        # A spoiled sample may truly deserve further findings (a pasted mask also fits badly).
        also = sum(bool(set(f.ids) & (spoiled - own)) and not set(f.ids) & own for f in mine)
        rows.append((f"[{kind}]", len(mine), true, also, len(mine) - true - also))
    return rows


def detect(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if options.images:
            base = Dataset.open(options.images)
            shots, classes = real_shots(base), base.classes
            known = {(f.kind, key) for f in found_in(options.images) for key in f.ids}
        else:
            shots, classes, known = drawn_shots(options.count), SCENE, set()
        planted = plant(shots, classes, Path(folder) / "planted", options.each)
        found = found_in(Path(folder) / "planted")
        rows = scores(planted, found, known)
    print(f"{len(shots)} images, every fault planted {options.each} times")
    print(f"{'fault':36}{'planted':>8}{'found':>7}{'recall':>8}")
    for name, count, hit, _, _ in rows:
        if not name.startswith("["):
            print(f"{name:36}{count:8}{hit:7}{hit / count:8.2f}")
    print(f"\n{'findings of kind':24}{'all':>6}{'planted':>9}{'on others spoiled':>19}{'on good':>9}{'precision':>11}")
    for name, count, true, also, false in rows:
        if name.startswith("[") and count:
            print(f"{name[1:-1]:24}{count:6}{true:9}{also:19}{false:9}{(true + also) / count:11.2f}")


def many_shots(count: int, rng: np.random.Generator) -> Iterator[Shot]:
    """Few scenes rolled about: cheaper to make than new ones, as dear to read, and no look-alikes."""
    few = drawn_shots(min(count, 16), (480, 640))
    for number in range(count):
        shot = few[number % len(few)]
        step = tuple(int(rng.integers(0, side)) for side in (480, 640))
        image, mask = (np.roll(plane, step, (0, 1)) for plane in (shot.image_HW3, shot.mask_HW))
        yield replace(shot, id=f"s{number:06}", image_HW3=image, mask_HW=mask, photo=jpeg(image, 90))


def speed(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many"
        rng = np.random.default_rng(0)
        write(many_shots(count, rng), SCENE, path)
        data = Dataset.open(path)
        before = peak_mb()
        began = time.perf_counter()
        facts = scan(data)
        scanned = time.perf_counter()
        audit = audit_facts(data, tuple(facts))
        checked = time.perf_counter()
        scan(data)
        again = time.perf_counter()
        seconds, checks = scanned - began, checked - scanned
        print(f"{count:,} images of 640 x 480: scan {seconds:.1f} s, {count / seconds:.0f} images/s")
        print(f"checks {checks:.2f} s ({len(audit.findings):,} findings); a second scan {again - checked:.2f} s")
        worker = peak_mb(resource.RUSAGE_CHILDREN)
        print(f"peak memory {peak_mb():.0f} MB, of which {before:.0f} before; of a worker {worker:.0f} MB")
    for number in (10_000, 100_000):
        codes = rng.integers(0, 2**64, number, np.uint64)
        began = time.perf_counter()
        hits = sum(len(first) for first, _ in similar_codes(codes))
        print(f"look-alikes among {number:,} random hashes: {time.perf_counter() - began:.2f} s, {hits} to verify")


def peak_mb(whose: int = resource.RUSAGE_SELF) -> float:
    return resource.getrusage(whose).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="data set folder to plant faults into")
    parser.add_argument("--count", type=int, default=600, help="drawn scenes")
    parser.add_argument("--each", type=int, default=8, help="how often each fault is planted")
    parser.add_argument("--speed", type=int, metavar="N", help="audit N images of 640 x 480 instead")
    options = parser.parse_args()
    if options.speed:
        speed(options.speed)
    else:
        detect(options)


if __name__ == "__main__":
    main()
