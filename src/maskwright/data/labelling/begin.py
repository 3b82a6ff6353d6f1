"""From a folder, of photos or a data set, to a data set that can be labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset
from maskwright.data.doors import Shares, init_dataset
from maskwright.files import list_files
from maskwright.imageio import IMAGE_SUFFIXES
from maskwright.types import Classes, InputError

CLASSES = ("background", "object")
_ENOUGH = 20  # photos, below which none is set aside for a test


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The data set to label; `made` where it is new, with the photos that were left out."""

    path: Path
    made: bool
    skipped: list[Skipped]


def begin_labelling(path: str | Path, *, classes: Sequence[str] = (), out: str | Path | None = None) -> Begun:
    """The data set at `path`, or one made of the photos there: in `out`, beside them as PHOTOS-labels if left out.

    The same folder of photos again is the same data set again. `classes` are names for a new data set. Photos of
    more than 8 bits a channel are scaled to 8. Raises InputError for a folder without photos, and for classes that
    an existing data set does not have.
    """
    path = Path(path)
    photos = path.resolve()
    is_data = (path / "dataset.yaml").is_file()
    if is_data and out is not None:
        raise InputError(f"{path} is a data set already; leave out --out.")
    target = path if is_data else Path(out) if out is not None else path.parent / f"{photos.name}-labels"
    if (target / "dataset.yaml").is_file():
        known = Dataset.open(target).classes.names
        if other := [name for name in classes if name.strip() not in known]:
            raise InputError(
                f"{target} has no class '{other[0]}' (it has {', '.join(known)}); add classes in the page."
            )
        return Begun(path=target, made=False, skipped=[])
    count = len(list_files(path, IMAGE_SUFFIXES))
    shares = Shares() if count >= _ENOUGH else Shares(val=0.2 if count > 1 else 0.0, test=0.0)
    built = init_dataset(path, target, Classes.from_names(classes or CLASSES), shares=shares, scale_deep=True)
    return Begun(path=target, made=True, skipped=built.skipped)
