// The prompts for one object and the candidates they were answered with: a state machine that never shows an old answer.

/** @typedef {{kind: "point", x: number, y: number, positive: boolean}} PointItem */
/** @typedef {{kind: "box", box: [number, number, number, number]}} BoxItem */
/** @typedef {{kind: "stroke", points: [number, number][], positive: boolean, radius: number}} StrokeItem */
/** @typedef {PointItem|BoxItem|StrokeItem} Item */
/** @typedef {{x: number, y: number, w: number, h: number, soft: Uint8Array, score: number, stability?: number, area: number}} Answer */
/** @typedef {import("./compose.js").Region} Region */
/** @typedef {"empty"|"asking"|"waiting"|"answered"|"failed"} State */

export class Session {
  constructor() {
    /** @type {Item[]} */
    this.items = [];
    /** @type {Region|null} the accepted mask that these prompts correct */
    this.base = null;
    this.classId = 0;
    /** @type {Answer[]} */
    this.candidates = [];
    this.chosen = -1;
    this.hovered = -1;
    this.sequence = 0;
    /** @type {State} */
    this.state = "empty";
    this.message = "";
    this.corrects = false;
  }

  /**
   * Begin another object; an answer that is still under way will be ignored.
   * @param {number} classId @param {Region|null} base
   */
  begin(classId, base = null) {
    this.sequence += 1;
    Object.assign(this, { items: [], base, classId, candidates: [], chosen: -1, hovered: -1, state: "empty", message: "", corrects: false });
  }

  get active() {
    return this.items.length > 0;
  }

  /** Whether there is something on the object: otherwise nobody can answer. */
  get answerable() {
    return this.base !== null || this.items.some((item) => item.kind === "box" || item.positive);
  }

  /** @param {Item} item */
  add(item) {
    this.items.push(item);
    // A click that follows an answer corrects what is seen; one that replaces a deleted prompt starts from the prompts alone.
    this.corrects = this.chosen >= 0;
  }

  /**
   * Take away the index-th prompt of a kind.
   * @param {Item["kind"]} kind @param {number} index
   */
  remove(kind, index) {
    const at = this.places(kind)[index];
    if (at === undefined) return false;
    this.items.splice(at, 1);
    this.forget();
    return true;
  }

  removeLast() {
    const last = this.items.pop();
    if (last) this.forget();
    return last !== undefined;
  }

  forget() {
    this.corrects = false;
    this.sequence += 1;
    if (this.items.length && this.answerable) return;
    Object.assign(this, { candidates: [], chosen: -1, hovered: -1, state: "empty", message: "" });
  }

  /** @param {Item["kind"]} kind */
  places(kind) {
    return this.items.flatMap((item, index) => (item.kind === kind ? [index] : []));
  }

  /** The prompts as the painter draws and the server reads them. */
  get marks() {
    /** @type {{x: number, y: number, positive: boolean}[]} */
    const points = [];
    /** @type {[number, number, number, number][]} */
    const boxes = [];
    /** @type {{points: [number, number][], positive: boolean, radius: number}[]} */
    const strokes = [];
    for (const item of this.items) {
      if (item.kind === "point") points.push({ x: item.x, y: item.y, positive: item.positive });
      else if (item.kind === "box") boxes.push(item.box);
      else strokes.push({ points: item.points, positive: item.positive, radius: item.radius });
    }
    return { points, boxes, strokes };
  }

  /**
   * A question is on its way; answers to earlier ones no longer count.
   * @returns {number} its number
   */
  ask() {
    this.sequence += 1;
    this.state = "asking";
    this.message = "";
    return this.sequence;
  }

  /**
   * Take an answer unless a newer question was asked.
   * @param {number} sequence @param {Answer[]} candidates @param {number} chosen
   */
  answer(sequence, candidates, chosen) {
    if (sequence !== this.sequence) return false;
    this.candidates = candidates;
    this.chosen = candidates.length ? Math.min(Math.max(chosen, 0), candidates.length - 1) : -1;
    this.hovered = -1;
    this.state = candidates.some((candidate) => candidate.area > 0) ? "answered" : "failed";
    this.message = this.state === "failed" ? "Nothing was found there; click on the object, or lower the threshold." : "";
    return true;
  }

  /** @param {number} sequence @param {string} message @param {boolean} waiting whether it is asked again by itself */
  fail(sequence, message, waiting = false) {
    if (sequence !== this.sequence) return false;
    this.state = waiting ? "waiting" : "failed";
    this.message = message;
    return true;
  }

  /** @param {number} index */
  choose(index) {
    if (index < 0 || index >= this.candidates.length) return false;
    this.chosen = index;
    this.hovered = -1;
    return true;
  }

  /** @param {number} step */
  cycle(step) {
    const count = this.candidates.length;
    return count > 0 && this.choose((this.chosen + step + count) % count);
  }

  /** What is on screen: the candidate under the pointer, else the chosen one. */
  get shown() {
    return this.candidates[this.hovered] ?? this.candidates[this.chosen] ?? null;
  }

  get accepted() {
    return this.candidates[this.chosen] ?? null;
  }
}

/** @param {Item} item */
export function itemWords(item) {
  if (item.kind === "point") return `${item.positive ? "On" : "Off"} the object at ${Math.floor(item.x)}, ${Math.floor(item.y)}`;
  if (item.kind === "box") return `Box ${item.box.map((value) => Math.round(value)).join(", ")}`;
  return `${item.positive ? "Stroke on" : "Stroke off"} the object, ${item.points.length} points`;
}
