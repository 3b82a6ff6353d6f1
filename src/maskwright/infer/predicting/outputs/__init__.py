"""What predictions are written as: files for each image, and one file for all of them, in two visible dicts.

To add one: write a function and a line below. The function of `EACH` returns the bytes of one image's file, OUT/KIND/
NAME + suffix; that of `GATHERED` writes one file for all images and may ask for the class ids of each again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwright.infer.predicting.outputs.answer import Answer, Gathering
from maskwright.infer.predicting.outputs.coco import write_coco
from maskwright.infer.predicting.outputs.pictures import colour, ids, overlay, probabilities
from maskwright.infer.predicting.outputs.polygons import geojson, labelme
from maskwright.infer.predicting.outputs.tables import write_areas, write_planes, write_runs
from maskwright.types import InputError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Each:
    """A file for each image."""

    suffix: str
    encode: Callable[[Answer], bytes]


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A file for all images; `looks` where it needs their class ids, which are written then."""

    file: str
    write: Callable[[Path, Gathering], None]
    looks: bool = True


EACH: dict[str, Each] = {
    "ids": Each(suffix=".png", encode=ids),
    "colour": Each(suffix=".png", encode=colour),
    "overlay": Each(suffix=".jpg", encode=overlay),
    "probabilities": Each(suffix=".npz", encode=probabilities),
    "labelme": Each(suffix=".json", encode=labelme),
    "geojson": Each(suffix=".geojson", encode=geojson),
}
GATHERED: dict[str, Gathered] = {
    "coco": Gathered(file="coco.json", write=write_coco),
    "areas": Gathered(file="areas.csv", write=write_areas, looks=False),
    "npz": Gathered(file="submission.npz", write=write_planes),
    "csv": Gathered(file="submission.csv", write=write_runs),
}
DEFAULT = ("ids", "colour", "overlay")
DEFAULT_OF_CLIPS = ("overlay",)


def check_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once; raises InputError for an unknown one, or none at all."""
    for name in names:
        if name not in EACH and name not in GATHERED:
            raise unknown_name("output", name, [*EACH, *GATHERED])
    if not names:
        raise InputError(f"Name what to write: {', '.join([*EACH, *GATHERED])}.")
    return tuple(dict.fromkeys(names))


def each_of(names: Sequence[str]) -> tuple[str, ...]:
    """The files for each image among the outputs named, and the class ids where a gathered file is made of them."""
    needed = [name for name in names if name in EACH]
    looked = any(name in GATHERED and GATHERED[name].looks for name in names)
    return tuple(dict.fromkeys([*needed, *(["ids"] if looked else [])]))
