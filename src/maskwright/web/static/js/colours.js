/**
 * Colours and hatches of classes: tables by label of 32-bit pixels (bytes R, G, B, A in memory). No DOM.
 *
 * @typedef {import("./compose.js").ClassRow} ClassRow
 * @typedef {{plain: Uint32Array, inked: Uint32Array}} Table  inked: the colour of a hatch's lines
 */

/** Hatches as 8 x 8 bits, so that classes differ without colour; the first is plain. */
export const HATCHES = [
  [0, 0, 0, 0, 0, 0, 0, 0],
  [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80],
  [0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01],
  [0, 0, 0, 0xff, 0, 0, 0, 0],
  [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10],
  [0, 0x60, 0x60, 0, 0, 0x06, 0x06, 0],
  [0x81, 0x42, 0x24, 0x18, 0x18, 0x24, 0x42, 0x81],
  [0x10, 0x10, 0x10, 0xff, 0x10, 0x10, 0x10, 0x10],
  [0x11, 0x22, 0x44, 0x88, 0x11, 0x22, 0x44, 0x88],
  [0, 0xff, 0, 0, 0, 0xff, 0, 0],
  [0x18, 0x24, 0x42, 0x81, 0x81, 0x42, 0x24, 0x18],
];

/** @param {number} id @returns {number[]} rows of bits, lowest bit first from the left */
export const patternOf = (id) => HATCHES[id % HATCHES.length];

/** @param {number} r @param {number} g @param {number} b @param {number} a each 0 to 255 */
export const pixel = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** @param {number[]} colour */
export const cssColour = (colour) => "#" + colour.map((value) => value.toString(16).padStart(2, "0")).join("");

/**
 * Relative luminance (WCAG 2.2).
 * @param {number[]} colour
 */
export function luminance(colour) {
  const linear = (/** @type {number} */ value) =>
    value <= 10.31475 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const [r, g, b] = colour.map(linear);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/**
 * Black or white, whichever is read better on a colour.
 * @param {number[]} colour
 */
export const inkOn = (colour) => (luminance(colour) > 0.179 ? "#000" : "#fff");

/**
 * A colour for a new class, as far from the others as the palette has one.
 * @param {number[][]} taken @returns {number[]}
 */
export function suggestColour(taken) {
  const far = (/** @type {number[]} */ colour) =>
    Math.min(...taken.map((other) => Math.hypot(...colour.map((value, i) => value - other[i]))), 1e9);
  return PALETTE.reduce((best, colour) => (far(colour) > far(best) ? colour : best));
}

/** The palette of `maskwright.types`, and a few more. */
const PALETTE = [
  [230, 97, 0], [26, 133, 255], [212, 17, 89], [64, 176, 166], [255, 194, 10], [93, 58, 155], [0, 108, 30],
  [153, 79, 0],
  [225, 190, 235], [12, 123, 220], [180, 220, 80], [60, 60, 60], [255, 120, 180], [0, 220, 255], [120, 0, 40],
  [160, 160, 160],
];

/**
 * Pixels by label; unlabelled and unknown labels are transparent.
 *
 * @param {ClassRow[]} classes @param {boolean} wide @param {number} opacity 0 to 1
 * @returns {Table}
 */
export function colourTable(classes, wide, opacity) {
  const plain = new Uint32Array(wide ? 65536 : 256);
  const inked = new Uint32Array(plain.length);
  const alpha = Math.round(255 * opacity);
  for (const { id, colour } of classes) {
    const [r, g, b] = colour;
    const ink = inkOn(colour) === "#000" ? 0 : 255;
    const lines = [r, g, b].map((value) => Math.round(0.35 * value + 0.65 * ink));
    plain[id] = pixel(r, g, b, alpha);
    inked[id] = pixel(lines[0], lines[1], lines[2], Math.min(255, alpha + 60));
  }
  return { plain, inked };
}

/**
 * One byte a label for each of the 8 rows of the hatch: its bits.
 * @param {ClassRow[]} classes @param {boolean} wide
 */
export function hatchTable(classes, wide) {
  const size = wide ? 65536 : 256;
  const table = new Uint8Array(8 * size);
  for (const { id } of classes) patternOf(id).forEach((bits, row) => (table[row * size + id] = bits));
  return table;
}

/**
 * Doubt 0..255 as light: clear, amber, white-hot; ever lighter, so that it reads without hue.
 * @param {number} opacity 0 to 1
 */
export function heatTable(opacity) {
  return Uint32Array.from({ length: 256 }, (_, doubt) => {
    const t = doubt / 255;
    const alpha = Math.round(255 * opacity * Math.min(1, t * 1.6));
    const [r, g, b] = [120 + 135 * Math.min(1, 2 * t), 230 * t ** 1.3, 190 * t ** 4].map(Math.round);
    return pixel(r, g, b, alpha);
  });
}

/**
 * A square of a class's colour and hatch, for lists.
 * @param {number} id @param {number[]} colour @param {number} size
 */
export function swatch(id, colour, size = 16) {
  const { plain, inked } = colourTable([{ id: 0, name: "", colour }], false, 1);
  const bits = patternOf(id);
  const pixels = Uint32Array.from({ length: size * size }, (_, i) =>
    (bits[Math.floor(i / size) & 7] >> (i % size & 7)) & 1 ? inked[0] : plain[0],
  );
  return { width: size, height: size, data: new Uint8ClampedArray(pixels.buffer) };
}
