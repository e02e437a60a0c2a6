/* Puts the live chart in the place of the still picture when a .vl-chart comes near the screen; Vega itself is loaded
   when the first one does. Redraws on the theme switch and when a narrow window becomes wide or the other way round;
   what the reader has set on sliders and menus is kept. */
(function () {
  "use strict";
  const VEGA = new URL("vega.js", document.currentScript.src).href;
  const NARROW = 480; // CSS pixels of a chart's box below which legends move down
  const NEAR = "100% 0px"; // one screen above and below
  const LOW_LEGEND = { orient: "bottom", direction: "vertical", columns: 1, labelFontSize: 11 };
  const STACKED = { bottom: { direction: "vertical", anchor: "start" } };
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue("--book-" + name).trim();
  const theme = () => root.dataset.theme;
  const narrow = (box) => box.clientWidth < NARROW;

  function merge(base, over) {
    const out = { ...base };
    for (const [key, value] of Object.entries(over)) {
      const both = value && out[key] && typeof value === "object" && typeof out[key] === "object" && !Array.isArray(value);
      out[key] = both ? merge(out[key], value) : value;
    }
    return out;
  }

  /* What a narrow chart changes; the colours stand in the spec. */
  function narrowConfig(box) {
    if (!narrow(box)) return {};
    return { legend: { ...LOW_LEGEND, layout: STACKED }, axisLeft: { labelLimit: box.clientWidth / 3 } };
  }

  /* Legends below a narrow chart, one entry a line, also where the chart asks for something else. */
  function lowLegends(node) {
    if (Array.isArray(node)) return node.map(lowLegends);
    if (!node || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [
      key, key === "legend" && value ? { ...value, ...LOW_LEGEND } : key === "datasets" ? value : lowLegends(value),
    ]));
  }

  /* A single view fills its box; views side by side share it, and stand on top of each other where it is narrow. */
  function fit(spec, box) {
    const inner = box.clientWidth - 90; // what axes and padding of a concatenated view take
    const parts = spec.hconcat || spec.vconcat || spec.concat;
    if (parts) {
      const columns = spec.hconcat && !narrow(box) ? spec.hconcat.length : 1;
      const sized = parts.map((part) => ({ ...part, width: Math.max(160, (inner - 60 * (columns - 1)) / columns) }));
      const { hconcat, vconcat, concat, columns: _, ...rest } = spec;
      return { ...rest, [columns > 1 ? "hconcat" : "vconcat"]: sized };
    }
    if (spec.facet || spec.repeat) return spec;
    const height = typeof spec.height === "number" ? spec.height : 320, low = narrow(box) && !spec.usermeta?.tall; // a list keeps its lines
    return { ...spec, width: "container", height: low ? Math.min(height, 300) : height, autosize: { type: "fit-x", contains: "padding" } };
  }

  function prepared(figure, box) {
    const stored = figure.querySelector(".vl-spec").textContent;
    const parsed = JSON.parse(stored.replace(/var\(--book-([a-z]+)\)/g, (_, name) => css(name)));
    const spec = fit(narrow(box) ? lowLegends(parsed) : parsed, box);
    spec.config = merge(merge(spec.config, { font: css("font") }), narrowConfig(box));
    return spec;
  }

  const inputs = (box) => [...box.querySelectorAll(".vega-bindings :is(input, select)")];

  /* Gives the inputs of a new drawing the state of those of the old one. */
  function carry(from, to) {
    const old = inputs(from);
    inputs(to).forEach((el, i) => {
      const key = el.type === "radio" || el.type === "checkbox" ? "checked" : "value";
      if (!old[i] || el[key] === old[i][key]) return;
      el[key] = old[i][key];
      el.dispatchEvent(new Event(el.tagName === "SELECT" || key === "checked" ? "change" : "input", { bubbles: true }));
    });
  }

  /* A legend that singles out what one clicks also gets a menu, because Vega's legends cannot be reached by keyboard. */
  function addMenus(box, spec, view) {
    for (const { name, bind, select } of spec.params || []) {
      if (bind !== "legend") continue;
      const [field] = select.fields, store = `${name}_store`;
      const rows = Object.values(spec.datasets || {}).flat().filter((row) => field in row);
      const line = document.createElement("div"), label = document.createElement("label"), menu = document.createElement("select");
      line.className = "vega-bind";
      label.innerHTML = '<span class="vega-bind-name">single out</span>';
      menu.append(new Option("all", ""), ...[...new Set(rows.map((row) => row[field]))].map((value) => new Option(value)));
      menu.addEventListener("change", () => view.data(store, menu.value ? [{ unit: "", fields: [{ type: "E", field }], values: [menu.value] }] : []).runAsync());
      view.addDataListener(store, (_, chosen) => { menu.value = chosen.length === 1 ? chosen[0].values[0] : ""; });
      label.append(menu);
      line.append(label);
      box.querySelector(".vega-bindings").append(line);
    }
  }

  let loading;
  const loadVega = () => (loading ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: VEGA, onload: resolve, onerror: reject });
    document.head.append(script);
  }));

  /* Draws out of sight, over the picture that stands there, and then takes its place in one step. */
  async function draw(figure) {
    const old = figure.querySelector(".vl-view"), box = old.cloneNode(false);
    const drawnFor = theme();
    try {
      await loadVega();
      box.classList.add("vl-coming");
      old.before(box);
      figure.drawnNarrow = narrow(box);
      const chart = await vegaEmbed(box, prepared(figure, box), {
        mode: "vega-lite", renderer: "svg", tooltip: { theme: drawnFor },
        actions: { export: true, source: false, compiled: false, editor: false },
        downloadFileName: figure.id,
      });
      box.querySelectorAll("summary").forEach((el) => {
        el.setAttribute("aria-label", "Save this chart as an image");
        el.title = "Save this chart as an image";
      });
      addMenus(box, chart.spec, chart.view);
      carry(old, box);
      if (figure.chart) figure.chart.finalize();
      figure.chart = chart;
      old.remove();
      box.classList.remove("vl-coming");
      figure.dataset.theme = drawnFor;
    } catch (error) {
      console.error(error);
      box.remove();
      old.insertAdjacentHTML("afterend", '<p class="vl-error">The chart could not be drawn. Its data stand in the table below.</p>');
    }
  }

  const figures = [...document.querySelectorAll(".vl-chart")];
  const queue = (figure) => (figure.queue = (figure.queue || Promise.resolve()).then(() => draw(figure)));
  const drawn = () => figures.filter((figure) => figure.queue);

  /* Vega-Lite watches the window only, but the theme moves its sidebars after the page has loaded. */
  const sizes = new ResizeObserver((entries) => {
    window.dispatchEvent(new Event("resize"));
    for (const { target } of entries) if (target.drawnNarrow !== narrow(target.querySelector(".vl-view"))) queue(target);
  });

  /* Draws a chart that has not been drawn yet. */
  function begin(figure) {
    if (figure.queue) return;
    sight.unobserve(figure);
    queue(figure).then(() => sizes.observe(figure));
  }
  const sight = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => begin(target));
  }, { rootMargin: NEAR });

  let shown = theme();
  new MutationObserver(() => {
    if (theme() === shown) return;
    shown = theme();
    drawn().forEach(queue);
  }).observe(root, { attributes: true, attributeFilter: ["data-theme"] });

  /* Paper is white: print in the colours of the light page, whatever the reader looks at. */
  let before;
  addEventListener("beforeprint", () => { before = theme(); root.dataset.theme = "light"; });
  addEventListener("afterprint", () => { root.dataset.theme = before; });

  window.drawCharts = () => figures.forEach(begin); // for whoever wants them all: tests, a printer of whole books
  figures.forEach((figure) => sight.observe(figure));
})();
