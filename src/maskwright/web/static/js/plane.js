/**
 * The label plane: one class id a pixel, row-major, with boxes and tiles of it. No DOM.
 * A box is {x, y, w, h} in pixels; a tile is a box with its labels.
 *
 * @typedef {Uint8Array | Uint16Array} Labels
 * @typedef {{width: number, height: number, data: Labels}} Plane
 * @typedef {{x: number, y: number, w: number, h: number}} Box
 * @typedef {Box & {data: Labels}} Tile
 * @typedef {Box & {mask: Uint8Array, area: number}} Region  mask: 0 or 1, w * h
 * @typedef {(y: number, x0: number, x1: number) => void} Emit  takes pixels x0 <= x < x1 of row y
 */

/** Side of the squares in which history and saving think. */
export const TILE = 256;

/**
 * @param {Labels} data @param {number} width @param {number} height
 * @returns {Plane}
 */
export function makePlane(data, width, height) {
  if (data.length !== width * height) throw new Error(`${data.length} labels do not fill ${width} x ${height} pixels.`);
  return { data, width, height };
}

/**
 * An empty array of the same kind.
 * @param {Labels} like @param {number} length @returns {Labels}
 */
export const labelsLike = (like, length) =>
  like instanceof Uint16Array ? new Uint16Array(length) : new Uint8Array(length);

/**
 * The part of a box inside an image, in whole pixels; null where nothing is left.
 * @param {Box} box @param {number} width @param {number} height @returns {Box | null}
 */
export function clip(box, width, height) {
  const x = Math.max(0, Math.floor(box.x));
  const y = Math.max(0, Math.floor(box.y));
  const w = Math.min(width, Math.ceil(box.x + box.w)) - x;
  const h = Math.min(height, Math.ceil(box.y + box.h)) - y;
  return w > 0 && h > 0 ? { x, y, w, h } : null;
}

/**
 * The smallest box around both.
 * @param {Box | null} a @param {Box | null} b @returns {Box | null}
 */
export function union(a, b) {
  if (!a || !b) return a ?? b;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  return { x, y, w: Math.max(a.x + a.w, b.x + b.w) - x, h: Math.max(a.y + a.h, b.y + b.h) - y };
}

/**
 * A box widened on all sides and clipped.
 * @param {Box} box @param {number} by @param {Plane} plane @returns {Box}
 */
export function padded(box, by, plane) {
  const wide = { x: box.x - by, y: box.y - by, w: box.w + 2 * by, h: box.h + 2 * by };
  return clip(wide, plane.width, plane.height) ?? box;
}

/** @param {{width: number}} plane */
export const tileColumns = (plane) => Math.ceil(plane.width / TILE);

/** @param {{width: number, height: number}} plane @param {number} index @returns {Box} */
export function tileBox(plane, index) {
  const columns = tileColumns(plane);
  const x = (index % columns) * TILE;
  const y = Math.floor(index / columns) * TILE;
  return { x, y, w: Math.min(TILE, plane.width - x), h: Math.min(TILE, plane.height - y) };
}

/**
 * A copy of the labels in a box, which lies inside.
 * @param {Plane} plane @param {Box} box @param {Labels} [into] @returns {Labels}
 */
export function readBox(plane, box, into = labelsLike(plane.data, box.w * box.h)) {
  for (let row = 0; row < box.h; row++) {
    const from = (box.y + row) * plane.width + box.x;
    into.set(plane.data.subarray(from, from + box.w), row * box.w);
  }
  return into;
}

/**
 * The box of all pixels of a label; null where there is none.
 * @param {Plane} plane @param {number} label @returns {Box | null}
 */
export function boundsOf(plane, label) {
  const { data, width, height } = plane;
  let left = width;
  let right = -1;
  let top = -1;
  let bottom = -1;
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width);
    const first = row.indexOf(label);
    if (first < 0) continue;
    if (top < 0) top = y;
    bottom = y;
    left = Math.min(left, first);
    right = Math.max(right, row.lastIndexOf(label));
  }
  return top < 0 ? null : { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
}

