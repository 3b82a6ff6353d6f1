"""What a fuzzer breaks: for every reader, sound input to begin with, and how it is read."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from drawing import add_sample, photo, shapes, shapes_classes, write_shapes
from PIL import Image as PILImage
from run_folders import TWO, add_evaluation, make_run
from safetensors.numpy import save_file

from maskwright.bundle import MANIFEST, Manifest, Member, sha256_of, write_bundle
from maskwright.bundle_check import check_bundle
from maskwright.bundling.pack import manifest_of
from maskwright.config import Recipe
from maskwright.data.dataset import Dataset
from maskwright.data.formats import FORMATS, camvid, lyft
from maskwright.data.formats.listing import Item, Listing, Options
from maskwright.files import write_text
from maskwright.imageio import (
    browser_type,
    decode_image,
    decode_plane,
    decode_reduced,
    encode_mask,
    image_size,
    is_deep,
    read_colours,
)
from maskwright.run import Counted, Run, read_counts, write_counts
from maskwright.types import Classes, InputError

Read = Callable[[Path], object]
SMALL = (24, 36)
ITEMS = 3  # of a listing that are painted


@dataclass(frozen=True, kw_only=True)
class Target:
    """`make` fills a folder with sound input; one file of it is broken at a time, and `read` gets the folder."""

    make: Callable[[Path], object]
    read: Read


def make_pictures(folder: Path) -> None:
    """A photo and a mask in every encoding that is read."""
    folder.mkdir(parents=True, exist_ok=True)
    image, mask = PILImage.fromarray(photo(SMALL)), PILImage.fromarray(shapes(0, SMALL)[1])
    exif = PILImage.Exif()
    exif[0x0112] = 6
    kinds: dict[str, tuple[PILImage.Image, dict[str, Any]]] = {
        "plain.jpg": (image, {"quality": 80}),
        "turned.jpg": (image, {"exif": exif.tobytes(), "progressive": True}),
        "grey.jpg": (image.convert("L"), {}),
        "cmyk.jpg": (image.convert("CMYK"), {}),
        "plain.png": (image, {}),
        "palette.png": (image.convert("P"), {"transparency": 3}),
        "alpha.png": (image.convert("RGBA"), {}),
        "bits.png": (mask.convert("1"), {}),
        "plain.bmp": (image, {}),
        "raw.tif": (image, {}),
        "packed.tif": (image, {"compression": "tiff_lzw"}),
        "deflated.tif": (image, {"compression": "tiff_adobe_deflate"}),
        "jpeg.tif": (image, {"compression": "jpeg"}),
        "plain.webp": (image, {}),
        "lossless.webp": (image, {"lossless": True}),
        "plain.ppm": (image, {}),
        "plain.pgm": (mask, {}),
        "plain.gif": (mask, {}),
    }
    for name, (picture, options) in kinds.items():
        picture.save(folder / name, **options)
    (folder / "ids.png").write_bytes(encode_mask(shapes(0, SMALL)[1], shapes_classes()))
    wide = PILImage.fromarray(shapes(0, SMALL)[1].astype(np.uint16))
    wide.save(folder / "wide.png")


def read_picture(folder: Path) -> None:
    """Everything that looks at pixels, each whatever the others say."""
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        for read in (decode_image, image_size, browser_type, is_deep, decode_plane):
            attempt(partial(read, data, path))
        attempt(partial(decode_reduced, data, path, 16))
        attempt(partial(read_colours, path))


def make_tiffs(folder: Path) -> None:
    """TIFFs in strips, in tiles and as BigTIFF."""
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    image = photo((64, 48))
    tifffile.imwrite(folder / "strips.tif", image, rowsperstrip=16, photometric="rgb")
    tifffile.imwrite(folder / "tiles.tif", image, tile=(16, 16), photometric="rgb", compression="zlib")
    tifffile.imwrite(folder / "big.tif", image, tile=(32, 32), photometric="rgb", bigtiff=True)
    tifffile.imwrite(folder / "grey.tif", image[..., 0], rowsperstrip=8)


def read_tiff(folder: Path) -> None:
    """The reader of rows."""
    from maskwright.infer.segmenting.windows import is_large_tiff, open_tiff

    for path in folder.iterdir():
        is_large_tiff(path)
        with open_tiff(path) as rows:
            high, wide = rows.size_hw
            if high * wide < 1 << 22:
                for start in range(0, high, 32):
                    rows.read(start, min(start + 32, high))


def make_dataset(folder: Path) -> None:
    """A data set of three images."""
    write_shapes(folder, {"train": 2, "val": 1})


def read_dataset(folder: Path) -> None:
    """Open it, read its pixels, look at the files again."""
    data = Dataset.open(folder)
    for sample in data.samples[:ITEMS]:
        attempt(partial(data.image, sample))
        attempt(partial(data.mask, sample))
    data.refresh()


def draw_for(format: str, folder: Path) -> Dataset:
    """Three images of one size, with the classes that a format wants."""
    known = {"binary": ["background", "disc"], "camvid": [*camvid.COLOURS], "lyft": [*lyft.TAGS]}
    classes, samples = Classes.from_names(known.get(format, shapes_classes().names)), []
    for number, split in enumerate(("train", "train", "val")):
        image, mask = shapes(number, SMALL, ignored=False)
        mask = np.minimum(mask, len(classes) - 1).astype(np.uint8)
        samples.append(add_sample(folder, f"shape-{number}", image, mask, split=split, classes=classes))
    return Dataset.create(folder, classes, samples, {"from": {"format": "drawn"}})


def format_target(name: str) -> Target:
    """A layout of images and masks: written by its own writer, read as `import` reads it."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        writer = FORMATS[name].write
        assert writer is not None
        writer(draw_for(name, folder.with_name(f"{folder.name}-source")), folder)

    def read(folder: Path) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        source = files[0] if len(files) == 1 else folder
        found = FORMATS[name].read(source, Options())
        for item in found.items[:ITEMS]:
            attempt(partial(paint, found, item))

    def paint(found: Listing, item: Item) -> None:
        if found.load is not None:
            item = found.load(item)
        size = SMALL if found.photo is None else image_size(found.photo(item)[0], item.image)
        if found.paint is not None and item.mask is not None:
            found.paint(item, size)

    return Target(make=make, read=read)


