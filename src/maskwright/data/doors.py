"""The way in and out: import, init and convert. The mask contract is enforced here, for every format."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from maskwright.console import Skipped, say
from maskwright.data.build import Built, Made, gather, store
from maskwright.data.dataset import Dataset
from maskwright.data.formats import FORMATS
from maskwright.data.formats.deep import scale_of
from maskwright.data.formats.listing import Item, Listing, Options, Painter, PhotoReader, photo_file
from maskwright.data.jobs import Workers
from maskwright.data.splits.split import assign_splits, group_of
from maskwright.files import content_hash, list_files, resumable_folder, stem_of
from maskwright.imageio import IMAGE_SUFFIXES, check_mask, decode_image, image_size
from maskwright.run import read_csv, write_csv
from maskwright.types import Classes, InputError, unknown_name

CONTESTED = "contested.csv"


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How samples without a split of their own are shared out; whole groups go to one side.

    `group` is a regular expression on the image's id: what it matches names the group.
    """

    val: float = 0.15
    test: float = 0.15
    seed: int = 0
    group: str | None = None


def import_dataset(
    format: str,
    source: str | Path,
    target: str | Path,
    *,
    options: Options | None = None,
    shares: Shares | None = None,
    confirm: Callable[[str], bool] | None = None,
    strict: bool = False,
    workers: Workers = None,
    link: bool = False,
) -> Built:
    """Read `source` in one of FORMATS and write a data set folder `target`, all of it or nothing.

    Files that break the contract are left out and returned with the reason; with `strict` the first one raises.
    `confirm` is shown a class table that was found by scanning; without it such a table is an error. `workers` is the
    number of processes, or a `Ray` cluster.
    Raises InputError for an unknown format, a source without one usable pair, or a target that exists.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    options = options or Options()
    found = FORMATS[format].read(Path(source), options)
    found = replace(found, items=found.items[: options.max_images])
    if options is not None and options.without_images and found.photo is not None:
        raise InputError(f"The {format} layout needs its photos; leave out --no-images.")
    for note in found.notes:
        say(note)
    if found.found and not (confirm is not None and confirm(found.found)):
        raise InputError(
            f"The colours found in {source} need a yes before they become classes; "
            f"confirm with --yes, or name them in a file given with --table:\n{found.found}"
        )
    record = {"from": {"format": format, "path": str(source)}}
    return build(found, Path(target), shares or Shares(), record, strict=strict, workers=workers, link=link)


def init_dataset(
    photos: str | Path,
    target: str | Path,
    classes: Classes,
    *,
    shares: Shares | None = None,
    strict: bool = False,
    scale_deep: bool = False,
) -> Built:
    """Photos without masks -> a data set of unlabelled rows.

    Photos of more than 8 bits a channel are left out; with `scale_deep` they are scaled to 8 bits, all by one rule.
    """
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
    if scale_deep and (rule := scale_of(once)) is not None:
        about = {"deep_photos": [{"kind": kind, "black": low, "white": high} for kind, low, high in rule.ends]}
        found = replace(found, photo=rule, record=about)
        say(rule.says())
    return build(
        found, Path(target), shares or Shares(), {"from": {"format": "photos", "path": str(photos)}}, strict=strict
    )


def convert_dataset(dataset: Dataset | str | Path, format: str, target: str | Path) -> Path:
    """Write a data set's labelled images in one of FORMATS into the new folder `target`; can be interrupted.

    Raises InputError for an unknown format, one that is only read, or what it cannot hold.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    write = FORMATS[format].write
    if write is None:
        writable = ", ".join(sorted(name for name, one in FORMATS.items() if one.write))
        raise InputError(f"The {format} layout can be read, not written; choose one of {writable}.")
    with resumable_folder(Path(target), {"verb": "convert", "format": format, "data": data.fingerprint}) as stage:
        write(data, stage)
    return Path(target)


