import assert from "node:assert/strict";
import { test } from "node:test";
import * as commands from "../../src/maskwright/web/static/js/commands.js";
import { candidateRegion, levelOf, permissions, unite } from "../../src/maskwright/web/static/js/compose.js";
import { History } from "../../src/maskwright/web/static/js/history.js";
import { grown, reachOf, shrunk, smoothed } from "../../src/maskwright/web/static/js/morph.js";
import { boundsOf, makePlane } from "../../src/maskwright/web/static/js/plane.js";
import { holesOf, specksOf } from "../../src/maskwright/web/static/js/regions.js";
import { repeat } from "./random.js";

const [W, H] = [31, 23];
const CLASSES = [0, 1, 2].map((id) => ({ id, name: `class ${id}`, colour: [0, 0, 0], priority: [1, 1, 5][id] }));
const RULES = { classes: CLASSES, ignore: 255, locks: new Set() };

/** @param {(x: number, y: number) => boolean} at */
const drawn = (at) => Uint8Array.from({ length: W * H }, (_, i) => (at(i % W, Math.floor(i / W)) ? 1 : 0));
/** @param {Uint8Array} mask @param {number} value @param {number} x @param {number} y @param {number} radius */
const near = (mask, value, x, y, radius) =>
  mask.some((v, i) => v === value && ((i % W) - x) ** 2 + (Math.floor(i / W) - y) ** 2 <= radius * radius);
/** @param {number[] | Uint8Array} labels @param {number} w @param {number} h */
const plane = (labels, w, h) => new History(makePlane(Uint8Array.from(labels), w, h));

test("growing and shrinking are distances", () =>
  repeat(60, ({ mask, between, whole }) => {
    const ones = mask(W, H);
    const radius = whole(2) ? 1 + whole(6) : between(0.3, 6);
    assert.deepEqual(grown(ones, W, H, radius), drawn((x, y) => near(ones, 1, x, y, radius)));
    assert.deepEqual(shrunk(ones, W, H, radius), drawn((x, y) => ones[y * W + x] === 1 && !near(ones, 0, x, y, radius)));
    const closed = shrunk(grown(ones, W, H, radius), W, H, radius);
    assert(ones.every((value, i) => closed[i] >= value), "closing loses nothing");
  }));

test("smoothing is a Gaussian blur at one half", () =>
  repeat(12, ({ mask, between }) => {
    const ones = mask(W, H);
    const sigma = between(0.4, 3);
    const reach = reachOf(sigma);
    const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const fast = smoothed(ones, W, H, sigma);
    const within = (/** @type {number} */ v, /** @type {number} */ limit) => Math.min(limit - 1, Math.max(0, v));
    drawn((x, y) => {
      let value = 0;
      weights.forEach((wx, i) => weights.forEach((wy, j) => {
        value += (wx * wy * ones[within(y + j - reach, H) * W + within(x + i - reach, W)]) / total ** 2;
      }));
      if (Math.abs(value - 0.5) > 1e-5) assert.equal(fast[y * W + x], value > 0.5 ? 1 : 0, `x ${x}, y ${y}, ${value}`);
      return false;
    });
  }));

test("smoothing works across blocks", () => {
  const side = 400;
  const disc = Uint8Array.from({ length: side * side }, (_, i) => (Math.hypot((i % side) - 200, Math.floor(i / side) - 200) < 150 ? 1 : 0));
  const after = smoothed(disc, side, side, 2);
  const wrong = after.reduce((sum, value, i) => sum + (value !== disc[i] ? 1 : 0), 0);
  assert(wrong < 200, `${wrong} pixels of a large disc changed`);
});

/**
 * Pieces the slow way: every pixel's lowest reachable index.
 * @param {Uint8Array} mask @param {boolean} corners
 */
function pieces(mask, corners) {
  const names = Int32Array.from(mask, (value, i) => (value ? i : -1));
  for (let changed = true; changed; ) {
    changed = false;
    names.forEach((name, i) => {
      if (name < 0) return;
      for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) {
        const [x, y] = [(i % W) + dx, Math.floor(i / W) + dy];
        if (x < 0 || y < 0 || x >= W || y >= H || (!corners && dx && dy)) continue;
        const other = names[y * W + x];
        if (other >= 0 && other < names[i]) [names[i], changed] = [other, true];
      }
    });
  }
  return names;
}

test("specks are small connected pieces", () =>
  repeat(40, ({ mask, whole }) => {
    const ones = mask(W, H);
    const least = 1 + whole(12);
    const names = pieces(ones, true);
    const area = (/** @type {number} */ name) => names.filter((other) => other === name).length;
    assert.deepEqual(specksOf(ones, W, least), ones.map((value, i) => (value && area(names[i]) < least ? 1 : 0)));
  }));