def make_recipes(folder: Path) -> None:
    """A whole recipe, a short one, and a class table."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "recipe.yaml", Recipe.load("default").to_yaml())
    write_text(
        folder / "short.yaml", "name: mine\nsize: tiny\noptim:\n  lr: 0.01\naugment: {flip: 0.5, scale: [0.8, 1]}\n"
    )


def read_recipes(folder: Path) -> None:
    """Load every one."""
    for path in folder.iterdir():
        attempt(partial(load_recipe, path))


def load_recipe(path: Path) -> None:
    """What could be loaded can be written."""
    Recipe.load(path).to_yaml()


def make_bundle(folder: Path) -> None:
    """A bundle with an evaluation and weights, which fit nothing."""
    run = make_run(folder.with_name(f"{folder.name}-run"), TWO, epochs=2)
    add_evaluation(run)
    zeros = np.zeros((2, 2, 3), np.int64)
    ids = np.array(["a", "b"])
    counts = Counted(
        ids=ids, groups=ids, tally_N3K=zeros, boundary_N7K=np.zeros((2, 7, 3), np.int64),
        objects_N4SK=np.zeros((2, 4, 3, 3), np.int64),
    )  # fmt: skip
    write_counts(run.evaluation_folder("test"), counts)
    (run.path / "weights").mkdir(exist_ok=True)
    save_file({"a": np.ones(3, np.float32)}, run.path / "weights" / "best.safetensors")
    for path in [*run.path.glob("samples/*"), *run.path.rglob("gallery/*"), run.path / "recipe.schema.json"]:
        path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    write_bundle(folder / "a.maskwright", run.path, manifest_of(run.path, "a"))


def read_bundle(folder: Path) -> None:
    """Look it through; then open what is in it and read its tables."""
    path, place = folder / "a.maskwright", folder.with_name("unpacked")
    shutil.rmtree(place, ignore_errors=True)
    check_bundle(path, into=place)
    read_run(place)


def read_run(place: Path) -> None:
    """A run folder from anybody."""
    run = Run.open(place)
    attempt(run.metrics)
    attempt(run.evaluations)
    for found in place.glob("evaluation/*/counts.npz"):
        attempt(partial(read_counts, found.parent))
    attempt(lambda: run.about)


def make_run_folder(folder: Path) -> None:
    """What is in that bundle, as a folder: a member that is broken has an honest hash."""
    make_bundle(folder.with_name(f"{folder.name}-packed"))
    check_bundle(folder.with_name(f"{folder.name}-packed") / "a.maskwright", into=folder)


def read_honest(folder: Path) -> None:
    """Pack the broken folder as a careful attacker would, and look it through."""
    members = {
        path.relative_to(folder).as_posix(): Member(bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    file = folder.with_name("honest.maskwright")
    write_bundle(file, folder, Manifest(name="a", version="0", members=members))
    place = folder.with_name("unpacked")
    shutil.rmtree(place, ignore_errors=True)
    check_bundle(file, into=place)
    read_run(place)


def make_archive(folder: Path) -> None:
    """Photos in a zip."""
    folder.mkdir(parents=True, exist_ok=True)
    inside = folder.with_name("photos")
    inside.mkdir(exist_ok=True)
    for name in ("a", "b"):
        PILImage.fromarray(photo(SMALL)).save(inside / f"{name}.jpg")
    shutil.make_archive(str(folder / "photos"), "zip", inside)


def read_archive(folder: Path) -> None:
    """As `predict` reads it."""
    from maskwright.infer.predicting.archives import list_archive, read_member

    path = folder / "photos.zip"

    def unzip(name: str) -> None:
        decode_image(read_member(path, name), path)

    for name in list_archive(path)[0][:ITEMS]:
        attempt(partial(unzip, name))


def make_numbers(folder: Path) -> None:
    """Predictions as arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("u1", "i8", "f4"):
        np.save(folder / f"{kind}.npy", shapes(0, SMALL)[1].astype(kind))
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(3))
    (folder / "archive.npy").write_bytes(buffer.getvalue())


