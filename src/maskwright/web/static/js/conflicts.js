// Two windows changed one image: nothing is overwritten before somebody has seen both.

import { ask } from "./dialogs.js";
import { h, say } from "./dom.js";
import { differing, reconcile, wholeTile } from "./merge.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./merge.js").Labels} Labels */

const SIDE = 260;
const AGAIN_MS = 10000;

/** @param {App} app */
export function watchConflicts(app) {
  let open = false;
  const look = async (/** @type {string} */ id) => {
    if (open) return;
    if (id !== app.loaded) {
      say(`${app.row(id)?.name ?? id} was changed in another window; open it to decide what stays.`, "warn");
      return;
    }
    open = true;
    try {
      await settle(app, id);
    } catch (error) {
      say(`The other version could not be loaded: ${error instanceof Error ? error.message : error}`, "warn");
      setTimeout(() => app.saver.conflicts.has(id) && app.emit("conflict", { id }), 5000);
    } finally {
      open = false;
    }
  };
  app.addEventListener("conflict", (event) => void look(/** @type {CustomEvent} */ (event).detail.id));
}

/** @param {App} app @param {string} id */
async function settle(app, id) {
  const theirs = await app.shelf.labels(id);
  void app.saver.flush();
  const plane = app.painter.plane;
  if (app.loaded !== id || !plane) return;
  const tiles = app.saver.pending(id);
  const { same, missing, merged, contested } = reconcile({ theirs: theirs.plane, mine: plane.data, base: app.base, width: theirs.width, tiles });
  if (same) {
    void app.saver.resolve(id, theirs.revision, []);
    return;
  }
  const answer = await question(app, id, theirs, plane.data, merged, contested);
  if (!answer) {
    say("Nothing is saved here until you decide between the two versions.", "warn");
    setTimeout(() => app.saver.conflicts.has(id) && app.emit("conflict", { id }), AGAIN_MS);
  } else if (answer === "mine") void app.saver.resolve(id, theirs.revision, [wholeTile(plane.data, theirs.width)]);
  else if (answer === "both") {
    app.replace(merged, theirs.revision);
    void app.saver.resolve(id, theirs.revision, missing);
  } else {
    app.replace(theirs.plane, theirs.revision);
    void app.saver.resolve(id, theirs.revision, []);
    say("Theirs is shown; undo brings yours back.");
  }
}

/** @param {App} app @param {string} id @param {import("./api.js").Labels} theirs @param {Labels} mine @param {Labels} merged @param {number} contested */
function question(app, id, theirs, mine, merged, contested) {
  const name = app.row(id)?.name ?? id;
  const { width, height } = theirs;
  const apart = differing(theirs.plane, mine);
  const pictures = h("div", { class: "versions" },
    picture(app, theirs.plane, width, height, "Theirs, on the server"),
    picture(app, mine, width, height, "Mine, in this window"),
    picture(app, merged, width, height, "Theirs with my unsaved changes on top"));
  return ask({
    title: "This image was changed in another window",
    kind: "wide",
    body: [
      h("p", {}, `${name} was saved by another window or person while you changed it here. Your last changes are not saved yet; the two versions differ in ${apart.toLocaleString("en")} pixels, ${contested ? `${contested.toLocaleString("en")} of them changed by both` : "none of them changed by both"}.`),
      pictures,
      h("p", { class: "quiet" }, "Whatever you choose can be undone here."),
    ],
    choices: [["both", "Use both: mine on top"], ["mine", "Keep mine, overwrite theirs"], ["theirs", "Show theirs, drop mine"]],
  });
}

/** @param {App} app @param {Labels} plane @param {number} width @param {number} height @param {string} words */
export function picture(app, plane, width, height, words) {
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const w = Math.max(1, Math.round(width * scale));
  const h_ = Math.max(1, Math.round(height * scale));
  const canvas = h("canvas", { width: w, height: h_, role: "img", "aria-label": words });
  const context = canvas.getContext("2d");
  if (context) {
    const pixels = context.createImageData(w, h_);
    const colours = new Map(app.info.classes.map((row) => [row.id, row.colour]));
    for (let y = 0; y < h_; y += 1) {
      const from = Math.floor(y / scale) * width;
      for (let x = 0; x < w; x += 1) {
        const colour = colours.get(plane[from + Math.floor(x / scale)]);
        if (colour) pixels.data.set([...colour, 255], (y * w + x) * 4);
      }
    }
    context.putImageData(pixels, 0, 0);
  }
  return h("figure", {}, canvas, h("figcaption", {}, words));
}

