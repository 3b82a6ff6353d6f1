/**
 * The tools: what a press, a drag and a release mean. No DOM; a tool acts through the bench that it is given.
 *
 * @typedef {{x: number, y: number, sx: number, sy: number, pressure: number}} Spot  image and screen pixels
 * @typedef {import("./gestures.js").How} How
 * @typedef {"pan" | "click" | "box" | "scribble" | "brush" | "eraser" | "polygon" | "line" | "fill"} ToolName
 * @typedef {{
 *   readonly history: import("./history.js").History, readonly rules: import("./compose.js").Rules,
 *   readonly classId: number, readonly over: import("./compose.js").Over, readonly radius: number,
 *   readonly usesPressure: boolean, readonly scale: number,
 *   draft(draft: import("./marks.js").Draft | null): void, emit(name: string, detail: object): void,
 *   edited(what: string, pixels: number, final: boolean): void, refused(label: number): boolean,
 *   fill(x: number, y: number, label: number): void,
 *   hit(spot: Spot): import("./marks.js").MarkName | null, pan(dx: number, dy: number): void,
 * }} Bench  scale: screen pixels an image pixel; refused: says so where a class is locked
 * @typedef {{
 *   press(at: Spot, how: How): void, drag?(points: Spot[], how: How): void, release?(at: Spot, how: How): void,
 *   cancel?(): void, flush?(): void, hover?(at: Spot): void, finish?(): boolean, stepBack?(): boolean,
 *   readonly busy?: boolean, readonly toggles?: boolean,
 * }} Tool  flush: once a frame; toggles: the keyboard's first press begins, the second ends
 */
import { dabAt, pressed, strokeSpans } from "./brush.js";
import { permissions } from "./compose.js";
import { polygonSpans } from "./polygon.js";

/** How far a pointer may move in a click, in screen pixels. */
const STILL = 6;
/** Between the corners of a line drawn freely, in screen pixels. */
const STEP = 3;

/** @type {Record<ToolName, (bench: Bench) => Tool>} */
export const TOOLS = {
  pan: () => ({ press() {} }),
  click: clickTool,
  box: boxTool,
  scribble: scribbleTool,
  brush: (bench) => brushTool(bench, false),
  eraser: (bench) => brushTool(bench, true),
  polygon: polygonTool,
  line: lineTool,
  fill: (bench) => ({
    press(at, how) {
      const { plane } = bench.history;
      const label = how.alt ? bench.rules.ignore : bench.classId;
      const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
      if (x < 0 || y < 0 || x >= plane.width || y >= plane.height || bench.refused(label)) return;
      if (bench.refused(plane.data[y * plane.width + x])) return;
      bench.fill(x, y, label);
    },
  }),
};

/** @param {Spot} a @param {Spot} b @param {number} apart */
const moved = (a, b, apart) => Math.hypot(a.sx - b.sx, a.sy - b.sy) > apart;

/** @param {Bench} bench @param {Spot} at whether it is on the image */
const outside = ({ history: { plane } }, at) => at.x < 0 || at.y < 0 || at.x > plane.width || at.y > plane.height;

/** @param {Bench} bench @param {Spot} at @returns {[number, number]} the nearest place of the image, to a hundredth */
function inImage({ history: { plane } }, { x, y }) {
  const within = (/** @type {number} */ value, /** @type {number} */ limit) =>
    Math.round(Math.min(limit, Math.max(0, value)) * 100) / 100;
  return [within(x, plane.width), within(y, plane.height)];
}

/** @param {Bench} bench @returns {Tool} */
function clickTool(bench) {
  /** @type {Spot | null} */
  let start = null;
  /** @type {Spot | null} */
  let dragged = null;
  return {
    press(at) {
      start = at;
      dragged = null;
    },
    drag(points) {
      const at = points[points.length - 1];
      if (!start || (!dragged && !moved(at, start, STILL))) return;
      bench.pan(at.sx - (dragged ?? start).sx, at.sy - (dragged ?? start).sy);
      dragged = at;
    },
    release(_, how) {
      if (start && !dragged) {
        const mark = bench.hit(start);
        const [x, y] = inImage(bench, start);
        if (mark) bench.emit("mark", mark);
        else if (!outside(bench, start)) bench.emit("prompt", { kind: "point", x, y, positive: !how.alt });
      }
      start = null;
    },
    cancel: () => void (start = null),
  };
}

