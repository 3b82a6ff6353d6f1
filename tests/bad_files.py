"""Ways to spoil one pair of photo and mask, each with what the error must say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from drawing import photo, shapes
from PIL import Image as PILImage

from maskwright.imageio import write_image

HW = (48, 64)


def pair(root: Path, name: str, seed: int = 0, suffix: str = ".jpg") -> tuple[Path, Path]:
    image, mask = shapes(seed, HW)
    image_path, mask_path = root / "images" / f"{name}{suffix}", root / "masks" / f"{name}.png"
    write_image(image_path, image)
    PILImage.fromarray(mask).save(mask_path)
    return image_path, mask_path


def mask_of_another_size(root: Path) -> Path:
    _, mask = pair(root, "bad")
    PILImage.fromarray(np.zeros((20, 30), np.uint8)).save(mask)
    return mask


def mask_not_turned_with_its_photo(root: Path) -> Path:
    image, mask = pair(root, "bad")
    turned(image)
    return mask


def turned(path: Path) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = 6
    PILImage.fromarray(photo(HW)).save(path, exif=exif.tobytes())


def id_outside_the_table(root: Path) -> Path:
    _, mask = pair(root, "bad")
    PILImage.fromarray(np.full(HW, 9, np.uint8)).save(mask)
    return mask


def truncated_jpeg(root: Path) -> Path:
    image, _ = pair(root, "bad")
    image.write_bytes(image.read_bytes()[:700])
    return image


def truncated_mask(root: Path) -> Path:
    _, mask = pair(root, "bad")
    mask.write_bytes(mask.read_bytes()[:90])
    return mask


def empty_file(root: Path) -> Path:
    image, _ = pair(root, "bad")
    image.write_bytes(b"")
    return image


def text_named_jpg(root: Path) -> Path:
    image, _ = pair(root, "bad")
    image.write_text("no photo")
    return image


def sixteen_bits(root: Path) -> Path:
    image, _ = pair(root, "bad", suffix=".png")
    assert cv2.imwrite(str(image), photo(HW).astype(np.uint16) * 257)
    return image


def see_through(root: Path) -> Path:
    image, _ = pair(root, "bad", suffix=".png")
    alpha = np.full((*HW, 1), 120, np.uint8)
    PILImage.fromarray(np.concatenate([photo(HW), alpha], axis=2)).save(image)
    return image


def colour_mask(root: Path) -> Path:
    _, mask = pair(root, "bad")
    PILImage.fromarray(photo(HW)).save(mask)
    return mask


BAD: dict[Callable[[Path], Path], str] = {
    mask_of_another_size: "30x20 but its image is 64x48; export the mask",
    mask_not_turned_with_its_photo: "EXIF rotation",
    id_outside_the_table: "holds id 9, outside the class table 0..2 .*--ignore 9",
    truncated_jpeg: "truncated",
    truncated_mask: "truncated",
    empty_file: "is empty; copy or export",
    text_named_jpg: "not an image that can be read; export",
    sixteen_bits: "more than 8 bits a channel; scale",
    see_through: "see-through pixels.*flatten",
    colour_mask: "colour picture.*'colour' format",
}
