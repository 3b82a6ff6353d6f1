// Smart click: prompts from the picture, answers from a prompter, candidates to choose from.

import { ApiError, imageUrl, json } from "./api.js";
import { previousFrom, softFrom } from "./codec.js";
import { candidateRegion } from "./compose.js";
import { say } from "./dom.js";
import { Session } from "./session.js";

/** @typedef {import("./session.js").Item} Item */

const WAIT_MS = 500;
const WAITS = 10;

/** Events: `change` (session, prompter or its state). */
export class Prompting extends EventTarget {
  /** @param {import("./app.js").App} app */
  constructor(app) {
    super();
    this.app = app;
    this.painter = app.painter;
    this.session = new Session();
    this.session.begin(this.painter.classId);
    this.asking = /** @type {AbortController|null} */ (null);
    /** @type {Promise<unknown>} */
    this.asked = Promise.resolve();
    /** @type {Promise<unknown>} */
    this.turn = Promise.resolve();
    /** @type {import("./api.js").PrompterState[]} */
    this.prompters = app.info.prompters;
    /** What the prompter is doing with this image. */
    this.image = { state: "waiting", message: "" };
    /** Whether clicks and strokes are off the object: for fingers and pens, which have no right button. */
    this.takesAway = false;
    this.watch = /** @type {any} */ (0);
    this.waited = 0;
    app.leaving.push(() => this.leave());
    app.addEventListener("image", () => void this.prepare());
    app.settings.addEventListener("change", (event) => {
      const { name } = /** @type {CustomEvent} */ (event).detail;
      if (name === "threshold") this.show();
      if (name === "prompter") void this.prepare();
    });
    this.painter.addEventListener("prompt", (event) => void this.take(/** @type {CustomEvent} */ (event).detail));
    this.painter.addEventListener("mark", (event) => {
      const { what, index } = /** @type {CustomEvent} */ (event).detail;
      this.remove(what, index);
    });
  }

  get prompter() {
    const { prompter } = this.app.settings.values;
    return this.prompters.find(({ name }) => name === prompter) ?? this.prompters[0] ?? null;
  }

