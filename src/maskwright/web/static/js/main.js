// From an empty page to a picture that can be labelled.

import { json } from "./api.js";
import { App } from "./app.js";
import { buildChips } from "./chips.js";
import { buildClasses } from "./classlist.js";
import { watchConflicts } from "./conflicts.js";
import { byId, h, say } from "./dom.js";
import { buildHeader } from "./header.js";
import { nextUnfinished } from "./images.js";
import { bindKeys } from "./keyboard.js";
import { keyOf } from "./keymap.js";
import { buildList } from "./list.js";
import { Painter } from "./painter.js";
import { buildMask, buildPrompts, buildTabs, buildView, maskCommands } from "./panels.js";
import { buildProgress } from "./progress.js";
import { Prompting } from "./prompting.js";
import { Proposal } from "./proposal.js";
import { buildTools } from "./toolbar.js";

const REFRESH_MS = 15000;

async function main() {
  const info = await json("/api/project");
  const painter = new Painter(byId("stage"), { classes: info.classes, ignore: info.ignore, wide: info.wide });
  const app = new App(info, painter);
  await app.refresh();
  const prompting = new Prompting(app);
  buildHeader(app);
  buildList(app);
  const classes = buildClasses(app, prompting);
  const tools = buildTools(app, prompting);
  buildChips(app, prompting);
  buildTabs(app);
  buildPrompts(prompting);
  const commands = maskCommands(app);
  buildMask(app, commands);
  buildView(app);
  const proposal = new Proposal(app, prompting);
  buildProgress(app, proposal, prompting);
  watchConflicts(app);
  bindKeys(app, { prompting, proposal, tools, classes, commands });
  bindStatus(app);
  bindWindow(app, prompting);
  app.addEventListener("clear", () => prompting.clear());
  // One preview at a time: prompts are asked, and the smoothed class is no longer what is looked at.
  prompting.addEventListener("change", () => prompting.session.active && commands.preview.on && (commands.previewSmooth(false), prompting.show()));
  app.addEventListener("returned", () => {
    void prompting.prepare();
    if (app.problem) retryImage(app);
  });
  painter.setClass(info.classes.find((/** @type {any} */ { id }) => id !== info.background)?.id ?? 0);
  app.emit("class");
  hint(app);
  const recovered = await app.recover();
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = app.row(wanted)?.id ?? nextUnfinished(app.shown, null) ?? app.shown[0]?.id ?? app.rows[0]?.id;
  if (first) await app.open(first);
  else byId("loading").replaceChildren(h("p", {}, "This data set has no images. Put photos in a folder and start with: maskwright label FOLDER"));
  byId("loading").hidden = Boolean(first) && !app.problem;
  if (recovered) say(`${recovered === 1 ? "One image had" : `${recovered} images had`} unsaved changes in this browser; they are being saved.`);
  document.body.dataset.ready = "true";
}

/** @param {App} app */
function retryImage(app) {
  const { id } = app;
  app.id = null;
  if (id) void app.open(id);
}

/**
 * What is under the pointer, the zoom, and what is loading.
 * @param {App} app
 */
function bindStatus(app) {
  const { painter } = app;
  const loading = byId("loading");
  let timer = /** @type {any} */ (0);
  const busy = () => {
    const row = app.row(app.id);
    loading.hidden = false;
    loading.replaceChildren(...(app.problem
      ? [h("p", {}, app.problem), h("button", { type: "button", onclick: () => retryImage(app) }, "Try again")]
      : [h("p", {}, `Loading ${row?.name ?? ""} …`)]));
  };
  app.addEventListener("opening", () => {
    clearTimeout(timer);
    document.body.dataset.image = "";
    timer = setTimeout(busy, 200);
    history.replaceState(null, "", `#${encodeURIComponent(app.id ?? "")}`);
  });
  app.addEventListener("busy", () => {
    clearTimeout(timer);
    busy();
  });
  app.addEventListener("image", () => {
    clearTimeout(timer);
    loading.hidden = true;
    document.body.dataset.image = app.loaded ?? "";
    const row = app.row(app.id);
    byId("size").textContent = row ? `${row.w} × ${row.h}` : "";
  });
  painter.addEventListener("hover", (event) => {
    const { x, y, id, name } = /** @type {CustomEvent} */ (event).detail;
    byId("hover").textContent = x === null ? "" : `${x}, ${y} · ${id === app.info.ignore ? "unlabelled" : name}`;
  });
  painter.addEventListener("view", (event) => {
    byId("zoom").textContent = `${Math.round(/** @type {CustomEvent} */ (event).detail.scale * 100)} %`;
  });
  painter.addEventListener("busy", (event) => {
    const { what } = /** @type {CustomEvent} */ (event).detail;
    byId("stage").setAttribute("aria-busy", String(what !== ""));
    if (what) say(`${what[0].toUpperCase()}${what.slice(1)} … (${keyOf("cancel")} stops it)`);
  });
  painter.addEventListener("notice", (event) => say(/** @type {CustomEvent} */ (event).detail.text, "warn"));
  painter.addEventListener("edit", (event) => {
    const { what, final, pixels } = /** @type {CustomEvent} */ (event).detail;
    if (final && (what === "undo" || what === "redo")) say(`${what === "undo" ? "Undone" : "Done again"}${pixels ? `: ${pixels.toLocaleString("en")} pixels` : ""}.`);
  });
}

/** @param {App} app @param {Prompting} prompting */
function bindWindow(app, prompting) {
  for (const name of ["pointerdown", "pointermove", "wheel"]) {
    addEventListener(name, () => document.hasFocus() && app.loaded && app.activity.beat(), { passive: true, capture: true });
  }
  addEventListener("beforeunload", (event) => {
    void app.saver.flush();
    if (app.saver.unsaved || app.painter.working) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void app.refresh().catch(() => {});
    else {
      app.activity.pause();
      void app.saver.flush();
    }
  });
  addEventListener("focus", () => void app.refresh().catch(() => {}));
  setInterval(() => document.visibilityState === "visible" && void app.refresh().catch((error) => {
    if (error.status === 0 || error.status === 401) app.emit("gone", { token: error.status === 401 });
  }), REFRESH_MS);
  setInterval(() => document.visibilityState === "visible" && void json("/api/health").then(({ message }) => message && say(message, "warn"), () => {}), REFRESH_MS);
  // For scripts that drive the page, and for whoever opens the console.
  Object.assign(window, { maskwright: { app, prompting } });
}

/**
 * Three lines for who sees the page for the first time.
 * @param {App} app
 */
function hint(app) {
  const box = byId("hint");
  const first = app.rows.every((row) => row.status === "unlabelled" && !row.revision);
  box.hidden = !app.settings.values.hints || !first || !app.rows.length;
  byId("hint-close").addEventListener("click", () => {
    box.hidden = true;
    app.settings.set("hints", false);
  });
  app.saver.addEventListener("saved", () => {
    if (app.rows.some((row) => row.status === "labelled")) box.hidden = true;
  });
}

main().catch((error) => {
  const loading = byId("loading");
  loading.hidden = false;
  loading.replaceChildren(
    h("p", {}, error.status === 0 ? "The server does not answer. Start it again, then reload this page." : `The page could not start: ${error.message}`),
    h("button", { type: "button", onclick: () => location.reload() }, "Reload"));
});
