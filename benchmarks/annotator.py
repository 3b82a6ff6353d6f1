"""The annotator as a person meets it: `maskwright label` as a process, real Chromium, real pointer events.

    python benchmarks/annotator.py label DATASET --images 10 --prompter classical --out FOLDER
    python benchmarks/annotator.py speed --out FOLDER

`label` takes labelled images, hides their masks, and labels them through the page as a simulated person does: for
every object (connected region of a class but the background, at least `--min-area` pixels, largest first) click where
the mask so far is most wrong, at most `--max-clicks` times, until its IoU with the truth is `--good`; Enter; the next
object; Done. Prints, an image: objects, clicks, seconds of the machine (a person's thinking and aiming are not in it),
and the mean IoU over classes of the mask file that is left, against the truth. `speed` prints milliseconds, median and
95th percentile: click to painted candidate at 1024 px, brush frames and undo at 4096 x 4096, image to image at 12
megapixels.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import zlib
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from maskwright.data.clicks.simulate import next_click
from maskwright.data.dataset import Dataset, Sample
from maskwright.data.pixels.parts import labelled_parts
from maskwright.files import require_free, write_json
from maskwright.imageio import read_mask
from maskwright.metrics.counts import confusion, mean_iou
from maskwright.types import Classes, Mask

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PLACE = """([x, y]) => {
  const { left, top } = document.querySelector("#stage").getBoundingClientRect();
  const { scale, tx, ty } = maskwright.app.painter.view;
  return [left + tx + x * scale, top + ty + y * scale];
}"""
FREE = "([x, y]) => document.elementFromPoint(x, y)?.tagName === 'CANVAS'"
CHOOSE = """id => {
  maskwright.app.painter.setClass(id); maskwright.prompting.setClass(id); maskwright.app.emit("class");
}"""
# The chosen candidate as it is on screen.
CHOSEN = """() => {
  const one = maskwright.prompting.session.candidates[maskwright.prompting.session.chosen];
  if (!one) return null;
  let text = "";
  for (let i = 0; i < one.soft.length; i += 8192) text += String.fromCharCode(...one.soft.subarray(i, i + 8192));
  return { x: one.x, y: one.y, w: one.w, h: one.h, soft: btoa(text) };
}"""
PAINTED = """() => {
  const { data } = maskwright.app.painter.plane;
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return btoa(text);
}"""
ENDED = '["empty", "failed"].includes(maskwright.prompting.session.state)'
SETTLED = 'maskwright.prompting.session.state !== "asking"'
# From the pointer's press until the frame that shows the answer is painted: a message comes after a frame's painting.
WATCH = """() => {
  window.waits = [];
  let pressed = 0;
  document.querySelector("#stage").addEventListener("pointerdown", () => { pressed = performance.now(); }, true);
  maskwright.prompting.painter.constructor.prototype.setPreview = ((old) => function (preview) {
    old.call(this, preview);
    const fits = maskwright.prompting.session.state === "answered" && pressed;
    if (preview && fits) {
      const began = pressed; pressed = 0;
      const painted = new MessageChannel();
      painted.port1.onmessage = () => window.waits.push(performance.now() - began);
      requestAnimationFrame(() => painted.port2.postMessage(0));
    }
  })(maskwright.prompting.painter.constructor.prototype.setPreview);
}"""
FRAMES = """() => {
  window.frames = []; let last = performance.now(); window.watching = true;
  const step = (now) => {
    window.frames.push(now - last); last = now;
    if (window.watching) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}"""


def main() -> None:
    """Label or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    label = verbs.add_parser("label")
    label.add_argument("dataset", type=Path)
    label.add_argument("--images", type=int, default=10)
    label.add_argument("--split", default="test")
    label.add_argument("--prompter", default="classical")
    label.add_argument("--min-area", type=int, default=400)
    label.add_argument("--max-clicks", type=int, default=8)
    label.add_argument("--good", type=float, default=0.85)
    label.add_argument("--out", type=Path, required=True)
    speed = verbs.add_parser("speed")
    speed.add_argument("--repeats", type=int, default=20)
    speed.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (label_all if args.verb == "label" else measure)(args)


@contextmanager
def page_on(folder: Path, prompter: str, cache: Path) -> Iterator[Page]:
    """The page of `maskwright label FOLDER`, in a window of 1280 x 800."""
    verb = [sys.executable, "-c", "from maskwright.cli import main; main()", "label", str(folder), "--no-browser"]
    log = (cache / "server.log").open("w")
    server = subprocess.Popen(
        [*verb, "--json", "--port", "0", "--prompter", prompter], stdout=subprocess.PIPE, stderr=log, text=True
    )
    assert server.stdout is not None
    try:
        address = json.loads(server.stdout.readline())["address"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)  # waits are evaluated
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_selector("body[data-ready][data-image]")
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def hidden(data: Dataset, samples: list[Sample], folder: Path) -> Dataset:
    """The images without their masks, as a data set of their own."""
    bare = []
    for sample in samples:
        target = folder / sample.image
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((data.path / sample.image).read_bytes())
        bare.append(Sample(id=sample.id, image=sample.image, height=sample.height, width=sample.width,
                           image_hash=sample.image_hash))  # fmt: skip
    (folder / "masks").mkdir(exist_ok=True)
    return Dataset.create(folder, data.classes, bare, {"from": {"format": "photos"}})


def label_all(args: argparse.Namespace) -> None:
    """Every image through the page, then its file against the truth."""
    data = Dataset.open(args.dataset)
    every = data.labelled(args.split)
    samples = every[:: max(1, len(every) // args.images)][: args.images]
    folder = args.out / "labelled"
    require_free(folder)
    hidden(data, samples, folder)
    rows = []
    with page_on(folder, args.prompter, args.out) as page:
        page.evaluate(WATCH)
        page.keyboard.press("Escape")
        for sample in samples:
            open_image(page, sample.id)
            truth_HW = data.mask(sample)
            began = time.perf_counter()
            objects, clicks = label_one(page, truth_HW, data.classes, args)
            page.keyboard.press("Control+Enter")
            page.wait_for_function("document.querySelector('#save').textContent.trim() === 'All saved'")
            seconds = time.perf_counter() - began
            found_HW = read_mask(folder / "masks" / f"{sample.id}.png", data.classes, sample.size_hw)
            scored = mean_iou(confusion(truth_HW, settled(found_HW, truth_HW, data.classes), len(data.classes)))
            rows.append({"image": sample.id, "objects": objects, "clicks": clicks, "seconds": seconds, "iou": scored})
            print(
                f"{sample.id:30} {objects:3} objects {clicks:4} clicks {seconds:6.1f} s  mean IoU {scored:.3f}",
                flush=True,
            )
        page.screenshot(path=args.out / "page.png")
        waits = page.evaluate("window.waits")
    summary = {
        "images": rows,
        "clicks_an_image": float(np.mean([row["clicks"] for row in rows])),
        "seconds_an_image": float(np.mean([row["seconds"] for row in rows])),
        "mean_iou": float(np.mean([row["iou"] for row in rows])),
        "click_to_paint_ms": percentiles(waits),
    }
    write_json(args.out / "annotator.json", {"arguments": {k: str(v) for k, v in vars(args).items()}, **summary})
    print({name: value for name, value in summary.items() if name != "images"})


def settled(found_HW: Mask, truth_HW: Mask, classes: Classes) -> Mask:
    """What was left unlabelled counts as wrong: it becomes some class that is not the true one."""
    wrong_HW = ((truth_HW.astype(np.int64) + 1) % len(classes)).astype(truth_HW.dtype)
    return np.where(found_HW == classes.ignore, wrong_HW, found_HW)


def label_one(page: Page, truth_HW: Mask, classes: Classes, args: argparse.Namespace) -> tuple[int, int]:
    """All objects of the image on screen; returns how many there were and the clicks they took."""
    parts_HW, area = labelled_parts(truth_HW)
    objects = clicks = 0
    for part in np.argsort(-area):
        object_HW = parts_HW == part
        class_id = int(truth_HW[object_HW][0])
        if area[part] < args.min_area or class_id >= len(classes) or class_id == classes.background:
            continue
        objects += 1
        covered_HW = object_HW & (painted(page, truth_HW.shape) == class_id)
        if iou(object_HW, covered_HW) >= args.good:
            continue
        page.evaluate(CHOOSE, class_id)
        page.evaluate("box => maskwright.app.painter.showBox(box)", around(object_HW))
        # An object before it may have covered a part: that needs no click, and one there would correct that object.
        guess_HW, clicked = covered_HW, []
        for _ in range(args.max_clicks):
            click = next_click(object_HW, guess_HW, clicked=clicked)
            if click is None:
                break
            clicked.append((click.x, click.y))
            asked = page.evaluate("maskwright.prompting.session.sequence")
            page.mouse.click(*reached(page, click.x, click.y), button="left" if click.positive else "right")
            # A click on the mark of an earlier one takes that back, and nothing may be left to ask.
            page.wait_for_function(f"(maskwright.prompting.session.sequence > {asked} && {SETTLED}) || {ENDED}")
            clicks += 1
            guess_HW = shown(page, truth_HW.shape) | covered_HW
            if iou(object_HW, guess_HW) >= args.good:
                break
        page.keyboard.press("Enter")
    return objects, clicks


def reached(page: Page, x: float, y: float) -> list[float]:
    """Where a pixel is on screen; the view moves there where it was out of sight or under the candidates."""
    place: list[float] = page.evaluate(PLACE, [x, y])
    if not page.evaluate(FREE, place):
        page.evaluate("box => maskwright.app.painter.showBox(box)", {"x": x - 60, "y": y - 60, "w": 120, "h": 120})
        place = page.evaluate(PLACE, [x, y])
    return place


def around(object_HW: np.ndarray[Any, Any]) -> dict[str, int]:
    """What a person zooms to for an object: twice its box, at least 120 pixels."""
    x, y, w, h = cv2.boundingRect(object_HW.astype(np.uint8))
    side = max(120, 2 * w, 2 * h)
    left, top = max(0, x + w // 2 - side // 2), max(0, y + h // 2 - side // 2)
    return {"x": left, "y": top, "w": min(side, object_HW.shape[1] - left), "h": min(side, object_HW.shape[0] - top)}


def shown(page: Page, shape_hw: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The candidate on screen at threshold 0.5."""
    mask_HW = np.zeros(shape_hw, np.bool_)
    if one := page.evaluate(CHOSEN):
        soft = np.frombuffer(b64decode(one["soft"]), np.uint8).reshape(one["h"], one["w"])
        mask_HW[one["y"] : one["y"] + one["h"], one["x"] : one["x"] + one["w"]] = soft >= 128
    return mask_HW


def painted(page: Page, shape_hw: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The labels on screen."""
    return np.frombuffer(b64decode(page.evaluate(PAINTED)), np.uint8).reshape(shape_hw)


def iou(truth_HW: np.ndarray[Any, Any], guess_HW: np.ndarray[Any, Any]) -> float:
    union = int((truth_HW | guess_HW).sum())
    return int((truth_HW & guess_HW).sum()) / max(1, union)


def open_image(page: Page, id: str) -> None:
    """Show an image by its id and wait until its labels are there."""
    page.evaluate("id => maskwright.app.open(id)", id)
    page.wait_for_function("id => maskwright.app.loaded === id && document.body.dataset.image === id", arg=id)


def measure(args: argparse.Namespace) -> None:
    """Milliseconds, on photographs that are drawn here."""
    rows: dict[str, dict[str, float]] = {}
    for name, hw, work in (
        ("click to painted candidate, 1024 px", (768, 1024), clicking),
        ("brush frame, 4096 x 4096", (4096, 4096), brushing),
        ("undo of a stroke, 4096 x 4096", (4096, 4096), undoing),
        ("image to image, 12 megapixels", (3000, 4000), turning),
    ):
        folder = args.out / f"{hw[0]}"
        if not folder.exists():
            draw(folder, hw)
        with page_on(folder, "classical", args.out) as page:
            page.evaluate(WATCH)
            rows[name] = percentiles(work(page, hw, args.repeats))
        print(f"{name:40} {rows[name]['p50']:8.1f} {rows[name]['p95']:8.1f} ms", flush=True)
    write_json(args.out / "speed.json", rows)


def clicking(page: Page, hw: tuple[int, int], repeats: int) -> list[float]:
    """Each a new object; the first, for which the image is prepared, is left out."""
    rng = np.random.default_rng(0)
    for turn in range(repeats + 1):
        y, x = (float(rng.uniform(0.1, 0.9) * side) for side in hw)
        page.mouse.click(*page.evaluate(PLACE, [x, y]))
        page.wait_for_function(f"window.waits.length > {turn}")
        page.keyboard.press("Escape")
    return list(page.evaluate("window.waits"))[1:]


def brushing(page: Page, hw: tuple[int, int], repeats: int) -> list[float]:
    """Frames while the brush is down."""
    page.keyboard.press("b")
    rng = np.random.default_rng(0)
    frames: list[float] = []
    for _ in range(repeats):
        points = [page.evaluate(PLACE, [float(x * hw[1]), float(y * hw[0])]) for y, x in rng.uniform(0.1, 0.9, (4, 2))]
        page.mouse.move(*points[0])
        page.mouse.down()
        page.evaluate(FRAMES)
        for point in points[1:]:
            page.mouse.move(*point, steps=30)
        frames += page.evaluate("() => { window.watching = false; return window.frames.slice(1); }")
        page.mouse.up()
    return frames


def undoing(page: Page, hw: tuple[int, int], repeats: int) -> list[float]:
    """The call, which changes the labels and paints; strokes over the whole image."""
    brushing(page, hw, repeats)
    call = "() => { const t = performance.now(); maskwright.app.painter.undo(); return performance.now() - t; }"
    return [page.evaluate(call) for _ in range(repeats)]


def turning(page: Page, hw: tuple[int, int], repeats: int) -> list[float]:
    """From asking to the next picture on screen, 1.5 s after the one before: meanwhile the next one is fetched."""
    wait = """() => new Promise((done) => {
      const began = performance.now(), from = document.body.dataset.image;
      maskwright.app.go(1);
      const look = () => document.body.dataset.image !== from && maskwright.app.loaded === document.body.dataset.image
        ? requestAnimationFrame(() => done(performance.now() - began)) : setTimeout(look, 1);
      look();
    })"""
    times = []
    for _ in range(min(repeats, 10)):
        page.wait_for_timeout(1500)
        times.append(page.evaluate(wait))
    return times


def draw(folder: Path, hw: tuple[int, int]) -> None:
    """Twelve photographs of blobs on cloth, as JPEG."""
    classes, samples = Classes.from_names(["background", "blob"]), []
    for n in range(12 if hw[0] == 3000 else 1):
        rng = np.random.default_rng(n)
        cloth = cv2.resize(rng.normal(120, 25, (hw[0] // 8, hw[1] // 8, 3)).astype(np.float32), hw[::-1])
        for _ in range(30):
            centre, radius = rng.uniform(0, 1, 2) * hw[::-1], rng.uniform(0.02, 0.08) * min(hw)
            cv2.circle(cloth, [int(v) for v in centre], int(radius), rng.uniform(0, 255, 3).tolist(), -1, cv2.LINE_AA)
        encoded = cv2.imencode(".jpg", np.clip(cloth, 0, 255).astype(np.uint8))[1].tobytes()
        path = folder / "images" / f"photo-{n:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded)
        samples.append(
            Sample(
                id=path.stem,
                image=f"images/{path.name}",
                height=hw[0],
                width=hw[1],
                image_hash=f"{zlib.crc32(encoded):032x}",
            )
        )
    (folder / "masks").mkdir()
    Dataset.create(folder, classes, samples, {"from": {"format": "drawn"}})


def percentiles(values: list[float]) -> dict[str, float]:
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95)), "count": len(values)}


if __name__ == "__main__":
    main()
