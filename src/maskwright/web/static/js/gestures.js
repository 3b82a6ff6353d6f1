/**
 * Pointers, wheel and fingers as gestures in screen pixels: draw, hover, pan, pinch, zoom.
 *
 * @typedef {import("./view.js").Point} Point
 * @typedef {Point & {pressure: number}} Touch
 * @typedef {{alt: boolean, shift: boolean, erase: boolean}} How
 * @typedef {{
 *   press(at: Touch, how: How): void, drag(points: Touch[], how: How): void, release(at: Touch, how: How): void,
 *   cancel(): void, double(): void, hover(at: Point | null): void, pan(dx: number, dy: number): void,
 *   pinch(before: [Point, Point], after: [Point, Point]): void, zoom(factor: number, at: Point): void,
 *   widen(steps: number): void, pans(): boolean,
 * }} Receiver  pans: whether a plain press pans
 */

const PEN_ERASER = 32;
/** The zoom of one notch of a wheel (100 to 120 pixels) is about 1.2. */
const WHEEL = 0.0016;
const LINE_PX = 16;

/**
 * Listen to an element until the signal is aborted.
 * @param {HTMLElement} stage @param {Receiver} to @param {AbortSignal} signal
 */
export function listen(stage, to, signal) {
  /** @type {Map<number, Point>} */
  const down = new Map();
  let penSeen = false;
  /** @type {"draw" | "pan" | "pinch" | null} */
  let doing = null;
  let corner = stage.getBoundingClientRect();
  const at = (/** @type {MouseEvent} */ event) => ({ x: event.clientX - corner.left, y: event.clientY - corner.top });
  const touch = (/** @type {PointerEvent} */ event) =>
    ({ ...at(event), pressure: event.pointerType === "pen" ? event.pressure : 1 });
  const how = (/** @type {PointerEvent} */ event) => ({
    alt: event.altKey || (event.buttons & 2) > 0 || event.button === 2,
    shift: event.shiftKey,
    erase: (event.buttons & (2 | PEN_ERASER)) > 0,
  });
  const on = (/** @type {string} */ name, /** @type {(event: any) => void} */ act) =>
    stage.addEventListener(name, act, { signal, passive: false });

  on("pointerdown", (/** @type {PointerEvent} */ event) => {
    corner = stage.getBoundingClientRect();
    if (event.pointerType === "pen") penSeen = true;
    const finger = event.pointerType === "touch";
    // A palm that rests on the tablet while the pen draws.
    if (finger && doing === "draw" && penSeen) return;
    stage.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    if (down.size === 2 && finger) {
      if (doing === "draw") to.cancel();
      doing = "pinch";
    } else if (down.size === 1) {
      doing = event.button === 1 || to.pans() || (finger && penSeen) ? "pan" : "draw";
      if (doing === "draw") to.press(touch(event), how(event));
    }
    if (event.button === 1) event.preventDefault();
  });

  on("pointermove", (/** @type {PointerEvent} */ event) => {
    if (event.pointerType !== "touch" || down.has(event.pointerId)) to.hover(at(event));
    const before = down.get(event.pointerId);
    if (!before) return;
    const after = at(event);
    if (doing === "draw") {
      const every = event.getCoalescedEvents?.() ?? [];
      to.drag((every.length ? every : [event]).map(touch), how(event));
    } else if (doing === "pan") {
      to.pan(after.x - before.x, after.y - before.y);
    } else if (doing === "pinch" && down.size === 2) {
      const other = /** @type {Point} */ ([...down].find(([id]) => id !== event.pointerId)?.[1]);
      to.pinch([before, other], [after, other]);
    }
    down.set(event.pointerId, after);
  });

  const up = (/** @type {PointerEvent} */ event) => {
    if (!down.delete(event.pointerId)) return;
    if (doing === "draw") {
      if (event.type === "pointerup") to.release(touch(event), how(event));
      else to.cancel();
    }
    // A finger that is left after a pinch pans; it does not start to draw.
    doing = down.size ? "pan" : null;
    if (event.pointerType === "touch") to.hover(null);
  };
  on("pointerup", up);
  on("pointercancel", up);
  on("pointerleave", () => down.size || to.hover(null));
  on("pointerenter", () => (corner = stage.getBoundingClientRect()));
  on("dblclick", () => to.double());
  on("contextmenu", (event) => event.preventDefault());
  on("wheel", (/** @type {WheelEvent} */ event) => {
    event.preventDefault();
    corner = stage.getBoundingClientRect();
    const unit = event.deltaMode === 1 ? LINE_PX : event.deltaMode === 2 ? stage.clientHeight : 1;
    const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    if (event.altKey) to.widen(-Math.sign(dy || dx));
    else if (event.shiftKey) to.pan(-(dx || dy), 0);
    // Trackpads send small steps with the Control key for a pinch.
    else to.zoom(Math.exp(-dy * WHEEL * (event.ctrlKey && Math.abs(dy) < 50 ? 6 : 1)), at(event));
  });
}
