/**
 * Pieces, holes and surroundings of a mask that lies at a box of the plane. No DOM.
 *
 * @typedef {import("./plane.js").Plane} Plane
 * @typedef {import("./plane.js").Box} Box
 * @typedef {{runs: Int32Array, pieces: Int32Array, areas: Float64Array}} Pieces
 *   runs: row, x0, x1; pieces: one number a run
 */
import { labelsLike, maskOf, maskSpans } from "./plane.js";

/**
 * Connected pieces of a mask, by runs.
 * @param {Uint8Array} mask 0 or 1 @param {number} w
 * @param {boolean} corners whether pixels that touch at a corner are connected
 * @returns {Pieces}
 */
export function piecesOf(mask, w, corners) {
  /** @type {number[]} */
  const runs = [];
  /** @type {number[]} */
  const parents = [];
  const root = (/** @type {number} */ run) => {
    while (parents[run] !== run) run = parents[run] = parents[parents[run]];
    return run;
  };
  const reach = corners ? 1 : 0;
  // The runs of the row above are from `above` to `begin`; the first that may still reach under the next is `other`.
  let [above, begin, other, last] = [0, 0, 0, -1];
  maskSpans(mask, { x: 0, y: 0, w, h: 0 }, (y, x0, x1) => {
    const run = parents.length;
    if (y !== last) {
      above = y === last + 1 ? begin : run;
      [begin, other, last] = [run, above, y];
    }
    parents.push(run);
    runs.push(y, x0, x1);
    while (other < begin && runs[other * 3 + 2] + reach <= x0) other++;
    for (let i = other; i < begin && runs[i * 3 + 1] < x1 + reach; i++) parents[root(i)] = root(run);
  });
  const pieces = Int32Array.from(parents, (_, run) => root(run));
  const areas = new Float64Array(parents.length);
  pieces.forEach((piece, run) => (areas[piece] += runs[run * 3 + 2] - runs[run * 3 + 1]));
  return { runs: Int32Array.from(runs), pieces, areas };
}

/**
 * The pieces that are wanted, as a mask.
 * @param {Pieces} found @param {number} w @param {number} length @param {(piece: number) => boolean} wanted
 */
function only({ runs, pieces }, w, length, wanted) {
  const mask = new Uint8Array(length);
  pieces.forEach((piece, run) => {
    if (wanted(piece)) mask.fill(1, runs[run * 3] * w + runs[run * 3 + 1], runs[run * 3] * w + runs[run * 3 + 2]);
  });
  return mask;
}

/**
 * The pieces of a mask with fewer pixels than `least`; corners connect.
 * @param {Uint8Array} mask @param {number} w @param {number} least
 */
export function specksOf(mask, w, least) {
  const found = piecesOf(mask, w, true);
  return only(found, w, mask.length, (piece) => found.areas[piece] < least);
}

/**
 * What a mask encloses: zeros from which no path over sides leads to the box's edge.
 * @param {Uint8Array} mask @param {number} w @param {number} h
 */
export function holesOf(mask, w, h) {
  const found = piecesOf(flipped(mask), w, false);
  const open = new Uint8Array(found.pieces.length);
  found.pieces.forEach((piece, run) => {
    const [y, x0, x1] = found.runs.subarray(run * 3, run * 3 + 3);
    if (y === 0 || y === h - 1 || x0 === 0 || x1 === w) open[piece] = 1;
  });
  return only(found, w, mask.length, (piece) => !open[piece]);
}

/** @param {Uint8Array} mask */
function flipped(mask) {
  const result = new Uint8Array(mask.length);
  for (let i = 0; i < mask.length; i++) result[i] = mask[i] ^ 1;
  return result;
}

/**
 * For pixels that a class gives up: the label of what lies nearest around them, step by step over sides.
 *
 * @param {Plane} plane @param {Uint8Array} lost 0 or 1 in the box @param {Box} box
 * @param {number} label the class that gives up @param {number} ignore where nothing else lies around
 * @returns {import("./plane.js").Labels} labels in the box, of use where `lost`
 */
export function surroundings(plane, lost, box, label, ignore) {
  const { data, width, height } = plane;
  const { w, h } = box;
  const labels = labelsLike(data, lost.length).fill(ignore);
  const known = new Uint8Array(lost.length);
  /** @type {number[]} */
  let edge = [];
  for (let i = lost.indexOf(1); i >= 0; i = lost.indexOf(1, i + 1)) edge.push(i);
  while (edge.length) {
    const later = [];
    const found = [];
    for (const i of edge) {
      const next = neighbourLabel(i);
      if (next < 0) later.push(i);
      else found.push(i, next);
    }
    if (!found.length) break;
    for (let j = 0; j < found.length; j += 2) {
      labels[found[j]] = found[j + 1];
      known[found[j]] = 1;
    }
    edge = later;
  }
  return labels;

  /** @param {number} i */
  function neighbourLabel(i) {
    const x = i % w;
    const y = (i - x) / w;
    for (const [dx, dy] of SIDES) {
      const [column, row] = [x + dx, y + dy];
      const [px, py] = [box.x + column, box.y + row];
      if (px < 0 || py < 0 || px >= width || py >= height) continue;
      const inside = column >= 0 && row >= 0 && column < w && row < h;
      const j = row * w + column;
      if (inside && lost[j]) {
        if (known[j]) return labels[j];
      } else if (data[py * width + px] !== label) return data[py * width + px];
    }
    return -1;
  }
}

const SIDES = [[0, -1], [-1, 0], [1, 0], [0, 1]];

/**
 * A plane of labels as one certain candidate for each class that it holds, cut to where the class is.
 * @param {import("./plane.js").Labels} plane @param {number} width @param {number[]} ids
 * @returns {import("./compose.js").Candidate[]}
 */
export function candidatesOf(plane, width, ids) {
  /** @type {Map<number, {x0: number, y0: number, x1: number, y1: number}>} */
  const boxes = new Map();
  for (let at = 0; at < plane.length; ) {
    const [id, x, y] = [plane[at], at % width, Math.floor(at / width)];
    const row = (y + 1) * width;
    const start = at;
    while (at < row && plane[at] === id) at++;
    const box = boxes.get(id) ?? { x0: x, y0: y, x1: x, y1: y };
    boxes.set(id, { x0: Math.min(box.x0, x), y0: box.y0, x1: Math.max(box.x1, x + at - start), y1: y + 1 });
  }
  return ids.flatMap((id) => {
    const found = boxes.get(id);
    if (!found) return [];
    const box = { x: found.x0, y: found.y0, w: found.x1 - found.x0, h: found.y1 - found.y0 };
    const soft = maskOf({ data: plane, width, height: plane.length / width }, id, box);
    for (let i = 0; i < soft.length; i++) soft[i] *= 255;
    return [{ ...box, soft, threshold: 0.5, classId: id }];
  });
}
