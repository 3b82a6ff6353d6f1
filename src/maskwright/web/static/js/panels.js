// The tabs under the classes, and the first two of them: the prompts given so far, and what can be done to the mask.

import { byId, choice, h, icon, say, slider } from "./dom.js";
import { neighbour } from "./images.js";
import { keyOf } from "./keymap.js";
import { itemWords } from "./session.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./prompting.js").Prompting} Prompting */

const TABS = ["prompts", "mask", "view", "progress"];

/** @param {App} app */
export function buildTabs(app) {
  /** @param {string} name @param {boolean} focus */
  const open = (name, focus = false) => {
    for (const tab of TABS) {
      const on = tab === name;
      const element = byId(`tab-${tab}`);
      element.setAttribute("aria-selected", String(on));
      element.tabIndex = on ? 0 : -1;
      if (on && focus) element.focus();
      byId(`panel-${tab}`).hidden = !on;
    }
    app.settings.set("tab", name);
  };
  TABS.forEach((name, index) => {
    byId(`tab-${name}`).addEventListener("click", () => open(name));
    byId(`tab-${name}`).addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      open(TABS[(index + step + TABS.length) % TABS.length], true);
    });
  });
  open(TABS.includes(app.settings.values.tab) ? app.settings.values.tab : "prompts");
}

/** @param {Prompting} prompting */
export function buildPrompts(prompting) {
  const list = h("ol", { class: "items" });
  const empty = h("p", { class: "quiet" }, "No prompts yet. Click on an object with the smart click; every prompt stands here and can be taken back alone.");
  const correcting = h("p", { class: "quiet" });
  const add = h("input", { type: "text", "aria-label": "Another prompter", placeholder: "sam2, sam2:FOLDER or run:RUN", autocomplete: "off" });
  const trouble = h("p", { class: "trouble", role: "alert" });
  const form = h("form", { class: "inline" }, add, h("button", { type: "submit" }, "Add"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    try {
      if (add.value.trim()) await prompting.addPrompter(add.value.trim());
      add.value = "";
    } catch (error) {
      trouble.textContent = error instanceof Error ? error.message : String(error);
    }
  });
  const states = h("ul", { class: "plain" });
  const clear = h("button", { type: "button", title: `Drop the prompts (${keyOf("cancel")})`, onclick: () => prompting.clear() }, "Clear prompts");
  byId("panel-prompts").append(empty, correcting, list, clear,
    h("details", {}, h("summary", {}, "Prompters"), states, form, h("p", { class: "quiet" }, "A prompter answers clicks, boxes and scribbles: the classical one, SAM 2, or a run of yours that was trained with prompts."), trouble));
  const draw = () => {
    const { session } = prompting;
    empty.hidden = session.active;
    clear.hidden = !session.active;
    correcting.hidden = !session.base || !session.active;
    correcting.textContent = "These prompts correct an accepted mask.";
    const counted = { point: 0, box: 0, stroke: 0 };
    list.replaceChildren(...session.items.map((item) => {
      const index = counted[item.kind]++;
      const words = itemWords(item);
      const sign = item.kind === "box" || item.positive ? "plus" : "minus";
      return h("li", {}, icon(sign), h("span", {}, words),
        h("button", { type: "button", class: "square mini", title: `Delete: ${words}`, "aria-label": `Delete: ${words}`, onclick: () => prompting.remove(item.kind, index) }, icon("close")));
    }));
    states.replaceChildren(...prompting.prompters.map(({ label, name, state, message }) => h("li", {}, h("b", {}, label || name), ` ${state === "failed" ? `failed because ${message}` : state}`)));
  };
  prompting.addEventListener("change", draw);
  draw();
}

/**
 * The commands on the mask of the current class.
 * @param {App} app
 */
