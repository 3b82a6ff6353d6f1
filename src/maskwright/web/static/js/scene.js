/**
 * The canvases on top of each other (photo, labels, doubt, preview, marks), each as large as the stage, and the brush's
 * ring and the cross of the keyboard as elements, so that moving them repaints nothing. Labels are painted for the part
 * of the screen that changed.
 *
 * @typedef {import("./plane.js").Plane} Plane
 * @typedef {import("./plane.js").Labels} Labels
 * @typedef {import("./plane.js").Box} Box
 * @typedef {import("./view.js").View} View
 * @typedef {import("./view.js").Point} Point
 * @typedef {import("./compose.js").Candidate} Candidate
 * @typedef {import("./compose.js").ClassRow} ClassRow
 * @typedef {{mode: "both" | "image" | "mask" | "outline" | "difference", opacity: number, brightness: number,
 *   contrast: number, overlay: boolean, pattern: boolean, heat: number}} Display
 * @typedef {{classes: ClassRow[], ignore: number, wide: boolean}} Look
 */
import { colourTable, hatchTable, heatTable, pixel } from "./colours.js";
import { levelOf } from "./compose.js";
import { drawMarks } from "./marks.js";
import { union } from "./plane.js";
import {
  OUTLINE_MARGIN, gridOf, paintDifference, paintHatched, paintOutline, paintPlain, paintPreview, screenBox,
} from "./raster.js";
import { toScreen } from "./view.js";

const LAYERS = /** @type {const} */ (["photo", "labels", "heat", "preview", "marks"]);
const FULL = { position: "absolute", inset: "0", width: "100%", height: "100%", pointerEvents: "none" };
/** What is unlabelled now but was not, in a difference. */
const GONE = pixel(255, 255, 255, 230);
/** A ring that is larger than this would cover the stage; nobody sees it. */
const LARGEST_RING = 6000;

/** Everything that is drawn, and when. */
export class Scene {
  /** @type {Plane | null} */ plane = null;
  /** @type {import("./photo.js").Photo | null} */ photo = null;
  /** @type {Labels | null} */ reference = null;
  /** @type {Uint8Array | null} */ doubt = null;
  /** @type {import("./marks.js").Marks} */ marks = { points: [], boxes: [], strokes: [] };
  /** @type {import("./marks.js").Draft | null} */ draft = null;
  /** @type {View} in CSS pixels */ view = { scale: 1, tx: 0, ty: 0 };
  /** @type {Display} */
  display = { mode: "both", opacity: 0.5, brightness: 1, contrast: 1, overlay: true, pattern: false, heat: 0.7 };

  /** @type {Set<number>} classes that are not shown */ hidden = new Set();

  /** @type {Candidate[]} */ #previews = [];
  /** @type {Set<string>} layers to paint as a whole */ #stale = new Set(LAYERS);
  /** @type {Box | null} part of the image whose labels changed */ #changed = null;
  /** @type {Box | null} part of the image whose preview changed */ #previewChanged = null;
  #ratio = 1;
  #image = new ImageData(1, 1);
  #pixels = new Uint32Array(this.#image.data.buffer);
  #grid = { columns: new Int32Array(0), rows: new Int32Array(0), ox: 0, oy: 0 };
  /** @type {Record<string, CanvasRenderingContext2D>} */ #contexts = {};

