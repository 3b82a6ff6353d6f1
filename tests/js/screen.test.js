import assert from "node:assert/strict";
import { test } from "node:test";
import { HATCHES, colourTable, cssColour, hatchTable, heatTable, inkOn, luminance, suggestColour, swatch } from "../../src/maskwright/web/static/js/colours.js";
import { markAt } from "../../src/maskwright/web/static/js/marks.js";
import { makePlane } from "../../src/maskwright/web/static/js/plane.js";
import { gridOf, paintHatched, paintOutline, paintPlain, screenBox, thumbnail } from "../../src/maskwright/web/static/js/raster.js";
import { LARGEST_SCALE, clampView, fitView, panBy, pinch, showView, toImage, toScreen, zoomAt } from "../../src/maskwright/web/static/js/view.js";
import { repeat } from "./random.js";

/** @param {number} a @param {number} b */
const close = (a, b) => assert(Math.abs(a - b) < 1e-6, `${a} is not ${b}`);

test("screen and image are each other's inverse, and zoom keeps what is under the pointer", () =>
  repeat(100, ({ between }) => {
    const view = { scale: between(0.05, 20), tx: between(-500, 500), ty: between(-500, 500) };
    const screen = { x: between(0, 900), y: between(0, 600) };
    const back = toScreen(view, toImage(view, screen));
    close(back.x, screen.x);
    close(back.y, screen.y);
    const zoomed = zoomAt(view, between(0.2, 5), screen);
    close(toImage(zoomed, screen).x, toImage(view, screen).x);
    close(toImage(zoomed, screen).y, toImage(view, screen).y);
  }));

test("what is under two fingers stays under them", () =>
  repeat(50, ({ between }) => {
    const view = { scale: between(0.1, 5), tx: between(-99, 99), ty: between(-99, 99) };
    const a = { x: between(0, 300), y: between(0, 300) };
    const b = { x: a.x + between(20, 200), y: a.y + between(20, 200) };
    const [factor, dx, dy] = [between(0.5, 2), between(-50, 50), between(-50, 50)];
    const moved = (/** @type {{x: number, y: number}} */ { x, y }) => ({ x: x * factor + dx, y: y * factor + dy });
    const after = pinch(view, [a, b], [moved(a), moved(b)]);
    for (const finger of [a, b]) close(toImage(after, moved(finger)).x, toImage(view, finger).x);
  }));

test("the image never gets lost", () =>
  repeat(100, ({ between, whole }) => {
    const image = { w: 1 + whole(9000), h: 1 + whole(9000) };
    const stage = { w: 50 + whole(2000), h: 50 + whole(1200) };
    const wild = panBy(zoomAt(fitView(image, stage), between(0.001, 1000), { x: 0, y: 0 }), between(-1e5, 1e5), between(-1e5, 1e5));
    const { scale, tx, ty } = clampView(wild, image, stage);
    assert(scale <= LARGEST_SCALE && scale > 0);
    assert(tx < stage.w && ty < stage.h && tx + image.w * scale > 0 && ty + image.h * scale > 0);
    const fitted = fitView(image, stage);
    assert.deepEqual(clampView(fitted, image, stage), fitted);
  }));

test("a box that is shown is in the middle", () => {
  const { scale, tx, ty } = showView({ x: 100, y: 50, w: 10, h: 10 }, { w: 800, h: 600 }, 50);
  assert.equal(scale, 50);
  assert.deepEqual([tx + 105 * scale, ty + 55 * scale], [400, 300]);
});