export function maskCommands(app) {
  const { painter, settings } = app;
  /** The smoothed class is shown before it is painted. */
  const preview = Object.assign(new EventTarget(), { on: false });
  /** @param {boolean} on */
  const look = (on) => {
    if (!on && !preview.on) return false;
    preview.on = on && app.loaded !== null;
    void painter.previewSmooth(preview.on ? settings.values.sigma : null);
    preview.dispatchEvent(new Event("change"));
    return true;
  };
  const name = () => app.info.classes.find(({ id }) => id === painter.classId)?.name ?? "";
  /** @param {() => Promise<number|null>} act @param {string} words */
  const run = async (act, words) => {
    if (app.loaded === null) return;
    app.activity.click();
    const what = `${words} ${name()}`;
    const pixels = await act();
    if (pixels) say(`${what}: ${pixels.toLocaleString("en")} pixels.`);
    else if (pixels === 0) say(`${what}: nothing to change.`);
  };
  const commands = {
    grow: () => run(() => painter.grow(settings.values.growPx), "Grow"),
    shrink: () => run(() => painter.shrink(settings.values.growPx), "Shrink"),
    smooth: () => {
      look(false);
      return run(() => painter.smooth(settings.values.sigma), "Smooth");
    },
    preview,
    previewSmooth: look,
    /** Paint what is previewed; answers whether there was anything. */
    acceptPreview: () => preview.on && (void commands.smooth(), true),
    holes: () => run(() => painter.fillHoles(), "Fill holes of"),
    specks: () => run(() => painter.dropSpecks(settings.values.speckPx), "Drop specks of"),
    clearClass: () => run(() => painter.clear(painter.classId), "Clear"),
    clearAll: async () => {
      app.emit("clear");
      const pixels = app.loaded ? await painter.clear() : 0;
      if (pixels !== null) say(pixels ? `The mask is cleared: ${pixels.toLocaleString("en")} pixels. Undo brings it back.` : "There is nothing to clear.");
    },
    copyPrevious: async () => {
      const before = neighbour(app.rows, app.id, -1);
      const now = app.row(app.loaded);
      const row = app.row(before);
      if (!row || !now) return say("There is no image before this one.", "warn");
      if (row.w !== now.w || row.h !== now.h) return say(`${row.name} is ${row.w} x ${row.h} pixels, this image ${now.w} x ${now.h}; only masks of equal size can be copied.`, "warn");
      const labels = await app.shelf.labels(row.id);
      if (app.loaded !== now.id) return;
      const pixels = await painter.copyFrom(labels.plane);
      if (pixels !== null) say(pixels ? `Copied the mask of ${row.name}: ${pixels.toLocaleString("en")} pixels changed.` : `The mask of ${row.name} changes nothing here.`);
    },
  };
  return commands;
}

/** @param {App} app @param {ReturnType<typeof maskCommands>} commands */
export function buildMask(app, commands) {
  const { settings, painter } = app;
  const { values } = settings;
  /** @param {string} words @param {string} key @param {() => void} act @param {string} title */
  const button = (words, key, act, title) => h("button", { type: "button", title: key ? `${title} (${keyOf(key)})` : title, onclick: act }, words);
  const grow = slider({ name: "Pixels", min: 1, max: 20, step: 1, value: values.growPx, show: (px) => `${px} px`, oninput: (px) => settings.set("growPx", px) });
  const preview = h("input", { type: "checkbox", onchange: () => commands.previewSmooth(preview.checked) });
  const sigma = slider({
    name: "Sigma", min: 0.5, max: 15, step: 0.5, value: values.sigma, show: (value) => value.toFixed(1),
    oninput: (value) => {
      settings.set("sigma", value);
      if (preview.checked) commands.previewSmooth(true);
    },
  });
  const again = () => commands.preview.on && commands.previewSmooth(true);
  commands.preview.addEventListener("change", () => { preview.checked = commands.preview.on; });
  app.addEventListener("class", again);
  app.addEventListener("opening", () => commands.previewSmooth(false));
  painter.addEventListener("edit", (event) => /** @type {CustomEvent} */ (event).detail.final && again());
  const specks = slider({ name: "Below", min: 4, max: 2000, step: 4, value: values.speckPx, show: (px) => `${px} px²`, oninput: (px) => settings.set("speckPx", px) });
  const rest = h("input", { type: "checkbox", checked: values.rest_is_background, onchange: () => settings.set("rest_is_background", rest.checked) });
  const current = h("p", { class: "quiet" });
  const named = () => { current.textContent = `These change ${app.info.classes.find(({ id }) => id === painter.classId)?.name ?? ""}.`; };
  app.addEventListener("class", named);
  app.addEventListener("project", named);
  settings.addEventListener("change", () => { rest.checked = settings.values.rest_is_background; });
  named();
  const background = app.info.background;
  byId("panel-mask").append(current,
    part("Edge", h("div", { class: "buttons" }, button("Grow", "grow", commands.grow, "Grow the class"), button("Shrink", "shrink", commands.shrink, "Shrink the class")), grow.element),
    part("Smooth", h("div", { class: "buttons" }, h("label", { class: "check" }, preview, "Preview"), button("Smooth", "smooth", () => void commands.smooth(), "Gaussian smoothing of the edge")), sigma.element),
    part("Clean", h("div", { class: "buttons" }, button("Fill holes", "holes", commands.holes, "Holes of the class are filled"), button("Drop specks", "specks", commands.specks, "Small pieces go to what surrounds them")), specks.element),
    part("Whole mask", h("div", { class: "buttons" },
      button("Copy previous", "copy-previous", () => void commands.copyPrevious(), "The mask of the image before"),
      button("Clear class", "", commands.clearClass, "Every pixel of the class becomes unlabelled"),
      button("Clear all", "clear-all", commands.clearAll, "Every pixel becomes unlabelled; undo brings it back"))),
    background === null ? h("p", { class: "quiet" }, "This data set has no background class: what is unlabelled stays ignored.")
      : h("label", { class: "check" }, rest, h("span", {}, "Done: the rest becomes background")));
}

