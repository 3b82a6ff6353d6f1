/**
 * A photo on a stage that is zoomed, panned and pointed at: pointer, wheel, fingers and the keyboard's cross go to a
 * tool; what is stale is painted once a frame. Coordinates are image pixels.
 *
 * @typedef {import("./view.js").Point} Point
 * @typedef {import("./view.js").View} View
 * @typedef {import("./plane.js").Box} Box
 * @typedef {import("./compose.js").ClassRow} ClassRow
 * @typedef {import("./scene.js").Display} Display
 * @typedef {import("./photo.js").Photo} Photo
 */
import { listen } from "./gestures.js";
import { Scene } from "./scene.js";
import { centreView, clampView, fitView, panBy, pinch, showView, toImage, toScreen, zoomAt } from "./view.js";

const PLAIN = { alt: false, shift: false, erase: false };
/** Tools whose width the ring shows. */
const ROUND = new Set(["brush", "eraser", "line", "scribble"]);
const RADII = /** @type {const} */ ([0.5, 500]);

export class Surface extends EventTarget {
  /** @protected @type {Scene} */ scene;
  /** @protected @type {import("./tools.js").Tool} */ hand = { press() {} };
  /** @protected @type {import("./tools.js").ToolName} */ handName = "pan";
  /** @protected */ width = 10;

  #ending = new AbortController();
  #observer;
  #frame = 0;
  #imageSize = { w: 1, h: 1 };
  /** Whether the view follows the stage's size. */ #fitted = true;
  #panHeld = false;
  /** @type {Point | null} in image pixels */ #pointer = null;
  /** @type {Point | null} cross of the keyboard, in image pixels */ #cursor = null;
  /** Whether the keyboard holds the tool down. */ #keyDown = false;
  #news = { view: false, hover: false };

