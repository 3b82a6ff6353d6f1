/**
 * Round brush: which pixels lie within a radius of a line. A pixel counts by its centre. No DOM.
 *
 * @typedef {import("./plane.js").Emit} Emit
 * @typedef {{x: number, y: number, radius: number}} Dab
 */

/** Radius up to which a brush is one pixel wide: half a pixel's diagonal. */
const HAIRLINE = Math.SQRT1_2;

/**
 * Where the brush really goes: one pixel wide brushes go from centre to centre,
 * or a click between centres would paint nothing.
 *
 * @param {number} x @param {number} y @param {number} radius pixels @returns {Dab}
 */
export function dabAt(x, y, radius) {
  if (radius > HAIRLINE) return { x, y, radius };
  return { x: Math.floor(x) + 0.5, y: Math.floor(y) + 0.5, radius: Math.max(radius, 0.5) };
}

/**
 * The radius under a pen's pressure (0 to 1; a mouse has 1): a quarter at the lightest touch.
 * @param {number} radius @param {number} pressure
 */
export const pressed = (radius, pressure) => radius * (0.25 + 0.75 * Math.min(1, Math.max(0, pressure)));

/**
 * Squared distance of a point to a line from a to b.
 * @param {number} x @param {number} y @param {number} ax @param {number} ay @param {number} bx @param {number} by
 */
export function distance2(x, y, ax, ay, bx, by) {
  const dx = bx - ax;
  const dy = by - ay;
  const length2 = dx * dx + dy * dy;
  const along = length2 ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length2)) : 0;
  return (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2;
}

/**
 * All pixels whose centre is within `radius` of the line from a to b, one span a row (what is covered is convex).
 *
 * @param {{x: number, y: number}} a @param {{x: number, y: number}} b @param {number} radius @param {Emit} emit
 */
export function strokeSpans(a, b, radius, emit) {
  const limit = radius * radius;
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length = Math.hypot(dx, dy);
  const sideX = length ? (-dy / length) * radius : 0;
  const sideY = length ? (dx / length) * radius : 0;
  /** @type {[number, number][]} */
  const body = [
    [a.x + sideX, a.y + sideY], [b.x + sideX, b.y + sideY], [b.x - sideX, b.y - sideY], [a.x - sideX, a.y - sideY],
  ];
  const last = Math.floor(Math.max(a.y, b.y) + radius - 0.5);
  for (let y = Math.ceil(Math.min(a.y, b.y) - radius - 0.5); y <= last; y++) {
    const middle = y + 0.5;
    let low = Infinity;
    let high = -Infinity;
    for (const end of [a, b]) {
      const half = limit - (middle - end.y) ** 2;
      if (half < 0) continue;
      const reach = Math.sqrt(half);
      low = Math.min(low, end.x - reach);
      high = Math.max(high, end.x + reach);
    }
    for (let i = 0; i < 4 && length; i++) {
      const [x0, y0] = body[i];
      const [x1, y1] = body[(i + 1) % 4];
      if (middle < Math.min(y0, y1) || middle > Math.max(y0, y1) || y0 === y1) continue;
      const x = x0 + ((middle - y0) / (y1 - y0)) * (x1 - x0);
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
    if (low > high) continue;
    // Roots are rounded; the distance itself has the last word at both ends.
    const inside = (/** @type {number} */ x) => distance2(x + 0.5, middle, a.x, a.y, b.x, b.y) <= limit;
    let first = Math.ceil(low - 0.5) - 1;
    let stop = Math.floor(high - 0.5) + 1;
    while (first <= stop && !inside(first)) first++;
    while (stop >= first && !inside(stop)) stop--;
    if (first <= stop) emit(y, first, stop + 1);
  }
}
