import assert from "node:assert/strict";
import { test } from "node:test";
import { Session, itemWords } from "../../src/maskwright/web/static/js/session.js";

/** @typedef {import("../../src/maskwright/web/static/js/session.js").Item} Item */

/** @param {number} score @param {number} area */
const candidate = (score, area = 4) => ({ x: 0, y: 0, w: 2, h: 2, soft: new Uint8Array(4).fill(200), score, area });
/** @type {Item} */
const on = { kind: "point", x: 3.5, y: 4.5, positive: true };
/** @type {Item} */
const off = { kind: "point", x: 1, y: 1, positive: false };
/** @type {Item} */
const box = { kind: "box", box: [1, 2, 3, 4] };

/** @param {...Item} items */
function begun(...items) {
  const session = new Session();
  session.begin(2);
  for (const item of items) session.add(item);
  return session;
}

test("the newest answer wins, whatever comes late", () => {
  const session = begun(on);
  const first = session.ask();
  session.add(off);
  const second = session.ask();
  assert(!session.answer(first, [candidate(0.1)], 0));
  assert.equal(session.state, "asking");
  assert(session.answer(second, [candidate(0.5), candidate(0.9)], 1));
  assert(!session.answer(first, [candidate(0.1)], 0));
  assert(!session.fail(first, "late"));
  assert.equal(session.accepted?.score, 0.9);
  session.begin(2);
  assert(!session.answer(second, [candidate(0.5)], 0), "an answer for an object that was dropped");
});

test("an empty answer is never shown as one", () => {
  const session = begun(on);
  session.answer(session.ask(), [candidate(0.3, 0)], 0);
  assert.equal(session.state, "failed");
  assert(session.message.startsWith("Nothing was found"));
  const none = begun(on);
  none.answer(none.ask(), [], 0);
  assert.equal(none.accepted, null);
  assert.equal(none.state, "failed");
});

test("while a prompter loads, the question waits", () => {
  const session = begun(on);
  const asked = session.ask();
  assert(session.fail(asked, "The prompter is loading", true));
  assert.equal(session.state, "waiting");
  assert(session.answer(asked, [candidate(0.9)], 0), "the same question, asked again");
  assert.equal(session.state, "answered");
});

test("candidates go round, and hovering chooses nothing", () => {
  const session = begun(on);
  session.answer(session.ask(), [candidate(0.1), candidate(0.2), candidate(0.3)], 2);
  session.cycle(1);
  assert.equal(session.chosen, 0);
  session.cycle(-1);
  assert.equal(session.chosen, 2);
  session.hovered = 1;
  assert.equal(session.shown?.score, 0.2);
  assert.equal(session.accepted?.score, 0.3);
  assert(!session.choose(3));
  assert(!new Session().cycle(1));
});

test("a click after an answer corrects it; after a deletion the prompts speak alone", () => {
  const session = begun(on);
  assert(!session.corrects);
  session.answer(session.ask(), [candidate(0.9)], 0);
  session.add(off);
  assert(session.corrects);
  assert(session.remove("point", 1));
  assert(!session.corrects);
  assert(!session.remove("box", 0));
});

test("prompts are deleted one by one, each kind by its own number", () => {
  const session = begun(on, box, off);
  assert.deepEqual(session.marks, { points: [{ x: 3.5, y: 4.5, positive: true }, { x: 1, y: 1, positive: false }], boxes: [[1, 2, 3, 4]], strokes: [] });
  session.remove("point", 0);
  assert.deepEqual(session.items, [box, off]);
  assert(session.answerable);
  session.answer(session.ask(), [candidate(0.9)], 0);
  session.remove("box", 0);
  assert(!session.answerable);
  assert.equal(session.accepted, null);
  assert(session.removeLast());
  assert(!session.active);
  assert(!session.removeLast());
});

test("only negative prompts are answerable where they correct an accepted mask", () => {
  const session = new Session();
  session.begin(1, { x: 0, y: 0, w: 1, h: 1, mask: new Uint8Array([1]), area: 1 });
  session.add(off);
  assert(session.answerable);
});

test("prompts in words", () => {
  assert.equal(itemWords(on), "On the object at 3, 4");
  assert.equal(itemWords(box), "Box 1, 2, 3, 4");
  assert.equal(itemWords({ kind: "stroke", points: [[1, 1], [2, 2]], positive: false, radius: 3 }), "Stroke off the object, 2 points");
});
