// The candidates under the picture: small masks with scores, one of which is chosen.

import { levelOf } from "./compose.js";
import { byId, h, icon } from "./dom.js";

/** @typedef {import("./prompting.js").Prompting} Prompting */
/** @typedef {import("./session.js").Answer} Answer */

const WIDTH = 52;
const HEIGHT = 38;

/** @param {import("./app.js").App} app @param {Prompting} prompting */
export function buildChips(app, prompting) {
  const bar = byId("candidates");
  const chips = byId("chips");
  const words = byId("candidate-words");
  byId("accept").addEventListener("click", () => prompting.accept());
  byId("discard").addEventListener("click", () => prompting.clear());

  const draw = () => {
    const { session } = prompting;
    bar.hidden = !session.active;
    bar.dataset.state = session.state;
    const row = app.info.classes.find(({ id }) => id === session.classId);
    chips.replaceChildren(...session.candidates.map((candidate, index) => chip(app, prompting, candidate, index)));
    words.replaceChildren(...(session.state === "answered" ? [] : [icon(session.state === "failed" ? "warning" : "busy"), stateWords(session)]));
    byId("accept").disabled = !session.accepted;
    byId("accept-words").textContent = row ? `Accept as ${row.name}` : "Accept";
  };
  const again = (/** @type {Event} */ event) => {
    if (/** @type {CustomEvent} */ (event).detail.name === "threshold") draw();
  };
  prompting.addEventListener("change", draw);
  app.settings.addEventListener("change", again);
  app.addEventListener("project", draw);
  draw();
}

/** @param {import("./session.js").Session} session */
function stateWords(session) {
  if (session.state === "asking") return "Looking for candidates …";
  if (session.state === "waiting") return `Waiting: ${session.message}.`;
  return session.message;
}

/** @param {import("./app.js").App} app @param {Prompting} prompting @param {Answer} candidate @param {number} index */
function chip(app, prompting, candidate, index) {
  const { session } = prompting;
  const on = index === session.chosen;
  const name = `Candidate ${index + 1} of ${session.candidates.length}, score ${candidate.score.toFixed(2)}`;
  const element = h("button", {
    type: "button", class: "chip", role: "radio", "aria-checked": String(on), "aria-label": name,
    title: `${name}${candidate.stability === undefined || candidate.stability === null ? "" : `, stability ${candidate.stability.toFixed(2)}`}`,
    onclick: () => prompting.choose(index),
    onpointerenter: () => prompting.hover(index),
    onpointerleave: () => prompting.hover(-1),
    onfocus: () => prompting.hover(index),
    onblur: () => prompting.hover(-1),
  }, picture(app, candidate, prompting), h("span", {}, candidate.score.toFixed(2)), on && icon("check"));
  return element;
}

/**
 * Where a candidate is, to within some pixels where it is large.
 * @param {Answer} candidate @param {number} level
 */
function extent({ x, y, w, h: tall, soft }, level) {
  const step = Math.max(1, Math.floor(Math.sqrt((w * tall) / 65536)));
  let [x0, y0, x1, y1] = [w, tall, -1, -1];
  for (let row = 0; row < tall; row += step) {
    for (let column = 0; column < w; column += step) {
      if (soft[row * w + column] < level) continue;
      if (column < x0) x0 = column;
      if (column > x1) x1 = column;
      if (row < y0) y0 = row;
      y1 = row;
    }
  }
  return x1 < 0 ? { x, y, w: 0, h: 0 } : { x: x + x0, y: y + y0, w: x1 - x0 + step, h: y1 - y0 + step };
}

/**
 * What all candidates cover, and a little around it: one frame, so that their sizes can be compared.
 * @param {{x: number, y: number, w: number, h: number}[]} all
 */
function around(all) {
  const seen = all.filter(({ w, h: tall }) => w && tall);
  if (!seen.length) return { x: 0, y: 0, w: WIDTH, h: HEIGHT };
  const [x0, y0] = [Math.min(...seen.map(({ x }) => x)), Math.min(...seen.map(({ y }) => y))];
  const [x1, y1] = [Math.max(...seen.map(({ x, w }) => x + w)), Math.max(...seen.map(({ y, h: tall }) => y + tall))];
  const room = Math.max(x1 - x0, y1 - y0) * 0.08;
  return { x: x0 - room, y: y0 - room, w: x1 - x0 + 2 * room, h: y1 - y0 + 2 * room };
}

/**
 * The candidate in the frame of all of them.
 * @param {import("./app.js").App} app @param {Answer} candidate @param {Prompting} prompting
 */
function picture(app, candidate, prompting) {
  const level = levelOf(prompting.threshold);
  const frame = around(prompting.session.candidates.map((one) => extent(one, level)));
  const scale = Math.min(WIDTH / frame.w, HEIGHT / frame.h);
  const [left, top] = [frame.x - (WIDTH / scale - frame.w) / 2, frame.y - (HEIGHT / scale - frame.h) / 2];
  const [w, tall] = [WIDTH, HEIGHT];
  const canvas = h("canvas", { width: w, height: tall, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  const pixels = context.createImageData(w, tall);
  const colour = app.info.classes.find(({ id }) => id === prompting.session.classId)?.colour ?? [255, 255, 255];
  for (let y = 0; y < tall; y += 1) {
    const row = Math.floor(top + (y + 0.5) / scale) - candidate.y;
    for (let x = 0; x < w; x += 1) {
      const column = Math.floor(left + (x + 0.5) / scale) - candidate.x;
      const inside = row >= 0 && column >= 0 && row < candidate.h && column < candidate.w && candidate.soft[row * candidate.w + column] >= level;
      if (inside) pixels.data.set([...colour, 255], (y * w + x) * 4);
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}
