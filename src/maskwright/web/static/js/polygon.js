/**
 * Pixels of a polygon, even-odd, by their centres. No DOM.
 * @typedef {import("./plane.js").Emit} Emit
 */

/**
 * @param {[number, number][]} points corners x, y; the last is joined to the first
 * @param {number} height rows of the image: what lies outside is not visited
 * @param {Emit} emit
 */
export function polygonSpans(points, height, emit) {
  if (points.length < 3) return;
  const rows = points.map(([, y]) => y);
  const first = Math.max(0, Math.ceil(Math.min(...rows) - 0.5));
  const last = Math.min(height - 1, Math.floor(Math.max(...rows) - 0.5));
  for (let y = first; y <= last; y++) {
    const cuts = crossings(points, y + 0.5);
    for (let i = 0; i + 1 < cuts.length; i += 2) {
      const from = Math.ceil(cuts[i] - 0.5);
      const to = Math.ceil(cuts[i + 1] - 0.5);
      if (from < to) emit(y, from, to);
    }
  }
}

/**
 * Where a horizontal line cuts the edges, from left to right.
 * @param {[number, number][]} points @param {number} y @returns {number[]}
 */
export function crossings(points, y) {
  const cuts = [];
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [ax, ay] = points[i];
    const [bx, by] = points[j];
    if (ay > y !== by > y) cuts.push(ax + ((y - ay) / (by - ay)) * (bx - ax));
  }
  return cuts.sort((a, b) => a - b);
}
