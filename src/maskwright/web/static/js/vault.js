// Unsaved tiles in IndexedDB, so that neither a reload nor a dead server loses them. Where there is none (private
// windows of some browsers) the page works on, and says so.

/** @typedef {import("./savequeue.js").Batch} Batch */
/** @typedef {Batch & {project: string, id: string, owner: string, time: number}} Kept */

const STORE = "unsaved";

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("maskwright", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ["project", "id"] });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class Vault {
  /** @param {string} project */
  constructor(project) {
    this.project = project;
    this.owner = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    this.works = true;
    this.base = open().catch(() => {
      this.works = false;
      return null;
    });
    // Held as long as this tab lives: another tab takes over only what nobody owns.
    void navigator.locks?.request(this.lockOf(this.owner), () => new Promise(() => {}));
  }

  /** @param {string} owner */
  lockOf(owner) {
    return `maskwright-${owner}`;
  }

  /**
   * @template T
   * @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} act @returns {Promise<T|null>}
   */
  async run(mode, act) {
    const base = await this.base;
    if (!base) return null;
    return new Promise((resolve) => {
      const transaction = base.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => {
        this.works = false;
        resolve(null);
      };
    });
  }

  /** @param {string} id @param {Batch} batch */
  async keep(id, batch) {
    await this.run("readwrite", (store) => store.put({ ...batch, project: this.project, id, owner: this.owner, time: Date.now() }));
  }

  /** @param {string} id */
  async drop(id) {
    await this.run("readwrite", (store) => store.delete([this.project, id]));
  }

  /**
   * What other, dead tabs of this project left.
   * @returns {Promise<Kept[]>}
   */
  async orphans() {
    const all = /** @type {Kept[]} */ ((await this.run("readonly", (store) => store.getAll())) ?? []);
    const held = new Set(((await navigator.locks?.query())?.held ?? []).map((lock) => lock.name));
    return all.filter((kept) => kept.project === this.project && !held.has(this.lockOf(kept.owner)));
  }
}
