// On a thread of its own: commands on large masks, each on a copy of the plane.

import * as commands from "./commands.js";
import { flood, regionOf } from "./fill.js";
import { History } from "./history.js";
import { makePlane } from "./plane.js";
import { answerWith } from "./thread.js";

/** @param {{plane: import("./plane.js").Plane}} given */
const historyOf = ({ plane: { data, width, height } }) => new History(makePlane(data, width, height));

answerWith({
  /** A command, answered as what it would leave: the page has the plane as it was. */
  command(given) {
    const history = historyOf(given);
    const run = /** @type {any} */ (commands)[given.name];
    const pixels = run(history, given.rules, ...given.values);
    return { value: { pixels, step: history.lift() } };
  },
  preview(given) {
    const found = commands.smoothPreview(historyOf(given), given.label, given.sigma);
    return { value: found, transfer: found ? [found.soft.buffer] : [] };
  },
  region({ plane, x, y }) {
    const found = regionOf(flood(plane, x, y, true));
    return { value: found, transfer: [found.mask.buffer] };
  },
});