def build(
    found: Listing,
    target: Path,
    shares: Shares,
    record: dict[str, Any],
    *,
    strict: bool,
    workers: Workers = None,
    link: bool = False,
) -> Built:
    """Check, copy and hash every item into a new data set folder; an interrupted call is gone on with."""
    if not found.items:
        first = f" The first: {found.alone[0].reason}" if found.alone else ""
        raise InputError(f"No image can be used.{first}")
    items, split = with_splits(found.items, shares)
    # Two files of groups may make equal classes of different names: what goes on must paint the same.
    how = content_hash(pickle.dumps((found.paint, found.photo, link)))
    job = {"verb": "import", **record, **found.classes.to_dict(), "shares": asdict(shares), **found.record, "how": how}
    with resumable_folder(target, job) as stage:
        made = gather(
            stage,
            items,
            TakeIn(stage, found.classes, found.paint, found.photo, link),
            key=_state,
            name=_name,
            load=found.load,
            label=f"importing {len(items)} images",
            skipped=found.alone,
            workers=workers,
            strict=strict,
        )
        if contested := contested_rows(made.tally, found.classes):
            write_csv(stage / CONTESTED, contested)
        made_there = Dataset.create(stage, found.classes, made.samples, {**record, **found.record, "split": split})
    return Built(dataset=replace(made_there, path=target), skipped=made.skipped)


def _name(item: Item) -> str:
    return str(item.image)


def _state(item: Item) -> str:
    """The item and the state of its files."""
    states = []
    for path in (item.image, item.mask):
        try:
            status = None if path is None else path.stat()
        except OSError:
            status = None
        states.append("" if status is None else f"{path} {status.st_size} {status.st_mtime_ns}")
    return "\0".join([item.id, item.split, item.group, *states])


def with_splits(items: list[Item], shares: Shares) -> tuple[list[Item], str]:
    """Items with a split each, and how it came about.

    The source's own split is kept; where it has none, and for validation where it has only that missing, whole
    groups are shared out by hash.
    """
    if shares.group:
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


@dataclass(frozen=True)
class TakeIn:
    """Read one image and its mask, hold them to the contract, write them into the new folder."""

    stage: Path
    classes: Classes
    paint: Painter | None
    photo: PhotoReader | None
    link: bool

    def __call__(self, item: Item) -> Made:
        """The sample of one item; raises InputError where it breaks the contract."""
        # A photo that is put in later has the suffix that the source says.
        data, suffix = (None, item.image.suffix) if self.photo is None else self.photo(item)
        size_hw = self._size(item, data)
        painted = None
        if self.paint is not None and item.mask is not None:
            painted = self.paint(item, size_hw)
            check_mask(painted.mask_HW, self.classes, name=str(item.mask), size_hw=size_hw)
        sample = store(
            self.stage,
            item.id,
            data,
            suffix,
            None if painted is None else painted.mask_HW,
            self.classes,
            link=item.image if self.link and self.photo is photo_file else None,
            split=item.split,
            group=item.group,
            source=item.image.name,
            height=size_hw[0],
            width=size_hw[1],
            extra=dict(item.extra),
        )
        if painted is None:
            return Made(samples=(sample,))
        tally = {f"{loser} {winner}": pixels for (loser, winner), pixels in painted.contested.items()}
        return Made(samples=(sample,), left_out=painted.left_out, tally=tally)

    def _size(self, item: Item, data: bytes | None) -> tuple[int, int]:
        if data is None:
            assert item.size_hw is not None, "a source without photos declares sizes"
            return item.size_hw
        if item.size_hw is None:
            rows, columns = decode_image(data, item.image).shape[:2]
            return rows, columns
        found = image_size(data, item.image)
        if found != item.size_hw:
            turned = " (made without the rotation in the photo's EXIF data?)" if found == item.size_hw[::-1] else ""
            raise InputError(
                f"{item.image} is {found[1]}x{found[0]} but its annotations are for {item.size_hw[1]}x"
                f"{item.size_hw[0]}{turned}; export them anew, or correct the size there."
            )
        return found


def contested(dataset: Dataset) -> list[dict[str, Any]]:
    """Pixels that two classes claimed when the data set was made, by pair, most first: winner, loser, pixels."""
    path = dataset.path / CONTESTED
    return [{**row, "pixels": int(row["pixels"])} for row in read_csv(path)] if path.is_file() else []


def contested_rows(tally: Mapping[str, int], classes: Classes) -> list[dict[str, Any]]:
    """The rows of `contested.csv`."""
    names = {classes.ignore: "ignore", **dict(enumerate(classes.names))}
    rows = []
    for pair, pixels in sorted(tally.items(), key=lambda entry: (-entry[1], entry[0])):
        loser, winner = (names[int(one)] for one in pair.split())
        rows.append({"winner": winner, "loser": loser, "pixels": pixels})
    return rows
