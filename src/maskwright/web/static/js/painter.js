/**
 * The painter: labels over a photo and the tools that change them. An EventTarget; its events are edit, prompt, mark,
 * view, hover, tool, radius, polygon, history, busy and notice, each with a `detail`.
 * Coordinates are image pixels, x to the right and y down; pixel (column c, row r) covers c <= x < c + 1.
 *
 * @typedef {import("./plane.js").Labels} Labels
 * @typedef {import("./plane.js").Box} Box
 * @typedef {import("./plane.js").Tile} Tile
 * @typedef {import("./plane.js").Region} Region
 * @typedef {import("./compose.js").Candidate} Candidate
 * @typedef {import("./compose.js").Over} Over
 * @typedef {import("./compose.js").ClassRow} ClassRow
 * @typedef {import("./tools.js").ToolName} ToolName
 */
import { colourTable } from "./colours.js";
import * as commands from "./commands.js";
import { History } from "./history.js";
import { Labour } from "./labour.js";
import { markAt } from "./marks.js";
import { countLabels, makePlane } from "./plane.js";
import { thumbnail } from "./raster.js";
import { Surface } from "./surface.js";
import { TOOLS } from "./tools.js";

/** Tools that ask and change nothing: of use while a command is under way. */
const ASKING = new Set(["click", "box", "scribble"]);

export class Painter extends Surface {
  #labour = new Labour();
  /** @type {History | null} */ #history = null;
  /** @type {Set<number>} */ #locks = new Set();
  #classId = 0;
  /** @type {Over} */ #over = "all";
  #pressure = false;
  /** @type {{what: string, pixels: number} | null} a change within a stroke that waits to be told */ #untold = null;
  #told = "";

  /**
   * Take a plane over; the last one's history, marks, preview, doubt and reference are forgotten.
   * @param {Labels | null} data null while the labels are on their way @param {number} [w] @param {number} [h]
   */
  setPlane(data, w = 1, h = 1) {
    this.drop();
    this.#labour.stop();
    this.#labour.dropPreview();
    this.#history = data && new History(makePlane(data, w, h));
    this.#untold = null;
    const marks = { points: [], boxes: [], strokes: [] };
    Object.assign(this.scene, { plane: this.plane, reference: null, doubt: null, draft: null, marks });
    this.scene.setPreviews([]);
    this.scene.refresh();
    if (data) this.imageSize = { w, h };
    this.setTool(this.handName);
    this.point();
    this.#tellHistory();
  }