test("painting a part gives what painting all gives", () =>
  repeat(40, ({ between, whole, mask, pick }) => {
    const [w, h] = [60, 40];
    const plane = makePlane(mask(70, 50), 70, 50);
    const view = { scale: between(0.3, 4), tx: between(-60, 30), ty: between(-60, 30) };
    const grid = gridOf(view, plane, w, h);
    const table = { plain: new Uint32Array(256).map((_, i) => i + 1), inked: new Uint32Array(256).map((_, i) => i + 1001) };
    const hatches = hatchTable([{ id: 1, name: "", colour: [0, 0, 0] }], false);
    const paint = pick([
      (/** @type {any} */ box, /** @type {any} */ to) => paintPlain(plane, grid, box, table.plain, to),
      (/** @type {any} */ box, /** @type {any} */ to) => paintHatched(plane, grid, box, table, hatches, to),
      (/** @type {any} */ box, /** @type {any} */ to) => paintOutline(plane, grid, box, table.plain, 0, to),
    ]);
    const whole32 = { pixels: new Uint32Array(w * h), stride: w };
    paint({ x: 0, y: 0, w, h }, whole32);
    const change = { x: whole(60), y: whole(40), w: 1 + whole(10), h: 1 + whole(10) };
    for (let y = change.y; y < change.y + change.h; y++) plane.data.fill(1, y * 70 + change.x, y * 70 + change.x + change.w);
    const box = screenBox(view, change, grid, 3);
    if (box.w && box.h) paint(box, whole32);
    const again = { pixels: new Uint32Array(w * h), stride: w };
    paint({ x: 0, y: 0, w, h }, again);
    assert.deepEqual(whole32.pixels, again.pixels);
  }));

test("every screen pixel shows the label under it, and nothing beyond the image", () => {
  const plane = makePlane(Uint8Array.of(1, 2, 3, 4), 2, 2);
  const pixels = new Uint32Array(36).fill(99);
  const grid = gridOf({ scale: 2, tx: 1, ty: 1 }, plane, 6, 6);
  paintPlain(plane, grid, { x: 0, y: 0, w: 6, h: 6 }, Uint32Array.from({ length: 256 }, (_, i) => i * 10), { pixels, stride: 6 });
  assert.deepEqual([...pixels.subarray(0, 18)], [0, 0, 0, 0, 0, 0, 0, 10, 10, 20, 20, 0, 0, 10, 10, 20, 20, 0]);
  assert.equal(thumbnail(plane, new Uint32Array(256), 1).data.length, 4);
});

test("classes differ without colour, unlabelled pixels are clear, doubt gets lighter", () => {
  assert.equal(new Set(HATCHES.map(String)).size, HATCHES.length);
  const table = colourTable([{ id: 3, name: "", colour: [10, 20, 30] }], false, 0.5);
  assert.deepEqual([...new Uint8Array(table.plain.buffer, 12, 4)], [10, 20, 30, 128]);
  assert.equal(table.plain[255], 0);
  const light = Array.from(heatTable(1), (pixel) => luminance([pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255]));
  assert(light.every((value, i) => !i || value >= light[i - 1]));
  assert.deepEqual([cssColour([255, 0, 10]), inkOn([255, 255, 0]), inkOn([0, 0, 80])], ["#ff000a", "#000", "#fff"]);
  assert.notEqual(String(suggestColour([[230, 97, 0]])), "230,97,0");
  assert.equal(swatch(2, [1, 2, 3], 8).data.length, 256);
});

test("a click hits the mark that is drawn there", () => {
  const marks = {
    points: [{ x: 10, y: 10, positive: true }], boxes: [[20, 20, 60, 50]],
    strokes: [{ points: [[70, 10], [90, 10]], positive: true, radius: 2 }],
  };
  const view = { scale: 2, tx: 5, ty: 5 };
  assert.deepEqual(markAt(marks, view, { x: 28, y: 24 }), { what: "point", index: 0 });
  assert.deepEqual(markAt(marks, view, { x: 45, y: 70 }), { what: "box", index: 0 });
  assert.deepEqual(markAt(marks, view, { x: 165, y: 27 }), { what: "stroke", index: 0 });
  assert.equal(markAt(marks, view, { x: 85, y: 75 }), null);
});
