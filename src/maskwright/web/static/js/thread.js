/**
 * Work on another thread, so that the page never stands still: a call is a message, its answer a promise.
 *
 * @typedef {{value: any, transfer?: Transferable[]}} Done  what a job answers, and what of it moves instead of being copied
 * @typedef {(given: any, signal: AbortSignal) => Done | Promise<Done>} Job
 */

/**
 * The other thread's side: what it can do, by name.
 * @param {Record<string, Job>} jobs
 */
export function answerWith(jobs) {
  const scope = /** @type {any} */ (self);
  /** @type {Map<number, AbortController>} */
  const running = new Map();
  scope.onmessage = async (/** @type {MessageEvent} */ { data: { ticket, job, given } }) => {
    if (job === null) return running.get(ticket)?.abort();
    const ending = new AbortController();
    running.set(ticket, ending);
    try {
      const { value, transfer = [] } = await jobs[job](given, ending.signal);
      scope.postMessage({ ticket, value }, transfer);
    } catch (error) {
      // An error loses its class and its fields on the way.
      const { message, status, data, retry } = /** @type {any} */ (error);
      scope.postMessage({ ticket, error: { message, status, data, retry } });
    } finally {
      running.delete(ticket);
    }
  };
}

/** The page's side of one other thread, which starts with the first job. */
export class Thread {
  /** @type {Worker | null} */ #worker = null;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */ #waiting = new Map();
  #tickets = 0;

  /** @param {() => Worker} start @param {(told: any) => Error} [errorOf] makes an error of what was told about one */
  constructor(start, errorOf = ({ message }) => new Error(message)) {
    this.start = start;
    this.errorOf = errorOf;
  }

  /**
   * @param {string} job @param {any} given @param {{transfer?: Transferable[], signal?: AbortSignal}} options
   * @returns {Promise<any>}
   */
  ask(job, given, { transfer = [], signal } = {}) {
    const worker = (this.#worker ??= this.#begin());
    const ticket = ++this.#tickets;
    signal?.addEventListener("abort", () => this.#waiting.has(ticket) && worker.postMessage({ ticket, job: null }), { once: true });
    return new Promise((resolve, reject) => {
      this.#waiting.set(ticket, { resolve, reject });
      worker.postMessage({ ticket, job, given }, transfer);
    });
  }

  /** End it; whoever waits hears so. */
  close() {
    this.#worker?.terminate();
    this.#worker = null;
    for (const { reject } of this.#waiting.values()) reject(this.errorOf({ message: "It was stopped.", status: -1 }));
    this.#waiting.clear();
  }

  #begin() {
    const worker = this.start();
    worker.onmessage = ({ data: { ticket, value, error } }) => {
      const asked = this.#waiting.get(ticket);
      this.#waiting.delete(ticket);
      if (error) asked?.reject(this.errorOf(error));
      else asked?.resolve(value);
    };
    // Its file did not load or it ran out of memory: nobody will answer what was asked.
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#worker === worker) this.close();
    };
    return worker;
  }
}
