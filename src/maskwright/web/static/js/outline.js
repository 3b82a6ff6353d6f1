/**
 * Contours of labels. No DOM.
 * @typedef {import("./plane.js").Labels} Labels @typedef {import("./plane.js").Box} Box
 */

/**
 * Whether pixels of a box have another label within `reach` pixels above, below, left or right of them.
 *
 * @param {Labels} labels row-major @param {number} width @param {number} height
 * @param {Box} box inside the labels @param {number} reach how thick the contour gets on each side
 * @param {Uint8Array} [into] w * h of the box
 * @returns {Uint8Array} 1 on contours
 */
export function contours(labels, width, height, box, reach = 1, into = new Uint8Array(box.w * box.h)) {
  const right = width - 1;
  const bottom = height - 1;
  for (let y = box.y, at = 0; y < box.y + box.h; y++) {
    for (let x = box.x; x < box.x + box.w; x++, at++) {
      const i = y * width + x;
      const label = labels[i];
      let other = 0;
      for (let d = 1; d <= reach; d++) {
        if (
          (x >= d && labels[i - d] !== label) || (x <= right - d && labels[i + d] !== label) ||
          (y >= d && labels[i - d * width] !== label) || (y <= bottom - d && labels[i + d * width] !== label)
        ) {
          other = 1;
          break;
        }
      }
      into[at] = other;
    }
  }
  return into;
}
