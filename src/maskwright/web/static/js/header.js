// The line on top: which image, how it stands, whether everything is saved; and the banner when the server is gone.

import { json } from "./api.js";
import { showKeys, showSettings } from "./dialogs.js";
import { button, byId, icon, say } from "./dom.js";
import { STATUS, isOpen } from "./images.js";
import { redo, undo } from "./keyboard.js";
import { keyOf } from "./keymap.js";

/** @typedef {import("./app.js").App} App */

const SAVE_ICONS = { saved: "check", edited: "busy", saving: "busy", failed: "warning", conflict: "warning" };

/** @param {App} app */
export function buildHeader(app) {
  const { settings, painter } = app;
  const back = button({ name: "Undo", picture: "undo", key: keyOf("undo"), onclick: () => undo(app) });
  const again = button({ name: "Redo", picture: "redo", key: "Ctrl+Shift+Z", onclick: () => redo(app) });
  const list = button({ name: "List of images", picture: "list", key: keyOf("list"), onclick: () => settings.set("list", !settings.values.list) });
  const panel = button({ name: "Classes and panels", picture: "panel", key: keyOf("panel"), onclick: () => settings.set("panel", !settings.values.panel) });
  byId("history").append(back, again);
  byId("more").append(list, panel,
    button({ name: "Keys", picture: "help", key: keyOf("help"), onclick: () => void showKeys() }),
    button({ name: "Settings", picture: "settings", onclick: () => void showSettings(app) }));
  byId("previous").append(button({ name: "Previous image", picture: "previous", key: keyOf("previous"), onclick: () => app.go(-1) }));
  byId("next").append(button({ name: "Next image", picture: "next", key: keyOf("next"), onclick: () => app.go(1) }));
  const skip = button({ name: "Skip this image", words: "Skip", picture: "skipped", key: keyOf("skip"), onclick: () => void app.mark("skipped") });
  const done = button({ name: "Done, and on to the next unfinished image", words: "Done", picture: "check", key: keyOf("finish"), class: "main", onclick: () => void app.mark("labelled") });
  const reopen = button({ name: "Reopen: the image is to do again", words: "Reopen", picture: "started", onclick: () => void app.mark("started") });
  byId("finish").append(reopen, skip, done);

  const arrange = () => {
    document.body.classList.toggle("no-list", !settings.values.list);
    document.body.classList.toggle("no-panel", !settings.values.panel);
    list.setAttribute("aria-pressed", String(settings.values.list));
    panel.setAttribute("aria-pressed", String(settings.values.panel));
  };
  settings.addEventListener("change", arrange);
  arrange();
  const historyChanged = () => {
    // Not `disabled`: the focus would fall off the button that was just pressed.
    back.setAttribute("aria-disabled", String(!painter.canUndo));
    again.setAttribute("aria-disabled", String(!painter.canRedo));
  };
  painter.addEventListener("history", historyChanged);
  historyChanged();
  const draw = () => {
    const row = app.row(app.id);
    const { shown } = app;
    const at = shown.findIndex(({ id }) => id === app.id);
    byId("image-name").textContent = row?.name ?? "No image";
    byId("image-name").title = row ? `${row.name}, ${row.w} x ${row.h} pixels${row.split ? `, split ${row.split}` : ""}` : "";
    byId("image-place").textContent = row ? `${at < 0 ? "not in the list" : `${at + 1} of ${shown.length}`}` : "";
    byId("image-status").className = `status ${row?.status ?? ""}`;
    byId("image-status").replaceChildren(...(row ? [icon(STATUS[row.status].icon), STATUS[row.status].word] : []));
    document.title = `${row ? `${row.name} · ` : ""}${app.info.name} · Maskwright`;
    reopen.hidden = !row || isOpen(row);
    skip.hidden = !row || !isOpen(row);
    done.hidden = !row || row.status === "labelled";
  };
  app.addEventListener("rows", draw);
  app.addEventListener("opening", draw);
  draw();
  byId("project-name").textContent = app.info.name;
  byId("project-name").title = app.info.path;
  saveState(app);
  serverState(app);
}

/** @param {App} app */
function saveState(app) {
  const line = byId("save");
  const draw = () => {
    const { kind, words } = app.saver.state;
    line.dataset.kind = kind;
    line.replaceChildren(icon(SAVE_ICONS[kind]), Object.assign(document.createElement("span"), { textContent: words }));
    line.title = app.vault.works ? words : `${words}. This browser keeps nothing between visits (a private window?): do not close it while something is unsaved.`;
  };
  app.saver.addEventListener("state", draw);
  draw();
}

/** @param {App} app */
function serverState(app) {
  const banner = byId("banner");
  let asking = false;
  const look = async () => {
    try {
      const { message } = await json("/api/health");
      await json("/api/images?since=" + app.tick);
      asking = false;
      banner.hidden = true;
      banner.textContent = message ?? "";
      say("The server is back.");
      app.emit("returned");
      await app.saver.retry();
    } catch (error) {
      warn(error);
      setTimeout(() => void look(), 2000);
    }
  };
  /** @param {any} error */
  const warn = (error) => {
    banner.textContent = error?.status === 401 || error?.status === 403
      ? "The server was started anew and does not know this window. Open the address that it printed: what is unsaved is kept in this browser and will be saved there."
      : "The server does not answer. Go on working: changes are kept in this browser and saved as soon as it is back.";
    banner.hidden = false;
  };
  app.addEventListener("gone", (event) => {
    warn({ status: /** @type {CustomEvent} */ (event).detail.token ? 401 : 0 });
    if (asking) return;
    asking = true;
    setTimeout(() => void look(), 1000);
  });
}
