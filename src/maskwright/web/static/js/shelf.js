// Photos and labels of the images that come next, fetched and decoded ahead of time.

import { fetchLabels, fetchPhoto } from "./api.js";

const LARGE = 16e6;
const PREVIEW = 2048;

export class Shelf {
  /** @param {boolean} wide */
  constructor(wide) {
    this.wide = wide;
    /** @type {Map<string, Promise<ImageBitmap>>} */
    this.photos = new Map();
    /** @type {Map<string, Promise<import("./api.js").Labels>>} */
    this.labels = new Map();
  }

  /**
   * Fetch these ahead, and let go of what is no longer near.
   * @param {string[]} ids
   */
  ahead(ids) {
    for (const id of [...this.photos.keys()]) if (!ids.includes(id)) this.dropPhoto(id);
    for (const id of [...this.labels.keys()]) if (!ids.includes(id)) this.labels.delete(id);
    for (const id of ids) {
      if (!this.photos.has(id)) this.photos.set(id, failingQuietly(fetchPhoto(id)));
      if (!this.labels.has(id)) this.labels.set(id, failingQuietly(fetchLabels(id, this.wide)));
    }
  }

  /** @param {string} id */
  dropPhoto(id) {
    const photo = this.photos.get(id);
    this.photos.delete(id);
    photo?.then((bitmap) => bitmap.close(), () => {});
  }

  /**
   * The labels on the shelf are no longer the newest.
   * @param {string} id
   */
  forgetLabels(id) {
    this.labels.delete(id);
  }

  /**
   * The photo, for the caller to keep; `first` is called with a small one where the full one takes long.
   * @param {import("./images.js").Row} row @param {(small: ImageBitmap) => void} first
   */
  async photo(row, first) {
    const ready = this.photos.get(row.id);
    this.photos.delete(row.id);
    if (ready) {
      try {
        return await ready;
      } catch {
        // Fetching ahead failed; ask again, now that somebody waits for it.
      }
    }
    let done = false;
    if (row.w * row.h > LARGE) {
      fetchPhoto(row.id, PREVIEW).then((small) => (done ? small.close() : first(small)), () => {});
    }
    try {
      return await fetchPhoto(row.id);
    } finally {
      done = true;
    }
  }

  /** @param {string} id */
  async take(id) {
    const ready = this.labels.get(id);
    this.labels.delete(id);
    if (ready) {
      try {
        return await ready;
      } catch {
        // As above.
      }
    }
    return fetchLabels(id, this.wide);
  }
}

/** @template T @param {Promise<T>} promise */
function failingQuietly(promise) {
  promise.catch(() => {});
  return promise;
}
