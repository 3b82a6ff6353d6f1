// Photos and labels of the images that come next, fetched and decoded ahead of time on another thread.

import { ApiError } from "./api.js";
import { Photo } from "./photo.js";
import { Thread } from "./thread.js";

/** @typedef {import("./images.js").Row} Row */
/** @typedef {import("./api.js").Labels} Labels */

/** Above so many pixels something smaller is shown until the photo is there: a thumbnail, or a preview. */
const LARGE = 3e6;
const VAST = 16e6;
const PREVIEW = 2048;
/** How many pixels are kept ready; the next photo always is. */
const ROOM = 64e6;

export class Shelf {
  /** @param {boolean} wide */
  constructor(wide) {
    this.wide = wide;
    this.thread = new Thread(
      () => new Worker(new URL("./loading.thread.js", import.meta.url), { type: "module" }),
      ({ message, status, data, retry }) => new ApiError(message, status ?? -2, data, retry),
    );
    /** @type {Map<string, Promise<Photo>>} */
    this.photos = new Map();
    /** @type {Map<string, Promise<Labels>>} */
    this.planes = new Map();
  }

  /**
   * Fetch these ahead, the first one first, and let go of what is no longer near.
   * @param {Row[]} rows
   */
  ahead(rows) {
    let room = ROOM;
    const near = rows.filter(({ w, h }, index) => (room -= w * h) >= 0 || index === 0).map(({ id }) => id);
    for (const id of [...this.photos.keys()]) if (!near.includes(id)) this.dropPhoto(id);
    for (const id of [...this.planes.keys()]) if (!near.includes(id)) this.planes.delete(id);
    for (const row of rows) {
      if (!near.includes(row.id)) continue;
      if (!this.photos.has(row.id)) this.photos.set(row.id, failingQuietly(this.fetch(row, "photo")));
      if (!this.planes.has(row.id)) this.planes.set(row.id, failingQuietly(this.labels(row.id)));
    }
  }

  /**
   * A photo that was on screen: it may be wanted again.
   * @param {string} id @param {Photo} photo
   */
  keep(id, photo) {
    this.dropPhoto(id);
    this.photos.set(id, Promise.resolve(photo));
  }

  /** @param {string} id */
  dropPhoto(id) {
    const photo = this.photos.get(id);
    this.photos.delete(id);
    photo?.then((bitmaps) => bitmaps.close(), () => {});
  }

  /**
   * The labels on the shelf are no longer the newest.
   * @param {string} id
   */
  forgetLabels(id) {
    this.planes.delete(id);
  }

  /**
   * The photo, for the caller to keep; `first` is called with smaller ones where the full one takes long.
   * @param {Row} row @param {(small: Photo) => void} first @param {AbortSignal} signal
   */
  async photo(row, first, signal) {
    const ready = this.photos.get(row.id);
    this.photos.delete(row.id);
    if (ready) {
      try {
        return await ready;
      } catch {
        // Fetching ahead failed; ask again, now that somebody waits for it.
      }
    }
    let best = 0;
    const offer = async (/** @type {string} */ what, /** @type {number} */ rank) => {
      const small = await this.fetch(row, what, signal);
      if (rank < best || signal.aborted) return small.close();
      best = rank;
      first(small);
    };
    const pixels = row.w * row.h;
    if (pixels > LARGE) offer("thumb", 1).catch(() => {});
    if (pixels > VAST) offer(`photo?max=${PREVIEW}`, 2).catch(() => {});
    try {
      return await this.fetch(row, "photo", signal);
    } finally {
      best = 3;
    }
  }

  /** @param {string} id @param {AbortSignal} signal */
  async take(id, signal) {
    const ready = this.planes.get(id);
    this.planes.delete(id);
    if (ready) {
      try {
        return await ready;
      } catch {
        // As above.
      }
    }
    return this.labels(id, signal);
  }

  /**
   * The labels as the server has them now.
   * @param {string} id @param {AbortSignal} [signal] @returns {Promise<Labels>}
   */
  labels(id, signal) {
    return this.thread.ask("labels", { id, wide: this.wide }, { signal });
  }

  /**
   * What a run proposes, with a candidate for each class; null while it looks at the image.
   * @param {string} id @param {number[]} classes
   * @returns {Promise<{plane: Labels["plane"], doubt: Uint8Array, width: number, candidates: import("./compose.js").Candidate[]} | null>}
   */
  proposal(id, classes) {
    return this.thread.ask("proposal", { id, wide: this.wide, classes });
  }

  /**
   * Tiles as the body of a save.
   * @param {import("./codec.js").Tile[]} tiles @returns {Promise<Uint8Array>}
   */
  packed(tiles) {
    return this.thread.ask("pack", { tiles, wide: this.wide });
  }

  /** @param {Row} row @param {string} what @param {AbortSignal} [signal] */
  async fetch(row, what, signal) {
    return new Photo(await this.thread.ask("photo", { id: row.id, what }, { signal }), row.w, row.h);
  }
}

/** @template T @param {Promise<T>} promise */
function failingQuietly(promise) {
  promise.catch(() => {});
  return promise;
}
