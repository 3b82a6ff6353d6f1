/**
 * Labels as pixels of the screen: every device pixel takes the label under it, so that painting costs what the screen
 * is large, not the image. No DOM.
 *
 * @typedef {import("./plane.js").Plane} Plane
 * @typedef {import("./plane.js").Labels} Labels
 * @typedef {import("./plane.js").Box} Box
 * @typedef {import("./view.js").View} View
 * @typedef {import("./colours.js").Table} Table
 * @typedef {{columns: Int32Array, rows: Int32Array, ox: number, oy: number}} Grid
 *   the image column of each screen column, and row of each row, -1 beyond the image; ox, oy: where hatches begin
 * @typedef {{pixels: Uint32Array, stride: number}} Canvas32  pixel x, y of the screen is at y * stride + x
 */
import { pixel } from "./colours.js";
import { contours } from "./outline.js";

/**
 * @param {View} view in device pixels @param {{width: number, height: number}} image @param {number} w
 * @param {number} h @returns {Grid}
 */
export function gridOf(view, image, w, h) {
  const axis = (/** @type {number} */ length, /** @type {number} */ t, /** @type {number} */ limit) =>
    Int32Array.from({ length }, (_, i) => {
      const at = Math.floor((i + 0.5 - t) / view.scale);
      return at >= 0 && at < limit ? at : -1;
    });
  const wrap = (/** @type {number} */ t) => ((Math.round(-t) % 8) + 8) % 8;
  const columns = axis(w, view.tx, image.width);
  return { columns, rows: axis(h, view.ty, image.height), ox: wrap(view.tx), oy: wrap(view.ty) };
}

/**
 * The screen pixels that a box of the image covers, and `margin` more around.
 * @param {View} view in device pixels @param {Box} box @param {Grid} grid @param {number} margin
 * @returns {Box} w or h may be 0
 */
export function screenBox(view, box, grid, margin = 1) {
  const x = Math.max(0, Math.floor(box.x * view.scale + view.tx) - margin);
  const y = Math.max(0, Math.floor(box.y * view.scale + view.ty) - margin);
  const right = Math.min(grid.columns.length, Math.ceil((box.x + box.w) * view.scale + view.tx) + margin);
  const bottom = Math.min(grid.rows.length, Math.ceil((box.y + box.h) * view.scale + view.ty) + margin);
  return { x, y, w: Math.max(0, right - x), h: Math.max(0, bottom - y) };
}

/**
 * Fill a box of the screen with the labels' colours.
 * @param {Plane} plane @param {Grid} grid @param {Box} box @param {Uint32Array} table @param {Canvas32} to
 */
export function paintPlain({ data, width }, grid, box, table, { pixels, stride }) {
  const { columns, rows } = grid;
  const end = box.x + box.w;
  for (let y = box.y; y < box.y + box.h; y++) {
    const to = y * stride;
    const row = rows[y];
    if (row < 0) pixels.fill(0, to + box.x, to + end);
    else if (y > box.y && row === rows[y - 1]) pixels.copyWithin(to + box.x, to - stride + box.x, to - stride + end);
    else {
      const from = row * width;
      for (let x = box.x; x < end; x++) {
        const column = columns[x];
        pixels[to + x] = column < 0 ? 0 : table[data[from + column]];
      }
    }
  }
}

/**
 * The same with hatches.
 * @param {Plane} plane @param {Grid} grid @param {Box} box @param {Table} table @param {Uint8Array} hatches
 * @param {Canvas32} to
 */
export function paintHatched({ data, width }, grid, box, { plain, inked }, hatches, { pixels, stride }) {
  const { columns, rows, ox, oy } = grid;
  const end = box.x + box.w;
  for (let y = box.y; y < box.y + box.h; y++) {
    const to = y * stride;
    const from = rows[y] * width;
    const bits = ((y + oy) & 7) * plain.length;
    if (from < 0) pixels.fill(0, to + box.x, to + end);
    else {
      for (let x = box.x; x < end; x++) {
        const column = columns[x];
        if (column < 0) pixels[to + x] = 0;
        else {
          const label = data[from + column];
          pixels[to + x] = (hatches[bits + label] >> ((x + ox) & 7)) & 1 ? inked[label] : plain[label];
        }
      }
    }
  }
}

const THICK = 2;
const HALO = pixel(255, 255, 255, 170);
/** How far beyond a change contours may change, in screen pixels. */
export const OUTLINE_MARGIN = THICK + 1;

/**
 * Contours only, two screen pixels on each side at every zoom; on an unlabelled side they are white, so that they show
 * on any photo. The image's border is no contour.
 *
 * @param {Plane} plane @param {Grid} grid @param {Box} box @param {Uint32Array} table opaque
 * @param {number} ignore @param {Canvas32} to
 */
export function paintOutline(plane, grid, box, table, ignore, to) {
  const sampled = sample(plane, grid, box, THICK);
  if (!sampled) return eachPixel(box, to, () => 0);
  const { labels, w, h } = sampled;
  const inside = { x: box.x - sampled.x, y: box.y - sampled.y, w: box.w, h: box.h };
  const lines = contours(labels, w, h, inside, THICK);
  eachPixel(box, to, (i, x, y) => {
    if (!lines[i] || grid.columns[x] < 0 || grid.rows[y] < 0) return 0;
    const label = labels[(y - sampled.y) * w + x - sampled.x];
    return label === ignore ? HALO : table[label];
  });
}

