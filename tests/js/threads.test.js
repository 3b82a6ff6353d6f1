import assert from "node:assert/strict";
import { test } from "node:test";
import * as commands from "../../src/maskwright/web/static/js/commands.js";
import { flood, regionOf } from "../../src/maskwright/web/static/js/fill.js";
import { History } from "../../src/maskwright/web/static/js/history.js";
import { Labour } from "../../src/maskwright/web/static/js/labour.js";
import { makePlane } from "../../src/maskwright/web/static/js/plane.js";
import { candidatesOf } from "../../src/maskwright/web/static/js/regions.js";
import { Thread, answerWith } from "../../src/maskwright/web/static/js/thread.js";
import { repeat } from "./random.js";

const page = /** @type {any} */ (globalThis);
const RULES = { classes: [0, 1, 2].map((id) => ({ id, name: `class ${id}`, colour: [0, 0, 0] })), ignore: 255, locks: new Set([2]) };

/** A worker in this thread: messages are cloned and come later, as between two. */
class Beside {
  /** @type {(event: any) => void} */ onmessage = () => {};
  /** @type {((event: any) => void) | null} */ onerror = null;
  ended = false;

  /** @param {any} scope */
  constructor(scope) {
    this.scope = scope;
    scope.postMessage = (/** @type {any} */ data) => this.later(() => this.onmessage({ data }), data);
  }

  /** @param {any} data */
  postMessage(data) {
    const copy = structuredClone(data);
    this.later(() => this.scope.onmessage({ data: copy }), null);
  }

  /** @param {() => void} call @param {any} data that must be cloneable */
  later(call, data) {
    structuredClone(data);
    setTimeout(() => this.ended || call(), 1);
  }

  terminate() {
    this.ended = true;
  }
}

/** @param {Record<string, import("../../src/maskwright/web/static/js/thread.js").Job>} jobs */
function threadWith(jobs) {
  page.self = {};
  answerWith(jobs);
  const scope = page.self;
  return new Thread(() => /** @type {any} */ (new Beside(scope)), ({ message, status }) => Object.assign(new Error(message), { status }));
}

test("a call to another thread is answered, refused, ended or stopped", async () => {
  const thread = threadWith({
    double: ({ n }) => ({ value: 2 * n }),
    fails: () => { throw Object.assign(new Error("no such image"), { status: 404 }); },
    waits: (_, signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("ended")))),
    never: () => new Promise(() => {}),
  });
  assert.deepEqual(await Promise.all([1, 2, 3].map((n) => thread.ask("double", { n }))), [2, 4, 6]);
  await assert.rejects(thread.ask("fails", {}), /no such image/);
  await thread.ask("fails", {}).catch((error) => assert.equal(error.status, 404));
  const ending = new AbortController();
  const asked = thread.ask("waits", {}, { signal: ending.signal });
  setTimeout(() => ending.abort(), 5);
  await assert.rejects(asked, /ended/);
  const left = thread.ask("never", {});
  thread.close();
  await assert.rejects(left, /stopped/);
  assert.equal(await thread.ask("double", { n: 5 }), 10);
});

/** A plane of 2.2 megapixels with some boxes: more than is done in place. */
function large() {
  const [w, h] = [1600, 1400];
  const data = new Uint8Array(w * h).fill(255);
  for (let y = 100; y < 900; y++) data.fill(1, y * w + 200 + (y % 7), y * w + 1200);
  for (let y = 300; y < 400; y++) data.fill(2, y * w + 900, y * w + 1400);
  return new History(makePlane(data, w, h));
}

/** @param {Uint8Array | Uint16Array} a @param {Uint8Array | Uint16Array} b */
const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);

test("commands on a large mask do elsewhere what they do here", async () => {
  page.self = {};
  await import("../../src/maskwright/web/static/js/masks.thread.js");
  const scope = page.self;
  let broken = false;
  page.Worker = class extends Beside {
    constructor() {
      super(scope);
      if (broken) setTimeout(() => this.onerror?.({ preventDefault() {} }), 1);
    }
  };
  const labour = new Labour();
  /** @type {[import("../../src/maskwright/web/static/js/labour.js").Name, any[]][]} */
  const all = [["smooth", [1, 2]], ["grow", [1, 3, "all"]], ["fill", [5, 5, 0, "all"]], ["fillHoles", [1]], ["relabel", [1]]];
  const [there, here] = [large(), large()];
  const first = there.plane.data.slice();
  for (const [name, values] of all) {
    const found = labour.run(there, name, RULES, values);
    assert(typeof found !== "number" && labour.busy, "it is done elsewhere");
    assert.equal(await found, /** @type {any} */ (commands)[name](here, RULES, ...values), name);
    assert(same(there.plane.data, here.plane.data), name);
  }
  assert.deepEqual(await labour.region(there, 3, 3), regionOf(flood(here.plane, 3, 3, true)));
  assert.deepEqual(await labour.preview(there, 0, 2), commands.smoothPreview(here, 0, 2));
  while (there.undo());
  assert(same(there.plane.data, first), "undo brings back what was there");

  const [one, two] = [labour.run(there, "grow", RULES, [1, 3, "all"]), labour.run(there, "relabel", RULES, [1])];
  await new Promise((done) => setTimeout(done, 0));
  assert(labour.stop() && !labour.busy && !labour.stop());
  assert.deepEqual(await Promise.all([one, two]), [null, null]);
  assert(same(there.plane.data, first), "what was stopped changed nothing");

  broken = true;
  assert.equal(await labour.run(there, "relabel", RULES, [1]), commands.relabel(large(), RULES, 1));
  await labour.settled;
});

test("a plane of labels as candidates is that plane again", () =>
  repeat(30, ({ mask, whole }) => {
    const [w, h] = [1 + whole(12), 1 + whole(9)];
    const plane = mask(w, h).map((value) => (value ? 255 : whole(3)));
    const again = new Uint8Array(w * h).fill(255);
    for (const { x, y, w: wide, h: tall, soft, classId } of candidatesOf(plane, w, [0, 1, 2])) {
      assert(soft.some((value, i) => value && i % wide === 0) && soft.some((value, i) => value && i % wide === wide - 1));
      for (let i = 0; i < wide * tall; i++) if (soft[i]) again[(y + Math.floor(i / wide)) * w + x + (i % wide)] = classId;
    }
    assert.deepEqual(again, plane);
  }));
