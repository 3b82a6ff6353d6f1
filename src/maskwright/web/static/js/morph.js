/**
 * Growing, shrinking and smoothing a mask. The mask's box must reach as far beyond the class as the operation does,
 * except where the image ends. No DOM.
 */

/**
 * Ones within `radius` of a one (distances between centres).
 * @param {Uint8Array} mask @param {number} w @param {number} h @param {number} radius
 */
export const grown = (mask, w, h, radius) => spread(mask, w, h, radius, 1);

/**
 * Ones farther than `radius` from every zero; the box's edge is no zero.
 * @param {Uint8Array} mask @param {number} w @param {number} h @param {number} radius
 */
export const shrunk = (mask, w, h, radius) => spread(mask, w, h, radius, 0);

/**
 * Discs around the contour of `value` only: what is nearest to a pixel outside always lies on it. Neighbours in a row
 * share one stamp.
 *
 * @param {Uint8Array} mask @param {number} w @param {number} h @param {number} radius @param {number} value
 */
function spread(mask, w, h, radius, value) {
  const result = mask.slice();
  const halves = [];
  for (let dy = 0; dy <= radius; dy++) halves.push(Math.floor(Math.sqrt(radius * radius - dy * dy)));
  const inner = (/** @type {number} */ i, /** @type {number} */ x, /** @type {number} */ y) =>
    (x === 0 || mask[i - 1] === value) && (x === w - 1 || mask[i + 1] === value) &&
    (y === 0 || mask[i - w] === value) && (y === h - 1 || mask[i + w] === value);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const start = x;
      while (x < w && mask[y * w + x] === value && !inner(y * w + x, x, y)) x++;
      if (x === start) continue;
      for (let dy = 1 - halves.length; dy < halves.length; dy++) {
        const row = (y + dy) * w;
        if (row < 0 || row >= mask.length) continue;
        const half = halves[Math.abs(dy)];
        result.fill(value, row + Math.max(0, start - half), row + Math.min(w, x + half));
      }
    }
  }
  return result;
}

const BLOCK = 128;

/**
 * How far a Gaussian is followed.
 * @param {number} sigma
 */
export const reachOf = (sigma) => Math.ceil(3 * sigma);

/** @param {number} sigma @returns {Float32Array} from the middle outwards, whole kernel sums to 1 */
function kernelOf(sigma) {
  const kernel = Float64Array.from({ length: reachOf(sigma) + 1 }, (_, i) => Math.exp((-i * i) / (2 * sigma * sigma)));
  const sum = kernel.reduce((total, weight, i) => total + (i ? 2 : 1) * weight, 0);
  return Float32Array.from(kernel, (weight) => weight / sum);
}

/**
 * Ones where a Gaussian blur of the mask is above one half; beyond the box it goes on as at its edge.
 * Blocks without an edge in reach are not computed.
 *
 * @param {Uint8Array} mask @param {number} w @param {number} h @param {number} sigma pixels
 */
export function smoothed(mask, w, h, sigma) {
  const result = mask.slice();
  const kernel = kernelOf(sigma);
  const reach = kernel.length - 1;
  const side = BLOCK + 2 * reach;
  const source = new Float32Array(side * side);
  const across = new Float32Array(side * BLOCK);
  const line = new Float32Array(BLOCK);
  for (let top = 0; top < h; top += BLOCK) {
    for (let left = 0; left < w; left += BLOCK) {
      if (!copyWindow(mask, w, h, left - reach, top - reach, side, source)) continue;
      blurRows(source, across, side, kernel);
      const rows = Math.min(BLOCK, h - top);
      const columns = Math.min(BLOCK, w - left);
      for (let y = 0; y < rows; y++) {
        line.fill(0);
        for (let dy = -reach; dy <= reach; dy++) {
          const weight = kernel[Math.abs(dy)];
          const from = (y + reach + dy) * BLOCK;
          for (let x = 0; x < columns; x++) line[x] += weight * across[from + x];
        }
        const to = (top + y) * w + left;
        for (let x = 0; x < columns; x++) result[to + x] = line[x] > 0.5 ? 1 : 0;
      }
    }
  }
  return result;
}

/**
 * Copy a square window, its edges repeated; false where it is all ones or all zeros.
 * @param {Uint8Array} mask @param {number} w @param {number} h @param {number} left @param {number} top
 * @param {number} side @param {Float32Array} into
 */
function copyWindow(mask, w, h, left, top, side, into) {
  let ones = 0;
  for (let y = 0; y < side; y++) {
    const row = Math.min(h - 1, Math.max(0, top + y)) * w;
    for (let x = 0; x < side; x++) {
      const value = mask[row + Math.min(w - 1, Math.max(0, left + x))];
      into[y * side + x] = value;
      ones += value;
    }
  }
  return ones > 0 && ones < side * side;
}

/** @param {Float32Array} source @param {Float32Array} into @param {number} side @param {Float32Array} kernel */
function blurRows(source, into, side, kernel) {
  const reach = kernel.length - 1;
  for (let y = 0; y < side; y++) {
    const row = y * side + reach;
    for (let x = 0; x < BLOCK; x++) {
      let sum = kernel[0] * source[row + x];
      for (let d = 1; d <= reach; d++) sum += kernel[d] * (source[row + x - d] + source[row + x + d]);
      into[y * BLOCK + x] = sum;
    }
  }
}
