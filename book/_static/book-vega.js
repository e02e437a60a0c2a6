/* Draws every .vl-chart of the page with the Vega of this site. Redraws on the theme switch and when a narrow window
   becomes wide or the other way round; what the reader has set on sliders and menus is kept. */
(function () {
  "use strict";
  const NARROW = 480; // CSS pixels of a chart's box below which legends move down
  const PALETTE = {
    "#0072b2": "blue", "#b35900": "orange", "#e69f00": "amber", "#009e73": "green",
    "#d55e00": "vermilion", "#8e5a94": "purple", "#56b4e9": "sky", "#6b7280": "grey",
  };
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

  function themeConfig(box) {
    const text = css("text"), muted = css("muted"), line = css("line");
    const guide = { labelColor: muted, titleColor: text, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
    return {
      background: null, font: css("font"), text: { color: text }, rule: { color: muted }, tick: { color: muted },
      axis: { ...guide, domainColor: muted, tickColor: muted, gridColor: line, labelSeparation: 4 },
      legend: { ...guide, symbolBaseFillColor: muted, symbolBaseStrokeColor: muted, ...(narrow(box) ? { ...LOW_LEGEND, layout: STACKED } : {}) },
      ...(narrow(box) ? { axisLeft: { labelLimit: box.clientWidth / 3 } } : {}),
      header: { labelColor: muted, titleColor: text }, title: { color: text, subtitleColor: muted }, view: { stroke: null },
    };
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
    const coloured = stored.replace(/#[0-9a-f]{6}\b/gi, (hex) => css(PALETTE[hex.toLowerCase()] || "") || hex);
    const parsed = JSON.parse(coloured);
    const spec = fit(narrow(box) ? lowLegends(parsed) : parsed, box);
    delete spec.title; // stands above as text, which wraps and can be found
    spec.config = merge(spec.config || {}, themeConfig(box));
    return spec;
  }

  const inputs = (figure) => [...figure.querySelectorAll(".vega-bindings :is(input, select)")];

  function keep(figure) {
    const values = inputs(figure).map((el) => (el.type === "radio" || el.type === "checkbox" ? el.checked : el.value));
    return () => inputs(figure).forEach((el, i) => {
      if (i >= values.length) return;
      const key = typeof values[i] === "boolean" ? "checked" : "value";
      if (el[key] === values[i]) return;
      el[key] = values[i];
      el.dispatchEvent(new Event(el.tagName === "SELECT" || key === "checked" ? "change" : "input", { bubbles: true }));
    });
  }

  async function draw(figure) {
    const box = figure.querySelector(".vl-view"), restore = keep(figure);
    figure.drawnNarrow = narrow(box);
    if (figure.chart) figure.chart.finalize();
    try {
      figure.chart = await vegaEmbed(box, prepared(figure, box), {
        mode: "vega-lite", renderer: "svg", tooltip: { theme: theme() },
        actions: { export: true, source: false, compiled: false, editor: false },
        downloadFileName: figure.id,
      });
      box.querySelectorAll("summary").forEach((el) => {
        el.setAttribute("aria-label", "Save this chart as an image");
        el.title = "Save this chart as an image";
      });
      restore();
      figure.dataset.theme = theme();
    } catch (error) {
      console.error(error);
      box.innerHTML = '<p class="vl-error">The chart could not be drawn. Its data stand in the table below.</p>';
    }
  }

  const figures = [...document.querySelectorAll(".vl-chart")];
  const queue = (figure) => (figure.queue = (figure.queue || Promise.resolve()).then(() => draw(figure)));
  const drawAll = () => Promise.all(figures.map(queue));

  /* Vega-Lite watches the window only, but the theme moves its sidebars after the page has loaded. */
  const sizes = new ResizeObserver((entries) => {
    window.dispatchEvent(new Event("resize"));
    for (const { target } of entries) {
      const figure = target.closest(".vl-chart");
      if (figure.drawnNarrow !== narrow(target)) queue(figure);
    }
  });

  let shown = theme();
  new MutationObserver(() => {
    if (theme() === shown) return;
    shown = theme();
    drawAll();
  }).observe(root, { attributes: true, attributeFilter: ["data-theme"] });

  drawAll().then(() => figures.forEach((figure) => sizes.observe(figure.querySelector(".vl-view"))));
})();
