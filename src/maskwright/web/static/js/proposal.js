// What a run proposes for an image: seen first, then accepted whole or by class, or rejected; and where it is unsure.

import { ApiError, fetchProposal } from "./api.js";
import { byId, say } from "./dom.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./merge.js").Labels} Labels */
/** @typedef {import("./compose.js").Candidate} Candidate */

const AGAIN_MS = 1500;

export class Proposal {
  /** @param {App} app @param {import("./prompting.js").Prompting} prompting */
  constructor(app, prompting) {
    this.app = app;
    this.prompting = prompting;
    /** @type {{id: string, plane: Labels, doubt: Uint8Array, width: number}|null} */
    this.found = null;
    this.visible = false;
    this.doubtful = false;
    this.words = "";
    /** @type {Set<string>} */
    this.rejected = new Set();
    this.timer = /** @type {any} */ (0);
    app.addEventListener("opening", () => this.reset());
    app.addEventListener("image", () => void this.fetch());
    app.addEventListener("class", () => this.draw());
    byId("proposal-all").addEventListener("click", () => this.acceptAll());
    byId("proposal-class").addEventListener("click", () => this.acceptClass());
    byId("proposal-reject").addEventListener("click", () => this.reject());
    byId("proposal-doubt").addEventListener("click", () => this.toggleDoubt());
    byId("proposal-show").addEventListener("click", () => this.toggle());
    this.draw();
  }

  reset() {
    clearTimeout(this.timer);
    Object.assign(this, { found: null, visible: false, words: "" });
    this.draw();
  }

  /** Ask for what the run proposes; asks again while it is computed. */
  async fetch() {
    const { app } = this;
    const id = app.loaded;
    clearTimeout(this.timer);
    if (!app.info.suggestion || !id) return this.draw();
    this.words = `${app.info.suggestion} looks at this image …`;
    this.draw();
    try {
      const found = await fetchProposal(id, app.info.wide);
      if (app.loaded !== id) return;
      if (!found) return this.later(id);
      this.found = { id, ...found };
      this.words = "";
      app.reference = found.plane;
      app.emit("reference");
      const open = app.row(id)?.status === "unlabelled" && !this.rejected.has(id);
      if (open && app.settings.values.proposals) this.show(true);
      if (this.doubtful) app.painter.setDoubt(found.doubt);
    } catch (error) {
      if (app.loaded !== id) return;
      if (error instanceof ApiError && error.status === 503) return this.later(id);
      this.words = error instanceof ApiError && error.status === 404 ? "" : `No proposal: ${error instanceof Error ? error.message : error}`;
    }
    this.draw();
  }

  /** @param {string} id */
  later(id) {
    this.timer = setTimeout(() => this.app.loaded === id && void this.fetch(), AGAIN_MS);
  }

  /** @param {boolean} visible */
  show(visible) {
    this.visible = visible && this.found !== null;
    if (this.visible && this.found) this.app.painter.setPreview(candidates(this.found.plane, this.found.width, this.app.info.classes.map(({ id }) => id)));
    else this.prompting.show();
    this.draw();
  }

  toggle() {
    if (this.found) this.show(!this.visible);
    else say(this.words || "No run proposes masks: train one in the tab Progress, or start with --suggest RUN.");
  }

  toggleDoubt() {
    this.doubtful = !this.doubtful;
    this.app.painter.setDoubt(this.doubtful && this.found ? this.found.doubt : null);
    this.draw();
  }

  acceptAll() {
    if (!this.found) return;
    const pixels = this.app.painter.copyFrom(this.found.plane, { over: "unlabelled" });
    this.app.activity.click();
    this.show(false);
    say(`Accepted the proposal: ${pixels.toLocaleString("en")} unlabelled pixels are labelled now.`);
  }

  acceptClass() {
    if (!this.found) return;
    const { painter, info } = this.app;
    const [one] = candidates(this.found.plane, this.found.width, [painter.classId]);
    const pixels = one ? painter.commit(one, { over: "unlabelled" }) : 0;
    this.app.activity.click();
    say(`Accepted ${info.classes.find(({ id }) => id === painter.classId)?.name}: ${pixels.toLocaleString("en")} pixels.`);
  }

  reject() {
    if (this.found) this.rejected.add(this.found.id);
    this.show(false);
    say("The proposal is hidden.");
  }

  draw() {
    const bar = byId("proposal");
    bar.hidden = !this.found && !this.words;
    byId("proposal-words").textContent = this.words || `${this.app.info.suggestion} proposes a mask`;
    for (const name of ["all", "class", "reject", "doubt", "show"]) byId(`proposal-${name}`).hidden = !this.found;
    byId("proposal-reject").hidden = !this.visible;
    byId("proposal-show").textContent = this.visible ? "Hide" : "Show";
    byId("proposal-class").textContent = `Accept ${this.app.info.classes.find(({ id }) => id === this.app.painter.classId)?.name ?? "class"}`;
    byId("proposal-doubt").setAttribute("aria-pressed", String(this.doubtful));
  }
}

/**
 * A plane of labels as one candidate for each class, cut to where the class is.
 * @param {Labels} plane @param {number} width @param {number[]} ids @returns {Candidate[]}
 */
export function candidates(plane, width, ids) {
  /** @type {Map<number, {x0: number, y0: number, x1: number, y1: number}>} */
  const boxes = new Map();
  for (let at = 0, y = 0; at < plane.length; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const id = plane[at];
      const box = boxes.get(id);
      if (!box) boxes.set(id, { x0: x, y0: y, x1: x, y1: y });
      else {
        if (x < box.x0) box.x0 = x;
        if (x > box.x1) box.x1 = x;
        box.y1 = y;
      }
    }
  }
  return ids.filter((id) => boxes.has(id)).map((id) => {
    const { x0, y0, x1, y1 } = /** @type {{x0: number, y0: number, x1: number, y1: number}} */ (boxes.get(id));
    const [w, tall] = [x1 - x0 + 1, y1 - y0 + 1];
    const soft = new Uint8Array(w * tall);
    for (let y = 0; y < tall; y += 1) {
      for (let x = 0; x < w; x += 1) if (plane[(y0 + y) * width + x0 + x] === id) soft[y * w + x] = 255;
    }
    return { x: x0, y: y0, w, h: tall, soft, threshold: 0.5, classId: id };
  });
}
