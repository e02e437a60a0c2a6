/* Long tables (the ledger, the data catalogue): sort by a click on a heading, filter by words and by what some columns hold.
   Without scripts the table is complete and in the order of its file. data.js uses the same pieces. */
(function () {
  "use strict";
  const LEDGER_MENUS = ["verdict", "settled in"];
  const FEW_ROWS = 12; // a shorter table is read faster than filtered
  const PREFIXES = { p: 1e-12, n: 1e-9, "\u00b5": 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18, Z: 1e21, Y: 1e24 };
  const NUMBER = /^\$?(-?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?: ([pn\u00b5mkMGTPEZY])(?=(?:B|FLOP|W|s|J|params|tokens)(?:\b|\/)))?/;

  const text = (cell) => cell.textContent.trim();
  const number = (value) => {
    const found = value.match(NUMBER);
    return found ? parseFloat(found[1].replace(/,/g, "")) * (PREFIXES[found[2]] || 1) : NaN;
  };
  const group = (value) => value.split(/[:,]/)[0].replace(/^section (\d+)\..*/, "chapter $1").replace(/ \(coming\)$/, "");

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...children);
    return made;
  }

  function compare(a, b) {
    const [x, y] = [number(a), number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y) && x !== y) return x - y;
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sortable(table, rows, heads) {
    heads.forEach((head, column) => {
      const button = element("button", { type: "button", class: "sort" }, text(head));
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        rows.sort((a, b) => (down ? -1 : 1) * compare(text(a.cells[column]), text(b.cells[column])));
        table.tBodies[0].append(...rows);
      });
    });
  }

  function menu(label, values) {
    const options = values.map((value) => element("option", { value }, value));
    return element("select", { "aria-label": label }, element("option", { value: "" }, `${label}: all`), ...options);
  }

  /* Columns of a data table that a menu helps with: the first two that repeat a few words, and the confidence. */
  function worthAMenu(rows, heads) {
    const repeats = heads.filter((head, column) => {
      const values = rows.map((row) => text(row.cells[column]));
      const distinct = new Set(values);
      return distinct.size > 1 && distinct.size <= rows.length / 2 && distinct.size < 80 && values.every((value) => !value || Number.isNaN(number(value)));
    }).map(text);
    return [...repeats.filter((label) => !["confidence", "source", "note", "range"].includes(label)).slice(0, 2), ...repeats.filter((label) => label === "confidence")];
  }

  function filterable(table, rows, heads) {
    const ledger = table.classList.contains("ledger"), shown = ledger ? group : (value) => value;
    const words = element("input", { type: "search", placeholder: "filter by words", "aria-label": "Filter by words" });
    const count = element("output", { "aria-live": "polite" });
    const menus = (ledger ? LEDGER_MENUS : worthAMenu(rows, heads)).map((label) => {
      const column = heads.findIndex((head) => text(head) === label);
      const values = [...new Set(rows.map((row) => shown(text(row.cells[column]))))].filter(Boolean).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      return { column, select: menu(label, values) };
    });
    const apply = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        const said = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => said.includes(word)) ||
          menus.some(({ column, select }) => select.value && shown(text(row.cells[column])) !== select.value);
      });
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    };
    const bar = element("div", { class: "table-bar", role: "group", "aria-label": "Filter the table" }, words, ...menus.map(({ select }) => select), count);
    (table.closest(".pst-scrollable-table-container") || table).before(bar);
    bar.addEventListener("input", apply);
    apply();
  }

  window.bookTables = { element, compare, menu, number };
  document.querySelectorAll("table.ledger, table.data:not(.behind)").forEach((table) => {
    const rows = [...table.tBodies[0].rows], heads = [...table.tHead.rows[0].cells];
    if (rows.length > FEW_ROWS) filterable(table, rows, heads);
    sortable(table, rows, heads);
  });
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
})();
