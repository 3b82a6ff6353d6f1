// Two versions of one label plane: the tiles changed here, and what the server holds.

/** @typedef {import("./codec.js").Tile} Tile */
/** @typedef {Uint8Array|Uint16Array} Labels */

/** @param {Tile} outer @param {Tile} inner */
function covers(outer, inner) {
  return outer.x <= inner.x && outer.y <= inner.y
    && outer.x + outer.w >= inner.x + inner.w && outer.y + outer.h >= inner.y + inner.h;
}

/**
 * Tiles to write in this order: an earlier one that a later one covers is left out.
 * @param {Tile[]} earlier @param {Tile[]} later @returns {Tile[]}
 */
export function mergedTiles(earlier, later) {
  return [...earlier.filter((tile) => !later.some((newer) => covers(newer, tile))), ...later];
}

/**
 * Write tiles onto a plane.
 * @param {Labels} plane @param {number} width @param {Tile[]} tiles
 */
export function applyTiles(plane, width, tiles) {
  for (const { x, y, w, h, data } of tiles) {
    for (let row = 0; row < h; row += 1) {
      plane.set(data.subarray(row * w, (row + 1) * w), (y + row) * width + x);
    }
  }
  return plane;
}

/**
 * Whether the plane holds a tile already.
 * @param {Labels} plane @param {number} width @param {Tile} tile
 */
export function holds(plane, width, { x, y, w, h, data }) {
  for (let row = 0; row < h; row += 1) {
    const from = (y + row) * width + x;
    for (let column = 0; column < w; column += 1) {
      if (plane[from + column] !== data[row * w + column]) return false;
    }
  }
  return true;
}

/**
 * How many pixels differ.
 * @param {Labels} a @param {Labels} b
 */
export function differing(a, b) {
  if (a.length !== b.length) return Math.max(a.length, b.length);
  let count = 0;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) count += 1;
  return count;
}

/**
 * A whole plane as one tile.
 * @param {Labels} plane @param {number} width @returns {Tile}
 */
export function wholeTile(plane, width) {
  return { x: 0, y: 0, w: width, h: plane.length / width, data: plane.slice() };
}

/**
 * A tile of these places with a plane's labels.
 * @param {Labels} plane @param {number} width @param {{x: number, y: number, w: number, h: number}} box @returns {Tile}
 */
export function cut(plane, width, { x, y, w, h }) {
  const data = plane.slice(0, w * h);
  for (let row = 0; row < h; row += 1) data.set(plane.subarray((y + row) * width + x, (y + row) * width + x + w), row * w);
  return { x, y, w, h, data };
}

/**
 * Theirs and mine, both made from `base`: what I changed on top of theirs, the tiles of it that theirs lacks, and how
 * many pixels we both changed, differently. Without a base, all of my unsaved tiles count as changed.
 * @param {{theirs: Labels, mine: Labels, base: Labels|null, width: number, tiles: Tile[]}} versions
 */
export function reconcile({ theirs, mine, base, width, tiles }) {
  const merged = base ? theirs.slice() : applyTiles(theirs.slice(), width, tiles);
  let contested = 0;
  if (base) {
    for (let i = 0; i < mine.length; i += 1) {
      if (mine[i] === base[i]) continue;
      if (theirs[i] !== base[i] && theirs[i] !== mine[i]) contested += 1;
      merged[i] = mine[i];
    }
  }
  const missing = tiles.map((tile) => cut(merged, width, tile)).filter((tile) => !holds(theirs, width, tile));
  return { same: differing(theirs, mine) === 0, merged, missing, contested };
}
