import assert from "node:assert/strict";
import { test } from "node:test";
import * as commands from "../../src/maskwright/web/static/js/commands.js";
import { strokeSpans } from "../../src/maskwright/web/static/js/brush.js";
import { permissions } from "../../src/maskwright/web/static/js/compose.js";
import { History, pack, unpack } from "../../src/maskwright/web/static/js/history.js";
import { makePlane } from "../../src/maskwright/web/static/js/plane.js";
import { repeat } from "./random.js";

/** @typedef {ReturnType<typeof import("./random.js").draws>} Draws */

const ROWS = [0, 1, 2, 3].map((id) => ({ id, name: `class ${id}`, colour: [id, 0, 0], priority: id === 3 ? 2 : 1 }));

/** @param {Draws} draw @param {boolean} wide */
function canvas({ whole, mask }, wide) {
  const [w, h] = [200 + whole(150), 200 + whole(150)];
  const data = wide ? new Uint16Array(w * h).fill(65535) : new Uint8Array(w * h).fill(255);
  for (let id = 0; id < 3; id++) mask(w, h).forEach((value, i) => value && (data[i] = wide ? 300 + id : id));
  return new History(makePlane(data, w, h));
}

/** @param {History} history @param {Draws} draw @param {import("../../src/maskwright/web/static/js/compose.js").Rules} rules @param {number} shift */
function anything(history, draw, rules, shift) {
  const { whole, between, pick, mask } = draw;
  const { width, height } = history.plane;
  const label = pick([rules.ignore, ...[0, 1, 2, 3].map((id) => id + shift)]);
  const over = pick(["all", "priority", "unlabelled"]);
  const [w, h] = [1 + whole(90), 1 + whole(90)];
  const box = { x: whole(width - w), y: whole(height - h), w, h };
  return pick([
    () => {
      history.begin("brush");
      const allowed = permissions(rules, label, over);
      let pixels = 0;
      const spot = () => ({ x: between(-20, width + 20), y: between(-20, height + 20) });
      strokeSpans(spot(), spot(), between(0.5, 40), (y, x0, x1) => (pixels += history.span(y, x0, x1, label, allowed)));
      if (whole(4)) history.end();
      else history.abort();
      return history.open ? pixels : null;
    },
    () => commands.commit(history, rules, { ...box, soft: mask(w, h).map((v) => v * 255), threshold: 0.5, classId: label }, { over }),
    () => commands.grow(history, rules, label, between(0.5, 9), over),
    () => commands.shrink(history, rules, label, between(0.5, 9)),
    () => commands.smooth(history, rules, label, between(0.5, 4)),
    () => commands.fillHoles(history, rules, label),
    () => commands.dropSpecks(history, rules, label, 1 + whole(40)),
    () => commands.fill(history, rules, whole(width), whole(height), label, over),
    () => commands.relabel(history, rules, pick([null, shift, 1 + shift]), pick([rules.ignore, label])),
    () => commands.copyFrom(history, rules, canvasLike(history, draw, shift), { over }),
  ])();
}

/** @param {History} history @param {Draws} draw @param {number} shift */
function canvasLike({ plane }, { mask }, shift) {
  const other = plane.data.slice();
  mask(plane.width, plane.height).forEach((value, i) => value && (other[i] = 1 + shift));
  return other;
}

