// The HTTP API of docs/label-api.md.

import { inflate, planeFromBytes } from "./codec.js";

/** @typedef {{id: number, name: string, colour: [number, number, number], priority: number}} ClassRow */
/** @typedef {{name: string, label: string, state: "loading"|"ready"|"failed", message: string}} PrompterState */
/** @typedef {{plane: Uint8Array|Uint16Array, revision: number, width: number, height: number, status: string}} Labels */
/** @typedef {{name: string, path: string, classes: ClassRow[], background: number|null, ignore: number, wide: boolean,
 *   counts: Record<string, number>, prompters: PrompterState[], settings: Record<string, any>, suggestion: string|null,
 *   budget: import("./budget.js").Budget, curve: import("./budget.js").CurvePoint[], version: string, training?: boolean, suggestion_message?: string}} ProjectInfo */

/** What the server refused, in its own words; `status` 0 where it did not answer. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status @param {any} data @param {number} retry seconds */
  constructor(message, status, data = {}, retry = 0) {
    super(message);
    this.status = status;
    this.data = data;
    this.retry = retry;
  }
}

/** @param {string} path @param {RequestInit} [options] */
export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (options.signal?.aborted) throw new ApiError("A newer question took its place.", -1);
    throw new ApiError("The server does not answer.", 0);
  }
  if (answer.ok) return answer;
  let data = /** @type {any} */ ({});
  try {
    data = await answer.json();
  } catch {
    // An error page of something between us and the server: its number says enough.
  }
  throw new ApiError(data.error ?? `The server answered ${answer.status}.`, answer.status, data, Number(answer.headers.get("Retry-After")) || 0);
}

/** @param {string} path @param {string} [method] @param {any} [body] @param {Record<string, string>} [headers]
 * @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function json(path, method = "GET", body = undefined, headers = {}, signal = undefined) {
  /** @type {RequestInit} */
  const options = { method, signal, headers };
  if (body !== undefined) Object.assign(options, { body: JSON.stringify(body), headers: { ...headers, "Content-Type": "application/json" } });
  const answer = await call(path, options);
  return answer.status === 204 ? {} : answer.json();
}

/** @param {string} id @param {string} what */
export function imageUrl(id, what) {
  return `/api/images/${encodeURIComponent(id)}/${what}`;
}

/** @param {string} id @param {boolean} wide @param {AbortSignal} [signal] @returns {Promise<Labels>} */
export async function fetchLabels(id, wide, signal) {
  const answer = await call(imageUrl(id, "mask"), { cache: "no-store", signal });
  const width = Number(answer.headers.get("X-Width"));
  const height = Number(answer.headers.get("X-Height"));
  const bytes = await inflate(new Uint8Array(await answer.arrayBuffer()), width * height * (wide ? 2 : 1));
  return {
    plane: planeFromBytes(bytes, width, height, wide), width, height,
    revision: Number(answer.headers.get("X-Revision")), status: answer.headers.get("X-Status") ?? "",
  };
}

/**
 * Labels that a run proposes, and how unsure it is of each pixel; null while it looks at the image.
 * @param {string} id @param {boolean} wide @param {AbortSignal} [signal]
 */
export async function fetchProposal(id, wide, signal) {
  const answer = await call(imageUrl(id, "suggestion"), { signal });
  if (answer.status === 202) return null;
  const width = Number(answer.headers.get("X-Width"));
  const height = Number(answer.headers.get("X-Height"));
  const bytes = await inflate(new Uint8Array(await answer.arrayBuffer()));
  const size = width * height * (wide ? 2 : 1);
  return { plane: planeFromBytes(bytes.slice(0, size), width, height, wide), doubt: bytes.slice(size), width, height };
}

/**
 * @param {string} id @param {string} what `photo`, `photo?max=SIDE` or `thumb` @param {AbortSignal} [signal]
 * @returns {Promise<ImageBitmap>}
 */
export async function fetchPhoto(id, what, signal) {
  const answer = await call(imageUrl(id, what), { signal });
  return createImageBitmap(await answer.blob());
}