  /** @param {HTMLElement} stage @param {Look} look */
  constructor(stage, look) {
    this.look = look;
    this.size = { w: 1, h: 1 };
    this.stage = stage;
    for (const name of LAYERS) {
      const canvas = stage.appendChild(document.createElement("canvas"));
      Object.assign(canvas.style, FULL);
      canvas.dataset.layer = name;
      this.#contexts[name] = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    }
    const shadow = "0 0 0 1px #000, inset 0 0 0 1px #000";
    this.ring = overlay(stage, { borderRadius: "50%", border: "1px solid #fff", boxShadow: shadow });
    this.cross = overlay(stage, { width: "33px", height: "33px" });
    for (const [width, height, left, top] of [["33px", "3px", "0", "15px"], ["3px", "33px", "15px", "0"]]) {
      const look = { background: "#000", border: "1px solid #fff", boxSizing: "border-box" };
      const bar = overlay(this.cross, { width, height, left, top, ...look });
      bar.style.display = "block";
    }
    this.#tables();
    this.resize();
  }

  /** Take the stage's size; answers whether it changed. */
  resize() {
    const size = { w: Math.max(1, this.stage.clientWidth), h: Math.max(1, this.stage.clientHeight) };
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    if (size.w === this.size.w && size.h === this.size.h && ratio === this.#ratio) return false;
    this.size = size;
    this.#ratio = ratio;
    const [w, h] = [Math.round(size.w * ratio), Math.round(size.h * ratio)];
    for (const context of Object.values(this.#contexts)) Object.assign(context.canvas, { width: w, height: h });
    this.#image = new ImageData(w, h);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.refresh();
    return true;
  }

  /**
   * Paint everything, or some layers, again.
   * @param {readonly string[]} layers
   */
  refresh(layers = LAYERS) {
    for (const layer of layers) this.#stale.add(layer);
  }

  /** Colours, modes or opacity are others. */
  restyle() {
    this.#tables();
    this.refresh();
  }

  /**
   * Labels changed.
   * @param {Box | null} box
   */
  change(box) {
    this.#changed = union(this.#changed, box);
  }

  /** @param {Candidate[]} previews */
  setPreviews(previews) {
    for (const box of [...this.#previews, ...previews]) this.#previewChanged = union(this.#previewChanged, box);
    this.#previews = previews;
  }

  get previews() {
    return this.#previews;
  }

  /** @param {View} view */
  setView(view) {
    this.view = view;
    this.refresh();
  }

  /**
   * @param {HTMLElement} element @param {Point | null} image where its middle goes
   * @param {number} size of it, in screen pixels
   */
  place(element, image, size) {
    const shown = image !== null && size < LARGEST_RING;
    element.style.display = shown ? "block" : "none";
    if (!shown || !image) return;
    const { x, y } = toScreen(this.view, image);
    const edge = element === this.ring ? 1 : 0;
    if (edge) element.style.width = element.style.height = `${size}px`;
    element.style.transform = `translate(${x - size / 2 - edge}px, ${y - size / 2 - edge}px)`;
  }

  /** Paint what is stale. */
  paint() {
    const { mode, overlay, heat } = this.display;
    const view = this.#deviceView();
    const stale = this.#stale;
    if (stale.has("labels") && this.plane) this.#grid = gridOf(view, this.plane, this.#image.width, this.#image.height);
    if (stale.has("photo")) this.#paintPhoto(view);
    if (this.plane) {
      const labels = overlay && mode !== "image";
      this.#show("labels", labels);
      this.#show("heat", overlay && this.doubt !== null && heat > 0);
      this.#show("preview", overlay);
      if (labels) this.#paint("labels", this.#changed, view, OUTLINE_MARGIN, (box) => this.#paintLabels(box));
      if (this.doubt && heat > 0) this.#paint("heat", null, view, 0, (box) => this.#paintHeat(box));
      this.#paint("preview", this.#previewChanged, view, OUTLINE_MARGIN, (box) => this.#paintPreviews(box, view));
    } else for (const layer of ["labels", "heat", "preview"]) this.#show(layer, false);
    if (stale.has("marks")) this.#paintMarks();
    this.#changed = this.#previewChanged = null;
    stale.clear();
  }

  /** @returns {View} */
  #deviceView() {
    const { scale, tx, ty } = this.view;
    return { scale: scale * this.#ratio, tx: tx * this.#ratio, ty: ty * this.#ratio };
  }

  #tables() {
    const { wide } = this.look;
    const { mode, opacity, heat } = this.display;
    const classes = this.look.classes.filter(({ id }) => !this.hidden.has(id));
    this.table = colourTable(classes, wide, mode === "both" ? opacity : 1);
    this.hatches = hatchTable(classes, wide);
    this.heats = heatTable(heat);
  }

  /** @param {string} layer @param {boolean} shown */
  #show(layer, shown) {
    this.#contexts[layer].canvas.style.visibility = shown ? "visible" : "hidden";
  }

  /**
   * Paint a layer's changed part, or all of it when it is stale.
   * @param {string} layer @param {Box | null} changed in image pixels @param {View} view @param {number} margin
   * @param {(box: Box) => void} fill
   */
  #paint(layer, changed, view, margin, fill) {
    const whole = { x: 0, y: 0, w: this.#image.width, h: this.#image.height };
    const box = this.#stale.has(layer) ? whole : changed && screenBox(view, changed, this.#grid, margin);
    if (!box || !box.w || !box.h) return;
    fill(box);
    this.#contexts[layer].putImageData(this.#image, 0, 0, box.x, box.y, box.w, box.h);
  }

  /** @param {Box} box */
  #paintLabels(box) {
    const plane = /** @type {Plane} */ (this.plane);
    const { mode, pattern } = this.display;
    const { ignore } = this.look;
    const table = /** @type {import("./colours.js").Table} */ (this.table);
    const to = this.#target;
    if (mode === "outline") paintOutline(plane, this.#grid, box, table.plain, ignore, to);
    else if (mode === "difference") {
      const before = this.reference ?? plane.data;
      paintDifference(plane, before, this.#grid, box, table.plain, { ignore, gone: GONE }, to);
    } else if (pattern) paintHatched(plane, this.#grid, box, table, /** @type {Uint8Array} */ (this.hatches), to);
    else paintPlain(plane, this.#grid, box, table.plain, to);
  }

  /** @param {Box} box */
  #paintHeat(box) {
    const plane = /** @type {Plane} */ (this.plane);
    const doubt = { ...plane, data: /** @type {Uint8Array} */ (this.doubt) };
    paintPlain(doubt, this.#grid, box, /** @type {Uint32Array} */ (this.heats), this.#target);
  }

  /** @param {Box} box @param {View} view */
  #paintPreviews(box, view) {
    const { pixels, stride } = this.#target;
    for (let y = box.y; y < box.y + box.h; y++) pixels.fill(0, y * stride + box.x, y * stride + box.x + box.w);
    for (const candidate of this.#previews) {
      const own = screenBox(view, candidate, this.#grid, 2);
      const x = Math.max(box.x, own.x);
      const y = Math.max(box.y, own.y);
      const w = Math.min(box.x + box.w, own.x + own.w) - x;
      const h = Math.min(box.y + box.h, own.y + own.h) - y;
      if (w <= 0 || h <= 0) continue;
      const [r, g, b] = this.look.classes.find(({ id }) => id === candidate.classId)?.colour ?? [255, 255, 255];
      const fill = { between: pixel(r, g, b, 110), line: pixel(r, g, b, 220) };
      paintPreview(candidate, levelOf(candidate.threshold), this.#grid, { x, y, w, h }, fill, this.#target);
    }
  }

  /** @param {View} view */
  #paintPhoto(view) {
    const context = this.#contexts.photo;
    const { mode, brightness, contrast } = this.display;
    const { canvas } = context;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const filter = brightness === 1 && contrast === 1 ? "none" : `brightness(${brightness}) contrast(${contrast})`;
    // Drawn with the filter where the browser can: as a style it would be computed again in every frame of a stroke.
    if ("filter" in context) context.filter = mode === "mask" ? "none" : filter;
    else canvas.style.filter = mode === "mask" ? "none" : filter;
    if (mode !== "mask") this.photo?.draw(context, view);
    else if (this.plane) {
      // Unlabelled pixels are where the ground shows.
      context.fillStyle = "#777c85";
      context.fillRect(view.tx, view.ty, this.plane.width * view.scale, this.plane.height * view.scale);
    }
  }

  #paintMarks() {
    const context = this.#contexts.marks;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    if (!this.display.overlay) return;
    context.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    drawMarks(context, this.view, this.marks, this.draft);
  }

  get #target() {
    return { pixels: this.#pixels, stride: this.#image.width };
  }
}

/** @param {HTMLElement} parent @param {Partial<CSSStyleDeclaration>} style */
function overlay(parent, style) {
  const element = parent.appendChild(document.createElement("div"));
  const base = { position: "absolute", left: "0", top: "0", display: "none", pointerEvents: "none" };
  Object.assign(element.style, { ...base, willChange: "transform", ...style });
  return element;
}