/**
 * Where two planes differ: the label that is there now, hatched by the other's colour.
 * @param {Plane} plane @param {Labels} reference @param {Grid} grid @param {Box} box @param {Uint32Array} table
 * @param {{ignore: number, gone: number}} unlabelled its label, and its pixel @param {Canvas32} to
 */
export function paintDifference(plane, reference, grid, box, table, { ignore, gone }, to) {
  const { columns, rows } = grid;
  eachPixel(box, to, (_, x, y) => {
    if (rows[y] < 0 || columns[x] < 0) return 0;
    const at = rows[y] * plane.width + columns[x];
    const [now, then] = [plane.data[at], reference[at]];
    if (now === then) return 0;
    const colour = (/** @type {number} */ label) => (label === ignore ? gone : table[label]);
    return ((x + y + grid.ox + grid.oy) & 7) < 3 ? colour(then) : colour(now);
  });
}

/**
 * The labels under a box of the screen and `reach` around it, as far as the screen goes; beyond the image they go on as
 * at its border. Null where none of the image is on the screen.
 *
 * @param {Plane} plane @param {Grid} grid @param {Box} box @param {number} reach
 */
function sample({ data, width, height }, { columns, rows }, box, reach) {
  const x = Math.max(0, box.x - reach);
  const y = Math.max(0, box.y - reach);
  const w = Math.min(columns.length, box.x + box.w + reach) - x;
  const h = Math.min(rows.length, box.y + box.h + reach) - y;
  const [left, top] = [columns, rows].map((axis) => axis.findIndex((at) => at >= 0));
  if (left < 0 || top < 0) return null;
  const labels = new Uint16Array(w * h);
  for (let j = 0; j < h; j++) {
    const row = rows[y + j] >= 0 ? rows[y + j] : y + j < top ? rows[top] : height - 1;
    for (let i = 0; i < w; i++) {
      const column = columns[x + i] >= 0 ? columns[x + i] : x + i < left ? columns[left] : width - 1;
      labels[j * w + i] = data[row * width + column];
    }
  }
  return { labels, x, y, w, h };
}

/**
 * A candidate on the screen: a light hatched fill and an edge of black and white dashes, which shows on any photo.
 *
 * @param {import("./compose.js").Candidate} candidate @param {number} level least 255th that counts
 * @param {Grid} grid @param {Box} box @param {{between: number, line: number}} fill pixels of the hatch
 * @param {Canvas32} to whose box is empty or holds other candidates
 */
export function paintPreview(candidate, level, grid, box, fill, to) {
  const { columns, rows, ox, oy } = grid;
  const x0 = Math.max(0, box.x - THICK);
  const y0 = Math.max(0, box.y - THICK);
  const w = Math.min(columns.length, box.x + box.w + THICK) - x0;
  const h = Math.min(rows.length, box.y + box.h + THICK) - y0;
  if (w <= 0 || h <= 0) return;
  const inside = new Uint8Array(w * h);
  for (let j = 0; j < h; j++) {
    const row = rows[y0 + j] - candidate.y;
    if (rows[y0 + j] < 0 || row < 0 || row >= candidate.h) continue;
    for (let i = 0; i < w; i++) {
      const column = columns[x0 + i] - candidate.x;
      if (columns[x0 + i] < 0 || column < 0 || column >= candidate.w) continue;
      inside[j * w + i] = candidate.soft[row * candidate.w + column] >= level ? 1 : 0;
    }
  }
  const lines = contours(inside, w, h, { x: box.x - x0, y: box.y - y0, w: box.w, h: box.h }, THICK - 1);
  eachPixel(box, to, (i, x, y, now) => {
    if (lines[i]) return ((x + y + ox + oy) & 8) ? 0xff000000 : 0xffffffff;
    if (!inside[(y - y0) * w + x - x0]) return now;
    return ((x - y + ox - oy) & 7) < 2 ? fill.line : fill.between;
  });
}

/** @param {Box} box @param {Canvas32} to @param {(i: number, x: number, y: number, now: number) => number} pixelAt */
function eachPixel(box, { pixels, stride }, pixelAt) {
  for (let y = box.y, i = 0; y < box.y + box.h; y++) {
    for (let x = box.x; x < box.x + box.w; x++, i++) pixels[y * stride + x] = pixelAt(i, x, y, pixels[y * stride + x]);
  }
}

/**
 * The labels as a small picture, for lists.
 * @param {Plane} plane @param {Uint32Array} table @param {number} longest side of the picture
 */
export function thumbnail(plane, table, longest) {
  const scale = Math.min(1, longest / Math.max(plane.width, plane.height));
  const w = Math.max(1, Math.round(plane.width * scale));
  const h = Math.max(1, Math.round(plane.height * scale));
  const grid = gridOf({ scale, tx: 0, ty: 0 }, plane, w, h);
  const pixels = new Uint32Array(w * h);
  paintPlain(plane, grid, { x: 0, y: 0, w, h }, table, { pixels, stride: w });
  return { width: w, height: h, data: new Uint8ClampedArray(pixels.buffer) };
}
