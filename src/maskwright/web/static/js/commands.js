/**
 * What a person does to the label plane besides drawing: each is one step of the history and answers how many pixels
 * changed. Locked classes neither lose nor gain a pixel. No DOM.
 *
 * @typedef {import("./history.js").History} History
 * @typedef {import("./plane.js").Box} Box
 * @typedef {import("./plane.js").Labels} Labels
 * @typedef {import("./plane.js").Region} Region
 * @typedef {import("./compose.js").Rules} Rules
 * @typedef {import("./compose.js").Over} Over
 * @typedef {import("./compose.js").Candidate} Candidate
 */
import { candidateRegion, permissions } from "./compose.js";
import { flood } from "./fill.js";
import { grown, reachOf, shrunk, smoothed } from "./morph.js";
import { boundsOf, maskOf, maskSpans, padded } from "./plane.js";
import { holesOf, specksOf, surroundings } from "./regions.js";

/**
 * Run changes as one command; a command that fails leaves nothing behind.
 * @param {History} history @param {string} what @param {() => number} change answers the pixels changed
 */
function step(history, what, change) {
  history.begin(what);
  try {
    return change();
  } catch (error) {
    history.abort();
    throw error;
  } finally {
    history.end();
  }
}

/**
 * Give the ones of a mask at a box one label.
 * @param {History} history @param {Uint8Array} mask @param {Box} box @param {number} label @param {Uint8Array} allowed
 */
function put(history, mask, box, label, allowed) {
  let pixels = 0;
  maskSpans(mask, box, (y, x0, x1) => (pixels += history.span(y, x0, x1, label, allowed)));
  return pixels;
}

/**
 * Give the ones of a mask the labels that lie at the same place, where their classes are not locked.
 * @param {History} history @param {Uint8Array} mask @param {Box} box @param {Labels} labels @param {Rules} rules
 * @param {Over} over
 */
function putLabels(history, mask, box, labels, rules, over) {
  let pixels = 0;
  const write = labelWriter(history, rules, over);
  maskSpans(mask, box, (y, x0, x1) => (pixels += write(y, x0, x1, labels, (y - box.y) * box.w + x0 - box.x)));
  return pixels;
}

/**
 * Writes pixels x0 <= x < x1 of row y from labels that begin at `at`, run by run.
 * @param {History} history @param {Rules} rules @param {Over} over
 */
function labelWriter(history, rules, over) {
  /** @type {Map<number, Uint8Array>} */
  const tables = new Map();
  /** @type {(y: number, x0: number, x1: number, labels: Labels, at: number) => number} */
  return (y, x0, x1, labels, at) => {
    let pixels = 0;
    for (let x = x0; x < x1; ) {
      const label = labels[at + x - x0];
      let end = x + 1;
      while (end < x1 && labels[at + end - x0] === label) end++;
      const allowed = tables.get(label) ?? permissions(rules, label, over);
      tables.set(label, allowed);
      pixels += history.span(y, x, end, label, allowed);
      x = end;
    }
    return pixels;
  };
}

/**
 * A candidate becomes its class. What `replacing` (an accepted region that was corrected) had and the candidate has
 * not becomes unlabelled.
 *
 * @param {History} history @param {Rules} rules @param {Candidate} candidate
 * @param {{over?: Over, replacing?: Region | null}} options
 */
export function commit(history, rules, candidate, { over = "priority", replacing = null } = {}) {
  const region = candidateRegion(candidate);
  return step(history, "accept", () => {
    let pixels = replacing ? release(history, rules, candidate.classId, replacing, region) : 0;
    pixels += put(history, region.mask, region, candidate.classId, permissions(rules, candidate.classId, over));
    return pixels;
  });
}

/**
 * @param {History} history @param {Rules} rules @param {number} label @param {Region} old @param {Region} kept
 */
function release(history, rules, label, old, kept) {
  const mask = old.mask.slice();
  maskSpans(kept.mask, kept, (y, x0, x1) => {
    const [from, to] = [Math.max(x0, old.x) - old.x, Math.min(x1, old.x + old.w) - old.x];
    const row = (y - old.y) * old.w;
    if (row >= 0 && row < mask.length && from < to) mask.fill(0, row + from, row + to);
  });
  return put(history, mask, old, rules.ignore, only(label, permissions(rules, rules.ignore, "all")));
}

/**
 * Permissions narrowed to one present label.
 * @param {number} label @param {Uint8Array} allowed
 */
function only(label, allowed) {
  const own = allowed[label];
  allowed.fill(0);
  allowed[label] = own;
  return allowed;
}

/**
 * The mask of a class with `margin` pixels around it; null where the class is not there.
 * @param {History} history @param {number} label @param {number} margin
 */
function classMask({ plane }, label, margin) {
  const bounds = boundsOf(plane, label);
  if (!bounds) return null;
  const box = padded(bounds, margin, plane);
  return { box, mask: maskOf(plane, label, box) };
}

/**
 * A class grows by a distance in pixels.
 * @param {History} history @param {Rules} rules @param {number} label @param {number} px @param {Over} over
 */
export function grow(history, rules, label, px, over = "all") {
  const found = classMask(history, label, Math.ceil(px));
  if (!found) return 0;
  const mask = grown(found.mask, found.box.w, found.box.h, px);
  return step(history, "grow", () => put(history, mask, found.box, label, permissions(rules, label, over)));
}