def read_numbers(folder: Path) -> None:
    """As `evaluate` reads them."""
    from maskwright.scoring.evaluating.predictions import read_ids

    for path in folder.iterdir():
        attempt(partial(read_ids, path))


def attempt(work: Callable[[], object]) -> None:
    """Do it; an InputError is an answer."""
    try:
        work()
    except InputError as error:
        check_sentence(error)


def check_sentence(error: InputError) -> None:
    """An error is one line, not a page."""
    text = str(error)
    assert "\n" not in text, f"an error of several lines: {text[:300]!r}"
    assert len(text) < 5000, f"an error of {len(text)} characters: {text[:300]!r}"


TARGETS: dict[str, Target] = {
    "pictures": Target(make=make_pictures, read=read_picture),
    "tiffs": Target(make=make_tiffs, read=read_tiff),
    "dataset": Target(make=make_dataset, read=read_dataset),
    "recipes": Target(make=make_recipes, read=read_recipes),
    "bundle": Target(make=make_bundle, read=read_bundle),
    "run": Target(make=make_run_folder, read=read_honest),
    "archive": Target(make=make_archive, read=read_archive),
    "numbers": Target(make=make_numbers, read=read_numbers),
    **{name: format_target(name) for name, one in FORMATS.items() if one.write is not None},
}
