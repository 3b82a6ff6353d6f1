/**
 * The photo on its canvas. Halves of it are kept, so that a large photo that is shown small is neither slow nor grainy.
 *
 * @typedef {import("./view.js").View} View
 */

/** Halving ends where a photo is smaller than any screen. */
const SMALLEST = 1600;

/**
 * A bitmap, its half, the half of that, and so on; largest first.
 * @param {ImageBitmap} bitmap @returns {Promise<ImageBitmap[]>}
 */
export async function halvesOf(bitmap) {
  const levels = [bitmap];
  for (let last = bitmap; Math.max(last.width, last.height) > SMALLEST; levels.push(last)) {
    last = await createImageBitmap(last, {
      resizeWidth: Math.ceil(last.width / 2), resizeHeight: Math.ceil(last.height / 2), resizeQuality: "medium",
    });
  }
  return levels;
}

/** One image and its halves. */
export class Photo {
  /**
   * @param {ImageBitmap[]} levels largest first, of any resolution; the photo closes them
   * @param {number} width of the image that they show @param {number} height
   */
  constructor(levels, width, height) {
    this.levels = levels;
    this.width = width;
    this.height = height;
  }

  /** @param {CanvasRenderingContext2D} context @param {View} view in device pixels */
  draw(context, view) {
    const wanted = this.width * view.scale;
    const level = [...this.levels].reverse().find((bitmap) => bitmap.width >= wanted) ?? this.levels[0];
    if (!level) return;
    context.imageSmoothingEnabled = wanted < 2 * level.width || level.width < this.width;
    context.drawImage(level, view.tx, view.ty, wanted, this.height * view.scale);
  }

  close() {
    for (const bitmap of this.levels) bitmap.close();
    this.levels = [];
  }
}
