"""Prediction masks that anybody made: which file belongs to which image, and what may be in it."""

from __future__ import annotations

import io
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwright.data.dataset import Sample
from maskwright.data.pixels.lookup import NOWHERE, ColourTable
from maskwright.files import list_files, read_bytes
from maskwright.imageio import MASK_SUFFIXES, pack_colour, read_colours, read_plane
from maskwright.run import NOT_ARRAYS
from maskwright.types import IGNORE_COLOUR, Classes, Colour, InputError, Mask

SUFFIXES = MASK_SUFFIXES | {".npy"}
# What `maskwright predict` and `maskwright evaluate` write beside the ids.
OTHER_FOLDERS = {"colour", "overlay", "probabilities", "evaluation"}


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Files by sample id, images without one, and files that are named like the same image."""

    files: dict[str, Path]
    missing: list[str]
    twins: dict[str, list[Path]]


def find_predictions(folder: Path, samples: Sequence[Sample]) -> Predictions:
    """Find the prediction of every sample in `folder`, in its `ids/` where it has one, or below it.

    A file belongs to the image whose id, path or name it has, whatever its suffix. Raises InputError where the folder
    holds no masks, or none for these images.
    """
    inside = folder / "ids" if (folder / "ids").is_dir() else folder
    found = [path for path in list_files(inside, SUFFIXES) if path.relative_to(inside).parts[0] not in OTHER_FOLDERS]
    if not found:
        raise InputError(f"{inside} holds no prediction masks; expected PNG, TIFF or .npy files named like the images.")
    by_key: dict[str, list[Path]] = defaultdict(list)
    for path in found:
        place = _plain(path.relative_to(inside).with_suffix("").as_posix())
        for key in {place, PurePosixPath(place).name}:
            by_key[key].append(path)
    of_sample = {sample.id: _first_known(by_key, _keys(sample)) for sample in samples}
    missing = [key for key, paths in of_sample.items() if not paths]
    if len(missing) == len(samples):
        raise InputError(
            f"{inside} has no prediction for any of {len(samples)} images; a mask is named like its image, "
            f"as {samples[0].id}.png, but the first one here is {found[0].name}."
        )
    return Predictions(
        files={key: paths[0] for key, paths in of_sample.items() if len(paths) == 1},
        missing=missing,
        twins={key: paths for key, paths in of_sample.items() if len(paths) > 1},
    )


def _first_known(by_key: Mapping[str, list[Path]], keys: Sequence[str]) -> list[Path]:
    return next((by_key[key] for key in keys if key in by_key), [])


def _keys(sample: Sample) -> list[str]:
    """Names that a prediction of this sample may have, the surest first."""
    keys = [_plain(sample.id)]
    for text in (sample.image, sample.source):
        path = PurePosixPath(_plain(text)).with_suffix("") if text else PurePosixPath(keys[0])
        inner = path.relative_to("images") if path.is_relative_to("images") else path
        keys += [inner.as_posix(), inner.name]
    return list(dict.fromkeys(keys))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def read_prediction(path: Path, classes: Classes, truth_HW: Mask) -> Mask:
    """Class ids (H, W) of a prediction: an id PNG, a picture in the table's colours, or an array of ids (.npy).

    Raises InputError naming the file where it cannot be read, is not as large as the image, holds ids or colours
    outside the table, or has no class at a labelled pixel: leaving out the hard ones would raise every score.
    """
    ids = read_ids(path) if path.suffix.lower() == ".npy" else read_picture(path, classes)
    if ids.shape != truth_HW.shape:
        size, wanted = (f"{shape[-1]}x{shape[0]}" for shape in (ids.shape, truth_HW.shape))
        raise InputError(f"{path} is {size} but its image is {wanted}; write predictions at the image's size.")
    allowed = (ids >= 0) & (ids < len(classes))
    nothing = ids == classes.ignore
    if not (allowed | nothing).all():
        strangers = np.unique(ids[~(allowed | nothing)])
        listed = ", ".join(map(str, strangers[:5])) + (", ..." if len(strangers) > 5 else "")
        raise InputError(f"{path} holds id {listed}, outside the class table 0..{len(classes) - 1}; write its ids.")
    if count := int((nothing & (truth_HW != classes.ignore)).sum()):
        raise InputError(
            f"{path} has no class (id {classes.ignore}) at {count:,} labelled pixels; predict a class everywhere."
        )
    return ids.astype(classes.dtype)


def read_ids(path: Path) -> NDArray[Any]:
    """A .npy file of whole numbers, (H, W)."""
    try:
        array = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except NOT_ARRAYS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as an array ({error}); write class ids with numpy.save.") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "uibf":
        found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive"
        raise InputError(f"{path} holds {found}; write one plane of class ids, (rows, columns).")
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        raise InputError(f"{path} holds fractions; write class ids, the argmax of the probabilities.")
    return array.astype(np.int64)


def read_picture(path: Path, classes: Classes) -> Mask:
    """Ids of a grey or palette picture as stored; of a colour picture by the class table's colours."""
    colours = {pack_colour(item.colour): item.id for item in classes.items}
    try:
        ids = read_plane(path)
    except InputError:
        pixels_HW3 = read_colours(path)  # where the file is damaged, this says so again
        found, strangers = ColourTable({pack_colour(IGNORE_COLOUR): classes.ignore} | colours).ids_of(pixels_HW3)
        if strangers:
            red, green, blue = pixels_HW3[found == NOWHERE][0]
            raise InputError(
                f"{path} holds the colour {red},{green},{blue}, which is not in the class table; "
                "write class ids, or exactly the table's colours."
            ) from None
        require_distinct(path, classes)
        return found
    if ids.max(initial=0) < len(classes) or len(colours) < len(classes):
        return ids
    # A picture of a grey class alone, such as (60, 60, 60), looks like one of ids.
    found, strangers = ColourTable(colours).ids_of(read_colours(path))
    return ids if strangers else found


def require_distinct(path: Path, classes: Classes) -> None:
    """Raise where two classes have one colour."""
    seen: dict[Colour, str] = {}
    for item in classes.items:
        if item.colour in seen:
            raise InputError(f"{path} is in colours, but {seen[item.colour]} and {item.name} have the same; write ids.")
        seen[item.colour] = item.name
