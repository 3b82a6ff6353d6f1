"""Photos found by the names that annotations have for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import photo, write_shapes

from maskwright.data.doors import Shares, convert_dataset, import_dataset
from maskwright.data.formats.listing import Item, Options
from maskwright.data.formats.photos import Photos, parts_of, unique
from maskwright.imageio import write_image
from maskwright.types import InputError


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, photo())


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/b.jpg", ("a", "b.jpg")),
        ("C:\\a\\b.jpg", ("a", "b.jpg")),
        ("../../etc/passwd", ("etc", "passwd")),
        ("//server/./b.jpg", ("server", "b.jpg")),
        ("Mu\u0308hle.jpg", ("M\u00fchle.jpg",)),
        ("", ()),
        ("..", ()),
    ],
)
def test_paths_of_other_machines(name: str, parts: tuple[str, ...]) -> None:
    assert parts_of(name) == parts


def test_the_way_to_a_photo_chooses_between_namesakes_only(tmp_path: Path) -> None:
    put(tmp_path / "in/day/a.png", tmp_path / "in/night/a.png", tmp_path / "in/b.png", tmp_path / "out/c.png")
    photos = Photos([tmp_path / "in"])
    assert photos.find("/somewhere/night/a.png") == tmp_path / "in/night/a.png"
    assert photos.find("elsewhere/b.png") == tmp_path / "in/b.png"
    assert photos.find("gone.png", "b.png") == tmp_path / "in/b.png"
    for name in ("../out/c.png", str(tmp_path / "out/c.png"), "", ".."):
        assert photos.find(name) is None
    with pytest.raises(InputError, match=r"'a\.png' may be .*day.* or .*night"):
        photos.find("a.png")
    with pytest.raises(InputError, match=r"FILE is about the photo 'x', which is not in .*in; say where"):
        photos.get("x", by="FILE")


def test_ids_are_stems_where_they_are_unique(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("x/a.jpg", "y/a.jpg", "x/b.jpg", "z/c.jpg", "z/c.png", "d.jpg", "d.jpg")]
    items, alone = unique([Item(id="", image=path) for path in paths])
    assert [item.id for item in items] == ["x-a", "y-a", "b"]
    assert sorted(Path(row.file).name for row in alone) == ["c.jpg", "c.png", "d.jpg", "d.jpg"]
    assert unique([]) == ([], [])


@pytest.mark.parametrize("format", ["labelme", "cvat-xml", "labelstudio"])
def test_masks_without_photos(tmp_path: Path, format: str) -> None:
    data = write_shapes(tmp_path / "data", {"train": 2, "val": 1})
    convert_dataset(data, format, tmp_path / "out")
    for path in tmp_path.glob("out/**/*.png"):
        path.unlink()
    options = Options(without_images=True)
    again = import_dataset(format, tmp_path / "out", tmp_path / "again", options=options, shares=Shares(val=0)).dataset
    assert [(s.id, s.split, s.size_hw) for s in again.samples] == [(s.id, s.split, s.size_hw) for s in data.samples]
    assert all(np.array_equal(data.mask(a), again.mask(b)) for a, b in zip(data.samples, again.samples, strict=True))
    assert not list((again.path / "images").iterdir())
