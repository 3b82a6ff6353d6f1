"""Predictions as tables, and as files to hand in: areas by class, id planes, run lengths."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.console import track
from maskwright.files import write_through
from maskwright.infer.predicting.outputs.answer import Gathering, Row, count_pixels
from maskwright.types import Classes, Mask

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip file's earliest: the same predictions give the same bytes


def areas_of(mask_HW: Mask, classes: Classes) -> list[dict[str, Any]]:
    """Rows of id, name, pixels and share of the image, one a class, of class ids (H, W)."""
    return _areas(count_pixels(mask_HW, classes), mask_HW.size, classes)


def _areas(pixels: list[int], of: int, classes: Classes) -> list[dict[str, Any]]:
    return [
        {"id": item.id, "name": item.name, "pixels": count, "share": round(count / of, 6)}
        for item, count in zip(classes.items, pixels, strict=True)
    ]


def write_areas(path: Path, of: Gathering) -> None:
    """Write `areas.csv`: image, class, pixels and share of the image, a line for every image and class."""

    def lines() -> Iterator[list[Any]]:
        for row in of.rows:
            for area in _areas(row.pixels, row.height * row.width, of.classes):
                yield [row.name, row.width, row.height, *area.values()]

    _write_csv(path, ["image", "width", "height", "class_id", "class", "pixels", "share"], lines)


def write_runs(path: Path, of: Gathering) -> None:
    """Write `submission.csv`: run lengths of every image and class but the background.

    Pairs of start and length, pixels counted from 1 down the first column, then the second, as Kaggle's competitions
    have them (Airbus, Severstal, TGS); a class that is not in an image has an empty cell.
    """

    def lines() -> Iterator[list[Any]]:
        for row in track(of.rows, "writing submission.csv"):
            mask_HW = of.ids_of(row)
            for class_id in range(len(of.classes)):
                if class_id != of.classes.background:
                    yield [row.name, class_id, start_lengths(mask_HW == class_id)]

    _write_csv(path, ["ImageId", "ClassId", "EncodedPixels"], lines)


def start_lengths(inside_HW: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    """A mask (H, W) as 'start length start length', counted from 1, column by column."""
    flat = np.concatenate([[False], inside_HW.ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges.tolist()))


def write_planes(path: Path, of: Gathering) -> None:
    """Write `submission.npz`: one plane of class ids (H, W) an image, under the image's name."""

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for row in track(of.rows, "writing submission.npz"):
                _add_plane(archive, row, of.ids_of(row))

    write_through(path, write)


def _add_plane(archive: zipfile.ZipFile, row: Row, mask_HW: Mask) -> None:
    info = zipfile.ZipInfo(f"{row.name}.npy", _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(mask_HW), allow_pickle=False)


def _write_csv(path: Path, columns: list[str], lines: Callable[[], Iterator[list[Any]]]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(lines())

    write_through(path, write)
