// What the page remembers: at once in this browser, a second later on the server.

import { json } from "./api.js";

export const DEFAULTS = {
  tool: "click", radius: 12, threshold: 0.5, prompter: "", unite: true, over: "priority",
  mode: "both", opacity: 0.5, brightness: 1, contrast: 1, overlay: true, pattern: false, heat: 0.5,
  growPx: 1, sigma: 2, speckPx: 64, order: "name", filter: "all", tab: "prompts", list: true, panel: true,
  rest_is_background: true, proposals: true, pressure: false, keys: true, hints: true, recipe: "default", minutes: 10,
};
/** @typedef {typeof DEFAULTS} Values */

const PLACE = "maskwright-settings";

export class Settings extends EventTarget {
  /** @param {Record<string, any>} server what the server remembers */
  constructor(server) {
    super();
    const { unsent = false, ...local } = read();
    /** @type {Values} */
    this.values = { ...DEFAULTS, ...(unsent ? { ...server, ...local } : { ...local, ...server }) };
    this.timer = /** @type {any} */ (0);
    if (unsent) this.send();
  }

  /** @template {keyof Values} K @param {K} name @param {Values[K]} value */
  set(name, value) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    this.write(true);
    clearTimeout(this.timer);
    // What decides about masks is there before the next Done.
    this.timer = setTimeout(() => this.send(), name === "rest_is_background" ? 0 : 1000);
    this.dispatchEvent(new CustomEvent("change", { detail: { name, value } }));
  }

  async send() {
    try {
      await json("/api/settings", "PUT", this.values);
      this.write(false);
    } catch {
      // They stay in this browser, marked as unsent; the next change tries again.
    }
  }

  /** @param {boolean} unsent */
  write(unsent) {
    try {
      localStorage.setItem(PLACE, JSON.stringify({ ...this.values, unsent }));
    } catch {
      // A full or forbidden store: the server still remembers.
    }
  }
}

/** @returns {Record<string, any>} */
function read() {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "{}");
  } catch {
    return {};
  }
}
