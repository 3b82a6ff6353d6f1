// What is not saved yet, by image: one request at a time, every edit on its way within half a second, nothing dropped.

import { mergedTiles } from "./merge.js";

/** @typedef {import("./codec.js").Tile} Tile */
/** @typedef {{revision: number, tiles: Tile[], clicks: number, seconds: number, status?: string}} Batch */
/** @typedef {{revision: number, status?: string}} Saved */
/** @typedef {{kind: "saved"|"edited"|"saving"|"failed"|"conflict", words: string, reason?: string}} SaveState */
/** @typedef {{
 *   collect: () => {id: string, tiles: Tile[], clicks: number, seconds: number}|null,
 *   send: (id: string, batch: Batch) => Promise<Saved>,
 *   keep: (id: string, batch: Batch) => Promise<void>|void,
 *   drop: (id: string) => Promise<void>|void,
 *   after?: (ms: number, call: () => void) => unknown,
 *   cancel?: (timer: any) => void,
 * }} Doors */

/** An answer of the server that is no success; `status` 0 when there was none. */
export class SaveError extends Error {
  /** @param {string} message @param {number} status @param {number|null} revision */
  constructor(message, status, revision = null) {
    super(message);
    this.status = status;
    this.revision = revision;
  }
}

export const SAVE_MS = 400;
export const RETRY_MS = 5000;

/** Events: `state` (its words changed), `saved` {id, tiles, revision, status}, `conflict` {id, revision}, `failed` {status}. */
export class SaveQueue extends EventTarget {
  /** @param {Doors} doors */
  constructor(doors) {
    super();
    this.doors = doors;
    this.after = doors.after ?? ((ms, call) => setTimeout(call, ms));
    this.cancel = doors.cancel ?? ((timer) => clearTimeout(timer));
    /** @type {Map<string, Batch>} */
    this.waiting = new Map();
    /** @type {Map<string, number>} */
    this.revisions = new Map();
    /** @type {Map<string, number>} ids that somebody else changed, with the newest revision */
    this.conflicts = new Map();
    /** @type {{id: string, batch: Batch}|null} */
    this.flight = null;
    this.timer = /** @type {any} */ (null);
    this.pause = /** @type {any} */ (null);
    this.edited = false;
    this.failure = /** @type {SaveError|null} */ (null);
    this.said = "";
  }

  /** An edit was made: collect it soon. */
  touch() {
    this.edited = true;
    if (this.timer === null) this.timer = this.after(SAVE_MS, () => this.flush());
    this.tell();
  }

  /** Collect what was edited and send it, now. */
  flush() {
    if (this.timer !== null) this.cancel(this.timer);
    this.timer = null;
    this.edited = false;
    const found = this.doors.collect();
    if (found && (found.tiles.length || found.clicks || found.seconds >= 1)) this.push(found.id, found);
    return this.pump();
  }

  /**
   * Add changes of an image.
   * @param {string} id @param {{tiles: Tile[], clicks?: number, seconds?: number}} change
   */
  push(id, { tiles, clicks = 0, seconds = 0 }) {
    const before = this.waiting.get(id);
    const revision = this.revisions.get(id) ?? 0;
    const batch = before
      ? { ...before, tiles: mergedTiles(before.tiles, tiles), clicks: before.clicks + clicks, seconds: before.seconds + seconds }
      : { revision, tiles, clicks, seconds };
    this.waiting.set(id, batch);
    this.remember(id);
  }

  /**
   * Everything of an image that the server has not confirmed, in writing order.
   * @param {string} id @returns {Tile[]}
   */
  pending(id) {
    const flying = this.flight?.id === id ? this.flight.batch.tiles : [];
    return mergedTiles(flying, this.waiting.get(id)?.tiles ?? []);
  }

  /**
   * The image is to have this status once its changes are saved.
   * @param {string} id @param {string} status
   */
  wish(id, status) {
    this.push(id, { tiles: [] });
    /** @type {Batch} */ (this.waiting.get(id)).status = status;
    return this.pump();
  }

  /**
   * Resolves as soon as no request of this image is on its way.
   * @param {string} id @returns {Promise<void>}
   */
  settled(id) {
    if (this.flight?.id !== id) return Promise.resolve();
    return new Promise((resolve) => this.addEventListener("settled", () => resolve(this.settled(id)), { once: true }));
  }

