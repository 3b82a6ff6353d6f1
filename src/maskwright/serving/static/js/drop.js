// The page that takes a photo and shows what the run sees in it.

import { byId, get, Refusal, withToken } from "./api.js";
import { countsOf, idAt, paint, shareOf } from "./paint.js";
import { decodeIds } from "./png.js";

const LONGEST = 2048; // pixels of the picture of a mask: screens show no more

const [stage, photo, canvas, said, hover, list] = ["stage", "photo", "mask", "said", "hover", "classes"].map(byId);
/** @type {import("./api.js").About|null} */
let about = null;
/** @type {import("./png.js").Plane|null} */
let plane = null;
/** @type {Set<number>} */
const hidden = new Set();
let asking = new AbortController();
let address = "";
let ids = new Blob();
let name = "";
/** @type {[Blob, string]|null} */
let last = null;

/** @param {string} text @param {"plain"|"busy"|"bad"} [kind] */
function say(text, kind = "plain") {
  said.textContent = text;
  said.className = kind;
}

/** @param {Blob} file @param {string} called */
async function segment(file, called) {
  last = [file, called];
  if (!about) return; // as soon as the classes are known
  asking.abort();
  const mine = (asking = new AbortController());
  show(file, called);
  say(`Segmenting ${called} ...`, "busy");
  const began = performance.now();
  try {
    const answer = await get("segment?as=ids", { method: "POST", body: file, signal: mine.signal, headers: { "Content-Type": file.type || "application/octet-stream" } });
    ids = await answer.blob();
    const seconds = (performance.now() - began) / 1000;
    plane = await decodeIds(new Uint8Array(await ids.arrayBuffer()));
    if (mine.signal.aborted) return;
    say(`${called}: ${plane.width} x ${plane.height} pixels in ${seconds.toFixed(2)} s`);
    draw();
  } catch (error) {
    if (mine.signal.aborted) return;
    const again = error instanceof Refusal && [0, 408, 429, 503].includes(error.status);
    say(error instanceof Error ? error.message : String(error), "bad");
    byId("again").hidden = !again;
  }
}

function again() {
  if (last) segment(...last);
}

/** @param {Blob} file @param {string} called */
function show(file, called) {
  plane = null;
  name = called.replace(/\.[^.]*$/, "");
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(file);
  photo.src = address;
  photo.alt = called;
  stage.classList.add("filled");
  byId("again").hidden = true;
  draw();
}
function draw() {
  if (!about) return;
  byId("save-ids").disabled = byId("save-picture").disabled = canvas.hidden = !plane;
  const counts = plane ? countsOf(plane, about.classes) : [];
  for (const row of list.children) row.querySelector("output").textContent = plane ? shareOf(counts[row.dataset.id], plane.ids.length) : "";
  if (!plane) return;
  const { width, height, pixels } = paint(plane, about.classes, (id) => !hidden.has(id), LONGEST);
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

/** @param {import("./api.js").About} about */
function legend({ classes, background }) {
  list.replaceChildren(...classes.map(({ id, name: called, colour }) => {
    const row = document.createElement("li");
    row.dataset.id = String(id);
    const [label, box, swatch, words, share] = ["label", "input", "i", "span", "output"].map((tag) => document.createElement(tag));
    Object.assign(box, { type: "checkbox", checked: id !== background });
    if (id === background) hidden.add(id);
    box.addEventListener("change", () => {
      if (hidden.has(id)) hidden.delete(id);
      else hidden.add(id);
      draw();
    });
    swatch.style.backgroundColor = `rgb(${colour.join(" ")})`;
    words.textContent = called;
    label.append(box, swatch, words, share);
    row.append(label);
    return row;
  }));
}

/** @param {Blob} file @param {string} called */
function save(file, called) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = called;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** The photo under its mask, as it is on screen, at the size of the mask's picture. */
function picture() {
  const sheet = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const context = sheet.getContext("2d");
  if (!context) return;
  if (photo.naturalWidth) context.drawImage(photo, 0, 0, sheet.width, sheet.height);
  context.globalAlpha = Number(canvas.style.opacity || 0.5);
  context.drawImage(canvas, 0, 0);
  sheet.toBlob((blob) => { if (blob) save(blob, `${name}-overlay.png`); });
}

/** @param {DataTransfer|null} from */
function take(from) {
  const file = [...(from?.files ?? [])][0];
  if (file) segment(file, file.name || "the photo");
}

function listen() {
  const field = byId("file");
  byId("choose").addEventListener("click", () => field.click());
  field.addEventListener("change", () => {
    if (field.files[0]) segment(field.files[0], field.files[0].name);
    field.value = ""; // the same file again is a change, too
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    take(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData));
  byId("again").addEventListener("click", again);
  byId("opacity").addEventListener("input", (/** @type {any} */ { target }) => { canvas.style.opacity = target.value; });
  byId("save-ids").addEventListener("click", () => save(ids, `${name}-ids.png`));
  byId("save-picture").addEventListener("click", picture);
  photo.addEventListener("error", () => stage.classList.add("unseen"));
  photo.addEventListener("load", () => stage.classList.remove("unseen"));
  canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    const found = plane && idAt(plane, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    hover.textContent = found ? `${found.x}, ${found.y}: ${about?.classes[found.id]?.name ?? "ignored"}` : "";
  });
  canvas.addEventListener("pointerleave", () => { hover.textContent = ""; });
}

listen();
try {
  /** @type {import("./api.js").About} */
  const told = await withToken(async () => (await get("about")).json());
  byId("run").textContent = told.run;
  byId("reason").textContent = told.reason;
  byId("limits").textContent = `At most ${told.limits.max_bytes / 1e6} MB and ${told.limits.max_pixels / 1e6} megapixels.`;
  document.title = `${told.run} · Maskwright`;
  legend(told);
  about = told;
  byId("choose").disabled = false;
  again();
} catch (error) {
  say(error instanceof Error ? error.message : String(error), "bad");
}