/** @param {App} app */
export function buildView(app) {
  const { painter, settings } = app;
  const { values } = settings;
  const mode = choice({
    name: "Display", value: values.mode,
    choices: [["both", "Both"], ["image", "Image"], ["mask", "Mask"], ["outline", "Outline"], ["difference", "Difference", "What differs from the proposal, or from the labels as they were opened"]],
    onchange: (value) => settings.set("mode", value),
  });
  /** @param {"opacity"|"brightness"|"contrast"|"heat"} name @param {string} words @param {number} min @param {number} max */
  const part = (name, words, min, max) => slider({ name: words, min, max, step: 0.05, value: values[name], show: (value) => `${Math.round(value * 100)} %`, oninput: (value) => settings.set(name, value) });
  const sliders = { opacity: part("opacity", "Opacity", 0, 1), brightness: part("brightness", "Brightness", 0.3, 3), contrast: part("contrast", "Contrast", 0.3, 3), heat: part("heat", "Unsure", 0, 1) };
  sliders.heat.element.title = "How strongly the unsure regions of a proposal are shown";
  /** @param {"overlay"|"pattern"} name @param {string} words */
  const check = (name, words) => {
    const input = h("input", { type: "checkbox", checked: values[name], onchange: () => settings.set(name, input.checked) });
    settings.addEventListener("change", () => { input.checked = settings.values[name]; });
    return h("label", { class: "check" }, input, words);
  };
  const reset = () => {
    for (const name of /** @type {("brightness"|"contrast")[]} */ (["brightness", "contrast"])) settings.set(name, 1);
  };
  byId("panel-view").append(mode.element, ...Object.values(sliders).map(({ element }) => element),
    h("div", { class: "buttons" }, check("overlay", "Labels and marks"), check("pattern", "Hatched")),
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: reset }, "Photo as it is"),
      h("button", { type: "button", title: `Fit the picture (${keyOf("fit")})`, onclick: () => painter.fit() }, "Fit"),
      h("button", { type: "button", title: `One to one (${keyOf("actual")})`, onclick: () => painter.zoomTo(1) }, "1:1")));
  const show = () => {
    const { mode: now, opacity, brightness, contrast, overlay, pattern, heat } = settings.values;
    painter.setDisplay({ mode: /** @type {any} */ (now), opacity, brightness, contrast, overlay, pattern, heat });
  };
  settings.addEventListener("change", (event) => {
    const { name, value } = /** @type {CustomEvent} */ (event).detail;
    if (name === "mode") {
      mode.set(value);
      compare();
    }
    if (name in sliders) sliders[/** @type {keyof sliders} */ (name)].set(value);
    show();
  });
  // Comparing costs a pass over the plane: only while somebody looks at it.
  const compare = () => painter.plane && settings.values.mode === "difference" && painter.setReference(app.reference);
  app.addEventListener("image", compare);
  app.addEventListener("reference", compare);
  show();
}

/** @param {string} title @param {...Node} inside */
function part(title, ...inside) {
  return h("fieldset", {}, h("legend", {}, title), ...inside);
}
