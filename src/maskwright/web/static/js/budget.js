// What labelling costs, in words and as a curve.

/** @typedef {{labelled: number, clicks: number, seconds: number, median_seconds: number|null, median_clicks: number|null,
 *   left: number, hours_left: number|null}} Budget */
/** @typedef {{labelled: number, score: number, run: string}} CurvePoint */

/** @param {number} seconds */
export function durationWords(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "unknown";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 90) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  return hours < 10 ? `${hours.toFixed(1)} h` : `${Math.round(hours)} h`;
}

/** @param {number} value */
function short(value) {
  return value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}

/**
 * One figure with its name each.
 * @param {Budget} budget @returns {{name: string, value: string, hint: string}[]}
 */
export function budgetFacts(budget) {
  const known = budget.labelled > 0 && budget.median_seconds !== null;
  const left = known && budget.hours_left !== null ? `about ${durationWords(budget.hours_left * 3600)}` : "not known yet";
  return [
    { name: "Done", value: `${budget.labelled} of ${budget.labelled + budget.left}`, hint: "images finished, of all that are not skipped" },
    { name: "Time an image", value: known ? durationWords(budget.median_seconds ?? 0) : "–", hint: "median of active time; pauses do not count" },
    { name: "Clicks an image", value: known && budget.median_clicks !== null ? short(budget.median_clicks) : "–", hint: "median of prompts and strokes" },
    { name: "Time left", value: budget.left ? left : "nothing left", hint: `${budget.left} to do, at the median time` },
  ];
}

/**
 * The same in one sentence, for screen readers and the tooltip.
 * @param {Budget} budget
 */
export function budgetSentence(budget) {
  return budgetFacts(budget).map(({ name, value }) => `${name}: ${value}`).join(". ") + ".";
}

/**
 * The learning curve as points of an SVG polyline, and where its axis ends.
 * @param {CurvePoint[]} curve @param {number} width @param {number} height
 */
export function curveLine(curve, width, height, margin = 4) {
  const sorted = [...curve].sort((a, b) => a.labelled - b.labelled);
  const most = Math.max(1, ...sorted.map((point) => point.labelled));
  const places = sorted.map(({ labelled, score, run }) => ({
    x: margin + (labelled / most) * (width - 2 * margin),
    y: height - margin - Math.min(1, Math.max(0, score)) * (height - 2 * margin),
    labelled, score, run,
  }));
  return { places, line: places.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "), most };
}
