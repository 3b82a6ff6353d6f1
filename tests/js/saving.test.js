import assert from "node:assert/strict";
import { test } from "node:test";
import { Activity } from "../../src/maskwright/web/static/js/activity.js";
import { applyTiles, holds, mergedTiles, reconcile, wholeTile } from "../../src/maskwright/web/static/js/merge.js";
import { SaveError, SaveQueue } from "../../src/maskwright/web/static/js/savequeue.js";
import { draws, repeat } from "./random.js";

/** @typedef {import("../../src/maskwright/web/static/js/codec.js").Tile} Tile */

/** @param {number} x @param {number} value @param {number} w @returns {Tile} */
const tile = (x, value, w = 2) => ({ x, y: 0, w, h: 1, data: new Uint8Array(w).fill(value) });

/** A server, a browser's store and a clock that only move when they are told to. */
function bench() {
  const timers = /** @type {{at: number, call: () => void, off?: boolean}[]} */ ([]);
  const state = { now: 0, plane: new Uint8Array(8), revision: 0, broken: /** @type {SaveError|null} */ (null), sent: 0, kept: new Map() };
  /** @type {Tile[]} */
  let dirty = [];
  const queue = new SaveQueue({
    collect: () => ({ id: "a", tiles: dirty.splice(0), clicks: 0, seconds: 0 }),
    send: async (_, { tiles, revision }) => {
      state.sent += 1;
      await null;
      if (state.broken) throw state.broken;
      if (revision !== state.revision) throw new SaveError("It was changed.", 409, state.revision);
      applyTiles(state.plane, 8, tiles);
      state.revision += 1;
      return { revision: state.revision };
    },
    keep: (id, batch) => void state.kept.set(id, structuredClone(batch)),
    drop: (id) => void state.kept.delete(id),
    after: (ms, call) => {
      const timer = { at: state.now + ms, call };
      timers.push(timer);
      return timer;
    },
    cancel: (timer) => { timer.off = true; },
  });
  /** @param {...Tile} tiles */
  const edit = (...tiles) => {
    dirty.push(...tiles);
    queue.touch();
  };
  /** @param {number} ms */
  const pass = async (ms) => {
    state.now += ms;
    for (const timer of timers) {
      if (timer.off || timer.at > state.now) continue;
      timer.off = true;
      timer.call();
    }
    for (let i = 0; i < 30; i += 1) await null;
  };
  return { queue, state, edit, pass };
}

test("an edit is on its way within half a second, and the words say how it stands", async () => {
  const { queue, state, edit, pass } = bench();
  assert.equal(queue.state.words, "All saved");
  edit(tile(0, 5));
  assert.equal(queue.state.words, "Saving …");
  assert(queue.unsaved);
  await pass(500);
  assert.equal(state.plane[1], 5);
  assert.equal(queue.state.words, "All saved");
  assert.equal(queue.revisions.get("a"), 1);
  assert.equal(state.kept.size, 0);
});

test("many edits are one request, one request at a time", async () => {
  const { queue, state, edit, pass } = bench();
  for (let i = 0; i < 20; i += 1) edit(tile(0, i));
  await pass(500);
  assert.equal(state.sent, 1);
  assert.equal(state.plane[0], 19);
  assert.deepEqual(queue.pending("a"), []);
});

test("a full disk is said at once, the work is kept in the browser, and saved when there is room", async () => {
  const { queue, state, edit, pass } = bench();
  state.broken = new SaveError("The disk is full; make room.", 507);
  edit(tile(0, 3));
  await pass(500);
  assert.equal(queue.state.words, "Not saved: the disk is full; make room. Kept in this browser, retrying every 5 s");
  edit(tile(2, 4));
  await pass(500);
  assert.equal(state.sent, 1, "no hammering");
  assert.equal(state.kept.get("a").tiles.length, 2);
  assert.equal(state.kept.get("a").revision, 0);
  state.broken = null;
  await pass(5000);
  assert.deepEqual([...state.plane.slice(0, 4)], [3, 3, 4, 4]);
  assert.equal(queue.state.kind, "saved");
  assert.equal(state.kept.size, 0);
});

test("a server that is gone, and a person who goes on", async () => {
  const { queue, state, edit, pass } = bench();
  state.broken = new SaveError("gone", 0);
  edit(tile(0, 1));
  await pass(500);
  assert(queue.state.words.startsWith("Not saved: the server does not answer"));
  edit(tile(0, 2));
  await pass(500);
  state.broken = null;
  await queue.retry();
  assert.deepEqual([...state.plane.slice(0, 2)], [2, 2]);
  assert(!queue.unsaved);
});

