"""nnU-Net v2's raw data sets of photos: `imagesTr`, `labelsTr`, `imagesTs`, `dataset.json`, all PNG.

Source: `documentation/dataset_format.md`, `ignore_label.md`, `manual_data_splits.md` and `NaturalImage2DIO` of
MIC-DKFZ/nnUNet 2.x: label 0 is `background` and nothing else, labels are consecutive, `ignore` is the highest, a
photo is one RGB file `CASE_0000.png`, a label map is `CASE.png` of one channel (a palette would be read as colours).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskwright.console import Skipped
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.index import Renamer
from maskwright.data.formats.listing import FromFile, Item, Listing, Options, each_sample
from maskwright.files import list_files, put_bytes, read_bytes, read_json, write_json
from maskwright.imageio import decode_image, encode_image
from maskwright.png import encode_plane
from maskwright.types import Classes, InputError

ENDINGS = (".png", ".bmp", ".tif")
CHANNELS = {"0": "R", "1": "G", "2": "B"}
OURS = "maskwright"  # a key of dataset.json that nnU-Net does not read: the class table as it was


def read(source: Path, options: Options) -> Listing:
    """Read a `DatasetXXX_Name` folder of two-dimensional images in one file each.

    `splits_final.json` beside `dataset.json` gives train and val (its first fold); `imagesTs` is test, unlabelled
    where `labelsTs` has no file. Raises InputError for volumes, regions and channels in separate files.
    """
    path = source / "dataset.json"
    about = read_json(path)
    if not isinstance(about, dict) or not isinstance(about.get("labels"), dict):
        raise InputError(f"{path} has no labels; is it a dataset.json of nnU-Net version 2?")
    ending = str(about.get("file_ending"))
    if ending not in ENDINGS:
        raise InputError(f"{path}: files end in '{ending}'; only two-dimensional {', '.join(ENDINGS)} can be read.")
    if "dataset" in about:
        raise InputError(f"{path} lists its files itself; put them into imagesTr/ and labelsTr/.")
    ids, classes, ignored = _labels(about, path, options)
    fold, notes = _first_fold(source)
    training = "train" if fold or _files(source / "imagesTs", ending) else ""
    items, alone = [], []
    for side, test in (("Tr", False), ("Ts", True)):
        labels = {file.name: file for file in _files(source / f"labels{side}", ending)}
        for case, files in _cases(_files(source / f"images{side}", ending), ending).items():
            mask = labels.pop(f"{case}{ending}", None)
            if len(files) > 1:
                alone.append(
                    Skipped(str(files[0]), f"{files[0]} is one channel of {len(files)}; join them in one file.")
                )
            elif mask is None and not test:
                alone.append(Skipped(str(files[0]), f"{files[0]} has no label map labels{side}/{case}{ending}."))
            else:
                split = "test" if test else fold.get(case, training)
                items.append(Item(id=case, image=files[0], mask=mask, split=split))
        alone += [Skipped(str(file), f"{file} is a label map without an image.") for file in labels.values()]
    if not items:
        raise InputError(f"{source} holds no case with an image CASE_0000{ending} and a label map CASE{ending}.")
    paint = FromFile(Renamer(ids, classes, Options(ignore_ids=(*options.ignore_ids, *ignored))))
    return Listing(classes=classes, items=items, paint=paint, alone=alone, notes=notes)


def _files(folder: Path, ending: str) -> list[Path]:
    return list_files(folder, frozenset({ending})) if folder.is_dir() else []


def _cases(files: list[Path], ending: str) -> dict[str, list[Path]]:
    cases: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if match := re.fullmatch(rf"(.+)_\d{{4}}{re.escape(ending)}", file.name):
            cases[match[1]].append(file)
    return cases


def _labels(about: Mapping[str, Any], path: Path, options: Options) -> tuple[dict[int, int], Classes, tuple[int, ...]]:
    """Stored label -> class id, the class table, and what is ignored."""
    labels = dict(about["labels"])
    if any(isinstance(value, list) for value in labels.values()):
        raise InputError(f"{path} trains on regions, labels that overlap; give every label one number.")
    if not all(isinstance(value, int) and 0 <= value <= 65535 for value in labels.values()):
        raise InputError(f"{path}: labels must be whole numbers from 0.")
    ignored = tuple(labels.pop(name) for name in ("ignore",) if name in labels)
    if not labels:
        raise InputError(f"{path} names no label; write for example 'background': 0, 'road': 1.")
    if OURS in about and not options.names:
        classes = Classes.from_dict(about[OURS], source=str(path))
        if labels_of(classes) == labels:
            return {stored: new for new, stored in enumerate(numbers_of(classes))}, classes, ignored
    names = sorted(labels, key=lambda name: labels[name])
    if options.names and len(options.names) != len(names):
        raise InputError(f"--classes has {len(options.names)} names, but {path} has {len(names)} labels.")
    classes = Classes.from_names(options.names or names)
    if classes.ignore in labels.values():
        raise InputError(f"{path}: label {classes.ignore} means ignore here; give that class another number.")
    return {labels[name]: new for new, name in enumerate(names)}, classes, ignored


def _first_fold(source: Path) -> tuple[dict[str, str], list[str]]:
    path = source / "splits_final.json"
    if not path.is_file():
        return {}, []
    folds = read_json(path)
    try:
        fold = {str(case): side for side in ("train", "val") for case in folds[0][side]}
    except (TypeError, KeyError, IndexError) as error:
        raise InputError(f"{path} must be a list of folds with train and val ({error!r}).") from error
    return fold, [f"the first of {len(folds)} folds in splits_final.json gives train and val"] if len(folds) > 1 else []


def numbers_of(classes: Classes) -> list[int]:
    """The label of every class id: background 0, the others 1, 2, ... in order."""
    others = [item.id for item in classes.items if item.id != classes.background]
    return [0 if item.id == classes.background else 1 + others.index(item.id) for item in classes.items]


def labels_of(classes: Classes) -> dict[str, int]:
    """`labels` of `dataset.json` without ignore; label 0 is background, also where no class is."""
    named = zip(classes.items, numbers_of(classes), strict=True)
    return {"background": 0} | {item.name: label for item, label in named if item.id != classes.background}


def write(dataset: Dataset, target: Path) -> None:
    """Write a raw data set; `target` should be called `DatasetXXX_Name`.

    Photos become PNG without loss. Train and val go to `imagesTr` with `splits_final.json`, test to `imagesTs` and
    `labelsTs`. Raises InputError where only test images are labelled, or a class has a name that nnU-Net reserves.
    """
    samples = dataset.labelled()
    training = [sample for sample in samples if sample.split != "test"]
    if not training:
        raise InputError(f"{dataset.path} has labelled test images only; nnU-Net needs some to train on.")
    classes = dataset.classes
    for item in classes.items:
        if item.name in ("background", "ignore") and item.id != classes.background:
            raise InputError(f"{dataset.path}: class '{item.name}' has a name that nnU-Net reserves; rename it.")
    labels = labels_of(classes)
    if classes.ignore in labels.values():
        raise InputError(f"{dataset.path}: {len(classes)} classes without a background leave no label for ignore.")
    for side in {_side(sample) for sample in samples}:
        for kind in ("images", "labels"):
            (target / f"{kind}{side}").mkdir(exist_ok=True)
    ignored = each_sample(_WriteCase(dataset.only_table(), target), samples, target)
    if any(ignored):
        labels["ignore"] = max(labels.values()) + 1
    about = {"channel_names": CHANNELS, "labels": labels, "numTraining": len(training), "file_ending": ".png"}
    write_json(target / "dataset.json", {**about, OURS: classes.to_dict()})
    val = [sample.id for sample in training if sample.split == "val"]
    if val:
        train = [sample.id for sample in training if sample.split != "val"]
        write_json(target / "splits_final.json", [{"train": train, "val": val}])


def _side(sample: Sample) -> str:
    return "Ts" if sample.split == "test" else "Tr"


@dataclass(frozen=True)
class _WriteCase:
    """Writes one case and says whether it has ignored pixels."""

    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> bool:
        classes, side = self.dataset.classes, _side(sample)
        photo = self.dataset.path / sample.image
        png = encode_image(decode_image(read_bytes(photo), photo), ".png")
        put_bytes(self.target / f"images{side}" / f"{sample.id}_0000.png", png)
        labels = numbers_of(classes)
        table = np.full(classes.ignore + 1, max(labels) + 1, np.uint16)
        table[: len(labels)] = labels
        mask_HW = self.dataset.mask(sample)
        plane_HW = table[mask_HW]
        if table.max() <= 255:
            plane_HW = plane_HW.astype(np.uint8)
        put_bytes(self.target / f"labels{side}" / f"{sample.id}.png", encode_plane(plane_HW, None))
        return bool((mask_HW == classes.ignore).any())
