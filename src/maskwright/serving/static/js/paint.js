// Class ids to pictures and numbers. No DOM.

/** @typedef {{id: number, name: string, colour: [number, number, number]}} ClassRow */
/** @typedef {import("./png.js").Plane} Plane */

/**
 * How many pixels each class has.
 * @param {Plane} plane @param {ClassRow[]} classes @returns {number[]} by class id
 */
export function countsOf({ ids }, classes) {
  const counts = new Array(classes.length).fill(0);
  for (let i = 0; i < ids.length; i++) if (ids[i] < counts.length) counts[ids[i]]++;
  return counts;
}

/**
 * A picture of the shown classes, at most `longest` pixels a side; everything else is see-through.
 * @param {Plane} plane @param {ClassRow[]} classes @param {(id: number) => boolean} shown @param {number} longest
 * @returns {{width: number, height: number, pixels: Uint8ClampedArray}} RGBA
 */
export function paint(plane, classes, shown, longest) {
  const scale = Math.min(1, longest / Math.max(plane.width, plane.height));
  const [width, height] = [plane.width, plane.height].map((side) => Math.max(1, Math.round(side * scale)));
  const colours = new Uint32Array(65536);
  // As the pixels lie in memory: little endian, as every browser's machine is.
  for (const { id, colour: [r, g, b] } of classes) if (shown(id)) colours[id] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  const pixels = new Uint32Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * plane.height) / height) * plane.width;
    for (let x = 0; x < width; x++, to++) pixels[to] = colours[plane.ids[row + Math.floor(((x + 0.5) * plane.width) / width)]];
  }
  return { width, height, pixels: new Uint8ClampedArray(pixels.buffer) };
}

/**
 * The class at a place of the picture.
 * @param {Plane} plane @param {number} across from 0 to 1 @param {number} down from 0 to 1
 * @returns {{x: number, y: number, id: number}|null} null outside
 */
export function idAt({ width, height, ids }, across, down) {
  const [x, y] = [Math.floor(across * width), Math.floor(down * height)];
  return x >= 0 && x < width && y >= 0 && y < height ? { x, y, id: ids[y * width + x] } : null;
}

/** @param {number} count @param {number} all @returns {string} as people read shares */
export function shareOf(count, all) {
  if (!count || !all) return "–";
  const share = (100 * count) / all;
  return share < 0.1 ? "< 0.1 %" : `${share.toFixed(1)} %`;
}
