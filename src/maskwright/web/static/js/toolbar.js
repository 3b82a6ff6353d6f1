// The tools at the left of the picture, and above it what the current tool can be told.

import { button, byId, choice, h, icon, slider } from "./dom.js";
import { keyOf } from "./keymap.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./tools.js").ToolName} Tool */
/** @typedef {import("./prompting.js").Prompting} Prompting */

/** @type {[Tool, string, string][]} */
export const TOOLS = [
  ["click", "Smart click", "Click on an object; right button or Alt removes."],
  ["box", "Box", "Draw a box around an object."],
  ["scribble", "Scribble", "Draw over an object; right button or Alt: over what is not the object."],
  ["brush", "Brush", "Paint; right button erases, Shift draws straight from the last place."],
  ["eraser", "Eraser", "Back to unlabelled."],
  ["polygon", "Polygon", "Click the corners; Enter or the first corner closes, Backspace takes one back."],
  ["line", "Line", "Drag a straight line of the brush's width."],
  ["fill", "Fill", "Fill a region of one label."],
  ["pan", "Move", "Drag to move, wheel or pinch to zoom; Space does so with any tool."],
];
/** @type {Record<string, string>} */
const STATES = { ready: "check", busy: "busy", failed: "warning" };
const PROMPTS = new Set(["click", "box", "scribble"]);
const SIZED = new Set(["brush", "eraser", "line"]);
const OVER = /** @type {["all"|"priority"|"unlabelled", string, string][]} */ ([
  ["priority", "by priority", "Replaces unlabelled pixels and classes of lower or equal priority"],
  ["all", "everything", "Replaces whatever is there, unless it is locked"],
  ["unlabelled", "unlabelled", "Only fills what has no label yet"],
]);

/** @param {App} app @param {Prompting} prompting */
export function buildTools(app, prompting) {
  const { painter, settings } = app;
  const bar = byId("tools");
  const buttons = TOOLS.map(([tool, name]) => {
    const element = button({ name, picture: tool, key: keyOf(`tool:${tool}`), onclick: () => choose(tool) });
    element.setAttribute("aria-pressed", "false");
    element.dataset.tool = tool;
    return element;
  });
  bar.append(...buttons.slice(0, 3), h("hr"), ...buttons.slice(3, 8), h("hr"), buttons[8]);
  /** @param {Tool} tool */
  const choose = (tool) => {
    settings.set("tool", tool);
    painter.setTool(tool);
  };
  painter.addEventListener("tool", () => {
    for (const element of buttons) element.setAttribute("aria-pressed", String(element.dataset.tool === painter.tool));
    drawOptions(painter.tool);
  });
  const drawOptions = buildOptions(app, prompting);
  choose(/** @type {Tool} */ (TOOLS.some(([tool]) => tool === settings.values.tool) ? settings.values.tool : "click"));
  return { choose };
}