  /**
   * @param {HTMLElement} stage an empty, positioned element of any size
   * @param {{classes: ClassRow[], ignore: number, wide: boolean}} look wide: labels have 16 bits
   */
  constructor(stage, look) {
    super();
    this.scene = new Scene(stage, look);
    stage.style.touchAction = "none";
    listen(stage, this.#receiver(), this.#ending.signal);
    this.#observer = new ResizeObserver(() => this.#resized());
    this.#observer.observe(stage);
  }

  /**
   * Show a photo; a small one may come first and the whole one follow with `keepView`.
   * Answers the one before, for the caller to keep or to close.
   * @param {Photo | null} photo @param {{keepView?: boolean}} options
   */
  setImage(photo, { keepView = false } = {}) {
    const before = this.scene.photo;
    this.scene.photo = photo;
    this.scene.refresh(["photo"]);
    if (photo) this.imageSize = { w: photo.width, h: photo.height };
    if (!keepView) this.fit();
    this.soon();
    return before;
  }

  /** @protected */
  get imageSize() {
    return this.#imageSize;
  }

  /** @protected */
  set imageSize(size) {
    const other = size.w !== this.#imageSize.w || size.h !== this.#imageSize.h;
    this.#imageSize = size;
    if (other) this.fit();
  }

  /** @param {ClassRow[]} classes */
  setClasses(classes) {
    this.scene.look = { ...this.scene.look, classes };
    this.scene.restyle();
    this.soon();
  }

  /**
   * Classes that are not shown for now; nothing else changes for them.
   * @param {Iterable<number>} ids
   */
  setHidden(ids) {
    this.scene.hidden = new Set(ids);
    this.scene.restyle();
    this.soon();
  }

  /** @param {Partial<Display>} display */
  setDisplay(display) {
    this.scene.display = { ...this.scene.display, ...display };
    this.scene.restyle();
    this.soon();
  }

  get display() {
    return { ...this.scene.display };
  }

  /**
   * @param {import("./marks.js").PointMark[]} points @param {number[][]} boxes
   * @param {import("./marks.js").StrokeMark[]} strokes
   */
  setMarks(points, boxes = [], strokes = []) {
    this.scene.marks = { points, boxes, strokes };
    this.scene.refresh(["marks"]);
    this.soon();
  }

  /** @param {number} px image pixels, from 0.5 to 500 */
  setRadius(px) {
    this.width = Math.min(RADII[1], Math.max(RADII[0], px));
    this.#place();
  }

  get radius() {
    return this.width;
  }

  get view() {
    return { ...this.scene.view };
  }

  fit() {
    this.#look(fitView(this.#imageSize, this.scene.size));
    this.#fitted = true;
  }

  /** @param {number} scale screen pixels an image pixel @param {Point} [at] what goes to the middle */
  zoomTo(scale, at = this.#middle) {
    this.#look(centreView(at, scale, this.scene.size));
  }

  /**
   * Zoom at the pointer, the keyboard's cross, or the middle.
   * @param {number} factor
   */
  zoomBy(factor) {
    const at = this.#pointer ?? this.#cursor ?? this.#middle;
    this.#look(zoomAt(this.scene.view, factor, toScreen(this.scene.view, at)));
  }

  /** @param {number} dx screen pixels @param {number} dy */
  panBy(dx, dy) {
    this.#look(panBy(this.scene.view, dx, dy));
  }

  /** @param {number} x @param {number} y */
  centreOn(x, y) {
    this.zoomTo(this.scene.view.scale, { x, y });
  }

  /** @param {Box} box that is to fill the stage */
  showBox(box) {
    this.#look(showView(box, this.scene.size, 48));
  }

  /** @param {boolean} held while a key is held that makes every tool pan */
  holdPan(held) {
    this.#panHeld = held;
    this.#place();
  }

  /**
   * Move the cross by image pixels; it begins at the pointer, or in the middle.
   * @param {number} dx @param {number} dy
   */
  moveCursor(dx, dy) {
    const { w, h } = this.#imageSize;
    const from = this.#pointer ?? this.#cursor ?? this.#middle;
    const within = (/** @type {number} */ value, /** @type {number} */ limit) =>
      Math.min(limit - 0.5, Math.max(0.5, Math.floor(value) + 0.5));
    this.#cursor = { x: within(from.x + dx, w), y: within(from.y + dy, h) };
    // Whoever moved last is shown: the pointer comes back when it moves.
    this.#pointer = null;
    const { x, y } = toScreen(this.scene.view, this.#cursor);
    const { size } = this.scene;
    if (x < 0 || y < 0 || x > size.w || y > size.h) this.centreOn(this.#cursor.x, this.#cursor.y);
    const spot = this.#spotAt(this.#cursor);
    if (this.#keyDown) this.hand.drag?.([spot], PLAIN);
    else this.hand.hover?.(spot);
    this.#hovered();
  }

  /**
   * What a click at the cross does; for box, line and scribble the first press begins and the second ends.
   * @param {{alt?: boolean}} options
   */
  pressCursor({ alt = false } = {}) {
    if (!this.#cursor || this.#pointer) this.moveCursor(0, 0);
    const spot = this.#spotAt(/** @type {Point} */ (this.#cursor));
    const how = { ...PLAIN, alt };
    const ends = this.#keyDown;
    if (!ends) this.hand.press(spot, how);
    this.#keyDown = this.hand.toggles === true && !ends;
    if (!this.#keyDown) this.hand.release?.(spot, how);
    this.soon();
  }

  destroy() {
    this.#ending.abort();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#frame);
    this.scene.photo?.close();
    this.scene.photo = null;
    this.scene.stage.replaceChildren();
  }

  /**
   * Take another tool up. @protected
   * @param {import("./tools.js").ToolName} name @param {import("./tools.js").Tool} tool
   */
  take(name, tool) {
    this.drop();
    this.handName = name;
    this.hand = tool;
    this.#place();
  }

  /**
   * Drop what is being drawn.
   * @protected
   */
  drop() {
    this.hand.cancel?.();
    this.#keyDown = false;
    this.soon();
  }

  /**
   * Show and tell what is under the pointer now.
   * @protected
   */
  point() {
    this.#hovered();
  }

  /**
   * What is to happen in a frame before it is painted.
   * @protected
   */
  beforePaint() {}

  /**
   * Whether the tool can be used now.
   * @protected
   */
  get ready() {
    return true;
  }

  /**
   * Paint in the next frame.
   * @protected
   */
  soon() {
    if (!this.#frame && !this.#ending.signal.aborted) this.#frame = requestAnimationFrame(() => this.#tick());
  }

  /** @protected @param {string} name @param {object} detail */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #tick() {
    this.#frame = 0;
    this.hand.flush?.();
    this.beforePaint();
    this.scene.paint();
    const { view, hover } = this.#news;
    this.#news = { view: false, hover: false };
    if (view) this.emit("view", this.view);
    if (hover) this.#tellHover();
  }

  #tellHover() {
    const { plane, look } = this.scene;
    const at = this.#pointer ?? this.#cursor;
    const [x, y] = at ? [Math.floor(at.x), Math.floor(at.y)] : [-1, -1];
    const inside = plane && x >= 0 && y >= 0 && x < plane.width && y < plane.height;
    if (!plane || !inside) return this.emit("hover", { x: null, y: null, id: -1, name: "" });
    const id = plane.data[y * plane.width + x];
    const name = id === look.ignore ? "unlabelled" : look.classes.find((row) => row.id === id)?.name ?? `class ${id}`;
    this.emit("hover", { x, y, id, name });
  }

  #hovered() {
    this.#news.hover = true;
    this.#place();
    this.soon();
  }

  /** Put ring and cross where they belong. */
  #place() {
    const { scene } = this;
    const pans = this.#pans;
    const round = ROUND.has(this.handName) && !pans;
    const at = this.#pointer ?? this.#cursor;
    scene.place(scene.ring, round ? at : null, 2 * this.width * scene.view.scale);
    scene.place(scene.cross, this.#pointer ? null : this.#cursor, 33);
    scene.stage.style.cursor = pans ? "grab" : "crosshair";
  }

  /** @param {View} view */
  #look(view) {
    this.scene.setView(clampView(view, this.#imageSize, this.scene.size));
    this.#fitted = false;
    this.#news.view = true;
    this.#place();
    this.soon();
  }

  #resized() {
    const middle = this.#middle;
    if (!this.scene.resize()) return;
    if (this.#fitted) this.fit();
    else this.centreOn(middle.x, middle.y);
    // A canvas is empty after its size changed; waiting for the next frame would flicker.
    this.scene.paint();
  }

  get #middle() {
    return toImage(this.scene.view, { x: this.scene.size.w / 2, y: this.scene.size.h / 2 });
  }

  get #pans() {
    return this.handName === "pan" || this.#panHeld || !this.ready;
  }

  /** @param {Point} image @param {number} pressure @returns {import("./tools.js").Spot} */
  #spotAt(image, pressure = 1) {
    const screen = toScreen(this.scene.view, image);
    return { ...image, sx: screen.x, sy: screen.y, pressure };
  }

  /** @returns {import("./gestures.js").Receiver} */
  #receiver() {
    const spot = (/** @type {import("./gestures.js").Touch} */ touch) =>
      this.#spotAt(toImage(this.scene.view, touch), touch.pressure);
    return {
      pans: () => this.#pans,
      press: (at, how) => {
        this.#cursor = null;
        this.hand.press(spot(at), how);
        this.soon();
      },
      drag: (points, how) => {
        this.hand.drag?.(points.map(spot), how);
        this.soon();
      },
      release: (at, how) => this.hand.release?.(spot(at), how),
      cancel: () => this.drop(),
      double: () => this.hand.finish?.(),
      hover: (at) => {
        this.#pointer = at && toImage(this.scene.view, at);
        if (at && this.#pointer) this.hand.hover?.(this.#spotAt(this.#pointer));
        this.#hovered();
      },
      pan: (dx, dy) => this.panBy(dx, dy),
      pinch: (before, after) => this.#look(pinch(this.scene.view, before, after)),
      zoom: (factor, at) => this.#look(zoomAt(this.scene.view, factor, at)),
      widen: (steps) => {
        this.setRadius(this.width * 1.15 ** steps);
        this.emit("radius", { radius: this.width });
      },
    };
  }
}
