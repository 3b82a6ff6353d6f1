// The keys of keymap.js, bound to what they do.

import { showKeys } from "./dialogs.js";
import { byId, say } from "./dom.js";
import { actionOf } from "./keymap.js";
import { toggleHidden, toggleLock } from "./classlist.js";
import { fromRadius, toRadius } from "./toolbar.js";

/** @typedef {import("./app.js").App} App */

const MODES = ["both", "image", "mask", "outline", "difference"];
const OVER = ["priority", "all", "unlabelled"];
const ARROWS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });
const ALWAYS = new Set(["accept", "cancel", "step-back", "press", "press-off", "next-candidate", "previous-candidate", "undo", "redo", "finish", "next", "previous"]);

/**
 * @param {App} app
 * @param {{prompting: import("./prompting.js").Prompting, proposal: import("./proposal.js").Proposal,
 *   tools: {choose: (tool: any) => void}, classes: {choose: (id: number) => void},
 *   commands: ReturnType<typeof import("./panels.js").maskCommands>}} parts
 */
export function bindKeys(app, parts) {
  const { painter } = app;
  const stage = byId("stage");
  // Space clicks once the crosshair is in use, and holds the picture to move it otherwise.
  let crosshair = false;
  stage.addEventListener("pointermove", () => { crosshair = false; });
  // A button that was clicked keeps the focus; only one that was reached by Tab keeps Enter, Space and Tab for itself.
  let pointed = true;
  document.addEventListener("pointerdown", () => { pointed = true; }, { capture: true });
  const actions = table(app, parts, () => crosshair);

  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.defaultPrevented || typing(event)) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const onPicture = target === stage || target === document.body || pointed;
    const arrow = ARROWS[event.key];
    if (arrow && onPicture && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const step = event.shiftKey ? 1 : Math.max(1, Math.round(16 / painter.view.scale));
      crosshair = true;
      painter.moveCursor(arrow[0] * step, arrow[1] * step);
      event.preventDefault();
      return;
    }
    const action = actionOf(event);
    if (event.key === "Tab" && !onPicture) pointed = false;
    if (!action || (event.repeat && /^(next|previous|finish|skip|tool)/.test(action) && action !== "next-candidate")) return;
    if (!app.settings.values.keys && !ALWAYS.has(action)) return;
    // A focused button keeps Enter, Space and Tab for itself.
    if (!onPicture && (event.key === "Enter" || event.key === " " || event.key === "Tab") && !event.ctrlKey) return;
    app.activity.beat();
    const done = action.startsWith("class:") ? chooseClass(app, parts, Number(action.slice(6))) : actions[action]?.();
    if (done !== false) event.preventDefault();
    else if (event.key === "Tab") pointed = false;
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") painter.holdPan(false);
  });
  addEventListener("blur", () => painter.holdPan(false));
}

/** @param {KeyboardEvent} event */
function typing(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  if (!(target instanceof HTMLInputElement)) return false;
  if (target.type === "range" || target.type === "radio") return event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End" || event.key.startsWith("Page");
  return target.type !== "checkbox" || event.key === " ";
}

/** @param {App} app @param {any} parts @param {number} index */
function chooseClass(app, parts, index) {
  const row = app.info.classes[index];
  if (!row) {
    say(`There is no class ${index + 1}.`);
    return;
  }
  parts.classes.choose(row.id);
  say(`${row.name}.`);
}

/** @param {App} app @param {any} parts @param {() => boolean} crosshair @returns {Record<string, () => boolean|void>} */
function table(app, { prompting, proposal, tools, commands }, crosshair) {
  const { painter, settings } = app;
  /** @param {number} step */
  const threshold = (step) => settings.set("threshold", Math.min(0.99, Math.max(0.01, Math.round((settings.values.threshold + step) * 100) / 100)));
  /** @param {number} step */
  const size = (step) => settings.set("radius", toRadius(Math.min(100, Math.max(0, fromRadius(settings.values.radius) + step))));
  /** @template T @param {T[]} all @param {T} now */
  const after = (all, now) => all[(all.indexOf(now) + 1) % all.length];
  /** @param {boolean} alt */
  const press = (alt) => {
    if (crosshair()) painter.pressCursor({ alt });
    else painter.holdPan(true);
  };
  const toolActions = Object.fromEntries(["click", "box", "scribble", "brush", "eraser", "polygon", "line", "fill", "pan"].map((tool) => [`tool:${tool}`, () => tools.choose(tool)]));
  return {
    ...toolActions,
    smaller: () => size(-4),
    larger: () => size(4),
    "next-candidate": () => prompting.cycle(1),
    "previous-candidate": () => prompting.cycle(-1),
    accept: () => painter.finish() || commands.acceptPreview() || prompting.accept(),
    cancel: () => painter.cancel() || commands.previewSmooth(false) || prompting.clear(),
    "step-back": () => painter.stepBack() || prompting.removeLast(),
    lower: () => threshold(-0.05),
    higher: () => threshold(0.05),
    unite: () => {
      settings.set("unite", !settings.values.unite);
      say(settings.values.unite ? "Several prompts make one object." : "Every prompt makes an object of its own.");
    },
    press: () => press(false),
    "press-off": () => press(true),
    lock: () => toggleLock(app, painter.classId),
    hide: () => toggleHidden(app, painter.classId),
    priority: () => {
      settings.set("over", after(OVER, settings.values.over));
      say(`Painting replaces ${{ priority: "what has lower or equal priority", all: "everything", unlabelled: "unlabelled pixels only" }[settings.values.over]}.`);
    },
    undo: () => undo(app),
    redo: () => redo(app),
    grow: commands.grow,
    shrink: commands.shrink,
    smooth: commands.smooth,
    holes: commands.holes,
    specks: commands.specks,
    "copy-previous": () => void commands.copyPrevious(),
    "clear-all": commands.clearAll,
    next: () => app.go(1),
    previous: () => app.go(-1),
    "next-open": () => app.goOpen(),
    finish: () => void app.mark("labelled"),
    skip: () => void app.mark("skipped"),
    search: () => byId("search").focus(),
    fit: () => painter.fit(),
    actual: () => painter.zoomTo(1),
    "zoom-in": () => painter.zoomBy(1.25),
    "zoom-out": () => painter.zoomBy(0.8),
    overlay: () => {
      settings.set("overlay", !settings.values.overlay);
      say(settings.values.overlay ? "Labels are shown." : "Labels are hidden.");
    },
    mode: () => {
      settings.set("mode", after(MODES, settings.values.mode));
      say(`Display: ${settings.values.mode}.`);
    },
    proposal: () => proposal.toggle(),
    doubt: () => proposal.toggleDoubt(),
    list: () => settings.set("list", !settings.values.list),
    panel: () => settings.set("panel", !settings.values.panel),
    help: () => void showKeys(),
  };
}

/** @param {App} app */
export function undo(app) {
  app.activity.beat();
  if (app.painter.canUndo) app.painter.undo();
  else say("There is nothing to undo.");
}

/** @param {App} app */
export function redo(app) {
  app.activity.beat();
  if (app.painter.canRedo) app.painter.redo();
  else say("There is nothing to redo.");
}
