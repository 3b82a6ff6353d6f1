/**
 * Prompts on the canvas: a plus in a disc for what is wanted, a minus in a square for what is not, boxes, strokes,
 * and what is being drawn. Everything has a dark and a light line, to show on any photo.
 *
 * @typedef {import("./view.js").View} View
 * @typedef {import("./view.js").Point} Point
 * @typedef {{x: number, y: number, positive: boolean}} PointMark
 * @typedef {[number, number, number, number]} BoxMark
 * @typedef {{points: number[][], positive: boolean, radius: number}} StrokeMark
 * @typedef {{points: PointMark[], boxes: number[][], strokes: StrokeMark[]}} Marks
 * @typedef {{what: "point" | "box" | "stroke", index: number}} MarkName
 * @typedef {{line?: number[][], closed?: boolean, box?: number[], stroke?: StrokeMark, width?: number}} Draft
 */
import { distance2 } from "./brush.js";
import { toScreen } from "./view.js";

const WANTED = "#0a7d33";
const UNWANTED = "#b4150e";
const SIZE = 8;
/** How near a click must be to hit a mark, in screen pixels. */
const NEAR = 10;

/**
 * The mark under a point of the screen; the last drawn first.
 * @param {Marks} marks @param {View} view @param {Point} screen
 * @returns {MarkName | null}
 */
export function markAt({ points, boxes, strokes }, view, { x, y }) {
  const near = (/** @type {number[][]} */ line) => {
    const corners = line.map(([px, py]) => toScreen(view, { x: px, y: py }));
    return corners.some((b, i) => {
      const a = corners[Math.max(0, i - 1)];
      return distance2(x, y, a.x, a.y, b.x, b.y) <= (NEAR / 2) ** 2;
    });
  };
  const point = points.map((_, i) => i).reverse().find((i) => {
    const at = toScreen(view, points[i]);
    return Math.hypot(at.x - x, at.y - y) <= NEAR;
  }) ?? -1;
  if (point >= 0) return { what: "point", index: point };
  const box = boxes.findIndex(([x0, y0, x1, y1]) => near([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]));
  if (box >= 0) return { what: "box", index: box };
  const stroke = strokes.findIndex((mark) => near(mark.points));
  return stroke >= 0 ? { what: "stroke", index: stroke } : null;
}

/**
 * @param {CanvasRenderingContext2D} context in CSS pixels @param {View} view @param {Marks} marks
 * @param {Draft | null} draft
 */
export function drawMarks(context, view, { points, boxes, strokes }, draft) {
  for (const stroke of strokes) drawStroke(context, view, stroke);
  for (const box of boxes) drawBox(context, view, box);
  if (draft?.stroke) drawStroke(context, view, draft.stroke);
  if (draft?.box) drawBox(context, view, draft.box);
  if (draft?.line) drawLine(context, view, draft);
  for (const point of points) drawPoint(context, toScreen(view, point), point.positive);
}

/** @param {CanvasRenderingContext2D} context @param {Point} at @param {boolean} positive */
function drawPoint(context, { x, y }, positive) {
  context.beginPath();
  if (positive) context.arc(x, y, SIZE, 0, 2 * Math.PI);
  else context.rect(x - SIZE + 1, y - SIZE + 1, 2 * SIZE - 2, 2 * SIZE - 2);
  outlined(context, 4, "#fff");
  context.fillStyle = positive ? WANTED : UNWANTED;
  context.fill();
  context.beginPath();
  context.moveTo(x - 4, y);
  context.lineTo(x + 4, y);
  if (positive) {
    context.moveTo(x, y - 4);
    context.lineTo(x, y + 4);
  }
  outlined(context, 2, "#fff");
}

/** @param {CanvasRenderingContext2D} context @param {View} view @param {number[]} box */
function drawBox(context, view, [x0, y0, x1, y1]) {
  const a = toScreen(view, { x: x0, y: y0 });
  const b = toScreen(view, { x: x1, y: y1 });
  context.beginPath();
  context.rect(Math.round(a.x) + 0.5, Math.round(a.y) + 0.5, Math.round(b.x - a.x), Math.round(b.y - a.y));
  cased(context, WANTED);
}

/** @param {CanvasRenderingContext2D} context @param {View} view @param {StrokeMark} stroke */
function drawStroke(context, view, { points, positive, radius }) {
  trace(context, view, points);
  context.lineCap = context.lineJoin = "round";
  context.globalAlpha = 0.35;
  outlined(context, Math.max(3, 2 * radius * view.scale), positive ? WANTED : UNWANTED);
  context.globalAlpha = 1;
  if (!positive) context.setLineDash([6, 6]);
  cased(context, positive ? WANTED : UNWANTED);
  context.setLineDash([]);
  if (points.length) drawPoint(context, toScreen(view, { x: points[0][0], y: points[0][1] }), positive);
}

/** @param {CanvasRenderingContext2D} context @param {View} view @param {Draft} draft */
function drawLine(context, view, { line = [], closed = false, width = 0 }) {
  trace(context, view, line);
  if (closed) context.closePath();
  context.lineCap = context.lineJoin = "round";
  if (width) {
    context.globalAlpha = 0.4;
    outlined(context, width * view.scale, "#fff");
    context.globalAlpha = 1;
  }
  cased(context, "#2457d6");
  if (width) return;
  line.forEach(([x, y], i) => {
    const at = toScreen(view, { x, y });
    context.beginPath();
    context.arc(at.x, at.y, i ? 3.5 : 5, 0, 2 * Math.PI);
    outlined(context, 3, "#000");
    context.fillStyle = "#fff";
    context.fill();
  });
}

/** @param {CanvasRenderingContext2D} context @param {View} view @param {number[][]} points */
function trace(context, view, points) {
  context.beginPath();
  for (const [x, y] of points) {
    const at = toScreen(view, { x, y });
    context.lineTo(at.x, at.y);
  }
}

/** @param {CanvasRenderingContext2D} context @param {string} colour */
function cased(context, colour) {
  outlined(context, 4, "#fff");
  outlined(context, 2, colour);
}

/** @param {CanvasRenderingContext2D} context @param {number} width @param {string} colour */
function outlined(context, width, colour) {
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}