test("another window's save is never overwritten: the queue waits for an answer", async () => {
  const { queue, state, edit, pass } = bench();
  const told = /** @type {any[]} */ ([]);
  queue.addEventListener("conflict", (event) => told.push(/** @type {CustomEvent} */ (event).detail));
  state.revision = 7;
  state.plane.fill(9);
  edit(tile(0, 1));
  await pass(500);
  assert.deepEqual(told, [{ id: "a", revision: 7 }]);
  assert.equal(queue.state.words, "Not saved: changed in another window");
  edit(tile(4, 2));
  await pass(6000);
  assert.equal(state.plane[0], 9);
  assert(queue.unsaved);
  await queue.resolve("a", 7, queue.pending("a"));
  assert.deepEqual([...state.plane], [1, 1, 9, 9, 2, 2, 9, 9]);
  assert.equal(queue.state.kind, "saved");
});

test("dropping mine sends nothing", async () => {
  const { queue, state, edit, pass } = bench();
  state.revision = 3;
  edit(tile(0, 1));
  await pass(500);
  await queue.resolve("a", 3, []);
  assert.equal(state.sent, 1);
  assert.equal(queue.state.kind, "saved");
  assert.equal(state.kept.size, 0);
});

test("whatever fails and when, the server ends with what was painted", async () => {
  for (let seed = 0; seed < 40; seed += 1) await storm(seed);
});

/** @param {number} seed */
async function storm(seed) {
  const { whole, share } = draws(seed);
  const { queue, state, edit, pass } = bench();
  const painted = new Uint8Array(8);
  for (let step = 0; step < 25; step += 1) {
    state.broken = share() < 0.4 ? new SaveError("no", [0, 500, 507][whole(3)]) : null;
    const one = tile(whole(7), 1 + whole(5), 1 + whole(1));
    applyTiles(painted, 8, [one]);
    edit(one);
    await pass(whole(6000));
    if (!queue.edited) assert.deepEqual(applyTiles(state.plane.slice(), 8, queue.pending("a")), painted);
  }
  state.broken = null;
  for (let i = 0; i < 3; i += 1) await pass(5000);
  assert.deepEqual(state.plane, painted);
  assert.equal(queue.state.kind, "saved");
}

test("merging tiles changes nothing but their number", () =>
  repeat(100, ({ whole }) => {
    const draw = () => Array.from({ length: whole(6) }, () => tile(whole(5), whole(9), 1 + whole(3)));
    const [earlier, later] = [draw(), draw()];
    const merged = mergedTiles(earlier, later);
    assert(merged.length <= earlier.length + later.length);
    const [a, b] = [new Uint8Array(8), new Uint8Array(8)];
    assert.deepEqual(applyTiles(a, 8, merged), applyTiles(b, 8, [...earlier, ...later]));
    for (const one of later.slice(-1)) assert(holds(a, 8, one));
  }));

test("what both windows painted is kept, and what both painted differently is counted", () => {
  const base = new Uint8Array(8);
  const mine = Uint8Array.from([1, 1, 0, 0, 2, 2, 0, 0]);
  const theirs = Uint8Array.from([0, 5, 0, 7, 2, 0, 0, 0]);
  const tiles = [tile(0, 1), { x: 2, y: 0, w: 6, h: 1, data: mine.slice(2) }];
  const found = reconcile({ theirs, mine, base, width: 8, tiles });
  assert(!found.same);
  assert.equal(found.contested, 1);
  assert.deepEqual([...found.merged], [1, 1, 0, 7, 2, 2, 0, 0]);
  assert.deepEqual(applyTiles(theirs.slice(), 8, found.missing), found.merged);
  const blind = reconcile({ theirs, mine, base: null, width: 8, tiles: [tile(0, 1)] });
  assert.deepEqual([...blind.merged], [1, 1, 0, 7, 2, 0, 0, 0]);
  assert(reconcile({ theirs: mine.slice(), mine, base, width: 8, tiles }).same);
  assert.deepEqual([...wholeTile(mine, 4).data], [...mine]);
  assert.equal(wholeTile(mine, 4).h, 2);
});

test("only active time counts", () => {
  let now = 0;
  const activity = new Activity({ now: () => now, idle: 10 });
  activity.beat();
  now = 4000;
  activity.beat();
  now = 604000;
  activity.beat();
  activity.click(2);
  assert.deepEqual(activity.take(), { clicks: 2, seconds: 14 });
  activity.pause();
  now = 700000;
  activity.beat();
  assert.deepEqual(activity.take(), { clicks: 0, seconds: 0 });
});
