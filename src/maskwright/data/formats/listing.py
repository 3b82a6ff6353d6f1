"""What a format's reader returns, and how images find their masks: by stem."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.jobs import journaled
from maskwright.files import JOURNAL, list_files, put_bytes, read_bytes, stem_of
from maskwright.imageio import IMAGE_SUFFIXES, MASK_SUFFIXES
from maskwright.types import Classes, Colour, InputError, Mask, unknown_name

R = TypeVar("R")

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "photos", "JPEGImages", "CameraRGB")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "SegmentationClass", "CameraSeg", "gt")
SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}

Files = dict[tuple[str, str], list[Path]]  # (split, stem) -> files


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person may say about a source; every format takes what concerns it.

    `unknown` says what becomes of a colour outside the table: 'error', 'ignore' or 'nearest'. `ignore_ids` are stored
    ids that mean "do not count". For annotated shapes: `kind` is 'classes', 'groups' (by the file `groups`) or
    'binary'; `crowd` and `border` say what becomes of crowd regions and of uncertain borders: 'ignore', 'background'
    or, for crowds, 'class'; `ties` decides between shapes of equal priority: 'later', 'first' or 'smaller'.
    """

    names: tuple[str, ...] | None = None
    table: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    mask_suffix: str = ""
    ignore_ids: tuple[int, ...] = ()
    ignore_colours: tuple[Colour, ...] = ()
    unknown: str | None = None
    kind: str = "classes"
    groups: Path | None = None
    crowd: str = "ignore"
    border: str = "ignore"
    ties: str = "later"
    max_images: int | None = None
    without_images: bool = False

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise unknown_name(
                    f"value of --{'as' if name == 'kind' else name}",
                    str(getattr(self, name)),
                    [one for one in known if one],
                )
        if self.groups is not None and self.kind != "groups":
            raise InputError(f"--groups {self.groups} takes effect with --as groups only; add it.")
        if self.max_images is not None and self.max_images < 1:
            raise InputError(f"--max-images {self.max_images} leaves nothing; give a number from 1.")


_CHOICES: dict[str, tuple[str | None, ...]] = {
    "unknown": (None, "error", "ignore", "nearest"),
    "kind": ("classes", "groups", "binary"),
    "crowd": ("ignore", "class", "background"),
    "border": ("ignore", "background"),
    "ties": ("later", "first", "smaller"),
}


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image of a source.

    `mask` is the file that holds its mask or its shapes, None for an unlabelled image. `size_hw` is the size that the
    source declares: then the photo is copied without decoding it. `note` is what the format's own reader needs
    besides, and `extra` are further columns of `samples.csv`.
    """

    id: str
    image: Path
    mask: Path | None = None
    split: str = ""
    group: str = ""
    size_hw: tuple[int, int] | None = None
    note: Any = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Painted:
    """A mask in our class ids, and what had to be decided on the way.

    `contested` counts pixels by (losing class id, winning class id); `left_out` names shapes that could not be used.
    """

    mask_HW: Mask
    contested: Mapping[tuple[int, int], int] = field(default_factory=dict)
    left_out: tuple[Skipped, ...] = ()


Painter = Callable[[Item, tuple[int, int]], Painted]  # of an item and its photo's rows and columns
PhotoReader = Callable[[Item], tuple[bytes, str]]  # the photo's encoded bytes and its file suffix


@dataclass(frozen=True)
class FromFile:
    """A painter for formats whose masks are files that need nothing but their path."""

    read: Callable[[Path], Mask]

    def __call__(self, item: Item, size_hw: tuple[int, int]) -> Painted:
        """The mask of one item."""
        assert item.mask is not None
        return Painted(mask_HW=self.read(item.mask))


def photo_file(item: Item) -> tuple[bytes, str]:
    """The photo as it lies there."""
    return read_bytes(item.image), item.image.suffix.lower()


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a source holds.

    `paint` and `photo` are sent to worker processes: module-level functions or frozen dataclasses. `load` is called
    here, shortly before an item is sent, and fills in what is too large to hold for all items at once. `found` is a
    table that was found by scanning and awaits a person's yes. `record` joins what `dataset.yaml` keeps.
    """

    classes: Classes
    items: list[Item]
    paint: Painter | None = None
    photo: PhotoReader | None = photo_file
    load: Callable[[Item], Item] | None = None
    alone: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)


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
    read: Callable[[Path], Mask],
    alone: list[Skipped],
    *,
    notes: list[str] | None = None,
    found: str = "",
) -> Listing:
    """A Listing of pairs that are all read the same way."""
    items = [Item(id=p.id, image=p.image, mask=p.mask, split=p.split) for p in pairs]
    return Listing(classes=classes, items=items, paint=FromFile(read), alone=alone, notes=notes or [], found=found)


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


def write_pairs(dataset: Dataset, target: Path, encode: Callable[[Mask, Classes], bytes]) -> None:
    """Copy photos to `images/` and put masks, as `encode` makes them PNGs, into `masks/`; split folders inside each."""
    samples = dataset.labelled()
    for split in {sample.split for sample in samples}:
        for folder in ("images", "masks"):
            (target / folder / split).mkdir(parents=True, exist_ok=True)
    each_sample(_WritePair(dataset.only_table(), target, encode), samples, target)


@dataclass(frozen=True)
class _WritePair:
    dataset: Dataset
    target: Path
    encode: Callable[[Mask, Classes], bytes]

    def __call__(self, sample: Sample) -> None:
        source = self.dataset.path / sample.image
        put_bytes(self.target / "images" / sample.split / source.name, read_bytes(source))
        png = self.encode(self.dataset.mask(sample), self.dataset.classes)
        put_bytes(self.target / "masks" / sample.split / f"{source.stem}.png", png)


def each_sample(work: Callable[[Sample], R], samples: Sequence[Sample], target: Path) -> list[R]:
    """What `work` makes of each sample, in order, on all cores; raises InputError for the first that fails.

    `work` is sent to worker processes: a module-level function or a frozen dataclass with `__call__`. It writes into
    `target` and returns plain data (no bytes), which is kept there while it lasts: what an interrupted call has done
    is not done again.
    """
    results: dict[str, R] = {}
    for result in journaled(
        _Named(work),
        samples,
        journal=target / JOURNAL,
        key=_state,
        label=f"writing {len(samples)} images",
        name=attrgetter("id"),
    ):
        if isinstance(result, Skipped):
            raise InputError(result.reason if result.file in result.reason else f"{result.file}: {result.reason}")
        results[result["id"]] = result["made"]
    return [results[sample.id] for sample in samples]


def _state(sample: Sample) -> str:
    return f"{sample.id} {sample.image_hash} {sample.mask_hash}"


@dataclass(frozen=True)
class _Named:
    work: Callable[[Sample], Any]

    def __call__(self, sample: Sample) -> dict[str, Any]:
        return {"id": sample.id, "made": self.work(sample)}
