/** Seeded draws for the property tests. */

/** @param {number} seed */
export function draws(seed) {
  let state = seed + 1;
  // mulberry32
  const share = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const whole = (/** @type {number} */ below) => Math.floor(share() * below);
  return {
    share,
    whole,
    between: (/** @type {number} */ low, /** @type {number} */ high) => low + (high - low) * share(),
    pick: (/** @type {any[]} */ items) => items[whole(items.length)],
    /** Blobs and single pixels, not noise alone. */
    mask: (/** @type {number} */ w, /** @type {number} */ h) => {
      const mask = Uint8Array.from({ length: w * h }, () => (share() < 0.03 ? 1 : 0));
      for (let k = 0; k < 4; k++) {
        const [x, y, r, value] = [share() * w, share() * h, share() * w * 0.3, whole(3) ? 1 : 0];
        mask.forEach((_, i) => Math.hypot((i % w) - x, Math.floor(i / w) - y) < r && (mask[i] = value));
      }
      return mask;
    },
  };
}

/** @param {number} count @param {(random: ReturnType<typeof draws>) => void | Promise<void>} run */
export async function repeat(count, run) {
  for (let seed = 0; seed < count; seed++) {
    try {
      await run(draws(seed));
    } catch (error) {
      throw new Error(`seed ${seed}: ${/** @type {Error} */ (error).message}`, { cause: error });
    }
  }
}
