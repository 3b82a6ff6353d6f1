// The list of images as data: what is shown, in which order, and what comes next.

/** @typedef {"unlabelled"|"started"|"labelled"|"skipped"} Status */
/** @typedef {{id: string, name: string, h: number, w: number, status: Status, split: string, classes: number[],
 *   revision: number, clicks: number, seconds: number, problem?: string|null}} Row */
/** @typedef {{text?: string, status?: Status|"open"|"all", classId?: number|null, order?: "name"|"suggested"|"status"}} Wish */

/**
 * What each status is called, and the picture that goes with it: never colour alone.
 * @type {Record<Status, {word: string, icon: string}>}
 */
export const STATUS = {
  unlabelled: { word: "to do", icon: "todo" },
  started: { word: "started", icon: "started" },
  labelled: { word: "done", icon: "done" },
  skipped: { word: "skipped", icon: "skipped" },
};

/** @type {Record<Status, number>} */
const RANK = { started: 0, unlabelled: 1, skipped: 2, labelled: 3 };

/** @param {Row} row */
export function isOpen(row) {
  return row.status === "unlabelled" || row.status === "started";
}

/**
 * The rows a person asked for, in the order they asked for; `queue` are ids that a model wants labelled, best first.
 * @param {Row[]} rows @param {Wish} wish @param {string[]|null} queue
 */
export function chosenRows(rows, wish, queue = null) {
  const words = (wish.text ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const status = wish.status ?? "all";
  const classId = wish.classId ?? null;
  const found = rows.filter((row) => {
    if (status === "open" ? !isOpen(row) : status !== "all" && row.status !== status) return false;
    if (classId !== null && !row.classes.includes(classId)) return false;
    if (!words.length) return true;
    const name = row.name.toLowerCase();
    return words.every((word) => name.includes(word));
  });
  if (wish.order === "suggested" && queue) {
    const place = new Map(queue.map((id, index) => [id, index]));
    const last = queue.length;
    return stable(found, (row) => place.get(row.id) ?? last);
  }
  return wish.order === "status" ? stable(found, (row) => RANK[row.status]) : found;
}

/** @param {Row[]} rows @param {(row: Row) => number} key */
function stable(rows, key) {
  return rows.map((row) => ({ row, rank: key(row) })).sort((a, b) => a.rank - b.rank).map(({ row }) => row);
}

/**
 * The id `step` places from `id`, or null at the end of the list.
 * @param {Row[]} rows @param {string|null} id @param {number} step
 */
export function neighbour(rows, id, step) {
  const at = rows.findIndex((row) => row.id === id);
  if (at < 0) return rows[step > 0 ? 0 : rows.length - 1]?.id ?? null;
  return rows[at + step]?.id ?? null;
}

/**
 * The first unfinished image after `id`, going round at the end; null where everything is finished.
 * @param {Row[]} rows @param {string|null} id
 */
export function nextUnfinished(rows, id) {
  const at = rows.findIndex((row) => row.id === id);
  for (let i = 1; i <= rows.length; i += 1) {
    const row = rows[(at + i + rows.length) % rows.length];
    if (row && row.id !== id && isOpen(row)) return row.id;
  }
  return null;
}

/**
 * Which rows of a long list are on screen, with some before and after.
 * @param {number} count @param {number} rowHeight @param {number} top @param {number} height @returns {[number, number]}
 */
export function windowOf(count, rowHeight, top, height, spare = 4) {
  const first = Math.max(0, Math.min(count, Math.floor(top / rowHeight) - spare));
  return [first, Math.max(first, Math.min(count, Math.ceil((top + height) / rowHeight) + spare))];
}

/**
 * The list after the server told what changed.
 * @param {Row[]} rows @param {Row[]} changed
 */
export function updated(rows, changed) {
  if (!changed.length) return rows;
  const fresh = new Map(changed.map((row) => [row.id, row]));
  const kept = rows.map((row) => {
    const now = fresh.get(row.id);
    fresh.delete(row.id);
    return now ?? row;
  });
  return [...kept, ...fresh.values()];
}

/** @param {Row[]} rows @returns {Record<Status, number>} */
export function countsOf(rows) {
  const counts = { unlabelled: 0, started: 0, labelled: 0, skipped: 0 };
  for (const row of rows) counts[row.status] += 1;
  return counts;
}
