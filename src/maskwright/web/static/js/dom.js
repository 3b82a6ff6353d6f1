// Building the page: elements, icons, and words for the live region.

/** @typedef {Node|string|number|null|undefined|false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `on*` are listeners, `aria-*`, `role` and `data-*` attributes, everything else properties.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, any>} [props] @param {...(Child|Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (/^(aria-|data-|role$|for$|list$|tabindex$)/.test(name)) element.setAttribute(name, String(value));
    else /** @type {any} */ (element)[name] = value;
  }
  element.append(...children.flat().flatMap((child) => (child === null || child === undefined || child === false ? [] : [typeof child === "number" ? String(child) : child])));
  return element;
}

/**
 * A picture of the sprite in index.html.
 * @param {string} name @param {string} [title] words, where the picture stands alone
 */
export function icon(name, title) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "icon");
  if (title) {
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", title);
  } else picture.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  picture.append(use);
  return picture;
}

/** @param {string} tag @param {Record<string, string|number>} attributes @param {...Node} children */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * A button with a picture; its name is read aloud and shown as a tooltip with its key.
 * @param {{name: string, picture: string, key?: string, words?: string, onclick: (event: Event) => void, class?: string}} options
 */
export function button({ name, picture, key = "", words = "", onclick, class: kind = "" }) {
  return h("button", {
    type: "button", class: `${words ? "" : "square "}${kind}`, title: key ? `${name} (${key})` : name,
    "aria-label": words && name.startsWith(words) ? null : name, "aria-keyshortcuts": ariaKey(key), onclick,
  }, icon(picture), words && h("span", {}, words));
}

/** @param {string} key */
export function ariaKey(key) {
  return key ? key.replace("Ctrl", "Control").replace("[", "BracketLeft").replace("]", "BracketRight") : null;
}

/**
 * A slider with its name and value in words.
 * @param {{name: string, min: number, max: number, step: number, value: number, show: (value: number) => string,
 *   oninput: (value: number) => void, id?: string}} options
 */
export function slider({ name, min, max, step, value, show, oninput, id }) {
  const output = h("output", {}, show(value));
  const input = h("input", { type: "range", min, max, step, value, "aria-label": name, "aria-valuetext": show(value) });
  if (id) input.id = id;
  /** @param {number} now */
  const set = (now) => {
    input.value = String(now);
    output.textContent = show(now);
    input.setAttribute("aria-valuetext", show(now));
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    oninput(Number(input.value));
  });
  const element = h("label", { class: "slider" }, h("span", {}, name), input, output);
  return { element, input, set };
}

/**
 * Some choices of which one holds.
 * @template {string} T
 * @param {{name: string, choices: [T, string, string?][], value: T, onchange: (value: T) => void}} options value, words, hint
 */
export function choice({ name, choices, value, onchange }) {
  const group = `choice-${name.replace(/\W+/g, "-")}`;
  const inputs = choices.map(([key]) => h("input", { type: "radio", name: group, value: key, checked: key === value, onchange: () => onchange(key) }));
  const labels = choices.map(([, words, hint], index) => h("label", { title: hint ?? words }, inputs[index], h("span", {}, words)));
  const element = h("div", { class: "choice", role: "radiogroup", "aria-label": name }, labels);
  /** @param {T} now */
  const set = (now) => inputs.forEach((input) => { input.checked = input.value === now; });
  return { element, set };
}

/** @param {string} id @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html lacks #${id}`);
  return element;
}

let quiet = /** @type {any} */ (0);

/**
 * Say something in the status bar, and aloud.
 * @param {string} text @param {"plain"|"warn"} [kind]
 */
export function say(text, kind = "plain") {
  const line = byId("said");
  line.textContent = text;
  line.className = kind;
  clearTimeout(quiet);
  quiet = setTimeout(() => { line.textContent = ""; }, 9000);
}
