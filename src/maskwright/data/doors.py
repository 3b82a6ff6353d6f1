"""The way in and out: import, init and convert. The mask contract is enforced here, for every format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maskwright.console import Skipped, say, track
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats import FORMATS
from maskwright.data.formats.listing import Item, Listing, Options
from maskwright.data.split import assign_splits, group_of
from maskwright.files import content_hash, list_files, read_bytes, staged_folder, stem_of, write_bytes
from maskwright.imageio import IMAGE_SUFFIXES, check_mask, decode_image, encode_mask
from maskwright.types import Classes, InputError, TargetError, unknown_name

AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How samples without a split of their own are shared out; whole groups go to one side.

    `group` is a regular expression on the image's id: what it matches names the group.
    """

    val: float = 0.15
    test: float = 0.15
    seed: int = 0
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A new data set, and the files that are not in it."""

    dataset: Dataset
    skipped: list[Skipped]


def import_dataset(
    format: str,
    source: str | Path,
    target: str | Path,
    *,
    options: Options | None = None,
    shares: Shares | None = None,
    confirm: Callable[[str], bool] | None = None,
    strict: bool = False,
) -> Imported:
    """Read `source` in one of FORMATS and write a data set folder `target`, all of it or nothing.

    Files that break the contract are left out and returned with the reason; with `strict` the first one raises.
    `confirm` is shown a class table that was found by scanning; without it such a table is an error.
    Raises InputError for an unknown format, a source without one usable pair, or a target that exists.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    found = FORMATS[format].read(Path(source), options or Options())
    for note in found.notes:
        say(note)
    if found.found and not (confirm is not None and confirm(found.found)):
        raise InputError(
            f"The colours found in {source} need a yes before they become classes; "
            f"confirm with --yes, or name them in a file given with --table:\n{found.found}"
        )
    record = {"from": {"format": format, "path": str(source)}}
    return build(found, Path(target), shares or Shares(), record, strict=strict)


def init_dataset(
    photos: str | Path,
    target: str | Path,
    classes: Classes,
    *,
    shares: Shares | None = None,
    strict: bool = False,
) -> Imported:
    """Photos without masks -> a data set of unlabelled rows."""
    photos = Path(photos)
    paths = list_files(photos, IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{photos} holds no images; expected JPEG or PNG files.")
    stems = Counter(stem_of(path) for path in paths)
    once = [path for path in paths if stems[stem_of(path)] == 1]
    twins = [
        Skipped(str(path), f"{path} shares its stem with another photo; rename one.")
        for path in paths
        if stems[stem_of(path)] > 1
    ]
    items = [Item(id=stem_of(path), image=path) for path in once]
    found = Listing(classes=classes, items=items, alone=twins)
    return build(
        found, Path(target), shares or Shares(), {"from": {"format": "photos", "path": str(photos)}}, strict=strict
    )


def convert_dataset(dataset: Dataset | str | Path, format: str, target: str | Path) -> Path:
    """Write a data set's labelled images in one of FORMATS into the new folder `target`."""
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    with staged_folder(Path(target)) as stage:
        FORMATS[format].write(data, stage)
    return Path(target)


def build(found: Listing, target: Path, shares: Shares, record: dict[str, Any], *, strict: bool) -> Imported:
    """Check, copy and hash every item into a new data set folder."""
    if strict and found.alone:
        raise InputError(found.alone[0].reason)
    skipped = list(found.alone)
    items, split = with_splits(found.items, shares)
    samples: list[Sample] = []
    with staged_folder(target) as stage:
        for folder in ("images", "masks"):
            (stage / folder).mkdir()

        def take(item: Item) -> Sample | Skipped:
            try:
                return take_in(item, stage, found.classes)
            except TargetError:
                raise
            except InputError as error:
                if strict:
                    raise
                return Skipped(str(item.image), str(error))

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            chunks = [items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE)]
            for chunk in track(chunks, f"importing {len(items)} images, {AT_ONCE} at a time"):
                for result in pool.map(take, chunk):
                    if isinstance(result, Sample):
                        samples.append(result)
                    else:
                        skipped.append(result)
        if not samples:
            raise InputError(f"None of {len(items)} images could be used. The first: {skipped[0].reason}")
        Dataset.create(stage, found.classes, samples, {**record, "split": split})
    return Imported(dataset=Dataset.open(target), skipped=skipped)


def with_splits(items: list[Item], shares: Shares) -> tuple[list[Item], str]:
    """Items with a split each, and how it came about.

    The source's own split is kept; where it has none, and for validation where it has only that missing, whole
    groups are shared out by hash.
    """
    items = [replace(item, group=item.group or group_of(item.id, shares.group)) for item in items]
    own = {item.split for item in items if item.split}
    if not own:
        return _shared_out(items, shares), f"by {_rule(shares)}"
    items = [item if item.split else replace(item, split="train") for item in items]
    if "val" in own or "train" not in own or shares.val == 0:
        return items, "given by the source"
    training = _shared_out([item for item in items if item.split == "train"], replace(shares, test=0.0))
    rest = [item for item in items if item.split != "train"]
    return training + rest, f"given by the source, validation from its training images by {_rule(shares)}"


def _shared_out(items: list[Item], shares: Shares) -> list[Item]:
    keys = [item.group or item.id for item in items]
    side = assign_splits(keys, val=shares.val, test=shares.test, seed=shares.seed)
    return [replace(item, split=side[key]) for item, key in zip(items, keys, strict=True)]


def _rule(shares: Shares) -> str:
    whole = f"group ({shares.group})" if shares.group else "image"
    return f"hash of the {whole}, seed {shares.seed}, {shares.val:.0%} validation, {shares.test:.0%} test"


def take_in(item: Item, stage: Path, classes: Classes) -> Sample:
    """Read one image and mask, hold them to the contract, write them into the new folder."""
    data = read_bytes(item.image)
    image_HW3 = decode_image(data, item.image)
    rows, columns = image_HW3.shape[:2]
    image = f"images/{item.id}{item.image.suffix.lower()}"
    mask, mask_hash = "", ""
    if item.read_mask is not None and item.mask is not None:
        mask_HW = item.read_mask(item.mask)
        check_mask(mask_HW, classes, name=str(item.mask), size_hw=(rows, columns))
        png = encode_mask(mask_HW, classes)
        mask, mask_hash = f"masks/{item.id}.png", content_hash(png)
        write_bytes(stage / mask, png)
    write_bytes(stage / image, data)
    return Sample(
        id=item.id,
        image=image,
        mask=mask,
        split=item.split,
        group=item.group,
        source=item.image.name,
        height=rows,
        width=columns,
        image_hash=content_hash(data),
        mask_hash=mask_hash,
        status="labelled" if mask else "unlabelled",
    )
