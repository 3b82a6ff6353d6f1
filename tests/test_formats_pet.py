"""Oxford-IIIT Pet as it is distributed: trimaps, lists, and files that are not what they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import photo
from foreign import bring_in, put
from PIL import Image as PILImage

from maskwright.data.formats import FORMATS
from maskwright.data.formats.listing import Options
from maskwright.imageio import decode_image
from maskwright.types import InputError, Mask

LIST = """#Image CLASS-ID SPECIES BREED ID
#ID: 1:37 Class ids
#SPECIES: 1:Cat 2:Dog
Abyssinian_1 1 1 1
Abyssinian_2 1 1 1
american_bulldog_3 2 2 1
Egyptian_Mau_4 10 1 7
"""


@pytest.fixture
def pets(tmp_path: Path) -> tuple[Path, Mask]:
    source = tmp_path / "pets"
    trimap = np.array([[2, 2, 3, 1], [2, 3, 1, 1]], np.uint8).repeat(8, 0).repeat(8, 1)
    for name, kind in (("Abyssinian_1", "JPEG"), ("Abyssinian_2", "PNG"), ("american_bulldog_3", "JPEG")):
        put(source / "images" / f"{name}.jpg", photo(trimap.shape), kind)
    gif = PILImage.fromarray(photo(trimap.shape)).quantize(64)
    gif.save(source / "images" / "Egyptian_Mau_4.jpg", "GIF")
    for name in ("Abyssinian_1", "Abyssinian_2", "american_bulldog_3", "Egyptian_Mau_4"):
        put(source / "annotations/trimaps" / f"{name}.png", trimap)
        (source / "annotations/trimaps" / f"._{name}.png").write_bytes(b"\x00\x05\x16\x07AppleDouble")
    (source / "images" / "Abyssinian_100.mat").write_bytes(b"MATLAB")
    (source / "annotations/list.txt").write_text(LIST)
    (source / "annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\namerican_bulldog_3 2 2 1\n")
    (source / "annotations/test.txt").write_text("Abyssinian_2 1 1 1\nEgyptian_Mau_4 10 1 7\n")
    return source, trimap


def test_pet_trimaps_become_background_cat_and_dog(pets: tuple[Path, Mask]) -> None:
    source, trimap = pets
    built = bring_in("pet", source)
    assert built.skipped == []
    data = built.dataset
    assert data.classes.names == ["background", "cat", "dog"]
    rows = {s.id: (s.split, dict(s.extra)) for s in data.samples}
    assert rows == {
        "Abyssinian_1": ("train", {"species": "cat", "breed": "Abyssinian"}),
        "Abyssinian_2": ("test", {"species": "cat", "breed": "Abyssinian"}),
        "Egyptian_Mau_4": ("test", {"species": "cat", "breed": "Egyptian_Mau"}),
        "american_bulldog_3": ("train", {"species": "dog", "breed": "american_bulldog"}),
    }
    for sample in data.samples:
        pet = 2 if sample.id[0].islower() else 1
        assert np.array_equal(data.mask(sample), np.array([0, pet, 0, 255], np.uint8)[trimap])


def test_pet_photos_get_the_suffix_of_what_they_are(pets: tuple[Path, Mask]) -> None:
    source, _ = pets
    data = bring_in("pet", source).dataset
    suffixes = {sample.id: Path(sample.image).suffix for sample in data.samples}
    assert suffixes == {
        "Abyssinian_1": ".jpg",
        "Abyssinian_2": ".png",
        "american_bulldog_3": ".jpg",
        "Egyptian_Mau_4": ".png",
    }
    for sample in data.samples:
        path = source / "images" / f"{sample.id}.jpg"
        assert np.array_equal(data.image(sample), decode_image(path.read_bytes(), path))
    assert (data.path / "images/Abyssinian_1.jpg").read_bytes() == (source / "images/Abyssinian_1.jpg").read_bytes()


def test_pet_border_may_be_background_and_species_one_class(pets: tuple[Path, Mask]) -> None:
    source, trimap = pets
    data = bring_in("pet", source, Options(border="background", kind="binary")).dataset
    assert data.classes.names == ["background", "pet"]
    assert all(np.array_equal(data.mask(s), np.array([0, 1, 0, 0], np.uint8)[trimap]) for s in data.samples)
    with pytest.raises(InputError, match="needs 3: background, cat, dog"):
        FORMATS["pet"].read(source, Options(names=("a", "b")))


def test_pet_leaves_out_what_is_not_whole(pets: tuple[Path, Mask]) -> None:
    source, trimap = pets
    put(source / "images/Bengal_1.jpg", photo(trimap.shape))
    put(source / "images/Sphynx_1.jpg", photo(trimap.shape))
    put(source / "annotations/trimaps/Sphynx_1.png", trimap)
    put(source / "annotations/trimaps/Abyssinian_2.png", trimap * 60)
    built = bring_in("pet", source)
    reasons = {Path(row.file).name: row.reason for row in built.skipped}
    assert set(reasons) == {"Bengal_1.jpg", "Sphynx_1.jpg", "Abyssinian_2.jpg"}
    assert "a photo without a trimap" in reasons["Bengal_1.jpg"]
    assert "not in annotations/list.txt" in reasons["Sphynx_1.jpg"]
    assert "1 pet, 2 background, 3 border only" in reasons["Abyssinian_2.jpg"]
    (source / "annotations/list.txt").write_text("Abyssinian_1 1 cat 1\n")
    with pytest.raises(InputError, match=r"list\.txt, line 1: 'Abyssinian_1 1 cat 1' is not"):
        FORMATS["pet"].read(source, Options())
    for file in ("list.txt", "trainval.txt", "test.txt"):
        (source / "annotations" / file).unlink()
    guessed = FORMATS["pet"].read(source, Options())
    assert {item.extra["species"] for item in guessed.items if item.id[0].islower()} == {"dog"}
    assert "capital first letter" in guessed.notes[-1]
    with pytest.raises(InputError, match="not Oxford-IIIT Pet"):
        FORMATS["pet"].read(source / "images", Options())
