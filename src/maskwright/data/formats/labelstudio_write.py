"""Data sets as Label Studio tasks with brush regions, to be imported there and read back here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import msgspec
import numpy as np

from maskwright.data.dataset import Dataset, Sample
from maskwright.data.formats.labels import IGNORE, write_table
from maskwright.data.formats.listing import each_sample
from maskwright.data.pixels.brush import labelstudio_from_mask
from maskwright.files import explained, put_bytes, read_bytes, write_text
from maskwright.types import IGNORE_COLOUR, Classes


def write(dataset: Dataset, target: Path) -> None:
    """Write `tasks.json`, the labelling set-up `label_config.xml` and the photos in `images/`.

    Every class of a photo is one brush region; ignored pixels have the label 'ignore', background has none. The split
    is a column of the task's data.
    """
    write_table(dataset, target)
    (target / "images").mkdir(exist_ok=True)
    write_text(target / "label_config.xml", label_config(dataset.classes))
    path = target / "tasks.json"
    samples = dataset.labelled()
    tasks = each_sample(_Task(dataset.only_table(), target), samples, target)
    with explained(path), path.open("wb") as file:
        for number, task in enumerate(tasks):
            file.write(b",\n" if number else b"[\n")
            file.write(f'{{"id":{number + 1},{task.removeprefix("{")}'.encode())
        file.write(b"\n]\n")


def label_config(classes: Classes) -> str:
    """The labelling set-up: the brush, and a label a class."""
    rows = [(item.name, item.colour) for item in classes.items if item.id != classes.background]
    labels = "".join(
        f'    <Label value={quoteattr(name)} background="#{bytes(colour).hex()}"/>\n'
        for name, colour in [*rows, (IGNORE, IGNORE_COLOUR)]
    )
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <BrushLabels name="label" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
    )


@dataclass(frozen=True)
class _Task:
    dataset: Dataset
    target: Path

    def __call__(self, sample: Sample) -> str:
        """Copy the photo; the task as JSON, for its numbers are many."""
        source = self.dataset.path / sample.image
        put_bytes(self.target / "images" / source.name, read_bytes(source))
        classes, mask_HW = self.dataset.classes, self.dataset.mask(sample)
        regions = [
            _region(IGNORE if value == classes.ignore else classes.names[value], mask_HW == value, number)
            for number, value in enumerate(np.unique(mask_HW).tolist())
            if value != classes.background
        ]
        data = {"image": f"/data/local-files/?d=images/{quote(source.name)}", "split": sample.split}
        task = {"data": data, "annotations": [{"result": regions, "was_cancelled": False}]}
        return msgspec.json.encode(task).decode()


def _region(label: str, inside_HW: Any, number: int) -> Mapping[str, Any]:
    rows, columns = inside_HW.shape
    return {
        "id": f"region-{number}",
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": columns,
        "original_height": rows,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": labelstudio_from_mask(inside_HW), "brushlabels": [label]},
    }
