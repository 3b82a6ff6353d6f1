// What an OpenAPI description offers, as rows for a page, and how to ask for it with curl. No DOM.

/** @typedef {{name: string, about: string, choices: string[], value: string}} Parameter */
/** @typedef {{code: string, about: string, types: string[]}} Answer */
/** @typedef {{method: string, path: string, summary: string, about: string, parameters: Parameter[],
 *   photo: boolean, bodies: string[], answers: Answer[]}} Operation */

/** @param {any} schema @returns {Operation[]} in the order of the description */
export function operationsOf(schema) {
  return Object.entries(schema.paths ?? {}).flatMap(([path, methods]) => Object.entries(methods).map(([method, entry]) => {
    const bodies = Object.keys(entry.requestBody?.content ?? {});
    return {
      method: method.toUpperCase(), path, bodies, photo: bodies.length > 0,
      summary: entry.summary ?? "", about: entry.description ?? "",
      parameters: (entry.parameters ?? []).map(parameterOf),
      answers: Object.entries(entry.responses ?? {}).map(([code, answer]) => ({
        code, about: answer.description ?? "", types: Object.keys(answer.content ?? {}),
      })),
    };
  }));
}

/** @param {any} entry @returns {Parameter} */
function parameterOf({ name, description = "", schema = {} }) {
  return { name, about: description, choices: schema.enum ?? [], value: String(schema.default ?? schema.enum?.[0] ?? "") };
}

/**
 * The address of an operation, relative to the page.
 * @param {Operation} operation @param {Record<string, string>} values
 */
export function addressOf({ path, parameters }, values) {
  const query = new URLSearchParams(parameters.filter(({ name }) => values[name]).map(({ name }) => [name, values[name]]));
  return path.slice(1) + (String(query) ? `?${query}` : "");
}

/** @param {string} type @returns {string} the ending of a file of this media type */
export function endingOf(type) {
  const known = { "image/png": ".png", "image/jpeg": ".jpg", "application/geo+json": ".geojson", "application/json": ".json" };
  return known[/** @type {keyof typeof known} */ (type.split(";")[0])] ?? ".txt";
}

/**
 * What to type into a shell.
 * @param {Operation} operation @param {Record<string, string>} values
 * @param {string} base where the server is, with a slash at its end @param {boolean} secret is there a token?
 */
export function curlOf(operation, values, base, secret) {
  const words = ["curl"];
  if (secret) words.push('-H "Authorization: Bearer $TOKEN"');
  if (operation.photo) words.push("--data-binary @PHOTO.jpg");
  words.push(`'${base}${addressOf(operation, values)}'`);
  if (operation.photo) words.push("-o ANSWER");
  return words.join(" ");
}

/** @param {string} type @returns {boolean} is an answer of this type better seen as text? */
export const isText = (type) => /json|^text\//.test(type);

/**
 * Text as people read it, cut where it is long.
 * @param {string} text @param {string} type @param {number} most characters
 */
export function pretty(text, type, most) {
  let shown = text;
  if (/json/.test(type)) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // Then as it came.
    }
  }
  return shown.length > most ? `${shown.slice(0, most)}\n... and ${shown.length - most} characters more` : shown;
}
