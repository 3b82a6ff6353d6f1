/**
 * The plane with a memory: every change goes through `span`, which keeps each 256 px tile as it was, once a command.
 * Tiles are kept as run lengths, so that undo needs no limit: a label plane of 16 megapixels is some 10 kB. No DOM.
 *
 * @typedef {import("./plane.js").Plane} Plane
 * @typedef {import("./plane.js").Labels} Labels
 * @typedef {import("./plane.js").Box} Box
 * @typedef {Uint32Array | Labels} Packed  runs (label << 16 | length - 1), or plain labels where those are smaller
 * @typedef {{what: string, tiles: Map<number, Packed>}} Command
 */
import { Dirty, TILE, labelsLike, readBox, tileBox, tileColumns, union } from "./plane.js";

const runs = new Uint32Array(TILE * TILE);

/**
 * At most 65536 labels as runs.
 * @param {Labels} labels starts at a multiple of 4 bytes @param {number} length @returns {Packed}
 */
export function pack(labels, length) {
  const perWord = 4 / labels.BYTES_PER_ELEMENT;
  const words = new Uint32Array(labels.buffer, labels.byteOffset, Math.floor(length / perWord));
  const spread = perWord === 4 ? 0x01010101 : 0x00010001;
  let count = 0;
  for (let start = 0; start < length; ) {
    const label = labels[start];
    let end = start + 1;
    while (end % perWord && end < length && labels[end] === label) end++;
    if (end % perWord === 0) {
      const same = (label * spread) >>> 0;
      let word = end / perWord;
      while (word < words.length && words[word] === same) word++;
      end = word * perWord;
    }
    while (end < length && labels[end] === label) end++;
    runs[count++] = ((label << 16) | (end - start - 1)) >>> 0;
    start = end;
  }
  return count * 4 < length * labels.BYTES_PER_ELEMENT ? runs.slice(0, count) : labels.slice(0, length);
}

/** @param {Packed} packed @param {Labels} into */
export function unpack(packed, into) {
  if (!(packed instanceof Uint32Array)) return into.set(packed);
  let at = 0;
  for (const run of packed) {
    const end = at + (run & 0xffff) + 1;
    into.fill(run >>> 16, at, end);
    at = end;
  }
}

/** A plane that is changed by commands; each can be undone. */
export class History {
  /** @type {Command[]} */
  #done = [];
  /** @type {Command[]} */
  #undone = [];
  /** @type {Command | null} */
  #open = null;
  #kept;
  #columns;
  #scratch;
  /** @type {Box | null} */
  #changed = null;

  /** @param {Plane} plane */
  constructor(plane) {
    this.plane = plane;
    this.dirty = new Dirty(plane);
    this.#columns = tileColumns(plane);
    this.#kept = new Uint8Array(this.#columns * Math.ceil(plane.height / TILE));
    this.#scratch = labelsLike(plane.data, TILE * TILE);
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  get open() {
    return this.#open !== null;
  }

  /** What the history holds, in bytes. */
  get bytes() {
    const held = [...this.#done, ...this.#undone].flatMap((command) => [...command.tiles.values()]);
    return held.reduce((sum, packed) => sum + packed.byteLength, 0);
  }

  /** @param {string} what words for the command */
  begin(what) {
    if (this.#open) this.end();
    this.#open = { what, tiles: new Map() };
  }

  /**
   * Give pixels x0 <= x < x1 of row y a label where `allowed` says that their present one may go; what lies outside
   * the image is left out. Answers how many changed.
   *
   * @param {number} y @param {number} x0 @param {number} x1 @param {number} label @param {Uint8Array} allowed by label
   */
  span(y, x0, x1, label, allowed) {
    const { data, width, height } = this.plane;
    if (y < 0 || y >= height) return 0;
    const left = Math.max(0, x0);
    const right = Math.min(width, x1);
    const end = y * width + right;
    let i = y * width + left;
    while (i < end && (data[i] === label || !allowed[data[i]])) i++;
    if (i >= end) return 0;
    this.#keep(y, i - y * width, right);
    let pixels = 0;
    for (; i < end; i++) {
      const now = data[i];
      if (now !== label && allowed[now]) {
        data[i] = label;
        pixels++;
      }
    }
    this.#grow(left, y, right - left, 1);
    return pixels;
  }

  /** Close the command; answers whether it changed anything. */
  end() {
    const command = this.#open;
    this.#open = null;
    if (!command?.tiles.size) return false;
    for (const tile of command.tiles.keys()) this.#kept[tile] = 0;
    this.#done.push(command);
    this.#undone = [];
    return true;
  }

  /** Drop the open command as if it had never begun. */
  abort() {
    if (!this.#open) return;
    for (const tile of this.#open.tiles.keys()) this.#kept[tile] = 0;
    this.#swap(this.#open);
    this.#open = null;
  }

  /**
   * Undo the last command and hand it out, for another history of the same plane to replay; null where there is none.
   * @returns {Command | null}
   */
  lift() {
    this.undo();
    return this.#undone.pop() ?? null;
  }

  /**
   * Make a command one's own that another history handed out.
   * @param {Command} command
   */
  replay(command) {
    this.end();
    this.#swap(command);
    this.#done.push(command);
    this.#undone = [];
  }

  /** Answers the words of the command that was undone, or null. */
  undo() {
    this.abort();
    return this.#move(this.#done, this.#undone);
  }

  /** Answers the words of the command that was done again, or null. */
  redo() {
    this.abort();
    return this.#move(this.#undone, this.#done);
  }

  /**
   * The box of all pixels that may have changed since the last call.
   * @returns {Box | null}
   */
  takeChanged() {
    const box = this.#changed;
    this.#changed = null;
    return box;
  }

  /** @param {Command[]} from @param {Command[]} to */
  #move(from, to) {
    const command = from.pop();
    if (!command) return null;
    this.#swap(command);
    to.push(command);
    return command.what;
  }

  /**
   * Exchange what is in the plane for what the command holds.
   * @param {Command} command
   */
  #swap(command) {
    const { data, width } = this.plane;
    for (const [tile, before] of command.tiles) {
      const box = tileBox(this.plane, tile);
      command.tiles.set(tile, this.#pack(box));
      unpack(before, this.#scratch);
      for (let row = 0; row < box.h; row++) {
        data.set(this.#scratch.subarray(row * box.w, (row + 1) * box.w), (box.y + row) * width + box.x);
      }
      this.dirty.add(tile);
      this.#grow(box.x, box.y, box.w, box.h);
    }
  }

  /** @param {Box} box */
  #pack(box) {
    readBox(this.plane, box, this.#scratch);
    return pack(this.#scratch, box.w * box.h);
  }

  /**
   * Keep the tiles under a span as they are now, unless this command has them already.
   * @param {number} y @param {number} x0 @param {number} x1
   */
  #keep(y, x0, x1) {
    if (!this.#open) throw new Error("A change needs a command: call begin first.");
    const row = Math.floor(y / TILE) * this.#columns;
    for (let tile = row + Math.floor(x0 / TILE); tile <= row + Math.floor((x1 - 1) / TILE); tile++) {
      this.dirty.add(tile);
      if (this.#kept[tile]) continue;
      this.#kept[tile] = 1;
      this.#open.tiles.set(tile, this.#pack(tileBox(this.plane, tile)));
    }
  }

  /** @param {number} x @param {number} y @param {number} w @param {number} h */
  #grow(x, y, w, h) {
    const box = this.#changed;
    if (box && x >= box.x && y >= box.y && x + w <= box.x + box.w && y + h <= box.y + box.h) return;
    this.#changed = union(box, { x, y, w, h });
  }
}
