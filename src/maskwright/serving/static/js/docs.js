// The page of the HTTP API: what can be asked, and a form to try each.

import { ask, byId, get, token, withToken } from "./api.js";
import { addressOf, curlOf, endingOf, isText, operationsOf, pretty } from "./operations.js";

/** @typedef {import("./operations.js").Operation} Operation */
const MOST = 20_000; // characters of an answer on screen
const BASE = location.href.replace(/docs\/?([?#].*)?$/, "");

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, any>} [props] @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
function h(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

/** @param {string[]} heads @param {(Node|string)[][]} rows */
function table(heads, rows) {
  const head = h("tr", {}, ...heads.map((words) => h("th", { scope: "col" }, words)));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell))))));
}

/** @param {Operation} operation */
function section(operation) {
  const { method, path, about, summary, parameters, answers, bodies } = operation;
  const title = h("h2", {}, h("b", {}, method), " ", h("code", {}, path));
  /** @type {HTMLElement[]} */
  const parts = [title, h("p", {}, about || summary)];
  if (bodies.length) parts.push(h("p", { className: "quiet" }, "The photo is the body, or the field ", h("code", {}, "file"), " of a form."));
  if (parameters.length) parts.push(table(["Parameter", "Values", "What it is"], parameters.map(({ name, choices, value, about: words }) => [h("code", {}, name), (choices.length ? choices : [value]).map((choice) => (choice === value ? `${choice} (default)` : choice)).join(", "), list(words)])));
  parts.push(h("details", {}, h("summary", {}, "Answers"), table(["Code", "When", "As"], answers.map(({ code, about: words, types }) => [h("code", {}, code), words, types.join(", ")]))));
  return h("section", {}, ...parts, form(operation));
}

/** @param {string} words what stands between semicolons becomes a list @returns {Node|string} */
function list(words) {
  const parts = words.split("; ");
  return parts.length > 1 ? h("ul", {}, ...parts.map((part) => h("li", {}, part))) : words;
}

/** @param {Operation} operation */
function form(operation) {
  const selects = operation.parameters.map(({ name, choices, value }) => {
    const field = choices.length ? h("select", { name }, ...choices.map((choice) => h("option", { value: choice, selected: choice === value }, choice))) : h("input", { name, value, type: "text" });
    return h("label", {}, `${name} `, field);
  });
  const file = h("input", { type: "file", accept: "image/*", required: true });
  const button = h("button", { type: "submit", className: "main" }, "Try it");
  const command = h("code", { className: "command" });
  const result = h("div", { className: "result", role: "status" });
  const made = h("form", {}, ...selects, ...(operation.photo ? [h("label", {}, "photo ", file)] : []), button);
  const values = () => Object.fromEntries(operation.parameters.map(({ name }) => [name, /** @type {any} */ (made.elements.namedItem(name)).value]));
  const write = () => { command.textContent = curlOf(operation, values(), BASE, Boolean(token())); };
  write();
  made.addEventListener("input", write);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await show(result, operation, addressOf(operation, values()), operation.photo ? file.files?.[0] : undefined);
    } catch (error) {
      result.replaceChildren(h("p", { className: "bad" }, error instanceof Error ? error.message : String(error)));
    }
    button.disabled = false;
  });
  return h("div", { className: "try" }, made, command, result);
}

/** @param {HTMLElement} result @param {Operation} operation @param {string} address @param {File} [photo] */
async function show(result, { method }, address, photo) {
  const began = performance.now();
  const headers = photo ? { "Content-Type": photo.type || "application/octet-stream" } : undefined;
  const answer = await ask(address, { method, body: photo, headers });
  const blob = await answer.blob();
  const seconds = ((performance.now() - began) / 1000).toFixed(2);
  const type = answer.headers.get("Content-Type") ?? "";
  const wait = answer.headers.get("Retry-After");
  const words = `${answer.status} ${answer.statusText}, ${type}, ${blob.size.toLocaleString("en")} bytes, ${seconds} s${wait ? `, Retry-After ${wait}` : ""}`;
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: `answer${endingOf(type)}` }, "Save");
  const seen = isText(type) ? h("pre", { tabIndex: 0 }, pretty(await blob.text(), type, MOST)) : h("img", { src: url, alt: "The answer" });
  for (const old of result.querySelectorAll("a")) URL.revokeObjectURL(old.href);
  result.replaceChildren(h("p", { className: answer.ok ? "good" : "bad" }, words, " ", link), seen);
}

try {
  const schema = await withToken(async () => {
    await get("about"); // the description is open to all, what it describes is not
    return (await get("openapi.json")).json();
  });
  byId("title").textContent = schema.info.title;
  byId("version").textContent = `maskwright ${schema.info.version}`;
  byId("operations").replaceChildren(...operationsOf(schema).map(section));
} catch (error) {
  byId("operations").replaceChildren(h("p", { className: "bad" }, error instanceof Error ? error.message : String(error)));
}
