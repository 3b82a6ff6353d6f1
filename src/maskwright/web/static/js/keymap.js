// Every key of the page: one table that the keyboard, the tooltips and the list of keys read.

/** @typedef {{id: string, keys: string[], group: string, words: string}} Action */

/** @type {[string, [string, string, string][]][]} */
const TABLE = [
  ["Tools", [
    ["tool:click", "S", "Smart click: left adds, right or Alt removes"],
    ["tool:box", "X", "Box around an object"],
    ["tool:scribble", "C", "Scribble on an object; Alt or right button: off it"],
    ["tool:brush", "B", "Brush; right button erases, Shift draws straight"],
    ["tool:eraser", "E", "Eraser"],
    ["tool:polygon", "P", "Polygon"],
    ["tool:line", "L", "Line"],
    ["tool:fill", "F", "Fill"],
    ["tool:pan", "V", "Move the picture (or hold Space with any tool)"],
    ["smaller", "[", "Smaller brush"],
    ["larger", "]", "Larger brush"],
  ]],
  ["Candidates", [
    ["next-candidate", "Tab", "Next candidate"],
    ["previous-candidate", "Shift+Tab", "Previous candidate"],
    ["accept", "Enter", "Accept the candidate; close a polygon"],
    ["cancel", "Escape", "Drop the prompts; drop a polygon or line"],
    ["step-back", "Backspace", "Take back the last prompt or polygon corner"],
    ["lower", ",", "Lower threshold: a larger mask"],
    ["higher", ".", "Higher threshold: a smaller mask"],
    ["unite", "U", "Next object: several prompts for one object, or each its own"],
  ]],
  ["Without a mouse", [
    ["cursor", "Arrow keys", "Move the crosshair on the picture; Shift: one pixel"],
    ["press", "Space", "Click at the crosshair"],
    ["press-off", "Shift+Space", "Click at the crosshair to remove"],
  ]],
  ["Classes", [
    ["class", "1 … 9, 0", "Choose a class; Shift for the next ten"],
    ["lock", "K", "Lock or unlock the class"],
    ["hide", "Y", "Show or hide the class"],
    ["priority", "O", "What painting replaces: all, lower priority, unlabelled only"],
  ]],
  ["Mask", [
    ["undo", "Ctrl+Z", "Undo"],
    ["redo", "Ctrl+Shift+Z|Ctrl+Y", "Redo"],
    ["grow", "G", "Grow the class by a pixel"],
    ["shrink", "Shift+G", "Shrink the class by a pixel"],
    ["smooth", "J", "Smooth the class"],
    ["holes", "H", "Fill holes of the class"],
    ["specks", "Shift+H", "Drop specks of the class"],
    ["copy-previous", "Shift+C", "Copy the mask of the image before"],
    ["clear-all", "Shift+Delete", "Clear the whole mask (undo brings it back)"],
  ]],
  ["Images", [
    ["next", "D|PageDown", "Next image"],
    ["previous", "A|PageUp", "Previous image"],
    ["next-open", "N", "Next unfinished image"],
    ["finish", "Ctrl+Enter", "Done: finish and go to the next unfinished image"],
    ["skip", "Shift+S", "Skip this image"],
    ["search", "/", "Search the list"],
  ]],
  ["View", [
    ["fit", "Z", "Fit the picture"],
    ["actual", "Shift+Z", "One pixel to one pixel"],
    ["zoom-in", "+|=", "Closer"],
    ["zoom-out", "-", "Farther"],
    ["overlay", "T", "Labels on or off"],
    ["mode", "M", "Next display: both, image, mask, outline, difference"],
    ["proposal", "R", "Show or hide the proposed mask"],
    ["doubt", "Shift+R", "Show or hide where the model is unsure"],
    ["list", "Shift+L", "Show or hide the list"],
    ["panel", "Shift+P", "Show or hide the right panel"],
    ["help", "?", "This list"],
  ]],
];

/** @type {Action[]} */
export const ACTIONS = TABLE.flatMap(([group, rows]) => rows.map(([id, keys, words]) => ({ id, keys: keys.split("|"), group, words })));

const NAMED = new Map(ACTIONS.flatMap((action) => action.keys.map((key) => [key.toLowerCase(), action.id])));

/** @typedef {{key: string, code?: string, ctrlKey?: boolean, metaKey?: boolean, shiftKey?: boolean, altKey?: boolean}} Press */

/**
 * What a key press asks for: the id of an action, `class:INDEX`, or null.
 * @param {Press} press
 */
export function actionOf(press) {
  const { key, code = "", shiftKey = false, altKey = false } = press;
  const ctrl = Boolean(press.ctrlKey || press.metaKey);
  if (altKey) return null;
  const digit = /^Digit(\d)$/.exec(code)?.[1] ?? (/^\d$/.test(key) ? key : null);
  if (digit && !ctrl) return `class:${((Number(digit) + 9) % 10) + (shiftKey ? 10 : 0)}`;
  const name = key === " " ? "space" : key.toLowerCase();
  // Where Shift only reaches the sign (?, +), the sign is the key.
  const shown = shiftKey && (key.length > 1 || key === " " || /[a-z]/i.test(key)) ? `shift+${name}` : name;
  return NAMED.get(ctrl ? `ctrl+${shown}` : shown) ?? null;
}

/**
 * The first key of an action, for tooltips.
 * @param {string} id
 */
export function keyOf(id) {
  return ACTIONS.find((action) => action.id === id)?.keys[0] ?? "";
}

/**
 * The digit that chooses the index-th class, or "".
 * @param {number} index
 */
export function digitOf(index) {
  if (index < 10) return String((index + 1) % 10);
  return index < 20 ? `⇧${(index + 1) % 10}` : "";
}
