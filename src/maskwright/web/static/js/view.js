/**
 * Where the image lies on the screen: screen = image * scale + t. No DOM.
 *
 * @typedef {{scale: number, tx: number, ty: number}} View  scale: screen pixels an image pixel
 * @typedef {{x: number, y: number}} Point
 * @typedef {{w: number, h: number}} Size
 */

export const LARGEST_SCALE = 64;
/** Screen pixels of the image that always stay in sight. */
const IN_SIGHT = 48;

/** @param {View} view @param {Point} screen @returns {Point} */
export const toImage = (view, { x, y }) => ({ x: (x - view.tx) / view.scale, y: (y - view.ty) / view.scale });

/** @param {View} view @param {Point} image @returns {Point} */
export const toScreen = (view, { x, y }) => ({ x: x * view.scale + view.tx, y: y * view.scale + view.ty });

/**
 * The whole image, in the middle.
 * @param {Size} image @param {Size} stage @param {number} margin screen pixels @returns {View}
 */
export const fitView = (image, stage, margin = 12) => showView({ x: 0, y: 0, ...image }, stage, margin);

/**
 * A box of the image as large as the stage allows.
 * @param {import("./plane.js").Box} box @param {Size} stage @param {number} margin @returns {View}
 */
export function showView(box, stage, margin = 12) {
  const room = { w: Math.max(1, stage.w - 2 * margin), h: Math.max(1, stage.h - 2 * margin) };
  const scale = Math.min(LARGEST_SCALE, room.w / Math.max(1, box.w), room.h / Math.max(1, box.h));
  return centreView({ x: box.x + box.w / 2, y: box.y + box.h / 2 }, scale, stage);
}

/**
 * An image point in the middle of the stage.
 * @param {Point} image @param {number} scale @param {Size} stage @returns {View}
 */
export const centreView = (image, scale, stage) =>
  ({ scale, tx: stage.w / 2 - image.x * scale, ty: stage.h / 2 - image.y * scale });

/**
 * Zoom so that what is under a screen point stays there.
 * @param {View} view @param {number} factor @param {Point} screen @returns {View}
 */
export function zoomAt(view, factor, screen) {
  const scale = view.scale * factor;
  const image = toImage(view, screen);
  return { scale, tx: screen.x - image.x * scale, ty: screen.y - image.y * scale };
}

/** @param {View} view @param {number} dx screen pixels @param {number} dy @returns {View} */
export const panBy = (view, dx, dy) => ({ ...view, tx: view.tx + dx, ty: view.ty + dy });

/**
 * Two fingers move: what was under them stays under them.
 * @param {View} view @param {[Point, Point]} before @param {[Point, Point]} after @returns {View}
 */
export function pinch(view, before, after) {
  const [from, to] = [before, after].map(([a, b]) => ({
    x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.max(1, Math.hypot(b.x - a.x, b.y - a.y)),
  }));
  return panBy(zoomAt(view, to.apart / from.apart, from), to.x - from.x, to.y - from.y);
}

/**
 * Within sensible scales, and never with the image out of sight.
 * @param {View} view @param {Size} image @param {Size} stage @returns {View}
 */
export function clampView(view, image, stage) {
  const least = Math.min(1, fitView(image, stage).scale) / 4;
  const scale = Math.min(LARGEST_SCALE, Math.max(least, view.scale));
  const middle = { x: stage.w / 2, y: stage.h / 2 };
  const zoomed = scale === view.scale ? view : zoomAt(view, scale / view.scale, middle);
  const within = (/** @type {number} */ t, /** @type {number} */ length, /** @type {number} */ room) => {
    const sight = Math.min(IN_SIGHT, length * scale, room);
    return Math.min(room - sight, Math.max(sight - length * scale, t));
  };
  return { scale, tx: within(zoomed.tx, image.w, stage.w), ty: within(zoomed.ty, image.h, stage.h) };
}