/**
 * A tool that draws from where it was pressed to where it is: `draft` shows it on the way, `done` does it.
 * @param {Bench} bench
 * @param {(from: Spot, to: Spot) => any} draft
 * @param {(from: Spot, to: Spot, how: How) => void} done
 * @returns {Tool}
 */
function spanTool(bench, draft, done) {
  /** @type {Spot | null} */
  let start = null;
  const cancel = () => {
    start = null;
    bench.draft(null);
  };
  return {
    toggles: true,
    get busy() {
      return start !== null;
    },
    press(at) {
      start = at;
    },
    drag(points) {
      if (start) bench.draft(draft(start, points[points.length - 1]));
    },
    release(at, how) {
      const from = start;
      cancel();
      if (from) done(from, at, how);
    },
    cancel,
  };
}

/** @param {Bench} bench @returns {Tool} */
function boxTool(bench) {
  const corners = (/** @type {Spot} */ a, /** @type {Spot} */ b) => {
    const [[ax, ay], [bx, by]] = [inImage(bench, a), inImage(bench, b)];
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  };
  return spanTool(
    bench,
    (from, to) => ({ box: corners(from, to) }),
    (from, to) => {
      const box = corners(from, to);
      const mark = moved(from, to, STILL) ? null : bench.hit(from);
      if (mark) bench.emit("mark", mark);
      else if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) bench.emit("prompt", { kind: "box", box });
    },
  );
}

/** @param {Bench} bench @returns {Tool} */
function scribbleTool(bench) {
  /** @type {Spot[]} */
  let line = [];
  const stroke = (/** @type {How} */ how) => ({
    points: line.map((spot) => inImage(bench, spot)), positive: !how.alt, radius: bench.radius,
  });
  const cancel = () => {
    line = [];
    bench.draft(null);
  };
  return {
    toggles: true,
    get busy() {
      return line.length > 0;
    },
    press(at, how) {
      line = [at];
      bench.draft({ stroke: stroke(how) });
    },
    drag(points, how) {
      for (const at of points) if (line.length && moved(at, line[line.length - 1], STEP)) line.push(at);
      if (line.length) bench.draft({ stroke: stroke(how) });
    },
    release(_, how) {
      if (!line.length) return;
      const mark = line.length === 1 ? bench.hit(line[0]) : null;
      const done = stroke(how);
      const off = line.every((spot) => outside(bench, spot));
      cancel();
      if (mark) bench.emit("mark", mark);
      else if (!off) bench.emit("prompt", { kind: "stroke", ...done });
    },
    cancel,
  };
}

/** @param {Bench} bench @param {boolean} erases @returns {Tool} */
function brushTool(bench, erases) {
  /** @type {Spot[]} points that wait for the next frame */
  let waiting = [];
  /** @type {Spot | null} */
  let last = null;
  let what = "";
  let label = 0;
  let pixels = 0;
  let allowed = new Uint8Array(0);
  const flush = () => {
    const before = pixels;
    for (const at of waiting) {
      const radius = bench.usesPressure ? pressed(bench.radius, at.pressure) : bench.radius;
      const dab = dabAt(at.x, at.y, radius);
      const from = last ? dabAt(last.x, last.y, radius) : dab;
      strokeSpans(from, dab, dab.radius, (y, x0, x1) => (pixels += bench.history.span(y, x0, x1, label, allowed)));
      last = at;
    }
    waiting = [];
    if (pixels > before) bench.edited(what, pixels, false);
  };
  return {
    flush,
    get busy() {
      return bench.history.open;
    },
    press(at, how) {
      const erase = erases || how.erase || how.alt;
      label = erase ? bench.rules.ignore : bench.classId;
      if (bench.refused(label)) return;
      what = erase ? "eraser" : "brush";
      allowed = permissions(bench.rules, label, erase ? "all" : bench.over);
      pixels = 0;
      if (!how.shift) last = null;
      waiting = [at];
      bench.history.begin(what);
    },
    drag(points) {
      if (bench.history.open) waiting.push(...points);
    },
    release(at) {
      if (!bench.history.open) return;
      if (!last || last.x !== at.x || last.y !== at.y) waiting.push(at);
      flush();
      bench.history.end();
      bench.edited(what, pixels, true);
    },
    cancel() {
      waiting = [];
      last = null;
      if (!bench.history.open) return;
      bench.history.abort();
      bench.edited(what, 0, true);
    },
  };
}

