// Seconds and clicks that a person really spent: a pause longer than `idle` counts as nothing after its first moments.

export class Activity {
  /** @param {{now?: () => number, idle?: number}} options `now` in milliseconds, `idle` in seconds */
  constructor(options = {}) {
    const { now = () => performance.now(), idle = 10 } = options;
    this.now = now;
    this.idleMs = idle * 1000;
    this.last = /** @type {number|null} */ (null);
    this.milliseconds = 0;
    this.clicks = 0;
  }

  /** The person did something. */
  beat() {
    const now = this.now();
    if (this.last !== null) this.milliseconds += Math.min(now - this.last, this.idleMs);
    this.last = now;
  }

  /** The page was hidden or another image opened: what follows is not counted until the next beat. */
  pause() {
    this.last = null;
  }

  click(count = 1) {
    this.clicks += count;
  }

  /** What was spent since the last call. */
  take() {
    const spent = { clicks: this.clicks, seconds: Math.round(this.milliseconds) / 1000 };
    this.clicks = 0;
    this.milliseconds = 0;
    return spent;
  }
}
