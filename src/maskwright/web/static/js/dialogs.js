// Questions to the person, the list of keys, and the settings.

import { ACTIONS } from "./keymap.js";
import { h } from "./dom.js";

/**
 * Ask, in a dialog that the keyboard stays in; Escape answers "".
 * @param {{title: string, body: (Node|string|false|null)[], choices: [string, string][], focus?: HTMLElement, kind?: string,
 *   accept?: (chosen: string) => boolean|Promise<boolean>}} options choices: key and words, the first is the main one
 * @returns {Promise<string>}
 */
export function ask({ title, body, choices, focus, kind = "", accept = () => true }) {
  return new Promise((resolve) => {
    const buttons = choices.map(([key, words], index) => h("button", { type: key ? "submit" : "button", class: index ? "" : "main", value: key, onclick: key ? undefined : () => close("") }, words));
    const form = h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), ...body, h("div", { class: "answers" }, buttons));
    const dialog = h("dialog", { class: kind, "aria-labelledby": "dialog-title" }, form);
    /** @param {string} answer */
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const chosen = /** @type {HTMLButtonElement|null} */ (event.submitter)?.value ?? choices[0][0];
      if (await accept(chosen)) close(chosen);
    });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close("");
    });
    document.body.append(dialog);
    dialog.showModal();
    (focus ?? buttons[0]).focus();
    if (focus instanceof HTMLInputElement) focus.select();
  });
}

/** The keys of every action, by group. */
export function showKeys() {
  const groups = [...new Set(ACTIONS.map((action) => action.group))];
  const blocks = groups.map((group) => h("section", {}, h("h3", {}, group), h("dl", {}, ACTIONS.filter((action) => action.group === group).flatMap(({ keys, words }) => [
    h("dt", {}, keys.flatMap((key, index) => [index ? " or " : "", ...keyCaps(key)])), h("dd", {}, words),
  ]))));
  const list = h("div", { class: "keys", tabindex: "0", role: "region", "aria-label": "Keys by group" }, blocks);
  return ask({ title: "Keys", body: [list], choices: [["", "Close"]], kind: "wide", focus: list });
}

/** @param {string} key */
function keyCaps(key) {
  return key.split(/\+(?=.)/).flatMap((part, index) => [index ? "+" : "", h("kbd", {}, part)]);
}

/** @param {import("./app.js").App} app */
export function showSettings(app) {
  const { settings } = app;
  /** @param {keyof import("./settings.js").Values} name @param {string} words @param {string} hint */
  const check = (name, words, hint) => h("label", { class: "check" },
    h("input", { type: "checkbox", checked: Boolean(settings.values[name]), onchange: (/** @type {any} */ event) => settings.set(name, /** @type {never} */ (event.target.checked)) }),
    h("span", {}, words, h("small", {}, hint)));
  const body = [
    app.info.background !== null && check("rest_is_background", "Done: the rest becomes background", "What is still unlabelled when you press Done becomes the background class. Off: it stays unlabelled and is ignored in training."),
    check("proposals", "Show proposals by themselves", "When a run proposes masks, they appear on images that are still to do."),
    check("pattern", "Hatch the classes", "Each class has its own pattern, so that no colour has to be told from another."),
    check("pressure", "Pen pressure sets the size", "For a brush on a tablet."),
    check("keys", "Keys without Ctrl", "Off: single letters do nothing, for speech input. Ctrl+Z, Enter, Escape and the arrows stay."),
    h("p", { class: "quiet" }, `${app.info.path} · Maskwright ${app.info.version}`),
  ];
  return ask({ title: "Settings", body, choices: [["", "Close"]] });
}