  /**
   * The same image with another content from the server: one step that can be undone, nothing to save.
   * @param {Labels} data
   */
  replacePlane(data) {
    if (!this.#history) return;
    this.#labour.stop();
    const { dirty } = this.#history;
    const unsaved = dirty.take();
    const rules = { ...this.#rules, locks: new Set() };
    const pixels = commands.copyFrom(this.#history, rules, this.#fitting(data), { what: "reload" });
    dirty.take();
    this.markDirty(unsaved);
    this.#edited("reload", pixels, true);
  }

  get plane() {
    return this.#history?.plane ?? null;
  }

  /**
   * Candidates on the screen; for another threshold set them again.
   * @param {null | Candidate | Candidate[]} preview
   */
  setPreview(preview) {
    this.scene.setPreviews(preview === null ? [] : [preview].flat());
    this.soon();
  }

  /** @param {Uint8Array | null} doubt 0 to 255 a pixel, shown as heat */
  setDoubt(doubt) {
    this.scene.doubt = doubt && /** @type {Uint8Array} */ (this.#fitting(doubt));
    this.scene.refresh(["heat"]);
    this.soon();
  }

  /** @param {Labels | null} data what the mode 'difference' compares with */
  setReference(data) {
    this.scene.reference = data && this.#fitting(data);
    this.scene.refresh(["labels"]);
    this.soon();
  }

  /** @param {ToolName} name */
  setTool(name) {
    if (!TOOLS[name]) throw new Error(`There is no tool '${name}'; known: ${Object.keys(TOOLS).join(", ")}.`);
    const history = this.#history;
    this.take(name, history ? TOOLS[name](this.#bench(history)) : { press() {} });
    this.emit("tool", { tool: name });
  }

  get tool() {
    return this.handName;
  }

  /** @param {number} id */
  setClass(id) {
    this.#classId = id;
  }

  get classId() {
    return this.#classId;
  }

  /** @param {Iterable<number>} ids the ignore id may be among them */
  setLocks(ids) {
    this.#locks = new Set(ids);
  }

  /**
   * What brush, line, polygon, fill and grow may replace.
   * @param {Over} over
   */
  setOver(over) {
    this.#over = over;
  }

  /** @param {boolean} on whether a pen's pressure scales the radius */
  setPressure(on) {
    this.#pressure = on;
  }

  // Commands: each is one step of the history and answers how many pixels changed, or null where it was stopped;
  // later, from another thread, where the plane is large.

  /** Resolves when no command is under way. */
  async settled() {
    await this.#labour.settled;
  }

  /** @param {Candidate} candidate @param {{over?: Over, replacing?: Region | null}} options */
  async commit(candidate, options = {}) {
    if (this.#refused(candidate.classId)) return 0;
    const size = Math.max(candidate.soft.length, options.replacing?.mask.length ?? 0);
    const pixels = await this.#run("accept", "commit", [candidate, options], size);
    if (pixels === 0) this.#notice("Nothing changed: what lies there is this class, is locked, or has a higher priority.");
    return pixels;
  }

  /** @param {number} px */
  grow(px) {
    return this.#onClass("grow", "grow", px, this.#over);
  }

  /** @param {number} px */
  shrink(px) {
    return this.#onClass("shrink", "shrink", px);
  }

  /** @param {number | null} sigma pixels; null takes the preview away */
  async previewSmooth(sigma) {
    const history = this.#history;
    this.#labour.dropPreview();
    if (!history || !sigma) return this.setPreview(null);
    const found = await this.#labour.preview(history, this.#classId, sigma);
    if (found !== undefined && this.#history === history) this.setPreview(found);
  }

  /** @param {number} sigma pixels */
  smooth(sigma) {
    return this.#onClass("smooth", "smooth", sigma);
  }

  fillHoles() {
    return this.#onClass("fill holes", "fillHoles");
  }

  /** @param {number} px pieces of fewer pixels go to what lies around them */
  dropSpecks(px) {
    return this.#onClass("drop specks", "dropSpecks", px);
  }

  /** @param {Labels} data a plane of the same size @param {{over?: Over}} options */
  copyFrom(data, options = {}) {
    return this.#run("copy", "copyFrom", [this.#fitting(data), options]);
  }

  /** @param {number} [classId] everything that is not locked where none is given */
  async clear(classId) {
    if (classId !== undefined && this.#refused(classId)) return 0;
    return this.#run("clear", "relabel", [classId ?? null], 0);
  }

  /** @param {number} from @param {number} to */
  async relabel(from, to) {
    if (this.#refused(from) || this.#refused(to)) return 0;
    return this.#run("relabel", "relabel", [from, to], 0);
  }

  /** Answers the words of what was undone, or null. */
  undo() {
    return this.#travel("undo");
  }

  /** Answers the words of what was done again, or null. */
  redo() {
    return this.#travel("redo");
  }

  get canUndo() {
    return this.#labour.busy || (this.#history?.canUndo ?? false);
  }

  get canRedo() {
    return this.#history?.canRedo ?? false;
  }

  /** Close a polygon; answers whether there was one. */
  finish() {
    return this.hand.finish?.() ?? false;
  }

  /** Drop what is being drawn, or stop the command that is under way; answers whether there was anything. */
  cancel() {
    const { busy } = this;
    this.drop();
    return this.#labour.stop() || busy;
  }

  /** Take back a polygon's last corner; answers whether there was one. */
  stepBack() {
    return this.hand.stepBack?.() ?? false;
  }

  get busy() {
    return this.working || (this.hand.busy ?? false);
  }

  /** Whether a command is under way. */
  get working() {
    return this.#labour.busy;
  }

  destroy() {
    this.#labour.close();
    super.destroy();
  }

  /**
   * What changed since the last call.
   * @returns {Tile[]}
   */
  takeDirty() {
    return this.#history?.dirty.take() ?? [];
  }

  /**
   * Give back what could not be saved.
   * @param {Box[]} boxes
   */
  markDirty(boxes) {
    for (const box of boxes) this.#history?.dirty.addBox(box);
  }

  get hasDirty() {
    return (this.#history?.dirty.size ?? 0) > 0;
  }

  /**
   * The connected piece of a class under a point.
   * @param {number} classId @param {number} x @param {number} y @returns {Promise<Region | null>}
   */
  async region(classId, x, y) {
    if (!this.#history || this.idAt(x, y) !== classId) return null;
    return this.#labour.region(this.#history, Math.floor(x), Math.floor(y));
  }

  /**
   * The label at a point, -1 beyond the image.
   * @param {number} x @param {number} y
   */
  idAt(x, y) {
    const { plane } = this;
    const [column, row] = [Math.floor(x), Math.floor(y)];
    if (!plane || column < 0 || row < 0 || column >= plane.width || row >= plane.height) return -1;
    return plane.data[row * plane.width + column];
  }

  /**
   * Pixels by label, counted without holding the page up; null where `wanted` says that nobody asks any more.
   * @param {() => boolean} wanted @returns {Promise<Map<number, number> | null>}
   */
  async count(wanted = () => true) {
    const { plane } = this;
    let found = new Map();
    for (found of plane ? countLabels(plane) : []) {
      await new Promise((later) => setTimeout(later));
      if (this.plane !== plane || !wanted()) return null;
    }
    return found;
  }

  /**
   * A small picture of the labels.
   * @param {number} longest side
   */
  snapshot(longest = 320) {
    const { classes, wide } = this.scene.look;
    return this.plane && thumbnail(this.plane, colourTable(classes, wide, 1).plain, longest);
  }

  /** @protected */
  beforePaint() {
    this.scene.change(this.#history?.takeChanged() ?? null);
    if (this.#untold) this.emit("edit", { ...this.#untold, final: false });
    this.#untold = null;
  }

  /** @protected */
  get ready() {
    return this.#history !== null && (!this.#labour.busy || ASKING.has(this.handName));
  }

  get #rules() {
    const { classes, ignore } = this.scene.look;
    return { classes, ignore, locks: this.#locks };
  }

  /** @param {History} history @returns {import("./tools.js").Bench} */
  #bench(history) {
    const painter = this;
    return {
      history,
      get rules() { return painter.#rules; },
      get classId() { return painter.#classId; },
      get over() { return painter.#over; },
      get radius() { return painter.radius; },
      get usesPressure() { return painter.#pressure; },
      get scale() { return painter.scene.view.scale; },
      draft: (draft) => {
        this.scene.draft = draft;
        this.scene.refresh(["marks"]);
        this.soon();
      },
      emit: (name, detail) => this.emit(name, detail),
      edited: (what, pixels, final) => this.#edited(what, pixels, final),
      refused: (label) => this.#refused(label),
      fill: (x, y, label) => void this.#run("fill", "fill", [x, y, label, this.#over]),
      hit: ({ sx, sy }) => markAt(this.scene.marks, this.scene.view, { x: sx, y: sy }),
      pan: (dx, dy) => this.panBy(dx, dy),
    };
  }

  /**
   * Says so where a class is locked.
   * @param {number} label
   */
  #refused(label) {
    if (!this.#locks.has(label)) return false;
    const row = this.scene.look.classes.find(({ id }) => id === label);
    const name = row ? `Class '${row.name}' is` : "Unlabelled pixels are";
    this.#notice(`${name} locked; unlock ${row ? "it to change it" : "them to change them"}.`);
    return true;
  }

  /** @param {string} text */
  #notice(text) {
    this.emit("notice", { text });
  }

  /**
   * @param {string} what @param {import("./labour.js").Name} name @param {any[]} values after the history and the rules
   * @param {number} [size] pixels that it works on, where it is not the whole plane; 0 for what takes no longer than
   *   handing the plane to another thread
   */
  async #run(what, name, values, size) {
    const history = this.#history;
    if (!history) return 0;
    this.drop();
    const found = this.#labour.run(history, name, this.#rules, values, size);
    const later = typeof found !== "number";
    if (later) this.#tellBusy(what);
    const pixels = later ? await found : found;
    if (later) this.#tellBusy(what);
    if (pixels === null) {
      if (this.#history === history) this.#notice(`Stopped: ${what} changed nothing.`);
      return null;
    }
    this.#edited(what, pixels, true);
    return pixels;
  }

  /** @param {string} what */
  #tellBusy(what) {
    this.emit("busy", { what: this.#labour.busy ? what : "" });
    this.point();
  }

  /** @param {string} what @param {import("./labour.js").Name} name @param {any[]} values after the class */
  async #onClass(what, name, ...values) {
    if (this.#refused(this.#classId)) return 0;
    return this.#run(what, name, [this.#classId, ...values]);
  }

  /** @param {"undo" | "redo"} way */
  #travel(way) {
    this.drop();
    // What is under way has changed nothing yet: taking it back is not letting it happen.
    if (this.#labour.stop()) return null;
    const what = this.#history?.[way]() ?? null;
    if (what) this.#edited(way, 0, true);
    return what;
  }

  /** @param {string} what @param {number} pixels @param {boolean} final */
  #edited(what, pixels, final) {
    this.soon();
    this.#untold = final ? null : { what, pixels };
    if (!final) return;
    this.point();
    this.emit("edit", { what, pixels, final });
    this.#tellHistory();
  }

  #tellHistory() {
    const { canUndo, canRedo } = this;
    if (this.#told === `${canUndo} ${canRedo}`) return;
    this.#told = `${canUndo} ${canRedo}`;
    this.emit("history", { canUndo, canRedo });
  }

  /** @template {Labels} T @param {T} data @returns {T} */
  #fitting(data) {
    if (!this.plane || data.length === this.plane.data.length) return data;
    throw new Error("The two masks have different sizes; only masks of one size go together.");
  }
}
