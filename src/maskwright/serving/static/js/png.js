// Class ids out of the PNG that the server writes: one plane of 8 or 16 bits without filters. No DOM.
// The browser's own decoder would give colours, and two classes may share one.

/** @typedef {Uint8Array|Uint16Array} Ids */
/** @typedef {{width: number, height: number, ids: Ids}} Plane */

const NOT = "The server's answer is not a plane of class ids; is this page older than the server?";

/** @param {Uint8Array} bytes a PNG file @returns {Promise<Plane>} */
export async function decodeIds(bytes) {
  const { width, height, wide, packed } = read(bytes);
  const line = 1 + width * (wide ? 2 : 1);
  const plain = await inflate(packed);
  if (plain.length !== line * height) throw new Error(NOT);
  const ids = wide ? new Uint16Array(width * height) : new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const start = row * line;
    if (plain[start] !== 0) throw new Error(NOT);
    if (wide) for (let x = 0; x < width; x++) ids[row * width + x] = (plain[start + 1 + 2 * x] << 8) | plain[start + 2 + 2 * x];
    else ids.set(plain.subarray(start + 1, start + line), row * width);
  }
  return { width, height, ids };
}

/** @param {Uint8Array} bytes */
function read(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 57 || view.getUint32(0) !== 0x89504e47) throw new Error(NOT);
  const [width, height, depth, colour, interlaced] = [view.getUint32(16), view.getUint32(20), bytes[24], bytes[25], bytes[28]];
  if (![8, 16].includes(depth) || ![0, 3].includes(colour) || interlaced) throw new Error(NOT);
  /** @type {Uint8Array[]} */
  const parts = [];
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x49444154) parts.push(bytes.subarray(at + 8, at + 8 + length));
  }
  return { width, height, wide: depth === 16, packed: new Blob(parts) };
}

/** @param {Blob} packed zlib's format @returns {Promise<Uint8Array>} */
async function inflate(packed) {
  const plain = packed.stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}
