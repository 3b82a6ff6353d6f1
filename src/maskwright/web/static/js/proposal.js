// What a run proposes for an image: seen first, then accepted whole or by class, or rejected; and where it is unsure.

import { ApiError } from "./api.js";
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
    /** @type {{id: string, plane: Labels, doubt: Uint8Array, candidates: Candidate[]}|null} */
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
    byId("proposal-all").addEventListener("click", () => void this.acceptAll());
    byId("proposal-class").addEventListener("click", () => void this.acceptClass());
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
      const found = await app.shelf.proposal(id, app.info.classes.map((row) => row.id));
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
    if (this.visible && this.found) this.app.painter.setPreview(this.found.candidates);
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

  async acceptAll() {
    if (!this.found) return;
    const done = this.app.painter.copyFrom(this.found.plane, { over: "unlabelled" });
    this.app.activity.click();
    this.show(false);
    const pixels = await done;
    if (pixels !== null) say(`Accepted the proposal: ${pixels.toLocaleString("en")} unlabelled pixels are labelled now.`);
  }

  async acceptClass() {
    if (!this.found) return;
    const { painter, info } = this.app;
    const one = this.found.candidates.find(({ classId }) => classId === painter.classId);
    this.app.activity.click();
    const pixels = one ? await painter.commit(one, { over: "unlabelled" }) : 0;
    if (pixels !== null) say(`Accepted ${info.classes.find(({ id }) => id === painter.classId)?.name}: ${pixels.toLocaleString("en")} pixels.`);
  }

  reject() {
    if (this.found) this.rejected.add(this.found.id);
    this.show(false);
    say("The proposal is hidden.");
  }

  draw() {
    const bar = byId("proposal");
    bar.hidden = !this.found && !this.words;
    byId("proposal-words").textContent = this.words || (this.found ? `${this.app.info.suggestion} proposes a mask` : "");
    for (const name of ["all", "class", "reject", "doubt", "show"]) byId(`proposal-${name}`).hidden = !this.found;
    byId("proposal-reject").hidden = !this.visible;
    byId("proposal-show").textContent = this.visible ? "Hide" : "Show";
    byId("proposal-class").textContent = `Accept ${this.app.info.classes.find(({ id }) => id === this.app.painter.classId)?.name ?? "class"}`;
    byId("proposal-doubt").setAttribute("aria-pressed", String(this.doubtful));
  }
}
