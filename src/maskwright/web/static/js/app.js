// What the page knows and does, between the painter in the middle and the panels around it.

import { Activity } from "./activity.js";
import { ApiError, call, imageUrl, json } from "./api.js";
import { say } from "./dom.js";
import { chosenRows, countsOf, isOpen, neighbour, nextUnfinished, updated } from "./images.js";
import { applyTiles } from "./merge.js";
import { SaveError, SaveQueue } from "./savequeue.js";
import { Settings } from "./settings.js";
import { Shelf } from "./shelf.js";
import { Vault } from "./vault.js";

/** @typedef {import("./images.js").Row} Row */
/** @typedef {import("./merge.js").Labels} Plane */

const HAND = new Set(["brush", "eraser", "polygon", "line", "fill", "erase"]);

/**
 * Events: `project` (classes, counts, budget), `rows` (the list), `opening` and `image` (which one is shown), `class`, `locks`,
 * `conflict` {id}, `gone` {token: boolean} and `back` (the server), `busy` (loading, or what failed).
 */
export class App extends EventTarget {
  /** @param {import("./api.js").ProjectInfo} info @param {import("./painter.js").Painter} painter */
  constructor(info, painter) {
    super();
    this.info = info;
    this.painter = painter;
    this.settings = new Settings(info.settings);
    this.vault = new Vault(info.path);
    this.shelf = new Shelf(info.wide);
    this.activity = new Activity();
    this.saver = new SaveQueue({
      collect: () => this.collect(),
      send: (id, batch) => this.send(id, batch),
      keep: (id, batch) => this.vault.keep(id, batch),
      drop: (id) => this.vault.drop(id),
    });
    /** @type {Row[]} */
    this.rows = [];
    /** @type {string[]|null} */
    this.queue = null;
    this.tick = 0;
    this.wish = { text: "", classId: /** @type {number|null} */ (null) };
    /** @type {string|null} what the person wants to see */
    this.id = null;
    this.opening = new AbortController();
    /** @type {{id: string, whole: boolean}|null} whose photo the painter holds, and whether it is more than a small one */
    this.pictured = null;
    /** @type {string|null} whose labels the painter holds */
    this.loaded = null;
    this.problem = "";
    /** @type {Map<string, Plane>} planes of images that were left before everything was saved */
    this.kept = new Map();
    /** @type {Plane|null} the labels on screen as the server last had them: what tells my changes from others' */
    this.base = null;
    /** @type {Plane|null} what the display 'difference' compares with: the proposal, or the labels as they were opened */
    this.reference = null;
    /** @type {Set<number>} */
    this.locks = new Set();
    /** @type {Set<number>} */
    this.hidden = new Set();
    /** @type {(() => void)[]} called before an image is left */
    this.leaving = [];
    this.listen();
  }

  listen() {
    this.painter.addEventListener("edit", (event) => {
      const { final, what } = /** @type {CustomEvent} */ (event).detail;
      this.activity.beat();
      if (final && HAND.has(what)) this.activity.click();
      this.saver.touch();
    });
    this.saver.addEventListener("saved", (event) => this.landed(/** @type {CustomEvent} */ (event).detail));
    this.saver.addEventListener("conflict", (event) => this.emit("conflict", /** @type {CustomEvent} */ (event).detail));
    this.saver.addEventListener("failed", (event) => {
      const { status } = /** @type {CustomEvent} */ (event).detail;
      if (status === 0 || status === 401) this.emit("gone", { token: status === 401 });
    });
  }

  /** @param {string} name @param {any} [detail] */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // The list -------------------------------------------------------------------------------------------------------

  get shown() {
    const { filter, order } = this.settings.values;
    return chosenRows(this.rows, { ...this.wish, status: /** @type {any} */ (filter), order: /** @type {any} */ (order) }, this.queue);
  }

  /** @param {string|null} id */
  row(id) {
    return this.rows.find((row) => row.id === id) ?? null;
  }

  /** Ask what changed since the last time; shows what another window saved of the image on screen. */
  async refresh() {
    const { images, tick, queue } = await json(this.tick ? `/api/images?since=${this.tick}` : "/api/images");
    this.rows = updated(this.rows, images);
    if (queue !== undefined) this.queue = queue;
    this.tick = tick;
    this.emit("rows");
    const now = this.row(this.loaded);
    const known = this.saver.revisions.get(this.loaded ?? "") ?? 0;
    if (now && now.revision > known && !this.saver.unsaved && !this.painter.hasDirty && !this.painter.busy) await this.reload(now.id);
  }

