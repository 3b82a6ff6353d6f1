// How far labelling is, what it costs, what to label next, and trainings on what is labelled so far.

import { json } from "./api.js";
import { budgetFacts, budgetSentence, curveLine } from "./budget.js";
import { byId, h, say, svg } from "./dom.js";
import { countsOf } from "./images.js";

/** @typedef {import("./app.js").App} App */

const POLL_MS = 1500;

/** @param {App} app @param {import("./proposal.js").Proposal} proposal @param {import("./prompting.js").Prompting} prompting */
export function buildProgress(app, proposal, prompting) {
  const facts = h("dl", { class: "facts" });
  const counts = h("p", { class: "quiet" });
  const curve = h("div", { class: "curve" });
  const queue = h("p", { class: "quiet" });
  const draw = () => {
    const now = countsOf(app.rows);
    // Times are the server's, and a little late; how many are done is known here.
    const budget = { ...app.info.budget, labelled: now.labelled, left: now.unlabelled + now.started };
    facts.replaceChildren(...budgetFacts(budget).flatMap(({ name, value, hint }) => [h("div", { title: hint }, h("dt", {}, name), h("dd", {}, value))]));
    facts.setAttribute("aria-label", budgetSentence(budget));
    counts.textContent = `${now.started} started, ${now.unlabelled} to do, ${now.skipped} skipped.`;
    curve.replaceChildren(...learningCurve(app));
  };
  byId("panel-progress").append(facts, counts, curve, queuePart(app, queue), runPart(app, proposal), trainingPart(app, proposal, prompting));
  let timer = /** @type {any} */ (0);
  // The budget is the server's: asked for when a save may have changed it, not with every save.
  app.saver.addEventListener("saved", () => {
    clearTimeout(timer);
    timer = setTimeout(() => void Promise.all([app.refreshProject(), app.refresh()]).catch(() => {}), 2500);
  });
  app.addEventListener("project", draw);
  app.addEventListener("rows", draw);
  draw();
}

/** @param {App} app */
function learningCurve(app) {
  const { curve } = app.info;
  if (!curve.length) return [h("p", { class: "quiet" }, "Train on what is labelled so far, and the learning curve stands here: whether more labels still help.")];
  const [width, height] = [236, 74];
  const { places, line, most } = curveLine(curve, width, height, 6);
  const last = places[places.length - 1];
  const words = `Learning curve: ${places.map(({ labelled, score }) => `${labelled} images ${score.toFixed(2)}`).join(", ")}`;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words, class: "line" },
    svg("line", { x1: 6, y1: height - 6, x2: width - 6, y2: height - 6, class: "axis" }),
    svg("polyline", { points: line }),
    ...places.map(({ x, y, labelled, score, run }) => {
      const dot = svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 3 });
      const title = svg("title", {});
      title.textContent = `${labelled} images: ${score.toFixed(3)} (${run})`;
      dot.append(title);
      return dot;
    }));
  return [h("p", { class: "label" }, "Mean IoU by labelled images"), picture, h("p", { class: "quiet" }, `${last.score.toFixed(2)} with ${last.labelled} images; axis to ${most}.`)];
}