/**
 * 1 where a box of the plane has the label.
 * @param {Plane} plane @param {number} label @param {Box} box @returns {Uint8Array}
 */
export function maskOf(plane, label, box) {
  const mask = new Uint8Array(box.w * box.h);
  for (let row = 0, at = 0; row < box.h; row++) {
    const from = (box.y + row) * plane.width + box.x;
    for (let i = from; i < from + box.w; i++, at++) mask[at] = plane.data[i] === label ? 1 : 0;
  }
  return mask;
}

/**
 * The runs of ones of a mask that lies at a box.
 * @param {Uint8Array} mask @param {Box} box @param {Emit} emit
 */
export function maskSpans(mask, box, emit) {
  // One search goes on through the whole mask: searches that stop at a row's end would read it once a row.
  for (let i = mask.indexOf(1); i >= 0; ) {
    const row = Math.floor(i / box.w);
    const end = (row + 1) * box.w;
    const start = i;
    while (i < end && mask[i]) i++;
    const left = box.x - row * box.w;
    emit(box.y + row, left + start, left + i);
    i = mask.indexOf(1, i);
  }
}

const STEP = 1 << 20;

/**
 * Pixels by label, a megapixel at a time: what is yielded on the way has been counted so far.
 * @param {Plane} plane @returns {Generator<Map<number, number>, void>}
 */
export function* countLabels({ data }) {
  /** @type {Map<number, number>} */
  const counts = new Map();
  for (let at = 0; at < data.length; at += STEP) {
    const part = data.subarray(at, at + STEP);
    for (let i = 0; i < part.length; ) {
      const [start, label] = [i, part[i]];
      while (part[i] === label) i++;
      counts.set(label, (counts.get(label) ?? 0) + i - start);
    }
    yield counts;
  }
}

/** Which tiles are not saved yet. */
export class Dirty {
  /** @type {Set<number>} */
  #tiles = new Set();
  #columns;

  /** @param {Plane} plane */
  constructor(plane) {
    this.plane = plane;
    this.#columns = tileColumns(plane);
  }

  get size() {
    return this.#tiles.size;
  }

  /** @param {number} tile */
  add(tile) {
    this.#tiles.add(tile);
  }

  /** @param {Box} box */
  addBox(box) {
    const inside = clip(box, this.plane.width, this.plane.height);
    if (!inside) return;
    for (let row = Math.floor(inside.y / TILE); row * TILE < inside.y + inside.h; row++) {
      for (let column = Math.floor(inside.x / TILE); column * TILE < inside.x + inside.w; column++) {
        this.#tiles.add(row * this.#columns + column);
      }
    }
  }

  /**
   * Copies of what is not saved, neighbours merged into larger tiles; forgets them.
   * @returns {Tile[]}
   */
  take() {
    const boxes = mergeTiles(this.plane, [...this.#tiles]);
    this.#tiles.clear();
    return boxes.map((box) => ({ ...box, data: readBox(this.plane, box) }));
  }
}

/**
 * Tiles as few boxes: neighbours in a row, then equal rows on top of each other.
 * @param {Plane} plane @param {number[]} tiles @returns {Box[]}
 */
export function mergeTiles(plane, tiles) {
  /** @type {Box[]} */
  const boxes = [];
  for (const tile of tiles.sort((a, b) => a - b)) {
    const box = tileBox(plane, tile);
    const last = boxes[boxes.length - 1];
    if (last && last.y === box.y && last.x + last.w === box.x) last.w += box.w;
    else boxes.push(box);
  }
  /** @type {Box[]} */
  const merged = [];
  for (const box of boxes) {
    const above = merged.find((other) => other.x === box.x && other.w === box.w && other.y + other.h === box.y);
    if (above) above.h += box.h;
    else merged.push(box);
  }
  return merged;
}
