"""Reading: what comes in is right, or an error names the file and the remedy."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawing import photo
from PIL import Image as PILImage
from PIL import ImageOps

from maskwright.imageio import read_colours, read_image, read_mask, read_plane
from maskwright.types import Classes, Image, InputError

HW = (24, 36)
CLASSES = Classes.from_names(["a", "b", "c"])


def pil(image: Image | None = None) -> PILImage.Image:
    return PILImage.fromarray(photo(HW) if image is None else image)


def encoded(image: PILImage.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refuses(read: Callable[[Path], object], path: Path, says: str) -> None:
    """The error names the file, says what is wrong, and ends as a sentence that holds a remedy."""
    with pytest.raises(InputError, match=says) as caught:
        read(path)
    text = str(caught.value)
    assert str(path) in text
    assert text.endswith(".")
    remedies = ("export", "check", "copy", "cut", "scale", "flatten", "import", "correct", "a mask is", "was expected")
    assert any(word in text for word in remedies), text


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_rotations_are_applied(tmp_path: Path, turn: int, kind: str) -> None:
    source = pil()
    exif = PILImage.Exif()
    exif[0x0112] = turn
    options: dict[str, object] = {"exif": exif.tobytes()} if kind != "TIFF" else {"tiffinfo": {0x0112: turn}}
    if kind in ("JPEG", "WEBP"):
        options["quality"] = 98
    path = tmp_path / f"turned.{kind.lower()}"
    path.write_bytes(encoded(source, kind, **options))
    turned = source.copy()
    turned.getexif()[0x0112] = turn
    expected = np.asarray(ImageOps.exif_transpose(turned))
    image = read_image(path)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("kind", "mode", "tolerance"),
    [
        ("JPEG", "RGB", 4),
        ("JPEG", "L", 4),
        ("JPEG", "CMYK", 6),
        ("PNG", "RGB", 0),
        ("PNG", "L", 0),
        ("PNG", "P", 40),
        ("PNG", "1", 0),
        ("BMP", "RGB", 0),
        ("TIFF", "RGB", 0),
        ("TIFF", "L", 0),
        ("TIFF", "CMYK", 2),
        ("WEBP", "RGB", 12),
        ("PPM", "RGB", 0),
        ("PPM", "L", 0),
    ],
)
def test_every_usual_kind_comes_in_as_rgb(tmp_path: Path, kind: str, mode: str, tolerance: int) -> None:
    source = pil().convert(mode)
    options = {"quality": 98} if kind in ("JPEG", "WEBP") else {}
    path = tmp_path / "photo.image"
    path.write_bytes(encoded(source, kind, **options))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape == (*HW, 3)
    assert np.abs(image.astype(int) - np.asarray(source.convert("RGB"))).max() <= max(tolerance, 0) * 5
    assert np.abs(image.astype(int) - np.asarray(source.convert("RGB"))).mean() <= tolerance


def with_alpha(lowest: int) -> PILImage.Image:
    alpha = np.full(HW, 255, np.uint8)
    alpha[3, 4] = lowest
    return pil(np.dstack([photo(HW), alpha]))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_an_opaque_alpha_channel_is_dropped_and_a_see_through_one_refused(tmp_path: Path, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    opaque, clear = tmp_path / "opaque", tmp_path / "clear"
    opaque.write_bytes(encoded(with_alpha(255), kind, **options))
    clear.write_bytes(encoded(with_alpha(254), kind, **options))
    assert np.array_equal(read_image(opaque), photo(HW))
    refuses(read_image, clear, "see-through")


@pytest.mark.parametrize(("mode", "key"), [("P", 0), ("L", 7), ("RGB", (7, 7, 7))])
def test_a_see_through_colour_is_refused_in_every_mode(tmp_path: Path, mode: str, key: object) -> None:
    pixels = np.full((*HW, 3), 200, np.uint8)
    pixels[:5] = 7
    path = tmp_path / "key.png"
    source = PILImage.fromarray(pixels).convert(mode)
    if mode == "P":
        key = source.getpixel((0, 0))
    path.write_bytes(encoded(source, "PNG", transparency=key))
    refuses(read_image, path, "see-through")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_more_than_8_bits_are_refused_not_squeezed(tmp_path: Path, suffix: str, channels: int) -> None:
    deep = photo(HW).astype(np.uint16) * 257
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), deep if channels == 3 else deep[..., 0])
    refuses(read_image, path, "more than 8 bits")


def test_float_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    pil(photo(HW)[..., 0].astype(np.float32)).save(path)
    refuses(read_image, path, "more than 8 bits")


def phone_jpeg() -> bytes:
    """A JPEG as phones write it: with a small JPEG of its own in the EXIF block."""
    thumbnail = encoded(pil().resize((12, 8)), "JPEG")
    body = encoded(pil(photo((160, 240))), "JPEG", quality=95)
    block = b"Exif\0\0" + thumbnail
    return body[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + body[2:]


FILES: dict[str, Callable[[], bytes]] = {
    "jpg": lambda: encoded(pil(photo((160, 240))), "JPEG", quality=95),
    "progressive.jpg": lambda: encoded(pil(photo((160, 240))), "JPEG", quality=95, progressive=True),
    "phone.jpg": phone_jpeg,
    "cmyk.jpg": lambda: encoded(pil(photo((160, 240))).convert("CMYK"), "JPEG"),
    "png": lambda: encoded(pil(), "PNG"),
    "palette.png": lambda: encoded(pil().convert("P"), "PNG"),
    "bmp": lambda: encoded(pil(), "BMP"),
    "tif": lambda: encoded(pil(), "TIFF"),
    "lzw.tif": lambda: encoded(pil(), "TIFF", compression="tiff_lzw"),
    "webp": lambda: encoded(pil(photo((160, 240))), "WEBP"),
    "ppm": lambda: encoded(pil(), "PPM"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_read_and_a_cut_one_refused(tmp_path: Path, name: str) -> None:
    data = FILES[name]()
    path = tmp_path / f"photo.{name}"
    path.write_bytes(data)
    assert read_image(path).ndim == 3
    for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.97):
        path.write_bytes(data[: max(1, int(len(data) * share))])
        refuses(read_image, path, "truncated|not an image")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", FILES)
def test_any_damage_is_an_input_error_or_an_image(tmp_path: Path, name: str) -> None:
    data = bytearray(FILES[name]())
    rng = np.random.default_rng(5)
    path = tmp_path / "damaged"
    for _ in range(40):
        hurt = data.copy()
        for place in rng.integers(0, min(len(hurt), 300), 4):
            hurt[place] = int(rng.integers(0, 256))
        path.write_bytes(hurt)
        for read in (read_image, read_plane, read_colours):
            with suppress(InputError):
                read(path)


@pytest.mark.parametrize("read", [read_image, read_plane, read_colours])
def test_what_is_no_image_is_refused_by_every_reader(tmp_path: Path, read: Callable[[Path], object]) -> None:
    missing, empty, text = tmp_path / "missing.png", tmp_path / "empty.png", tmp_path / "text.jpg"
    empty.write_bytes(b"")
    text.write_text("this is no photo")
    refuses(read, missing, "does not exist")
    refuses(read, empty, "empty|not an image")
    refuses(read, text, "not an image")
    refuses(read, tmp_path, "folder|directory")


def test_a_truncated_mask_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    data = encoded(pil(photo((90, 90))[..., 0]), "PNG")
    path.write_bytes(data[: len(data) // 2])
    refuses(read_plane, path, "truncated")
    refuses(read_colours, path, "truncated")


@pytest.mark.parametrize("suffix", [".png", ".gif", ".bmp", ".tif", ".pgm"])
def test_masks_of_every_kind_keep_their_stored_values(tmp_path: Path, suffix: str) -> None:
    plane = (np.arange(24 * 36) % 5).reshape(HW).astype(np.uint8)
    image = pil(plane)
    if suffix in (".png", ".gif"):
        image.putpalette([200, 10, 10] * 256)  # the colour says nothing, the index does
    path = tmp_path / f"mask{suffix}"
    image.save(path)
    assert np.array_equal(read_plane(path), plane)


def test_one_bit_and_sixteen_bit_masks(tmp_path: Path) -> None:
    bits = np.zeros(HW, bool)
    bits[2:9, 5:20] = True
    PILImage.fromarray(bits).save(tmp_path / "bits.png")
    plane = read_plane(tmp_path / "bits.png")
    assert plane.flags.writeable
    assert np.array_equal(plane, bits), "white is class 1, not ignore"
    wide = np.arange(24 * 36).reshape(HW).astype(np.uint16) * 70
    for name in ("wide.png", "wide.tif"):
        PILImage.fromarray(wide).save(tmp_path / name)
        assert read_plane(tmp_path / name).dtype == np.uint16
        assert np.array_equal(read_plane(tmp_path / name), wide)


def test_a_grey_mask_saved_as_rgb_is_read_and_a_coloured_one_refused(tmp_path: Path) -> None:
    plane = (np.arange(24 * 36) % 5).reshape(HW).astype(np.uint8)
    grey, coloured = tmp_path / "grey.png", tmp_path / "coloured.png"
    pil(np.dstack([plane] * 3)).save(grey)
    pil().save(coloured)
    assert np.array_equal(read_plane(grey), plane)
    refuses(read_plane, coloured, "'colour' format")
    pil(np.dstack([plane, plane])).save(tmp_path / "la.png")
    refuses(read_plane, tmp_path / "la.png", "mode LA")


def test_colours_of_a_palette_mask_with_transparency(tmp_path: Path) -> None:
    image = PILImage.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "mask.png", transparency=bytes([0, 255, 128]))
    colours = read_colours(tmp_path / "mask.png")
    assert colours.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]


@pytest.mark.parametrize(
    ("pixel", "size_hw", "says"),
    [
        (3, HW, "holds id 3, outside the class table"),
        (1, (36, 24), "EXIF"),
        (1, (10, 10), "36x24 but its image is 10x10"),
    ],
)
def test_a_mask_that_breaks_the_contract_is_refused(
    tmp_path: Path, pixel: int, size_hw: tuple[int, int], says: str
) -> None:
    plane = np.zeros(HW, np.uint8)
    plane[4, 4] = pixel
    plane[5, 5] = 255
    path = tmp_path / "mask.png"
    pil(plane).save(path)
    refuses(lambda p: read_mask(p, CLASSES, size_hw), path, says)
