/**
 * The photo on its canvas. Halves of it are kept, so that a large photo that is shown small is neither slow nor grainy.
 *
 * @typedef {import("./view.js").View} View
 */

/** Halving ends where a photo is smaller than any screen. */
const SMALLEST = 1600;

/** One image and its halves. */
export class Photo {
  /** @type {ImageBitmap[]} largest first */
  #levels = [];

  /**
   * @param {ImageBitmap} bitmap of any resolution
   * @param {number} width of the image that it shows @param {number} height
   */
  constructor(bitmap, width, height) {
    this.width = width;
    this.height = height;
    this.#levels = [bitmap];
  }

  /** Make the next half, unless there are enough; answers whether one was made. */
  async halve() {
    const last = this.#levels[this.#levels.length - 1];
    if (!last || Math.max(last.width, last.height) <= SMALLEST) return false;
    const half = await createImageBitmap(last, {
      resizeWidth: Math.ceil(last.width / 2), resizeHeight: Math.ceil(last.height / 2), resizeQuality: "medium",
    });
    // Closed in the meantime: there is nothing left to add to.
    if (!this.#levels.length) half.close();
    else this.#levels.push(half);
    return this.#levels.length > 0;
  }

  /** @param {CanvasRenderingContext2D} context @param {View} view in device pixels */
  draw(context, view) {
    const wanted = this.width * view.scale;
    const level = [...this.#levels].reverse().find((bitmap) => bitmap.width >= wanted) ?? this.#levels[0];
    if (!level) return;
    context.imageSmoothingEnabled = wanted < 2 * level.width;
    context.drawImage(level, view.tx, view.ty, wanted, this.height * view.scale);
  }

  close() {
    for (const bitmap of this.#levels) bitmap.close();
    this.#levels = [];
  }
}
