/**
 * Labels on their way to the server and back: zlib, tiles, packed bits, base64, as the HTTP API has them. No DOM.
 *
 * @typedef {import("./plane.js").Labels} Labels
 * @typedef {import("./plane.js").Tile} Tile
 * @typedef {import("./plane.js").Region} Region
 */

const HEAD = 16;

/** @param {Uint8Array} bytes @param {GenericTransformStream} through */
async function pipe(bytes, through) {
  const source = new Blob([bytes]).stream().pipeThrough(through);
  return new Uint8Array(await new Response(source).arrayBuffer());
}

/** @param {Uint8Array} bytes @returns {Promise<Uint8Array>} zlib's format */
export const deflate = (bytes) => pipe(bytes, new CompressionStream("deflate"));

/**
 * @param {Uint8Array} bytes zlib's format @param {number} [expected] bytes that must come out
 * @returns {Promise<Uint8Array>}
 */
export async function inflate(bytes, expected) {
  const plain = await pipe(bytes, new DecompressionStream("deflate"));
  if (expected !== undefined && plain.length !== expected) {
    throw new Error(`${plain.length} bytes arrived where ${expected} were expected; load the image again.`);
  }
  return plain;
}

/**
 * Labels as bytes, little endian.
 * @param {Labels} labels @returns {Uint8Array}
 */
export const bytesOf = (labels) => new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength);

/**
 * @param {Uint8Array} bytes @param {number} w @param {number} h @param {boolean} wide two bytes a label
 * @returns {Labels}
 */
export function planeFromBytes(bytes, w, h, wide) {
  const expected = w * h * (wide ? 2 : 1);
  if (bytes.length !== expected) {
    throw new Error(`${bytes.length} bytes arrived for a mask of ${expected} bytes; load the image again.`);
  }
  return wide ? new Uint16Array(bytes.slice().buffer) : bytes;
}

/**
 * Tiles one after the other: x, y, w, h as uint32, then the labels; little endian.
 * @param {Tile[]} tiles @param {boolean} wide @returns {Uint8Array}
 */
export function packTiles(tiles, wide) {
  const each = wide ? 2 : 1;
  const bytes = new Uint8Array(tiles.reduce((sum, { w, h }) => sum + HEAD + w * h * each, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { x, y, w, h, data } of tiles) {
    [x, y, w, h].forEach((value, i) => view.setUint32(at + 4 * i, value, true));
    bytes.set(bytesOf(wide ? Uint16Array.from(data) : Uint8Array.from(data)), at + HEAD);
    at += HEAD + w * h * each;
  }
  return bytes;
}

/** @param {Uint8Array} bytes @param {boolean} wide @returns {Tile[]} */
export function unpackTiles(bytes, wide) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  /** @type {Tile[]} */
  const tiles = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + HEAD > bytes.length) throw new Error("The tiles end in the middle of one; they were cut off on the way.");
    const [x, y, w, h] = [0, 4, 8, 12].map((offset) => view.getUint32(at + offset, true));
    const end = at + HEAD + w * h * (wide ? 2 : 1);
    if (end > bytes.length) throw new Error("The tiles end in the middle of one; they were cut off on the way.");
    tiles.push({ x, y, w, h, data: planeFromBytes(bytes.slice(at + HEAD, end), w, h, wide) });
    at = end;
  }
  return tiles;
}

/**
 * The body of a PATCH.
 * @param {Tile[]} tiles @param {boolean} wide
 */
export const patchBody = (tiles, wide) => deflate(packTiles(tiles, wide));

/**
 * Eight to a byte, first pixel in the highest bit, as numpy's packbits.
 * @param {Uint8Array} mask @returns {Uint8Array}
 */
export function packBits(mask) {
  const bytes = new Uint8Array(Math.ceil(mask.length / 8));
  for (let i = 0; i < mask.length; i++) if (mask[i]) bytes[i >> 3] |= 128 >> (i & 7);
  return bytes;
}

/** @param {Uint8Array} bytes @param {number} length @returns {Uint8Array} */
export function unpackBits(bytes, length) {
  const mask = new Uint8Array(length);
  for (let i = 0; i < length; i++) mask[i] = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  return mask;
}

/** @param {Uint8Array} bytes @returns {string} */
export function toBase64(bytes) {
  let text = "";
  // In parts: a call takes only so many arguments.
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}

/** @param {string} text @returns {Uint8Array} */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/**
 * A candidate of the server with its soft plane unpacked.
 *
 * @template {{w: number, h: number, soft: string}} T
 * @param {T} candidate
 * @returns {Promise<Omit<T, "soft"> & {soft: Uint8Array}>}
 */
export async function softFrom(candidate) {
  return { ...candidate, soft: await inflate(fromBase64(candidate.soft), candidate.w * candidate.h) };
}

/**
 * A mask so far, as a prompt takes it.
 * @param {Region} region
 */
export async function previousFrom({ x, y, w, h, mask }) {
  return { x, y, w, h, bits: toBase64(await deflate(packBits(mask))) };
}