/** @param {App} app @param {HTMLElement} words */
function queuePart(app, words) {
  const button = h("button", { type: "button", title: "Orders the list by what a model would learn most from", onclick: () => void ask(true) }, "Suggest an order");
  /** @param {boolean} anew whether to rank the images now, or to hear how far that is */
  const ask = async (anew) => {
    try {
      const { state, ids, message } = await json(`/api/queue${anew ? "?method=mixed" : ""}`);
      button.disabled = state === "running";
      if (state === "running") {
        words.textContent = "Looking for the images that teach most …";
        setTimeout(() => void ask(false), POLL_MS);
      } else if (state === "ready") {
        app.queue = ids;
        app.settings.set("order", "suggested");
        byId("order").value = "suggested";
        app.emit("rows");
        words.textContent = message || queueWords(ids.length, app.info.suggestion);
      } else words.textContent = message || "No suggestion yet.";
    } catch (error) {
      button.disabled = false;
      words.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  const wanted = () => app.settings.values.order === "suggested" && !app.queue && void ask(true);
  app.addEventListener("order", wanted);
  queueMicrotask(wanted);
  return h("fieldset", {}, h("legend", {}, "Label these next"), words, h("div", { class: "buttons" }, button));
}

/** @param {number} count @param {string|null} run */
function queueWords(count, run) {
  if (!count) return "Every image is labelled or skipped.";
  const how = run ? `by what ${run} is unsure of and by what is rare or new` : "by how different they look; a run that proposes masks would know better";
  return `${count === 1 ? "One image is" : `${count} images are`} suggested, ${how}. The list begins with the most useful one.`;
}

/**
 * Which run proposes masks.
 * @param {App} app @param {import("./proposal.js").Proposal} proposal
 */
function runPart(app, proposal) {
  const run = h("input", { type: "text", placeholder: "runs/NAME", "aria-label": "Run that proposes masks", autocomplete: "off" });
  const words = h("p", { class: "quiet" });
  const trouble = h("p", { class: "trouble", role: "alert" });
  const form = h("form", { class: "inline" }, run, h("button", { type: "submit" }, "Use"));
  const draw = () => {
    words.textContent = app.info.suggestion ? `${app.info.suggestion} proposes masks. ${app.info.suggestion_message ?? ""}` : "No run proposes masks yet.";
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    try {
      await json("/api/suggestion", "POST", { run: run.value.trim() || null });
      await app.refreshProject();
      proposal.reset();
      await proposal.fetch();
    } catch (error) {
      trouble.textContent = error instanceof Error ? error.message : String(error);
    }
  });
  app.addEventListener("project", draw);
  draw();
  return h("fieldset", {}, h("legend", {}, "Proposals"), words, form, trouble);
}

/** @param {App} app @param {import("./proposal.js").Proposal} proposal @param {import("./prompting.js").Prompting} prompting */
function trainingPart(app, proposal, prompting) {
  const { settings } = app;
  const recipe = h("input", { type: "text", value: settings.values.recipe, list: "recipes", "aria-label": "Recipe", autocomplete: "off" });
  const minutes = h("input", { type: "number", min: 0.1, max: 10000, step: "any", value: settings.values.minutes, "aria-label": "Minutes" });
  const start = h("button", { type: "submit", class: "main" }, "Train");
  const stop = h("button", { type: "button", hidden: true }, "Stop");
  const bar = h("progress", { max: 1, hidden: true, "aria-label": "Training" });
  const words = h("p", { role: "status" });
  const log = h("pre", { tabindex: "0", role: "region", "aria-label": "Log of the training" });
  const fold = h("details", { hidden: true }, h("summary", {}, "Log"), log);
  let was = "idle";
  /** @param {any} state */
  const show = (state) => {
    const running = state.state === "running";
    start.disabled = running;
    stop.hidden = !running;
    bar.hidden = !running;
    // Until the first epoch nobody knows how far it is: the bar moves by itself.
    if (state.share) bar.value = state.share;
    else bar.removeAttribute("value");
    words.textContent = trainingWords(state);
    words.className = state.state === "failed" ? "trouble" : "quiet";
    log.textContent = (state.log ?? []).join("\n");
    fold.hidden = !log.textContent;
    if (running) setTimeout(() => void look(), POLL_MS);
    if (was === "running" && state.state === "done") void used(state);
    was = state.state;
  };
  const look = async () => {
    try {
      show(await json("/api/train"));
    } catch {
      setTimeout(() => void look(), 4 * POLL_MS);
    }
  };
  /** @param {any} state */
  const used = async (state) => {
    await app.refreshProject();
    prompting.prompters = app.info.prompters;
    prompting.changed();
    await proposal.fetch();
    say(`The training is done${state.score === null ? "" : ` with a mean IoU of ${state.score.toFixed(2)}`}; it proposes masks now.`);
  };
  const form = h("form", { class: "inline" }, h("label", {}, "Recipe", recipe), h("label", {}, "Minutes", minutes), start, stop);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    settings.set("recipe", recipe.value.trim() || "default");
    settings.set("minutes", Number(minutes.value) || 10);
    try {
      await app.saver.flush();
      show(await json("/api/train", "POST", { recipe: settings.values.recipe, minutes: settings.values.minutes, sets: [] }));
    } catch (error) {
      words.textContent = error instanceof Error ? error.message : String(error);
      words.className = "trouble";
    }
  });
  stop.addEventListener("click", () => void json("/api/train", "DELETE").then(show, (error) => say(error.message, "warn")));
  void look();
  return h("fieldset", { hidden: app.info.training === false }, h("legend", {}, "Train on what is done"), form, bar, words, fold,
    h("datalist", { id: "recipes" }, ["default", "prompt-clicks", "prompt-unet"].map((name) => h("option", { value: name }))));
}

/** @param {any} state */
export function trainingWords({ state, epoch, epochs, score, message }) {
  const far = `epoch ${epoch ?? 0}${epochs ? ` of ${epochs}` : ""}${score === null || score === undefined ? "" : `, mean IoU ${score.toFixed(2)}`}`;
  if (state === "running") return `Running: ${message || far}`;
  if (state === "done") return `Done: ${message || `${far}. It proposes masks now.`}`;
  if (state === "failed") return `Failed: ${message}`;
  return message || "Uses the images that are done; the result proposes masks for the others.";
}