/** @param {Bench} bench @returns {Tool} */
function lineTool(bench) {
  return spanTool(
    bench,
    (from, to) => ({ line: [[from.x, from.y], [to.x, to.y]], width: 2 * bench.radius }),
    (from, to, how) => {
      const label = how.alt ? bench.rules.ignore : bench.classId;
      if (bench.refused(label)) return;
      const allowed = permissions(bench.rules, label, how.alt ? "all" : bench.over);
      const [a, b] = [from, to].map((spot) => dabAt(spot.x, spot.y, bench.radius));
      let pixels = 0;
      bench.history.begin("line");
      strokeSpans(a, b, a.radius, (y, x0, x1) => (pixels += bench.history.span(y, x0, x1, label, allowed)));
      bench.history.end();
      bench.edited("line", pixels, true);
    },
  );
}

/**
 * Corners by clicks, or a free line by dragging; a click on the first corner closes.
 * @param {Bench} bench @returns {Tool}
 */
function polygonTool(bench) {
  /** @type {[number, number][]} */
  let corners = [];
  let erase = false;
  let dragging = false;
  const near = (/** @type {Spot} */ at, /** @type {[number, number] | undefined} */ corner, /** @type {number} */ px) =>
    corner !== undefined && Math.hypot(at.x - corner[0], at.y - corner[1]) * bench.scale <= px;
  const show = (/** @type {Spot} */ at) => {
    if (!corners.length) return;
    const closing = corners.length > 2 && near(at, corners[0], 10);
    bench.draft({ line: closing ? corners : [...corners, [at.x, at.y]], closed: closing });
  };
  const changed = () => {
    bench.draft(corners.length ? { line: corners } : null);
    bench.emit("polygon", { vertices: corners.length });
  };
  const cancel = () => {
    corners = [];
    dragging = false;
    changed();
  };
  const finish = () => {
    const points = corners;
    if (!points.length) return false;
    cancel();
    const label = erase ? bench.rules.ignore : bench.classId;
    if (points.length < 3 || bench.refused(label)) return true;
    const allowed = permissions(bench.rules, label, erase ? "all" : bench.over);
    let pixels = 0;
    bench.history.begin("polygon");
    const { history } = bench;
    polygonSpans(points, history.plane.height, (y, x0, x1) => (pixels += history.span(y, x0, x1, label, allowed)));
    bench.history.end();
    bench.edited("polygon", pixels, true);
    return true;
  };
  return {
    get busy() {
      return corners.length > 0;
    },
    press(at, how) {
      if (!corners.length) erase = how.alt;
      if (corners.length > 2 && near(at, corners[0], 10)) {
        finish();
        return;
      }
      dragging = true;
      // The second press of a double click is no corner.
      if (!near(at, corners[corners.length - 1], STEP)) corners.push([at.x, at.y]);
      changed();
    },
    drag(points) {
      const before = corners.length;
      for (const at of points) {
        if (dragging && !near(at, corners[corners.length - 1], 2 * STEP)) corners.push([at.x, at.y]);
      }
      if (corners.length > before) changed();
    },
    release: () => void (dragging = false),
    hover: (at) => dragging || show(at),
    finish,
    stepBack() {
      if (!corners.pop()) return false;
      changed();
      return true;
    },
    cancel,
  };
}
