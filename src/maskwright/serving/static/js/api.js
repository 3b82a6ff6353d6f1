// Asking the server; what it refuses is an Error in its own words. The token stays in this tab.

/** @typedef {import("./paint.js").ClassRow} ClassRow */
/** @typedef {{run: string, backend: string, reason: string, classes: ClassRow[], background: number|null, ignore: number,
 *   answers: string[], limits: {max_bytes: number, max_pixels: number}}} About */

const PLACE = "maskwright-token";

/** What the server refused; `status` is 0 where it did not answer. */
export class Refusal extends Error {
  /** @param {string} sentence @param {number} status */
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** @returns {string} the token that the address or this tab has; taken out of the address, which people share */
export function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    setToken(given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(PLACE) ?? "";
}

/** @param {string} value */
export const setToken = (value) => sessionStorage.setItem(PLACE, value.trim());

/**
 * @param {string} path relative to the page, so that a proxy may put the server under a path of its own
 * @param {RequestInit} [options] @returns {Promise<Response>} whatever the server says
 */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token()) headers.set("Authorization", `Bearer ${token()}`);
  try {
    return await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal("The server does not answer; is it still running?", 0);
  }
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<Response>} of a request that was granted */
export async function get(path, options) {
  const answer = await ask(path, options);
  if (answer.ok) return answer;
  let sentence = `The server answered ${answer.status}.`;
  try {
    sentence = (await answer.json()).error ?? sentence;
  } catch {
    // An error page of something between us and the server: its number says enough.
  }
  throw new Refusal(sentence, answer.status);
}

/** @param {string} id @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page lacks #${id}`);
  return element;
}

/**
 * Ask for the token until the server takes it, then go on.
 * @template T @param {() => Promise<T>} first @returns {Promise<T>}
 */
export async function withToken(first) {
  const form = byId("key");
  for (;;) {
    try {
      const found = await first();
      form.hidden = true;
      return found;
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      byId("key-words").textContent = token() ? "The server does not know this token." : "This server asks for a token.";
      form.hidden = false;
      byId("key-field").focus();
      await new Promise((resolve) => form.addEventListener("submit", (/** @type {Event} */ event) => {
        event.preventDefault();
        setToken(byId("key-field").value);
        resolve(undefined);
      }, { once: true }));
    }
  }
}
