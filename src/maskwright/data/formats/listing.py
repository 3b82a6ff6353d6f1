"""What a format's reader returns, and how images find their masks: by stem."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.files import list_files, read_bytes, stem_of, write_bytes
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES
from maskwright.types import Classes, Colour, InputError, Mask

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "photos", "JPEGImages", "CameraRGB")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "SegmentationClass", "CameraSeg", "gt")
SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

MaskReader = Callable[[Path], Mask]
Files = dict[tuple[str, str], list[Path]]  # (split, stem) -> files


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person may say about a source; every format takes what concerns it.

    `unknown` says what becomes of a colour outside the table: 'error', 'ignore' or 'nearest'.
    `ignore_ids` are stored ids that mean "do not count".
    """

    names: tuple[str, ...] | None = None
    table: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    mask_suffix: str = ""
    ignore_ids: tuple[int, ...] = ()
    ignore_colours: tuple[Colour, ...] = ()
    unknown: str | None = None


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image of a source and, unless it is unlabelled, how to get its mask in our class ids."""

    id: str
    image: Path
    mask: Path | None = None
    read_mask: MaskReader | None = None
    split: str = ""
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a source holds. `found` is a table that was found by scanning and awaits a person's yes."""

    classes: Classes
    items: list[Item]
    alone: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: str = ""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image and its mask file."""

    id: str
    image: Path
    mask: Path
    split: str


def listing(
    classes: Classes,
    pairs: list[Pair],
    read_mask: MaskReader,
    alone: list[Skipped],
    *,
    notes: list[str] | None = None,
    found: str = "",
) -> Listing:
    """A Listing of pairs that are all read the same way."""
    items = [Item(id=p.id, image=p.image, mask=p.mask, read_mask=read_mask, split=p.split) for p in pairs]
    return Listing(classes=classes, items=items, alone=alone, notes=notes or [], found=found)


def find_pairs(source: Path, options: Options) -> tuple[list[Pair], list[Skipped]]:
    """Match images and masks by stem, and list what has no partner or is not unique.

    Understands `images/` + `masks/` (and their usual synonyms), each with split folders inside or outside.
    Raises InputError where there is no such folder, no image, or no pair.
    """
    if not source.is_dir():
        raise InputError(f"Folder {source} does not exist; check the path.")
    images = _collect(source, options.images, IMAGE_FOLDERS, IMAGE_SUFFIXES, "images")
    masks = _collect(source, options.masks, MASK_FOLDERS, MASK_SUFFIXES, "masks")
    if options.mask_suffix:
        longer, masks = masks, defaultdict(list)
        for (split, stem), paths in longer.items():
            masks[split, stem.removesuffix(options.mask_suffix)] += paths
    if not images:
        raise InputError(f"{source} holds no images; expected JPEG or PNG files in its images folder.")
    pairs, alone = match(images, masks)
    if not pairs:
        raise InputError(
            f"{source}: no image has a mask of the same stem ({len(images)} images, {len(masks)} masks); "
            f"{alone[0].reason} If masks have a longer name, say so with --mask-suffix."
        )
    return pairs, alone


def match(images: Files, masks: Files) -> tuple[list[Pair], list[Skipped]]:
    """Pair what shares split and stem; the rest, and what is not unique, is returned with the reason."""
    alone: list[Skipped] = []
    pairs: list[Pair] = []
    stems = Counter(stem for _, stem in images)
    for key in sorted(images.keys() | masks.keys()):
        split, stem = key
        files = (images.get(key, []), masks.get(key, []))
        if any(len(side) > 1 for side in files):
            twins = next(side for side in files if len(side) > 1)
            reason = f"{twins[0]} and {twins[1]} share one stem, so images and masks cannot be matched; rename one."
            alone += [Skipped(str(path), reason) for side in files for path in side]
        elif not files[0]:
            alone.append(Skipped(str(files[1][0]), f"{files[1][0]} is a mask without an image of the same stem."))
        elif not files[1]:
            alone.append(Skipped(str(files[0][0]), f"{files[0][0]} is an image without a mask of the same stem."))
        else:
            name = f"{split}-{stem}" if stems[stem] > 1 else stem
            pairs.append(Pair(id=name, image=files[0][0], mask=files[1][0], split=split))
    return pairs, alone


def _collect(source: Path, given: Path | None, usual: tuple[str, ...], suffixes: frozenset[str], what: str) -> Files:
    if given is not None:
        folders = [given if given.is_dir() else source / given]
    else:
        tops = [source, *(source / name for name in SPLIT_NAMES)]
        folders = [top / name for top in tops for name in usual if (top / name).is_dir()]
    if not folders or not folders[0].is_dir():
        wanted = str(given) if given is not None else f"{what}/"
        raise InputError(f"{source} has no folder {wanted}; name it with --{what} FOLDER.")
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for folder in folders:
        for path in list_files(folder, suffixes):
            parts = (
                (*folder.relative_to(source).parts, *path.relative_to(folder).parts[:-1])
                if given is None
                else (path.relative_to(folder).parts[:-1])
            )
            split = next((SPLIT_NAMES[part.lower()] for part in parts if part.lower() in SPLIT_NAMES), "")
            found[split, stem_of(path)].append(path)
    return dict(found)


def write_pairs(dataset: Dataset, target: Path, write: Callable[[Path, Mask], None]) -> None:
    """Copy photos to `images/` and let `write` put masks into `masks/`, with a folder a split inside each."""
    for sample in dataset.labelled():
        for folder in ("images", "masks"):
            (target / folder / sample.split).mkdir(parents=True, exist_ok=True)
        source = dataset.path / sample.image
        write_bytes(target / "images" / sample.split / source.name, read_bytes(source))
        write(target / "masks" / sample.split / f"{source.stem}.png", dataset.mask(sample))
