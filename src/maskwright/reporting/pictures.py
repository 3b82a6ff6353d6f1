"""Pictures inside a page, as data URIs: as they are, or smaller where a page has many."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from pathlib import Path

import cv2
import numpy as np

from maskwright.files import read_bytes

_PICTURE = re.compile(r'<img\s[^>]*?src="data:image/[a-z]+;base64,([^"]*)"[^>]*>')
QUALITY = 75


def embedded(path: Path) -> str:
    """A JPEG or PNG as a data URI."""
    kind = "png" if path.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{b64encode(read_bytes(path)).decode()}"


def smaller(html: str, side_px: int) -> str:
    """The same page with no picture larger than so many pixels a side; what is smaller already stays as it is."""

    def shrunk(match: re.Match[str]) -> str:
        image_HW3 = cv2.imdecode(np.frombuffer(b64decode(match[1]), np.uint8), cv2.IMREAD_COLOR)
        if image_HW3 is None or max(image_HW3.shape) <= side_px:
            return match[0]
        scale = side_px / max(image_HW3.shape)
        size = (max(1, round(image_HW3.shape[1] * scale)), max(1, round(image_HW3.shape[0] * scale)))
        small_HW3 = cv2.resize(image_HW3, size, interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".jpg", small_HW3, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        return re.sub('src="[^"]*"', f'src="data:image/jpeg;base64,{b64encode(encoded.tobytes()).decode()}"', match[0])

    return _PICTURE.sub(shrunk, html)


def limited(html: str, most: int) -> str:
    """The same with at most so many bytes of pictures, the first ones; a line of text stands for each of the others."""
    room = most

    def kept(match: re.Match[str]) -> str:
        nonlocal room
        room -= len(match[0])
        return match[0] if room >= 0 else '<span class="gone">picture: see the report of this run alone</span>'

    return _PICTURE.sub(kept, html)
