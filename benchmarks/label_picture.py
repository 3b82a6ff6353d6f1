"""The moving picture of the annotator in the README: real clicks in the real page, on photographs of the demo.

    python benchmarks/label_picture.py --out docs/label.gif

Needs chromium. The photographs come inside scikit-image's wheel.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path

import skimage
from annotator import CHOOSE, PLACE, SETTLED, page_on
from PIL import Image
from playwright.sync_api import Page

import maskwright

PHOTOS = ("coffee.png", "coins.png", "rocket.jpg", "moon.png")
CLASSES = ("background", "coffee", "coin", "rocket")
SIZE = (880, 550)
# Per photo: class, then keys, or clicks as shares of width and height, on the object ("+") or off it ("-").
STORY: dict[str, tuple[int, list[tuple[str, float, float] | str]]] = {
    "coffee": (1, [("+", 0.45, 0.42), "Enter"]),
    "coins": (2, [("+", 0.404, 0.17), "Enter", ("+", 0.707, 0.40), "Enter", ("+", 0.553, 0.64), "Enter"]),
    "rocket": (3, [("+", 0.502, 0.55), "Tab", "Enter"]),
}


def main() -> None:
    """Click, accept, next; one frame after each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        for name in PHOTOS:
            shutil.copy(Path(skimage.__file__).parent / "data" / name, photos)
        data = Path(scratch) / "photos-labels"
        maskwright.begin_labelling(photos, classes=CLASSES, out=data)
        with page_on(data, "classical", Path(scratch)) as page:
            frames = story(page)
    small = [frame.resize(SIZE, Image.Resampling.LANCZOS).quantize(64, dither=Image.Dither.NONE) for frame, _ in frames]
    small[0].save(
        args.out, save_all=True, append_images=small[1:], duration=[ms for _, ms in frames], loop=0, optimize=True
    )
    print(f"{args.out}: {len(frames)} frames, {args.out.stat().st_size // 1000} kB")


def story(page: Page) -> list[tuple[Image.Image, int]]:
    """(frame, milliseconds)."""
    frames = []

    def shoot(milliseconds: int) -> None:
        page.wait_for_timeout(250)
        frames.append((Image.open(io.BytesIO(page.screenshot())).convert("RGB"), milliseconds))

    page.locator("#hint button").first.click()
    for id, (class_id, moves) in STORY.items():
        page.evaluate("id => maskwright.app.open(id)", id)
        page.wait_for_function("id => maskwright.app.loaded === id", arg=id)
        page.evaluate(CHOOSE, class_id)
        page.wait_for_timeout(1500)
        shoot(900)
        width, height = page.evaluate("[maskwright.app.painter.imageSize.w, maskwright.app.painter.imageSize.h]")
        for move in moves:
            if isinstance(move, str):
                page.keyboard.press(move)
                shoot(1000)
                continue
            sign, x, y = move
            button = "left" if sign == "+" else "right"
            page.mouse.click(*page.evaluate(PLACE, [x * width, y * height]), button=button)
            page.wait_for_function(f"maskwright.prompting.session.active && {SETTLED}")
            shoot(1300)
    return frames


if __name__ == "__main__":
    main()
