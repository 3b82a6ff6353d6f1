/**
 * Work on masks: at once where the plane is small, on another thread where it would stop the page. While a command
 * runs there the plane must stay as it is; commands wait for each other.
 *
 * @typedef {import("./history.js").History} History
 * @typedef {import("./compose.js").Rules} Rules
 * @typedef {"commit" | "grow" | "shrink" | "smooth" | "fillHoles" | "dropSpecks" | "copyFrom" | "relabel" | "fill"} Name
 */
import * as commands from "./commands.js";
import { flood, regionOf } from "./fill.js";
import { Thread } from "./thread.js";

/** Up to so many pixels nothing here takes longer than a few frames. */
const SMALL = 2e6;

export class Labour {
  #thread = new Thread(() => new Worker(new URL("./masks.thread.js", import.meta.url), { type: "module" }));
  /** @type {Promise<unknown>} */ #last = Promise.resolve();
  #commands = 0;
  #round = 0;
  #previews = 0;

  /** Whether a command runs on the other thread. */
  get busy() {
    return this.#commands > 0;
  }

  /** Resolves when no command runs there. */
  get settled() {
    return this.#last;
  }

  /** Stop what runs; nothing of it is kept. Answers whether there was anything. */
  stop() {
    if (!this.busy) return false;
    this.#round += 1;
    this.#commands = 0;
    this.#thread.close();
    return true;
  }

  /**
   * One step of the history; answers the pixels changed, or null where it was stopped. In place before it returns
   * where the plane is small.
   * @param {History} history @param {Name} name @param {Rules} rules @param {any[]} values
   * @param {number} [size] pixels that it looks at
   * @returns {number | Promise<number | null>}
   */
  run(history, name, rules, values, size = history.plane.data.length) {
    const here = () => /** @type {any} */ (commands)[name](history, rules, ...values);
    if (size <= SMALL && !this.busy) return here();
    this.#commands += 1;
    const round = this.#round;
    const turn = this.#last.then(async () => {
      if (round !== this.#round) return null;
      try {
        const { pixels, step } = await this.#thread.ask("command", { plane: history.plane, name, rules, values });
        if (round !== this.#round) return null;
        if (step) history.replay(step);
        return pixels;
      } catch {
        // Stopped; or there is no other thread to be had, and a page that waits is better than none.
        return round === this.#round ? here() : null;
      } finally {
        if (round === this.#round) this.#commands -= 1;
      }
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  /**
   * The class as a Gaussian would have it; undefined where a newer preview took its place.
   * @param {History} history @param {number} label @param {number} sigma
   */
  async preview(history, label, sigma) {
    const turn = ++this.#previews;
    const { plane } = history;
    if (plane.data.length <= SMALL) return commands.smoothPreview(history, label, sigma);
    const found = await this.#thread.ask("preview", { plane, label, sigma });
    return turn === this.#previews ? found : undefined;
  }

  /** What is being previewed is not wanted any more. */
  dropPreview() {
    this.#previews += 1;
  }

  /**
   * The connected piece of a label around a pixel.
   * @param {History} history @param {number} x @param {number} y @returns {Promise<import("./plane.js").Region>}
   */
  async region({ plane }, x, y) {
    if (plane.data.length <= SMALL) return regionOf(flood(plane, x, y, true));
    return this.#thread.ask("region", { plane, x, y });
  }

  close() {
    this.#thread.close();
  }
}
