"""Photos that an annotation names as another machine knew them, found again by their names."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from maskwright.console import Skipped
from maskwright.data.formats.listing import SPLIT_NAMES, Item, Options
from maskwright.files import list_files, stem_of
from maskwright.imageio import IMAGE_SUFFIXES
from maskwright.types import InputError

Parts = tuple[str, ...]


class Photos:
    """The photos below some folders, by name.

    Nothing outside these folders is ever found: what a path says before the name only chooses between namesakes.
    Without folders, photos are not looked for and go by the names that the annotation has for them.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(dict.fromkeys(folders))
        self.by_name: defaultdict[str, dict[Path, Parts]] = defaultdict(dict)
        for folder in self.folders:
            for path in list_files(folder, IMAGE_SUFFIXES):
                parts = parts_of(path.relative_to(folder.parent).as_posix())
                self.by_name[parts[-1]].setdefault(path, parts)

    def find(self, *names: str) -> Path | None:
        """The photo that goes by the first of `names` that is known; None where none is.

        Raises InputError where several photos fit equally well.
        """
        for name in names:
            parts = parts_of(name)
            if parts and not self.folders:
                return Path(*parts)
            known = self.by_name.get(parts[-1], {}) if parts else {}
            if not known:
                continue
            fits = {path: _common_end(parts, own) for path, own in known.items()}
            best = [path for path, fit in fits.items() if fit == max(fits.values())]
            if len(best) > 1:
                raise InputError(f"'{name}' may be {best[0]} or {best[1]}; name one folder with --images.")
            return best[0]
        return None

    def get(self, *names: str, by: str) -> Path:
        """`find`, or an InputError that says what was looked for; `by` names the annotation."""
        path = self.find(*names)
        if path is None:
            where = " or ".join(map(str, self.folders))
            raise InputError(f"{by} is about the photo '{names[0]}', which is not in {where}; say where with --images.")
        return path


def photos_of(source: Path, options: Options) -> Photos:
    """The photos of `--images`, else those in and beside a source; with `--no-images` only their names."""
    if options.without_images:
        return Photos([])
    home = source if source.is_dir() else source.parent
    if options.images is None:
        return Photos([home])
    given = options.images if options.images.is_dir() else home / options.images
    if not given.is_dir():
        raise InputError(f"Folder {options.images} does not exist; correct --images.")
    return Photos([given])


def parts_of(name: str) -> Parts:
    """A path of any system without drive, root, '.' and '..', in one Unicode form."""
    path = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/"))
    return tuple(part for part in path.parts if part not in ("/", "//", "..") and not part.endswith(":"))


def split_of(parts: Iterable[str]) -> str:
    """The split that a folder on the way is named after, or ''."""
    return next((SPLIT_NAMES[part.lower()] for part in parts if part.lower() in SPLIT_NAMES), "")


def unique(items: Sequence[Item], *, sized: bool = False) -> tuple[list[Item], list[Skipped]]:
    """Items with ids of their own, and those left out because they share one photo or one id with another.

    An id is the photo's stem, with its folders before it where stems repeat. With `sized`, items without a size are
    left out too.
    """
    if sized:
        known, rest = unique([item for item in items if item.size_hw is not None])
        reason = "says no size, so there is no mask without its photo; leave out --no-images."
        return known, rest + [Skipped(str(i.image), f"{i.image} {reason}") for i in items if i.size_hw is None]
    if not items:
        return [], []
    uses = Counter(item.image for item in items)
    stems = Counter(stem_of(path) for path in uses)
    base = Path(os.path.commonpath([path.parent for path in uses]))
    named = [replace(item, id=_id(item.image, base, alone=stems[stem_of(item.image)] == 1)) for item in items]
    ids = Counter(item.id for item in named)
    alone = [
        Skipped(str(item.mask or item.image), _reason(item, uses[item.image] > 1)) for item in named if ids[item.id] > 1
    ]
    return [item for item in named if ids[item.id] == 1], alone


def _reason(item: Item, same_photo: bool) -> str:
    if same_photo:
        return f"{item.mask or item.image}: the photo {item.image} is annotated more than once; keep one of them."
    return f"{item.image} shares its stem with another photo; rename one, in the annotation as well."


def _id(path: Path, base: Path, *, alone: bool) -> str:
    return stem_of(path) if alone else "-".join([*path.parent.relative_to(base).parts, stem_of(path)])


def _common_end(one: Parts, other: Parts) -> int:
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count