  get threshold() {
    return this.app.settings.values.threshold;
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  // The prompter ---------------------------------------------------------------------------------------------------

  /**
   * What the prompter is doing, in words; always shown.
   * @returns {{kind: string, words: string}}
   */
  get state() {
    const { prompter, session, image } = this;
    if (!prompter) return { kind: "failed", words: "no prompter" };
    if (prompter.state === "failed") return { kind: "failed", words: `failed because ${lower(prompter.message)}` };
    if (prompter.state === "loading") return { kind: "busy", words: "loading …" };
    if (image.state === "failed") return { kind: "failed", words: `failed because ${lower(image.message)}` };
    if (session.state === "waiting") return { kind: "busy", words: `${session.message}` };
    if (session.state === "asking") return { kind: "busy", words: "thinking …" };
    if (image.state === "embedding" || image.state === "waiting") return { kind: "busy", words: "embedding this image …" };
    return { kind: "ready", words: "ready" };
  }

  /** Have the prompter look at this image, and at the next ones after it. */
  async prepare() {
    clearTimeout(this.watch);
    const { id } = this.app;
    const { prompter } = this;
    if (!id || !prompter) return;
    this.image = { state: "waiting", message: "" };
    this.waited = 0;
    this.changed();
    try {
      const { state, message } = await json(imageUrl(id, "prepare"), "POST", { prompter: prompter.name, next: this.app.near().slice(0, 2) });
      this.heard(id, state, message);
    } catch (error) {
      this.heard(id, error instanceof ApiError && error.status === 503 ? "waiting" : "failed", error instanceof Error ? error.message : "");
    }
  }

  /** @param {string} id @param {string} state @param {string} [message] */
  heard(id, state, message = "") {
    if (id !== this.app.id) return;
    const [word, reason] = state.startsWith("failed") ? ["failed", message || state.replace(/^failed:?\s*/, "")] : [state, message];
    this.image = { state: word, message: reason };
    this.changed();
    const { prompter } = this;
    if (!prompter || (word === "ready" && prompter.state === "ready")) return;
    clearTimeout(this.watch);
    this.watch = setTimeout(() => void this.look(id), word === "failed" ? 5000 : WAIT_MS);
  }

  /** @param {string} id */
  async look(id) {
    if (id !== this.app.id || !this.prompter) return;
    try {
      this.prompters = (await json("/api/prompters")).prompters;
      const { state, message } = await json(`${imageUrl(id, "prepare")}?prompter=${encodeURIComponent(this.prompter.name)}`);
      // Waiting on and on: the server forgot the request, for another window or a restart.
      this.waited = state === "waiting" ? this.waited + 1 : 0;
      if (this.waited > WAITS) void this.prepare();
      else this.heard(id, state, message);
    } catch (error) {
      this.heard(id, "failed", error instanceof Error ? error.message : "");
    }
  }

  /** @param {string} spec */
  async addPrompter(spec) {
    this.prompters = (await json("/api/prompters", "POST", { spec })).prompters;
    this.app.settings.set("prompter", this.prompters.find(({ name }) => name === spec)?.name ?? spec);
    void this.prepare();
    this.changed();
  }

  // Prompts --------------------------------------------------------------------------------------------------------

  /** @param {boolean} takesAway */
  takeAway(takesAway) {
    this.takesAway = takesAway;
    this.changed();
  }

  /**
   * One prompt after the other: where each is an object of its own, the one before has to be answered first.
   * @param {Item} item
   */
  take(item) {
    this.app.activity.beat();
    this.app.activity.click();
    const meant = item.kind === "box" || !this.takesAway ? item : { ...item, positive: !item.positive };
    this.turn = this.turn.then(() => this.place(meant));
    return this.turn;
  }

  /** @param {Item} item */
  async place(item) {
    const wanted = item.kind === "box" || item.positive;
    if (wanted && this.session.active && !this.app.settings.values.unite) {
      await this.asked;
      if (this.session.accepted) this.accept();
      else this.clear();
    }
    if (!this.session.active) {
      const { id } = this.app;
      const base = await this.baseOf(item);
      if (this.app.id !== id) return;
      this.session.begin(this.painter.classId, base);
    }
    if (!wanted && !this.session.answerable) {
      say("There is nothing to remove here: click on the object first, or point at a labelled region.", "warn");
      return;
    }
    this.session.add(item);
    this.ask();
  }

  /**
   * The accepted mask that a first click points at: the click corrects it.
   * @param {Item} item
   */
  async baseOf(item) {
    if (item.kind === "box") return null;
    const [x, y] = item.kind === "point" ? [item.x, item.y] : item.points[0];
    const id = this.painter.idAt(Math.floor(x), Math.floor(y));
    const { background, ignore } = this.app.info;
    if (id < 0 || id === ignore || id === background) return null;
    if (item.positive && id !== this.painter.classId) return null;
    if (id !== this.painter.classId) this.painter.setClass(id);
    this.app.emit("class");
    return this.painter.region(id, Math.floor(x), Math.floor(y));
  }

  /** Ask for candidates, at once; only the newest answer counts. */
  ask() {
    this.show();
    this.asked = this.request(this.session.ask());
    this.changed();
  }

  /** @param {number} sequence @returns {Promise<void>} */
  async request(sequence) {
    const { session, prompter } = this;
    const { id } = this.app;
    this.asking?.abort();
    if (!id || !prompter) return;
    const asking = new AbortController();
    this.asking = asking;
    const { points, boxes, strokes } = session.marks;
    const seen = session.corrects && session.accepted ? candidateRegion({ ...session.accepted, threshold: this.threshold, classId: session.classId }) : session.base;
    try {
      const previous = seen && seen.area ? await previousFrom(seen) : null;
      if (sequence !== session.sequence) return;
      const body = { prompter: prompter.name, points: points.map(({ x, y, positive }) => [x, y, positive]), boxes, strokes, class: session.classId, previous };
      const answer = await json(imageUrl(id, "prompt"), "POST", body, {}, asking.signal);
      const candidates = await Promise.all(answer.candidates.map(softFrom));
      if (session.answer(sequence, candidates, answer.chosen)) this.heard(id, "ready");
    } catch (error) {
      return this.refused(sequence, error instanceof ApiError ? error : new ApiError(String(error), -2));
    }
    this.show();
    this.changed();
  }

  /** @param {number} sequence @param {ApiError} error */
  async refused(sequence, error) {
    if (error.status === -1) return;
    const later = error.status === 503 || error.status === 0;
    const words = error.status === 0 ? "the server does not answer; asked again when it is back" : error.status === 503 ? `${lower(error.message)}; the answer comes by itself` : error.message;
    if (!this.session.fail(sequence, words, later)) return;
    if (error.status === 0) this.app.emit("gone", { token: false });
    this.show();
    this.changed();
    if (!later) return;
    await new Promise((resolve) => setTimeout(resolve, Math.min(error.retry * 1000 || WAIT_MS, 2000)));
    if (sequence === this.session.sequence) await this.request(sequence);
  }

  /** Draw the prompts and the candidate that is looked at. */
  show() {
    const { session } = this;
    const { points, boxes, strokes } = session.marks;
    this.painter.setMarks(points, boxes, strokes);
    const shown = session.active ? session.shown : null;
    this.painter.setPreview(shown && { ...shown, threshold: this.threshold, classId: session.classId });
  }

  /** @param {number} index */
  choose(index) {
    if (this.session.choose(index)) this.redraw();
  }

  /** @param {number} index -1: none */
  hover(index) {
    this.session.hovered = index;
    this.show();
  }

  /** @param {number} step */
  cycle(step) {
    if (!this.session.cycle(step)) return false;
    const { chosen, candidates } = this.session;
    say(`Candidate ${chosen + 1} of ${candidates.length}, score ${candidates[chosen].score.toFixed(2)}.`);
    this.redraw();
    return true;
  }

  /**
   * The open candidate is to become this class.
   * @param {number} id
   */
  setClass(id) {
    if (!this.session.active) return;
    this.session.classId = id;
    this.redraw();
  }

  redraw() {
    this.show();
    this.changed();
  }

  /** Paint the chosen candidate; answers whether there was one. */
  accept(words = "Accepted") {
    const { session } = this;
    const { accepted } = session;
    if (!session.active || !accepted) return false;
    const { classId, base } = session;
    const over = /** @type {any} */ (this.app.settings.values.over);
    const options = base ? { over, replacing: base } : { over };
    const name = this.app.info.classes.find(({ id }) => id === classId)?.name ?? "";
    void this.painter.commit({ ...accepted, threshold: this.threshold, classId }, options).then((pixels) => {
      if (pixels) say(`${words} as ${name}: ${pixels.toLocaleString("en")} pixels changed.`);
    });
    this.clear();
    return true;
  }

  /** @param {Item["kind"]} kind @param {number} index */
  remove(kind, index) {
    if (this.session.remove(kind, index)) this.again();
  }

  removeLast() {
    if (!this.session.removeLast()) return false;
    this.again();
    return true;
  }

  again() {
    this.asking?.abort();
    if (this.session.active && this.session.answerable) this.ask();
    else this.redraw();
  }

  clear() {
    const had = this.session.active;
    this.takesAway = false;
    this.asking?.abort();
    this.session.begin(this.painter.classId);
    this.redraw();
    return had;
  }

  /** The image is left: what was on screen as a candidate is kept, as a person expects. */
  leave() {
    if (this.session.state !== "answered" || !this.accept("The open candidate was accepted")) this.clear();
  }
}

/** @param {string} text */
function lower(text) {
  const plain = text.trim().replace(/\.$/, "");
  return /^[A-Z][a-z]/.test(plain) ? plain[0].toLowerCase() + plain.slice(1) : plain;
}
