"use strict";
// The page is whole without this script: it adds the slider to stacked pictures, buttons that save figures, a mark
// beside the section in view, and opens what a link leads into. Nothing is fetched; a file goes to the reader's disk.
(() => {
  const svgSpace = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;
  const PAIRS = { "label | prediction": ["label", "prediction"], "photo | label": ["photo", "label"], "photo | prediction": ["photo", "prediction"] };
  let groups = 0;

  /** @param {string} tag @param {Record<string, string>} attributes @param {...(Node | string)} children */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // ---- pictures on top of each other

  /** Two of the panels on top of each other with a divider that follows pointer and arrow keys. */
  function stack(panels) {
    if (panels.querySelector(".wipe")) return;
    const name = panels.closest(".shot")?.querySelector("figcaption strong")?.textContent ?? "";
    const range = make("input", { type: "range", class: "wipe", min: "0", max: "100", value: "50", "aria-label": `Divide ${name}` });
    range.addEventListener("input", () => place(panels, range));
    panels.append(range, make("span", { class: "handle", "aria-hidden": "true" }));
    panels.append(make("span", { class: "tag", "aria-hidden": "true" }), make("span", { class: "tag", "aria-hidden": "true" }));
  }

  function place(panels, range) {
    panels.style.setProperty("--at", `${range.value}%`);
    const [left, right] = [...panels.querySelectorAll(".tag")].map((tag) => tag.textContent);
    range.setAttribute("aria-valuetext", `${range.value} % ${left}, the rest ${right}`);
  }

  /** @param {Element} panels @param {[string, string] | undefined} pair which two; all side by side without it */
  function look(panels, pair) {
    panels.classList.toggle("stacked", Boolean(pair));
    if (!pair) return;
    stack(panels);
    for (const figure of panels.querySelectorAll("figure")) {
      figure.classList.toggle("over", figure.dataset.panel === pair[0]);
      figure.classList.toggle("under", figure.dataset.panel === pair[1]);
    }
    panels.querySelectorAll(".tag").forEach((tag, i) => { tag.textContent = pair[i]; });
    place(panels, panels.querySelector(".wipe"));
  }

  /** One choice for all pictures of a gallery. */
  function choose(gallery) {
    const name = `look-${++groups}`;
    const all = [...gallery.querySelectorAll(".panels")].filter((panels) =>
      ["photo", "label", "prediction"].every((panel) => panels.querySelector(`[data-panel="${panel}"]`)));
    if (!all.length) return;
    const choices = make("fieldset", { class: "look" }, make("legend", {}, "Compare"));
    for (const text of [...Object.keys(PAIRS), "side by side"]) {
      const radio = make("input", { type: "radio", name });
      radio.addEventListener("change", () => all.forEach((panels) => look(panels, PAIRS[text])));
      choices.append(make("label", {}, radio, text));
    }
    choices.querySelector("input").checked = true;
    gallery.prepend(choices);
    all.forEach((panels) => look(panels, PAIRS["label | prediction"]));
  }

  // ---- figures as files

  function download(blob, name) {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function fileName(text, ending) {
    const plain = (words) => words.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase().slice(0, 60);
    return `${plain(document.title.split(" – ")[0])}-${plain(text)}.${ending}`;
  }

  /** A figure as a file of its own: its size, its font, and a white ground. */
  function drawing(svg) {
    const copy = svg.cloneNode(true);
    const { width, height } = svg.viewBox.baseVal;
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    copy.setAttribute("font-family", "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif");
    const ground = document.createElementNS(svgSpace, "rect");
    for (const [key, value] of Object.entries({ width: "100%", height: "100%", fill: "#fff" })) ground.setAttribute(key, value);
    copy.prepend(ground);
    return { text: new XMLSerializer().serializeToString(copy), width, height };
  }

  /** Any other element inside an SVG, with the page's own styles in their light colours. */
  function framed(element) {
    const copy = element.cloneNode(true);
    copy.querySelectorAll(".panels").forEach((panels) => panels.classList.remove("stacked"));
    copy.querySelectorAll("input").forEach((input) => input.remove());
    const rules = [...document.styleSheets[0].cssRules].filter((rule) => !(rule.conditionText ?? "").includes("dark"));
    const style = make("style", {}, rules.map((rule) => rule.cssText).join("\n"));
    const body = make("div", { class: "alone" }, style, copy);
    const ruler = make("div", { style: "position:absolute;left:-9999px;top:0" }, body);
    if (element.matches(".shot")) ruler.style.width = "1200px";
    document.body.append(ruler);
    const width = Math.ceil(Math.max(body.scrollWidth, body.offsetWidth)), height = Math.ceil(body.offsetHeight);
    ruler.remove();
    const root = document.createElementNS(svgSpace, "svg");
    const hole = document.createElementNS(svgSpace, "foreignObject");
    for (const box of [root, hole]) { box.setAttribute("width", width); box.setAttribute("height", height); }
    hole.append(body);
    root.append(hole);
    return { text: new XMLSerializer().serializeToString(root), width, height };
  }

  async function savePng(element, name) {
    const svg = element.querySelector(":scope > svg");
    const { text, width, height } = svg ? drawing(svg) : framed(element);
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const scale = Math.min(Math.max(2, 1600 / width), 8000 / Math.max(width, height));
    const canvas = make("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => download(blob, fileName(name, "png")), "image/png");
  }

  function saveSvg(element, name) {
    download(new Blob([drawing(element.querySelector(":scope > svg")).text], { type: "image/svg+xml" }), fileName(name, "svg"));
  }

  /** The browser prints this figure alone; its dialog offers "save as PDF". First in the page, so that ids find it. */
  function savePdf(element, name) {
    const only = make("div", { id: "only" }, element.cloneNode(true));
    const title = document.title;
    document.body.prepend(only);
    document.body.classList.add("only");
    document.title = fileName(name, "pdf").slice(0, -4);
    addEventListener("afterprint", () => {
      only.remove();
      document.body.classList.remove("only");
      document.title = title;
    }, { once: true });
    print();
  }

  function buttons(element, name) {
    const row = make("div", { class: "save", role: "group", "aria-label": `Save: ${name}` }, "save ");
    const kinds = element.querySelector(":scope > svg") ? { PNG: savePng, SVG: saveSvg, PDF: savePdf } : { PNG: savePng, PDF: savePdf };
    for (const [kind, save] of Object.entries(kinds)) {
      const button = make("button", { type: "button", "aria-label": `${kind} of ${name}` }, kind);
      button.addEventListener("click", () => save(element, name));
      row.append(button);
    }
    return row;
  }

  // ---- the page

  /** Everything inside that is not yet done; a folded run waits until it is opened. */
  function upgrade(root) {
    const open = (element) => !element.closest("details.run:not([open])") && !element.dataset.done;
    for (const gallery of [...root.querySelectorAll(".gallery")].filter(open)) { gallery.dataset.done = "1"; choose(gallery); }
    for (const plot of [...root.querySelectorAll(".plot")].filter(open)) {
      plot.dataset.done = "1";
      plot.after(buttons(plot, (plot.querySelector("svg")?.getAttribute("aria-label") ?? "figure").split(/[:,]/)[0]));
    }
    for (const table of [...root.querySelectorAll(".matrix")].filter(open)) {
      table.dataset.done = "1";
      (table.closest(".wide") ?? table).after(buttons(table, table.caption?.textContent ?? "table"));
    }
    for (const shot of [...root.querySelectorAll(".shot")].filter(open)) {
      shot.dataset.done = "1";
      const name = shot.querySelector("figcaption strong") ?? shot.querySelector(":scope > figcaption");
      shot.append(buttons(shot, name?.textContent ?? "picture"));
    }
  }

  /** Open everything that a link leads into. */
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const folds = [];
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) folds.push(fold);
    if (folds.every((fold) => fold.open)) return;
    folds.forEach((fold) => { fold.open = true; });
    target.scrollIntoView();
  }

  function follow() {
    const links = new Map([...document.querySelectorAll(".toc a")].map((link) => [link.hash.slice(1), link]));
    const bar = document.querySelector(".toc"), seen = new Set();
    const watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) isIntersecting ? seen.add(target.id) : seen.delete(target.id);
      const first = [...links.keys()].find((id) => seen.has(id));
      if (first) bar.scrollTo({ left: links.get(first).offsetLeft - 16 });
      links.forEach((link, id) => id === first ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    }, { rootMargin: "-60px 0px -55% 0px" });
    for (const id of links.keys()) { const place = document.getElementById(id); if (place) watcher.observe(place); }
  }

  document.querySelectorAll("details.run").forEach((run) => run.addEventListener("toggle", () => upgrade(run)));
  addEventListener("hashchange", reveal);
  upgrade(document);
  reveal();
  follow();
})();