  /** @param {string} id */
  remember(id) {
    const tiles = this.pending(id);
    const batch = this.waiting.get(id) ?? this.flight?.batch;
    if (tiles.length && batch) void this.doors.keep(id, { ...batch, revision: this.revisions.get(id) ?? 0, tiles });
  }

  get unsaved() {
    return this.edited || this.flight !== null || [...this.waiting.values()].some((batch) => batch.tiles.length > 0 || batch.status);
  }

  /**
   * Send the next batch unless one is on its way or a pause after a failure lasts.
   * @returns {Promise<void>}
   */
  async pump() {
    if (this.flight || this.pause !== null) return this.tell();
    const next = [...this.waiting].find(([id]) => !this.conflicts.has(id));
    if (!next) return this.tell();
    const [id, batch] = next;
    this.waiting.delete(id);
    this.flight = { id, batch: { ...batch, revision: this.revisions.get(id) ?? batch.revision } };
    this.tell();
    const { tiles } = batch;
    try {
      const answer = await this.doors.send(id, this.flight.batch);
      this.landed(id, answer, tiles);
    } catch (error) {
      this.refused(id, error instanceof SaveError ? error : new SaveError(String(error), -1));
    }
    this.dispatchEvent(new CustomEvent("settled"));
    return this.pump();
  }

  /** @param {string} id @param {Saved} answer @param {Tile[]} tiles */
  landed(id, answer, tiles) {
    this.flight = null;
    this.failure = null;
    this.revisions.set(id, answer.revision);
    if (this.waiting.has(id)) this.remember(id);
    else void this.doors.drop(id);
    this.dispatchEvent(new CustomEvent("saved", { detail: { id, tiles, ...answer } }));
  }

  /** @param {string} id @param {SaveError} error */
  refused(id, error) {
    const batch = /** @type {{id: string, batch: Batch}} */ (this.flight).batch;
    const later = this.waiting.get(id);
    this.flight = null;
    // A count of clicks alone is not worth asking for twice.
    if (!batch.tiles.length && !batch.status && !later && error.status >= 400 && error.status < 500) return;
    this.waiting.set(id, later
      ? { ...batch, ...later, tiles: mergedTiles(batch.tiles, later.tiles), clicks: batch.clicks + later.clicks, seconds: batch.seconds + later.seconds }
      : batch);
    this.remember(id);
    if (error.status === 409) {
      this.conflicts.set(id, error.revision ?? 0);
      this.dispatchEvent(new CustomEvent("conflict", { detail: { id, revision: error.revision } }));
      return;
    }
    this.failure = error;
    this.dispatchEvent(new CustomEvent("failed", { detail: { status: error.status } }));
    this.pause = this.after(RETRY_MS, () => this.retry());
  }

  /** Try again now: the server is back, or the pause is over. */
  retry() {
    if (this.pause !== null) this.cancel(this.pause);
    this.pause = null;
    return this.pump();
  }

  /**
   * End a conflict: from now on `revision` is what this window builds on, and `tiles` is what is still to be written.
   * @param {string} id @param {number} revision @param {Tile[]} tiles
   */
  resolve(id, revision, tiles) {
    const before = this.waiting.get(id);
    this.conflicts.delete(id);
    this.revisions.set(id, revision);
    this.waiting.delete(id);
    if (tiles.length) this.push(id, { tiles, clicks: before?.clicks, seconds: before?.seconds });
    else void this.doors.drop(id);
    if (before?.status) return this.wish(id, before.status);
    return this.pump();
  }

  /** @returns {SaveState} */
  get state() {
    if (this.failure) {
      const reason = this.failure.status ? this.failure.message : "the server does not answer";
      return { kind: "failed", words: `Not saved: ${sentence(reason)}. Kept in this browser, retrying every ${RETRY_MS / 1000} s`, reason };
    }
    if (this.conflicts.size) return { kind: "conflict", words: "Not saved: changed in another window" };
    if (this.flight && this.flight.batch.tiles.length) return { kind: "saving", words: "Saving …" };
    if (this.unsaved) return { kind: "edited", words: "Saving …" };
    return { kind: "saved", words: "All saved" };
  }

  tell() {
    const { words } = this.state;
    if (words === this.said) return;
    this.said = words;
    this.dispatchEvent(new CustomEvent("state", { detail: this.state }));
  }
}

/** @param {string} text */
function sentence(text) {
  const plain = text.trim().replace(/[.!]+$/, "");
  return /^[A-Z][a-z]/.test(plain) ? plain[0].toLowerCase() + plain.slice(1) : plain;
}
