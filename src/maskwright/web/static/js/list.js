// The list of images: only the rows on screen exist, so that 10,000 images scroll as ten do.

import { imageUrl } from "./api.js";
import { byId, h, icon } from "./dom.js";
import { cssColour } from "./colours.js";
import { STATUS, windowOf } from "./images.js";

/** @typedef {import("./images.js").Row} Row */
/** @typedef {import("./app.js").App} App */

const CHIPS = 7;

/** @param {App} app */
export function buildList(app) {
  const list = /** @type {HTMLElement} */ (byId("list"));
  const spacer = h("div", { class: "spacer" });
  list.append(spacer);
  /** @type {Map<string, HTMLElement>} */
  const built = new Map();
  /** @type {Row[]} */
  let rows = [];
  let active = 0;
  let colours = new Map(app.info.classes.map(({ id, name, colour }) => [id, { name, colour }]));

  const height = () => (parseFloat(getComputedStyle(list).getPropertyValue("--row")) || 60);

  const draw = () => {
    const size = height();
    spacer.style.height = `${rows.length * size}px`;
    const [first, last] = windowOf(rows.length, size, list.scrollTop, list.clientHeight);
    const wanted = new Set(rows.slice(first, last).map((row) => row.id));
    for (const [id, element] of built) {
      if (wanted.has(id)) continue;
      element.remove();
      built.delete(id);
    }
    for (let index = first; index < last; index += 1) {
      const row = rows[index];
      const known = built.get(row.id);
      const element = rowElement(row, known ?? null, colours);
      if (!known) {
        built.set(row.id, element);
        list.append(element);
      }
      element.style.transform = `translateY(${index * size}px)`;
      element.setAttribute("aria-posinset", String(index + 1));
      element.setAttribute("aria-setsize", String(rows.length));
      element.setAttribute("aria-selected", String(row.id === app.id));
      element.classList.toggle("active", index === active);
    }
    const now = rows[active] && built.get(rows[active].id);
    if (now) list.setAttribute("aria-activedescendant", now.id);
    else list.removeAttribute("aria-activedescendant");
  };

  /** @param {number} index */
  const reveal = (index) => {
    const size = height();
    if (index * size < list.scrollTop) list.scrollTop = index * size;
    else if ((index + 1) * size > list.scrollTop + list.clientHeight) list.scrollTop = (index + 1) * size - list.clientHeight;
  };

  const refresh = () => {
    rows = app.shown;
    active = Math.min(active, Math.max(0, rows.length - 1));
    colours = new Map(app.info.classes.map(({ id, name, colour }) => [id, { name, colour }]));
    byId("none").hidden = rows.length > 0;
    byId("none").textContent = app.rows.length ? "No image fits the search and the filters." : "There are no images in this data set.";
    summary(app, rows);
    draw();
  };

  let waiting = false;
  list.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  });
  list.addEventListener("click", (event) => {
    const id = /** @type {HTMLElement} */ (event.target).closest("[data-id]")?.getAttribute("data-id");
    if (id) void app.open(id);
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / height()) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows.length, End: rows.length }[event.key];
    if (event.key === "Enter" && rows[active]) void app.open(rows[active].id);
    else if (step === undefined) return;
    else active = Math.max(0, Math.min(rows.length - 1, active + step));
    event.preventDefault();
    event.stopPropagation();
    reveal(active);
    draw();
  });
  new ResizeObserver(draw).observe(list);
  app.addEventListener("rows", refresh);
  app.addEventListener("project", refresh);
  app.addEventListener("opening", () => {
    const at = rows.findIndex((row) => row.id === app.id);
    if (at >= 0) {
      active = at;
      reveal(at);
    }
    draw();
  });
  filters(app, refresh);
  refresh();
}

/** @param {Row} row @param {HTMLElement|null} known @param {Map<number, {name: string, colour: [number, number, number]}>} colours */
function rowElement(row, known, colours) {
  const stamp = `${row.status} ${row.problem ?? ""} ${row.classes.join(" ")} ${row.classes.map((id) => cssColour(colours.get(id)?.colour ?? [128, 128, 128])).join("")}`;
  if (known?.dataset.stamp === stamp) return known;
  const names = row.classes.map((id) => colours.get(id)?.name ?? String(id));
  const chips = row.classes.slice(0, CHIPS).map((id) => {
    const chip = h("i", { title: colours.get(id)?.name ?? String(id) });
    chip.style.background = cssColour(colours.get(id)?.colour ?? [128, 128, 128]);
    return chip;
  });
  const { word, icon: picture } = STATUS[row.status];
  const inside = [
    known?.querySelector("img") ?? h("img", { src: imageUrl(row.id, "thumb"), alt: "", loading: "lazy", decoding: "async", draggable: false }),
    h("div", { class: "words" },
      h("b", { title: row.name }, ...breakable(row.name)),
      h("div", { class: "under" }, h("span", { class: `status ${row.status}` }, icon(picture), word, row.problem && icon("warning", row.problem)),
      h("span", { class: "chips" }, chips, names.length > CHIPS && `+${names.length - CHIPS}`))),
  ];
  const element = known ?? h("div", { class: "row", role: "option", "data-id": row.id, id: `row-${row.id}` });
  element.replaceChildren(...inside);
  element.setAttribute("aria-label", `${row.name}, ${word}${names.length ? `, ${names.join(", ")}` : ""}`);
  element.dataset.stamp = stamp;
  return element;
}

/**
 * A name that goes to the next line before its ending, not within it.
 * @param {string} name
 */
function breakable(name) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), h("wbr"), name.slice(dot)] : [name];
}

/** @param {App} app @param {() => void} refresh */
function filters(app, refresh) {
  const search = byId("search");
  search.addEventListener("input", () => {
    app.wish.text = search.value;
    byId("list").scrollTop = 0;
    refresh();
  });
  search.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") return;
    search.value = app.wish.text = "";
    refresh();
    byId("stage").focus();
  });
  const status = byId("filter");
  status.value = app.settings.values.filter;
  status.addEventListener("change", () => {
    app.settings.set("filter", status.value);
    refresh();
  });
  const order = byId("order");
  order.value = app.settings.values.order;
  order.addEventListener("change", () => {
    app.settings.set("order", order.value);
    app.emit("order");
    refresh();
  });
  const classes = byId("of-class");
  const options = () => {
    const chosen = classes.value;
    classes.replaceChildren(h("option", { value: "" }, "Any class"), ...app.info.classes.map(({ id, name }) => h("option", { value: String(id) }, name)));
    classes.value = chosen;
  };
  options();
  app.addEventListener("project", options);
  classes.addEventListener("change", () => {
    app.wish.classId = classes.value === "" ? null : Number(classes.value);
    refresh();
  });
}

/** @param {App} app @param {Row[]} rows */
function summary(app, rows) {
  const { labelled, skipped } = app.counts;
  const all = app.rows.length - skipped;
  byId("progress").value = all ? labelled / all : 0;
  byId("progress-words").textContent = `${labelled} of ${all} done${rows.length === app.rows.length ? "" : ` · ${rows.length} shown`}`;
}