/**
 * A class shrinks by a distance in pixels; what it frees is unlabelled. The image's border takes nothing from it.
 * @param {History} history @param {Rules} rules @param {number} label @param {number} px
 */
export function shrink(history, rules, label, px) {
  const found = classMask(history, label, 1);
  if (!found || rules.locks.has(label)) return 0;
  const lost = without(found.mask, shrunk(found.mask, found.box.w, found.box.h, px));
  const allowed = permissions(rules, rules.ignore, "all");
  return step(history, "shrink", () => put(history, lost, found.box, rules.ignore, allowed));
}

/**
 * Ones of `mask` that are none in `kept`.
 * @param {Uint8Array} mask @param {Uint8Array} kept
 */
function without(mask, kept) {
  const lost = new Uint8Array(mask.length);
  for (let i = 0; i < mask.length; i++) lost[i] = mask[i] & (kept[i] ^ 1);
  return lost;
}

/**
 * The class as a Gaussian would have it, for a preview; null where it is not there.
 * @param {History} history @param {number} label @param {number} sigma pixels
 * @returns {Candidate | null}
 */
export function smoothPreview(history, label, sigma) {
  const found = classMask(history, label, reachOf(sigma));
  if (!found) return null;
  const soft = smoothed(found.mask, found.box.w, found.box.h, sigma);
  for (let i = 0; i < soft.length; i++) soft[i] *= 255;
  return { ...found.box, soft, threshold: 0.5, classId: label };
}

/**
 * The edge of a class smoothed by a Gaussian ([R2]): it takes what it gains from its neighbours,
 * and they get what it loses.
 * @param {History} history @param {Rules} rules @param {number} label @param {number} sigma pixels
 */
export function smooth(history, rules, label, sigma) {
  const found = classMask(history, label, reachOf(sigma));
  if (!found || rules.locks.has(label)) return 0;
  const { box, mask } = found;
  const after = smoothed(mask, box.w, box.h, sigma);
  const lost = without(mask, after);
  const gained = without(after, mask);
  const labels = surroundings(history.plane, lost, box, label, rules.ignore);
  return step(history, "smooth", () => {
    const pixels = putLabels(history, lost, box, labels, rules, "all");
    return pixels + put(history, gained, box, label, permissions(rules, label, "all"));
  });
}

/**
 * Whatever a class encloses becomes that class.
 * @param {History} history @param {Rules} rules @param {number} label
 */
export function fillHoles(history, rules, label) {
  const found = classMask(history, label, 0);
  if (!found) return 0;
  const holes = holesOf(found.mask, found.box.w, found.box.h);
  return step(history, "fill holes", () => put(history, holes, found.box, label, permissions(rules, label, "all")));
}

/**
 * Connected pieces of a class of fewer than `least` pixels go to what lies around them.
 * @param {History} history @param {Rules} rules @param {number} label @param {number} least
 */
export function dropSpecks(history, rules, label, least) {
  const found = classMask(history, label, 0);
  if (!found || rules.locks.has(label)) return 0;
  const specks = specksOf(found.mask, found.box.w, least);
  const labels = surroundings(history.plane, specks, found.box, label, rules.ignore);
  return step(history, "drop specks", () => putLabels(history, specks, found.box, labels, rules, "all"));
}

/**
 * Another plane of this size takes this one's place.
 * @param {History} history @param {Rules} rules @param {Labels} labels
 * @param {{over?: Over, what?: string}} options
 */
export function copyFrom(history, rules, labels, { over = "all", what = "copy" } = {}) {
  const { width, height } = history.plane;
  if (labels.length !== width * height) {
    throw new Error("The other mask has another size; only equal sizes can be copied.");
  }
  const write = labelWriter(history, rules, over);
  return step(history, what, () => {
    let pixels = 0;
    for (let y = 0; y < height; y++) pixels += write(y, 0, width, labels, y * width);
    return pixels;
  });
}

/**
 * One class, or everything that is not locked, becomes another label (unlabelled where none is given).
 * @param {History} history @param {Rules} rules @param {number | null} from @param {number} to
 */
export function relabel(history, rules, from, to = rules.ignore) {
  const { width, height } = history.plane;
  const every = permissions(rules, to, "all");
  const allowed = from === null ? every : only(from, every);
  return step(history, to === rules.ignore ? "clear" : "relabel", () => {
    let pixels = 0;
    for (let y = 0; y < height; y++) pixels += history.span(y, 0, width, to, allowed);
    return pixels;
  });
}

/**
 * The connected piece under a pixel becomes a class.
 * @param {History} history @param {Rules} rules @param {number} x @param {number} y @param {number} label
 * @param {Over} over
 */
export function fill(history, rules, x, y, label, over = "all") {
  const { plane } = history;
  const now = plane.data[y * plane.width + x];
  const allowed = permissions(rules, label, over);
  if (now === label || !allowed[now]) return 0;
  const { spans } = flood(plane, x, y);
  return step(history, "fill", () => {
    let pixels = 0;
    for (let i = 0; i < spans.length; i += 3) {
      pixels += history.span(spans[i], spans[i + 1], spans[i + 2], label, allowed);
    }
    return pixels;
  });
}