test("undo after any list of commands restores the plane, redo brings it back, and every save is complete", () =>
  repeat(40, (draw) => {
    const wide = draw.whole(3) === 0;
    const shift = wide ? 300 : 0;
    const history = canvas(draw, wide);
    const { data, width } = history.plane;
    const locks = new Set(draw.whole(2) ? [shift + draw.whole(4)] : []);
    const rules = { classes: ROWS.map((row) => ({ ...row, id: row.id + shift })), ignore: wide ? 65535 : 255, locks };
    const saved = data.slice();
    const states = [data.slice()];
    const locked = data.map((label) => (locks.has(label) ? 1 : 0));
    for (let k = 0; k < 12; k++) {
      const before = data.slice();
      const told = anything(history, draw, rules, shift);
      const changed = Array.from(data).filter((label, i) => label !== before[i]).length;
      if (told !== null) assert((told === 0) === (changed === 0), `told ${told} pixels, changed ${changed}`);
      if (changed) states.push(data.slice());
      assert.deepEqual(data.map((label) => (locks.has(label) ? 1 : 0)), locked, "a locked class gained or lost pixels");
      if (draw.whole(3)) continue;
      for (const { x, y, w, h, data: labels } of history.dirty.take()) {
        for (let row = 0; row < h; row++) saved.set(labels.subarray(row * w, (row + 1) * w), (y + row) * width + x);
      }
      assert.deepEqual(saved, data.slice());
    }
    for (let k = states.length - 2; k >= 0; k--) {
      assert(history.undo() !== null);
      assert.deepEqual(data.slice(), states[k]);
    }
    assert.equal(history.undo(), null);
    for (const state of states.slice(1)) {
      assert(history.redo() !== null);
      assert.deepEqual(data.slice(), state);
    }
    assert.equal(history.canRedo, false);
  }));

test("a new command forgets what was undone", () => {
  const history = new History(makePlane(new Uint8Array(100), 10, 10));
  const free = new Uint8Array(256).fill(1);
  for (const label of [1, 2]) {
    history.begin("brush");
    history.span(3, 0, 10, label, free);
    history.end();
  }
  history.undo();
  history.begin("brush");
  history.span(4, 0, 10, 7, free);
  assert.equal(history.end(), true);
  assert.equal(history.canRedo, false);
  assert.equal(history.undo(), "brush");
  assert.equal(history.plane.data[30], 1);
});

test("a command that changes nothing leaves no step", () => {
  const history = new History(makePlane(new Uint8Array(100), 10, 10));
  history.begin("brush");
  assert.equal(history.span(3, 0, 10, 0, new Uint8Array(256).fill(1)), 0);
  assert.equal(history.span(-1, 0, 10, 1, new Uint8Array(256).fill(1)), 0);
  assert.equal(history.end(), false);
  assert.equal(history.canUndo, false);
  assert.equal(history.dirty.size, 0);
  assert.throws(() => history.span(3, 0, 10, 1, new Uint8Array(256).fill(1)), /begin/);
});

test("tiles as runs come back as they were, and are small where labels are calm", () =>
  repeat(200, ({ whole, share }) => {
    const wide = share() < 0.5;
    const length = 1 + whole(2000);
    const calm = share();
    const labels = wide ? new Uint16Array(length) : new Uint8Array(length);
    for (let i = 0; i < length; i++) labels[i] = i && share() < calm ? labels[i - 1] : whole(wide ? 65536 : 256);
    const packed = pack(labels, length);
    const back = wide ? new Uint16Array(length) : new Uint8Array(length);
    unpack(packed, back);
    assert.deepEqual(back, labels);
    assert(packed.byteLength <= labels.byteLength);
    assert.equal(pack(labels.fill(7), length).byteLength, Math.min(4, labels.byteLength));
  }));

test("a thousand strokes on sixteen megapixels stay under 20 MB of history", () => {
  const history = new History(makePlane(new Uint8Array(4096 * 4096).fill(255), 4096, 4096));
  const free = new Uint8Array(256).fill(1);
  for (let k = 0; k < 1000; k++) {
    history.begin("brush");
    const a = { x: (k * 997) % 4096, y: (k * 613) % 4096 };
    strokeSpans(a, { x: a.x + 60, y: a.y + 40 }, 30, (y, x0, x1) => history.span(y, x0, x1, k % 5, free));
    history.end();
  }
  assert(history.bytes < 20e6, `${history.bytes} bytes`);
});

test("what could not be saved is saved next time", () => {
  const history = new History(makePlane(new Uint8Array(600 * 600), 600, 600));
  history.begin("brush");
  history.span(300, 0, 600, 1, new Uint8Array(256).fill(1));
  history.end();
  const [tile, ...others] = history.dirty.take();
  assert.deepEqual([tile.x, tile.y, tile.w, tile.h, others.length], [0, 256, 600, 256, 0]);
  assert.equal(history.dirty.take().length, 0);
  history.dirty.addBox(tile);
  assert.equal(history.dirty.take()[0].w, 600);
});