  async refreshProject() {
    this.info = { ...this.info, ...(await json("/api/project")) };
    this.painter.setClasses(this.info.classes);
    this.emit("project");
  }

  /**
   * Take the labels of the shown image from the server: they changed there.
   * @param {string} id
   */
  async reload(id, words = "Another window changed this image; its labels are shown now.") {
    const labels = await this.shelf.labels(id);
    if (this.loaded !== id || this.painter.hasDirty || this.saver.pending(id).length) return;
    this.replace(labels.plane, labels.revision);
    say(words);
  }

  /**
   * Show what the server has; undo brings back what was there.
   * @param {Plane} plane @param {number} revision
   */
  replace(plane, revision) {
    this.base = plane.slice();
    this.painter.replacePlane(plane);
    if (this.loaded) this.saver.revisions.set(this.loaded, revision);
  }

  /** @param {number} step */
  go(step) {
    const id = neighbour(this.shown, this.id, step);
    if (id) void this.open(id);
    else say(step > 0 ? "This is the last image of the list." : "This is the first image of the list.");
  }

  goOpen() {
    const id = nextUnfinished(this.shown, this.id) ?? nextUnfinished(this.rows, this.id);
    if (id) void this.open(id);
    else say("Every image is finished or skipped.");
  }

  // One image ------------------------------------------------------------------------------------------------------

  /** @param {string} id */
  async open(id) {
    const row = this.row(id);
    if (!row || id === this.id) return;
    for (const leave of this.leaving) leave();
    this.opening.abort();
    this.opening = new AbortController();
    const { signal } = this.opening;
    this.id = id;
    this.problem = "";
    this.emit("opening");
    try {
      await this.painter.settled();
      void this.saver.flush();
      if (signal.aborted) return;
      if (this.loaded === id) return this.begin(row);
      const labels = this.labelsOf(id, signal);
      labels.catch(() => {});
      const photo = await this.shelf.photo(row, (small) => (this.painter.working ? small.close() : this.picture(row, small, false)), signal);
      // A command may have been begun on the image before meanwhile.
      await this.painter.settled();
      if (signal.aborted) return this.shelf.keep(id, photo);
      this.picture(row, photo, true);
      const found = await labels;
      if (!signal.aborted) this.show(row, found);
    } catch (error) {
      if (signal.aborted) return;
      this.problem = `${row.name} could not be opened: ${error instanceof Error ? error.message : error}`;
      this.emit("busy");
    }
  }

  /**
   * Show a photo, whose labels may still be on their way; the one before goes back on the shelf.
   * @param {Row} row @param {import("./photo.js").Photo} photo @param {boolean} whole
   */
  picture(row, photo, whole) {
    this.putAway();
    const { pictured } = this;
    const before = this.painter.setImage(photo, { keepView: pictured?.id === row.id });
    if (before && pictured?.whole && pictured.id !== row.id) this.shelf.keep(pictured.id, before);
    else before?.close();
    this.pictured = { id: row.id, whole };
  }

  /** Take the labels off the picture; what the server has not got of them is kept. */
  putAway() {
    if (!this.loaded) return;
    void this.saver.flush();
    if (this.painter.plane && this.saver.pending(this.loaded).length) this.kept.set(this.loaded, this.painter.plane.data);
    this.loaded = null;
    this.painter.setPlane(null);
  }

  /** @param {Row} row @param {import("./api.js").Labels} labels */
  show(row, labels) {
    // An image that was left with something unsaved is shown from memory: what the server has of it is not known here.
    this.base = this.saver.pending(row.id).length ? null : labels.plane.slice();
    this.painter.setPlane(labels.plane, labels.width, labels.height);
    this.loaded = row.id;
    this.reference = labels.plane.slice();
    this.kept.delete(row.id);
    this.begin(row);
  }

  /**
   * The image is there.
   * @param {Row} row
   */
  begin(row) {
    this.activity.take();
    this.activity.pause();
    this.activity.beat();
    this.emit("image", row);
    const conflict = this.saver.conflicts.get(row.id);
    if (conflict !== undefined) this.emit("conflict", { id: row.id, revision: conflict });
    this.shelf.ahead(this.near().flatMap((id) => this.row(id) ?? []));
    void this.refresh().catch(() => {});
  }

