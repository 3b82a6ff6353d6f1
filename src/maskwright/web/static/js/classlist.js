// The class table: which class is painted, what it looks like, what is locked or hidden.

import { json } from "./api.js";
import { suggestColour, swatch, cssColour } from "./colours.js";
import { ask } from "./dialogs.js";
import { byId, h, icon, say } from "./dom.js";
import { digitOf } from "./keymap.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./api.js").ClassRow} ClassRow */

/** How long after the last change the pixels are counted. */
const COUNT_MS = 400;

/** @param {App} app @param {import("./prompting.js").Prompting} prompting */
export function buildClasses(app, prompting) {
  const place = byId("classes");
  const { painter } = app;
  /** @type {Map<number, number>} */
  let pixels = new Map();

  const draw = () => {
    const focused = /** @type {HTMLElement|null} */ (document.activeElement)?.closest("#classes [data-class] button")?.getAttribute("aria-label");
    place.replaceChildren(...app.info.classes.map((row, index) => classRow(app, row, index, pixels)));
    for (const element of place.querySelectorAll("button")) if (focused && element.getAttribute("aria-label") === focused) element.focus();
  };
  let timer = /** @type {any} */ (0);
  let turn = 0;
  const count = () => {
    clearTimeout(timer);
    const mine = ++turn;
    timer = setTimeout(async () => {
      const found = painter.busy ? null : await painter.count(() => mine === turn);
      if (!found) return;
      pixels = found;
      draw();
    }, COUNT_MS);
  };
  /** @param {number} id */
  const choose = (id) => {
    painter.setClass(id);
    prompting.setClass(id);
    app.emit("class");
  };
  place.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const id = Number(target.closest("[data-class]")?.getAttribute("data-class") ?? NaN);
    const act = target.closest("[data-act]")?.getAttribute("data-act");
    if (Number.isNaN(id)) return;
    if (act === "lock") toggleLock(app, id);
    else if (act === "hide") toggleHidden(app, id);
    else if (act === "edit") void edit(app, id);
    else choose(id);
  });
  for (const name of ["class", "locks", "project"]) app.addEventListener(name, draw);
  app.addEventListener("image", () => {
    pixels = new Map();
    draw();
    count();
  });
  painter.addEventListener("edit", (/** @type {any} */ event) => event.detail.final && count());
  byId("add-class").addEventListener("click", () => void edit(app, null));
  draw();
  return { choose };
}

/** @param {App} app @param {ClassRow} row @param {number} index @param {Map<number, number>} pixels */
function classRow(app, row, index, pixels) {
  const on = app.painter.classId === row.id;
  const locked = app.locks.has(row.id);
  const hidden = app.hidden.has(row.id);
  const total = app.painter.plane ? app.painter.plane.width * app.painter.plane.height : 0;
  const part = total ? (pixels.get(row.id) ?? 0) / total : 0;
  const digit = digitOf(index);
  const first = row.id === app.info.background ? "background" : "";
  return h("div", { class: `class-row${on ? " on" : ""}`, "data-class": String(row.id) },
    h("button", { type: "button", class: "name", "aria-pressed": String(on), title: `Paint ${row.name}${digit ? ` (${digit})` : ""}${first && ` – ${first}`}` },
      h("kbd", { "aria-hidden": "true" }, digit), swatchOf(row), h("span", {}, row.name),
      h("small", { title: `${(pixels.get(row.id) ?? 0).toLocaleString("en")} pixels of this image` }, part ? percent(part) : "")),
    small("lock", locked ? "locked" : "unlocked", `${locked ? "Unlock" : "Lock"} ${row.name}`, locked),
    small("hide", hidden ? "hidden" : "seen", `${hidden ? "Show" : "Hide"} ${row.name}`, hidden),
    small("edit", "edit", `Rename or recolour ${row.name}`, false));
}

/** @param {string} act @param {string} picture @param {string} name @param {boolean} pressed */
function small(act, picture, name, pressed) {
  return h("button", { type: "button", class: `square mini${pressed ? " set" : ""}`, "data-act": act, title: name, "aria-label": name, "aria-pressed": act === "edit" ? null : String(pressed) }, icon(picture));
}

/** @param {number} part */
function percent(part) {
  return part < 0.001 ? "<0.1 %" : `${(part * 100).toFixed(part < 0.0995 ? 1 : 0)} %`;
}

/**
 * The colour with the hatch that the class may be drawn with.
 * @param {ClassRow} row
 */
export function swatchOf(row) {
  const canvas = h("canvas", { class: "swatch", width: 16, height: 16, "aria-hidden": "true" });
  const { width, height, data } = swatch(row.id, row.colour, 16);
  canvas.getContext("2d")?.putImageData(new ImageData(Uint8ClampedArray.from(data), width, height), 0, 0);
  return canvas;
}

/** @param {App} app @param {number} id */
export function toggleLock(app, id) {
  if (!app.locks.delete(id)) app.locks.add(id);
  app.painter.setLocks(app.locks);
  say(`${app.info.classes[id]?.name} is ${app.locks.has(id) ? "locked" : "unlocked"}.`);
  app.emit("locks");
}

/** @param {App} app @param {number} id */
export function toggleHidden(app, id) {
  if (!app.hidden.delete(id)) app.hidden.add(id);
  app.painter.setHidden(app.hidden);
  say(`${app.info.classes[id]?.name} is ${app.hidden.has(id) ? "hidden" : "shown"}.`);
  app.emit("locks");
}

/**
 * A new class, or another name and colour for one.
 * @param {App} app @param {number|null} id
 */
async function edit(app, id) {
  const row = id === null ? null : app.info.classes[id];
  const name = h("input", { type: "text", required: true, maxLength: 80, value: row?.name ?? "", "aria-label": "Name", autocomplete: "off" });
  const colour = h("input", { type: "color", value: cssColour(row?.colour ?? suggestColour(app.info.classes.map((other) => other.colour))), "aria-label": "Colour" });
  const trouble = h("p", { class: "trouble", role: "alert" });
  const body = [h("label", {}, "Name", name), h("label", {}, "Colour", colour), trouble,
    !row && h("p", { class: "quiet" }, "Classes can be added, renamed and recoloured at any time; they cannot be removed, since masks may hold them.")];
  await ask({
    title: row ? `Class ${row.name}` : "New class", body, choices: [["save", row ? "Save" : "Add class"], ["", "Cancel"]], focus: name,
    accept: async (chosen) => {
      if (chosen !== "save") return true;
      const value = /** @type {[number, number, number]} */ ([1, 3, 5].map((at) => parseInt(colour.value.slice(at, at + 2), 16)));
      const wanted = { name: name.value.trim(), colour: value };
      try {
        await (row ? json(`/api/classes/${row.id}`, "PATCH", wanted) : json("/api/classes", "POST", wanted));
        await app.refreshProject();
        return true;
      } catch (error) {
        trouble.textContent = error instanceof Error ? error.message : String(error);
        return false;
      }
    },
  });
}

