import assert from "node:assert/strict";
import { test } from "node:test";
import { budgetFacts, budgetSentence, curveLine, durationWords } from "../../src/maskwright/web/static/js/budget.js";
import { chosenRows, countsOf, neighbour, nextUnfinished, updated, windowOf } from "../../src/maskwright/web/static/js/images.js";
import { ACTIONS, actionOf, digitOf, keyOf } from "../../src/maskwright/web/static/js/keymap.js";
import { repeat } from "./random.js";

/** @typedef {import("../../src/maskwright/web/static/js/images.js").Row} Row */
/** @typedef {import("../../src/maskwright/web/static/js/images.js").Status} Status */

/** @param {string} id @param {Status} status @param {number[]} classes @returns {Row} */
const row = (id, status = "unlabelled", classes = []) => ({ id, name: `${id}.jpg`, h: 3, w: 4, status, split: "train", classes, revision: 0, clicks: 0, seconds: 0 });
const rows = [row("road-1", "labelled", [0, 2]), row("road-2", "started", [2]), row("sea-1"), row("sea-2", "skipped"), row("sea-3")];
/** @param {Row[]} found */
const ids = (found) => found.map(({ id }) => id).join(" ");

test("search, status and class narrow the list together", () => {
  assert.equal(ids(chosenRows(rows, { text: "ROAD" })), "road-1 road-2");
  assert.equal(ids(chosenRows(rows, { text: "se 3" })), "sea-3");
  assert.equal(ids(chosenRows(rows, { status: "open" })), "road-2 sea-1 sea-3");
  assert.equal(ids(chosenRows(rows, { classId: 2, status: "labelled" })), "road-1");
  assert.equal(ids(chosenRows(rows, { classId: 7 })), "");
});

test("the suggested order comes first, everything else after it as it was", () => {
  assert.equal(ids(chosenRows(rows, { order: "suggested" }, ["sea-3", "sea-1", "gone"])), "sea-3 sea-1 road-1 road-2 sea-2");
  assert.equal(ids(chosenRows(rows, { order: "suggested" }, null)), ids(rows));
  assert.equal(ids(chosenRows(rows, { order: "status" })), "road-2 sea-1 sea-3 sea-2 road-1");
});

test("the next unfinished image goes round, and is none where all is finished", () => {
  assert.equal(nextUnfinished(rows, null), "road-2");
  assert.equal(nextUnfinished(rows, "sea-1"), "sea-3");
  assert.equal(nextUnfinished(rows, "sea-3"), "road-2");
  assert.equal(nextUnfinished([rows[0], rows[2]], "sea-1"), null);
  assert.equal(nextUnfinished([], null), null);
  assert.equal(neighbour(rows, "sea-3", 1), null);
  assert.equal(neighbour(rows, "not shown", 1), "road-1");
  assert.equal(neighbour(rows, "not shown", -1), "sea-3");
});

test("rows that changed take their place, new ones come last", () => {
  const now = updated(rows, [row("sea-1", "labelled"), row("new")]);
  assert.equal(ids(now), "road-1 road-2 sea-1 sea-2 sea-3 new");
  assert.equal(now[2].status, "labelled");
  assert.deepEqual(countsOf(now), { unlabelled: 2, started: 1, labelled: 2, skipped: 1 });
});

test("every row on screen exists, and few others do", () =>
  repeat(200, ({ whole }) => {
    const [count, height, top, seen] = [whole(10000), 20 + whole(80), whole(900000), 50 + whole(1500)];
    const [first, last] = windowOf(count, height, top, seen);
    assert(0 <= first && first <= last && last <= count);
    assert(last - first <= Math.ceil(seen / height) + 9);
    for (const y of [top, top + seen - 1]) {
      const index = Math.floor(y / height);
      assert(index >= count || (first <= index && index < last));
    }
  }));

test("the budget in words says what is not known yet", () => {
  const none = { labelled: 0, clicks: 0, seconds: 0, median_seconds: null, median_clicks: null, left: 12, hours_left: null };
  assert.equal(budgetSentence(none), "Done: 0 of 12. Time an image: –. Clicks an image: –. Time left: not known yet.");
  const some = { labelled: 4, clicks: 22, seconds: 130, median_seconds: 31.4, median_clicks: 5.25, left: 100, hours_left: 0.87 };
  assert.deepEqual(budgetFacts(some).map(({ value }) => value), ["4 of 104", "31 s", "5.3", "about 52 min"]);
  assert.equal(budgetFacts({ ...some, left: 0 })[3].value, "nothing left");
  assert.deepEqual([5, 89, 600, 7200, 86400].map(durationWords), ["5 s", "89 s", "10 min", "2.0 h", "24 h"]);
  assert.equal(durationWords(NaN), "unknown");
});

test("the learning curve stays in its frame, in order of labels", () => {
  const { places, line, most } = curveLine([{ labelled: 40, score: 1.2, run: "b" }, { labelled: 10, score: 0.5, run: "a" }], 100, 50);
  assert.deepEqual(places.map(({ run }) => run), ["a", "b"]);
  assert.equal(most, 40);
  for (const { x, y } of places) assert(x >= 0 && x <= 100 && y >= 0 && y <= 50);
  assert.equal(line.split(" ").length, 2);
});

test("keys: signs need no Shift, letters do, Ctrl and the Mac's command are one", () => {
  assert.equal(actionOf({ key: "?", shiftKey: true }), "help");
  assert.equal(actionOf({ key: "G", shiftKey: true }), "shrink");
  assert.equal(actionOf({ key: "g" }), "grow");
  assert.equal(actionOf({ key: "z", metaKey: true }), "undo");
  assert.equal(actionOf({ key: "Z", ctrlKey: true, shiftKey: true }), "redo");
  assert.equal(actionOf({ key: "Tab", shiftKey: true }), "previous-candidate");
  assert.equal(actionOf({ key: " ", shiftKey: true }), "press-off");
  assert.equal(actionOf({ key: "3", code: "Digit3" }), "class:2");
  assert.equal(actionOf({ key: "0", code: "Digit0" }), "class:9");
  assert.equal(actionOf({ key: "#", code: "Digit3", shiftKey: true }), "class:12");
  assert.equal(actionOf({ key: "s", ctrlKey: true }), null);
  assert.equal(actionOf({ key: "s", altKey: true }), null);
  assert.deepEqual([0, 8, 9, 10, 25].map(digitOf), ["1", "9", "0", "⇧1", ""]);
});

test("no key has two meanings", () => {
  const keys = ACTIONS.flatMap((action) => action.keys.map((key) => key.toLowerCase()));
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(keyOf("finish"), "Ctrl+Enter");
});