/** @param {App} app @param {Prompting} prompting @returns {(tool: Tool) => void} */
function buildOptions(app, prompting) {
  const { painter, settings } = app;
  const { values } = settings;
  const size = slider({ name: "Size", min: 0, max: 100, step: 1, value: fromRadius(values.radius), show: (at) => `${sizeWords(toRadius(at))} px`, oninput: (at) => settings.set("radius", toRadius(at)) });
  const over = choice({ name: "Painting replaces", choices: OVER, value: /** @type {any} */ (values.over), onchange: (value) => settings.set("over", value) });
  const threshold = slider({ name: "Threshold", min: 0.01, max: 0.99, step: 0.01, value: values.threshold, show: (value) => value.toFixed(2), oninput: (value) => settings.set("threshold", value) });
  const unite = choice({
    name: "Several prompts", value: values.unite ? "one" : "each",
    choices: [["one", "one object", "Several prompts describe one object, and correct each other"], ["each", "each its own", "Every prompt is an object of its own; all are united in the mask of the class"]],
    onchange: (value) => settings.set("unite", value === "one"),
  });
  const sign = choice({
    name: "What a click means", value: prompting.takesAway ? "off" : "on",
    choices: [["on", "+ add", "Clicks and strokes are on the object"], ["off", "– remove", "Clicks and strokes are off the object, as with the right button"]],
    onchange: (value) => prompting.takeAway(value === "off"),
  });
  prompting.addEventListener("change", () => sign.set(prompting.takesAway ? "off" : "on"));
  const prompter = prompterPart(app, prompting);
  const hint = h("p", { class: "hint" });
  // The prompter's state has words of any length: last, so that nothing moves under the pointer.
  const parts = {
    sign: sign.element, unite: unite.element, threshold: threshold.element,
    size: size.element, over: group("Replaces", over.element), prompter, hint,
  };
  parts.sign.classList.add("for-fingers");
  byId("options").append(...Object.values(parts));
  settings.addEventListener("change", (event) => {
    const { name, value } = /** @type {CustomEvent} */ (event).detail;
    if (name === "radius") {
      painter.setRadius(value);
      size.set(fromRadius(value));
    } else if (name === "over") {
      painter.setOver(value);
      over.set(value);
    } else if (name === "threshold") threshold.set(value);
    else if (name === "unite") unite.set(value ? "one" : "each");
    else if (name === "pressure") painter.setPressure(value);
  });
  painter.addEventListener("radius", (event) => settings.set("radius", /** @type {any} */ (event).detail.radius));
  painter.setRadius(values.radius);
  painter.setOver(/** @type {any} */ (values.over));
  painter.setPressure(values.pressure);
  return (tool) => {
    const prompts = PROMPTS.has(tool);
    for (const part of [parts.prompter, parts.unite, parts.threshold]) part.hidden = !prompts;
    parts.sign.hidden = !prompts || tool === "box";
    parts.size.hidden = !SIZED.has(tool) && tool !== "scribble";
    parts.over.hidden = prompts || tool === "pan" || tool === "eraser";
    hint.textContent = TOOLS.find(([name]) => name === tool)?.[2] ?? "";
    hint.hidden = prompts;
  };
}

/**
 * Which prompter answers, and what it is doing: always in words.
 * @param {App} app @param {Prompting} prompting
 */
function prompterPart(app, prompting) {
  const select = h("select", { "aria-label": "Prompter", title: "Who answers the prompts", onchange: () => app.settings.set("prompter", select.value) });
  const state = h("span", { class: "state", role: "status" });
  let stamp = "";
  const draw = () => {
    const names = prompting.prompters.map(({ name, label }) => `${name}\n${label}`).join("\n");
    if (names !== stamp) select.replaceChildren(...prompting.prompters.map(({ name, label }) => h("option", { value: name }, label || name)));
    stamp = names;
    if (prompting.prompter) select.value = prompting.prompter.name;
    const { kind, words } = prompting.state;
    if (state.dataset.words === words) return;
    Object.assign(state.dataset, { kind, words });
    state.title = words;
    state.replaceChildren(icon(STATES[kind] ?? "busy"), words);
  };
  prompting.addEventListener("change", draw);
  draw();
  return h("div", { class: "prompter" }, select, state);
}

/** @param {string} words @param {Node} inside */
function group(words, inside) {
  return h("div", { class: "group" }, h("span", {}, words), inside);
}

// Radii from 0.5 to 500 on a slider whose steps feel equal.
/** @param {number} at */
export const toRadius = (at) => Math.round(0.5 * 1000 ** (at / 100) * 10) / 10;
/** @param {number} radius */
export const fromRadius = (radius) => Math.round((Math.log(Math.max(0.5, radius) / 0.5) / Math.log(1000)) * 100);
/** @param {number} radius */
const sizeWords = (radius) => (radius < 5 ? (2 * radius).toFixed(1) : String(Math.round(2 * radius)));