  /** The images that are likely to be opened next. */
  near() {
    const { shown, id } = this;
    const open = nextUnfinished(shown, id);
    const ids = [neighbour(shown, id, 1), open, neighbour(shown, id, -1)];
    return /** @type {string[]} */ ([...new Set(ids)].filter((other) => other && other !== id && !this.kept.has(other)));
  }

  /**
   * Labels with everything on top that the server has not confirmed yet.
   * @param {string} id @param {AbortSignal} signal
   */
  async labelsOf(id, signal) {
    for (let tries = 1; ; tries += 1) {
      const kept = this.kept.get(id);
      const row = this.row(id);
      if (kept && row) return { plane: kept, width: row.w, height: row.h, revision: 0, status: row.status };
      await this.saver.settled(id);
      const labels = await this.shelf.take(id, signal);
      const pending = this.saver.pending(id);
      if (this.saver.flight?.id === id) continue;
      const known = this.saver.revisions.get(id) ?? 0;
      if (!pending.length && labels.revision < known && tries < 4) continue;
      if (!pending.length) this.saver.revisions.set(id, labels.revision);
      applyTiles(labels.plane, labels.width, pending);
      return labels;
    }
  }

  /** @param {import("./images.js").Status} status */
  async mark(status) {
    const row = this.row(this.id);
    if (!row || this.loaded !== row.id) return;
    for (const leave of this.leaving) leave();
    await this.painter.settled();
    void this.saver.flush();
    void this.saver.wish(row.id, status);
    row.status = status;
    this.emit("rows");
    if (isOpen(row)) return;
    say(status === "labelled" ? `${row.name} is done.` : `${row.name} is skipped.`);
    if (this.id === row.id) this.goOpen();
  }

  // Saving ---------------------------------------------------------------------------------------------------------

  collect() {
    if (!this.loaded) return null;
    return { id: this.loaded, tiles: this.painter.takeDirty(), ...this.activity.take() };
  }

  /** @param {string} id @param {import("./savequeue.js").Batch} batch */
  async send(id, batch) {
    try {
      if (batch.tiles.length || batch.clicks || batch.seconds) {
        const query = `clicks=${batch.clicks}&seconds=${batch.seconds.toFixed(1)}`;
        const headers = { "If-Match": String(batch.revision), "Content-Type": "application/octet-stream", "X-Client": this.vault.owner };
        const body = batch.tiles.length ? await this.shelf.packed(batch.tiles) : undefined;
        const answer = await (await call(`${imageUrl(id, "mask")}?${query}`, { method: "PATCH", headers, body })).json();
        // The status below may fail: these tiles are not to be sent again.
        Object.assign(batch, { tiles: [], clicks: 0, seconds: 0, revision: answer.revision });
        this.saver.revisions.set(id, answer.revision);
        if (!batch.status) return answer;
      }
      return await json(imageUrl(id, "status"), "POST", { status: batch.status, revision: batch.revision }, { "X-Client": this.vault.owner });
    } catch (error) {
      if (error instanceof ApiError) throw new SaveError(error.message, error.status, error.data.revision ?? null);
      throw error;
    }
  }

  /** @param {{id: string, tiles: import("./merge.js").Tile[], revision: number, status?: import("./images.js").Status, changed?: boolean}} answer */
  landed({ id, tiles, revision, status, changed }) {
    if (this.base && this.loaded === id && this.painter.plane) applyTiles(this.base, this.painter.plane.width, tiles);
    const row = this.row(id);
    this.shelf.forgetLabels(id);
    if (!this.saver.pending(id).length) this.kept.delete(id);
    this.emit("back");
    if (row) {
      row.revision = revision;
      if (status) row.status = /** @type {import("./images.js").Status} */ (this.saver.waiting.get(id)?.status ?? status);
      this.emit("rows");
    }
    if (changed && this.loaded === id) void this.reload(id, "Done: what was unlabelled is background now.").catch(() => {});
  }

  /**
   * Take over what a dead tab or browser left unsaved.
   * @returns {Promise<number>} images
   */
  async recover() {
    const kept = (await this.vault.orphans()).filter(({ id }) => this.row(id));
    for (const { id, tiles, revision, clicks, seconds } of kept) {
      this.saver.revisions.set(id, revision);
      this.saver.push(id, { tiles, clicks, seconds });
    }
    void this.saver.pump();
    return kept.length;
  }

  get counts() {
    return countsOf(this.rows);
  }
}