test("holes are what no path leads out of", () =>
  repeat(40, ({ mask }) => {
    const ones = mask(W, H);
    const names = pieces(ones.map((value) => 1 - value), false);
    const open = new Set(names.filter((_, i) => i < W || i >= W * (H - 1) || i % W === 0 || i % W === W - 1));
    assert.deepEqual(holesOf(ones, W, H), ones.map((value, i) => (!value && !open.has(names[i]) ? 1 : 0)));
  }));

test("specks and smoothed edges go to their surroundings, not to nothing", () => {
  const labels = new Uint8Array(20 * 20).fill(2);
  labels.fill(0, 0, 200);
  labels[15 * 20 + 10] = 0;
  const history = plane(labels, 20, 20);
  assert.equal(commands.dropSpecks(history, RULES, 0, 5), 1);
  assert.equal(history.plane.data[15 * 20 + 10], 2);
  history.plane.data[9 * 20 + 5] = 2;
  assert(commands.smooth(history, RULES, 2, 1.5) > 0);
  assert(history.plane.data.every((label) => label === 0 || label === 2));
});

test("priority decides, the newer wins among equals, and locks hold", () => {
  const soft = new Uint8Array(4).fill(255);
  const candidate = { x: 0, y: 0, w: 4, h: 1, soft, threshold: 0.5, classId: 1 };
  const after = (/** @type {object} */ options, locks = new Set()) => {
    const history = plane([0, 1, 2, 255], 4, 1);
    commands.commit(history, { ...RULES, locks }, candidate, options);
    return [...history.plane.data];
  };
  assert.deepEqual(after({}), [1, 1, 2, 1]);
  assert.deepEqual(after({ over: "all" }), [1, 1, 1, 1]);
  assert.deepEqual(after({ over: "unlabelled" }), [0, 1, 2, 1]);
  assert.deepEqual(after({ over: "all" }, new Set([0])), [0, 1, 1, 1]);
  assert.deepEqual(after({ over: "all" }, new Set([1])), [0, 1, 2, 255]);
  assert.deepEqual(after({ over: "all" }, new Set([255])), [1, 1, 1, 255]);
  assert.equal(permissions(RULES, 255, "priority")[0], 0);
});

test("a corrected region gives up what its new candidate has not", () => {
  const history = plane([1, 1, 1, 0, 1], 5, 1);
  const replacing = { x: 0, y: 0, w: 3, h: 1, mask: Uint8Array.of(1, 1, 1), area: 3 };
  const candidate = { x: 1, y: 0, w: 3, h: 1, soft: Uint8Array.of(200, 0, 200), threshold: 0.5, classId: 1 };
  assert.equal(commands.commit(history, RULES, candidate, { replacing }), 3);
  assert.deepEqual([...history.plane.data], [255, 1, 255, 1, 1]);
  history.undo();
  assert.deepEqual([...history.plane.data], [1, 1, 1, 0, 1]);
});

test("the image's border takes nothing from a class that shrinks", () => {
  const history = plane(new Uint8Array(100), 10, 10);
  assert.equal(commands.shrink(history, RULES, 0, 3), 0);
});

test("a threshold means in the page what it means in Python", () => {
  // max(1, round(threshold * 255 + 0.5)) there, which rounds halves to even.
  assert.deepEqual([0.001, 0.01, 0.2, 0.4, 0.5, 0.6, 0.8, 0.99].map(levelOf), [1, 3, 52, 102, 128, 154, 204, 253]);
  const soft = Uint8Array.of(127, 128, 129);
  assert.deepEqual([...candidateRegion({ x: 0, y: 0, w: 3, h: 1, soft, threshold: 0.5, classId: 0 }).mask], [0, 1, 1]);
});

test("candidates unite by the larger probability", () => {
  const part = { y: 0, h: 1, w: 2, threshold: 0.3, classId: 2 };
  const both = unite([{ ...part, x: 0, soft: Uint8Array.of(10, 20) }, { ...part, x: 1, soft: Uint8Array.of(5, 30) }]);
  assert.deepEqual([both.x, both.w, [...both.soft], both.threshold], [0, 3, [10, 20, 30], 0.3]);
  assert.throws(() => unite([]), /no candidate/);
});

test("bounds are tight", () => {
  const labels = new Uint8Array(W * H).fill(9);
  labels[3 * W + 4] = labels[7 * W + 20] = 1;
  assert.deepEqual(boundsOf(makePlane(labels, W, H), 1), { x: 4, y: 3, w: 17, h: 5 });
  assert.equal(boundsOf(makePlane(labels, W, H), 2), null);
});
