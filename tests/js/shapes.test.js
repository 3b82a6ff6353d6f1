import assert from "node:assert/strict";
import { test } from "node:test";
import { dabAt, pressed, strokeSpans } from "../../src/maskwright/web/static/js/brush.js";
import { flood, regionOf } from "../../src/maskwright/web/static/js/fill.js";
import { makePlane, maskSpans } from "../../src/maskwright/web/static/js/plane.js";
import { polygonSpans } from "../../src/maskwright/web/static/js/polygon.js";
import { contours } from "../../src/maskwright/web/static/js/outline.js";
import { repeat } from "./random.js";

const [W, H] = [40, 30];

/** @param {(emit: import("../../src/maskwright/web/static/js/plane.js").Emit) => void} draw */
function painted(draw) {
  const mask = new Uint8Array(W * H);
  draw((y, x0, x1) => {
    for (let x = Math.max(0, x0); x < Math.min(W, x1); x++) if (y >= 0 && y < H) mask[y * W + x] = 1;
  });
  return mask;
}

/** @param {(x: number, y: number) => boolean} inside of pixel centres */
const slowly = (inside) => Uint8Array.from({ length: W * H }, (_, i) => (inside((i % W) + 0.5, Math.floor(i / W) + 0.5) ? 1 : 0));

test("a stroke covers the pixels within its radius, and no others", () =>
  repeat(300, ({ between, whole }) => {
    const round = whole(2) === 1;
    const draw = (/** @type {number} */ high) => (round ? whole(high * 2) / 2 : between(-5, high + 5));
    const [a, b] = [{ x: draw(W), y: draw(H) }, { x: draw(W), y: draw(H) }];
    if (whole(5) === 0) Object.assign(b, a);
    const radius = round ? whole(10) + 0.5 : between(0.5, 12);
    const near = (/** @type {number} */ x, /** @type {number} */ y) => {
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      const t = dx || dy ? Math.min(1, Math.max(0, ((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy))) : 0;
      return (x - a.x - t * dx) ** 2 + (y - a.y - t * dy) ** 2 <= radius * radius;
    };
    assert.deepEqual(painted((emit) => strokeSpans(a, b, radius, emit)), slowly(near));
  }));

test("the thinnest brush paints one pixel wherever it clicks, and connected lines", () =>
  repeat(100, ({ between }) => {
    const a = dabAt(between(0, W), between(0, H), 0.5);
    const b = dabAt(between(0, W), between(0, H), 0.5);
    const dot = painted((emit) => strokeSpans(a, a, a.radius, emit));
    assert.equal(dot.reduce((sum, value) => sum + value, 0), 1);
    const line = painted((emit) => strokeSpans(a, b, a.radius, emit));
    const start = line.indexOf(1);
    const found = flood(makePlane(line, W, H), start % W, Math.floor(start / W), true);
    assert.equal(found.area, line.reduce((sum, value) => sum + value, 0));
    assert.equal(line[Math.floor(b.y) * W + Math.floor(b.x)], 1);
  }));

test("pressure makes a brush thinner, never nothing", () => {
  assert.equal(pressed(10, 1), 10);
  assert.equal(pressed(10, 0), 2.5);
  assert.equal(pressed(10, 7), 10);
});

test("a polygon covers what point-in-polygon says, even-odd", () =>
  repeat(200, ({ between, whole }) => {
    const half = whole(2) ? 2 : 1000;
    const points = Array.from({ length: 3 + whole(7) }, () =>
      /** @type {[number, number]} */ ([between(-5, W + 5), between(-5, H + 5)].map((v) => Math.round(v * half) / half)));
    const inside = (/** @type {number} */ x, /** @type {number} */ y) => {
      let odd = false;
      points.forEach(([ax, ay], i) => {
        const [bx, by] = points[(i + 1) % points.length];
        if (ay > y !== by > y && x >= ax + ((y - ay) / (by - ay)) * (bx - ax)) odd = !odd;
      });
      return odd;
    };
    const mask = painted((emit) => polygonSpans(points, H, emit));
    const wrong = slowly(inside).filter((value, i) => value !== mask[i]).length;
    // The order of an edge's ends may round a crossing to the other side of a centre.
    assert(wrong <= (half === 2 ? 1 : 0), `${wrong} pixels differ`);
  }));

test("fewer than three corners are no polygon", () => {
  assert.equal(painted((emit) => polygonSpans([[1, 1], [9, 9]], H, emit)).indexOf(1), -1);
});

test("a flood takes exactly the connected piece", () =>
  repeat(100, ({ mask, whole, share }) => {
    const labels = mask(W, H);
    const [x, y, diagonal] = [whole(W), whole(H), share() < 0.5];
    const expected = new Uint8Array(W * H);
    const stack = [[x, y]];
    while (stack.length) {
      const [px, py] = /** @type {number[]} */ (stack.pop());
      const i = py * W + px;
      if (px < 0 || py < 0 || px >= W || py >= H || expected[i] || labels[i] !== labels[y * W + x]) continue;
      expected[i] = 1;
      for (let dx = -1; dx <= 1; dx++) for (let dy = -1; dy <= 1; dy++) if (diagonal || !dx || !dy) stack.push([px + dx, py + dy]);
    }
    const region = regionOf(flood(makePlane(labels, W, H), x, y, diagonal));
    assert.deepEqual(painted((emit) => maskSpans(region.mask, region, emit)), expected);
    assert.equal(region.area, expected.reduce((sum, value) => sum + value, 0));
  }));

test("contours are where a label ends", () =>
  repeat(50, ({ mask, whole }) => {
    const labels = mask(W, H);
    const reach = 1 + whole(3);
    const box = { x: whole(10), y: whole(10), w: 1 + whole(25), h: 1 + whole(15) };
    const found = contours(labels, W, H, box, reach);
    for (let y = 0; y < box.h; y++) {
      for (let x = 0; x < box.w; x++) {
        const own = labels[(box.y + y) * W + box.x + x];
        let other = false;
        for (let d = -reach; d <= reach; d++) {
          const [column, row] = [box.x + x + d, box.y + y + d];
          if (column >= 0 && column < W && labels[(box.y + y) * W + column] !== own) other = true;
          if (row >= 0 && row < H && labels[row * W + box.x + x] !== own) other = true;
        }
        assert.equal(found[y * box.w + x], other ? 1 : 0);
      }
    }
  }));
