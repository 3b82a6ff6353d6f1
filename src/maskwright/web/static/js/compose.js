/**
 * What may replace what, and candidates (box, soft plane, threshold) as regions and spans. No DOM.
 *
 * @typedef {import("./plane.js").Box} Box
 * @typedef {import("./plane.js").Region} Region
 * @typedef {import("./plane.js").Emit} Emit
 * @typedef {"all" | "priority" | "unlabelled"} Over
 * @typedef {{id: number, name: string, colour: number[], priority?: number}} ClassRow
 * @typedef {Box & {soft: Uint8Array, threshold: number, classId: number}} Candidate  soft: probability x 255, w * h
 * @typedef {{classes: ClassRow[], ignore: number, locks: Set<number>}} Rules
 */
import { maskSpans, union } from "./plane.js";

/**
 * Which present labels a new label may replace, one byte a label. Locked ones never; `priority`: those of at most the
 * new label's declared priority, so that the newer wins among equals; `unlabelled`: ignored pixels only.
 * All zero where the new label itself is locked. Unlabelled pixels rank below every class.
 *
 * @param {Rules} rules @param {number} label @param {Over} over @returns {Uint8Array}
 */
export function permissions({ classes, ignore, locks }, label, over) {
  const allowed = new Uint8Array(ignore > 255 ? 65536 : 256);
  if (locks.has(label)) return allowed;
  if (over === "unlabelled") {
    allowed[ignore] = 1;
  } else {
    allowed.fill(1);
    const priorities = new Map(classes.map((row) => [row.id, row.priority ?? 1]));
    const own = label === ignore ? -Infinity : priorities.get(label) ?? 1;
    if (over === "priority") for (const [id, priority] of priorities) allowed[id] = priority <= own ? 1 : 0;
  }
  for (const id of locks) allowed[id] = 0;
  return allowed;
}

/**
 * The least 255th that counts at a threshold, as `Candidates.masks` in Python has it (halves go to the even number).
 * @param {number} threshold 0.01 to 0.99
 */
export function levelOf(threshold) {
  const value = threshold * 255 + 0.5;
  const low = Math.floor(value);
  const up = value - low > 0.5 || (value - low === 0.5 && low % 2 === 1);
  return Math.max(1, low + (up ? 1 : 0));
}

/** @param {Candidate} candidate @returns {Region} */
export function candidateRegion({ x, y, w, h, soft, threshold }) {
  const level = levelOf(threshold);
  const mask = new Uint8Array(soft.length);
  let area = 0;
  for (let i = 0; i < soft.length; i++) if (soft[i] >= level) area += mask[i] = 1;
  return { x, y, w, h, mask, area };
}

/** @param {Candidate} candidate @param {Emit} emit */
export const candidateSpans = (candidate, emit) => maskSpans(candidateRegion(candidate).mask, candidate, emit);

/**
 * Several candidates as one, by the larger probability.
 * @param {Candidate[]} candidates at least one @returns {Candidate}
 */
export function unite(candidates) {
  /** @type {Box | null} */
  let box = null;
  for (const candidate of candidates) box = union(box, candidate);
  if (!box) throw new Error("There is no candidate to unite.");
  const { x, y, w, h } = box;
  const soft = new Uint8Array(w * h);
  for (const candidate of candidates) {
    for (let row = 0; row < candidate.h; row++) {
      const to = (candidate.y + row - y) * w + candidate.x - x;
      const from = row * candidate.w;
      for (let i = 0; i < candidate.w; i++) soft[to + i] = Math.max(soft[to + i], candidate.soft[from + i]);
    }
  }
  return { x, y, w, h, soft, threshold: candidates[0].threshold, classId: candidates[0].classId };
}
