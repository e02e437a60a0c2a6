/* Long tables (the ledger, the data catalogue): sort by a click on a heading, filter by words and by what two columns hold.
   Without scripts the table is complete and in the order of its file. */
(function () {
  "use strict";
  const MENUS = { ledger: ["verdict", "settled in"], figures: ["figure", "confidence"] };

  const text = (cell) => cell.textContent.trim();
  const number = (value) => parseFloat(value.replace(/[,$]/g, ""));
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

  function filterable(table, rows, heads, kind) {
    const words = element("input", { type: "search", placeholder: "filter by words", "aria-label": "Filter by words" });
    const count = element("output", { "aria-live": "polite" });
    const menus = MENUS[kind].map((label) => {
      const column = heads.findIndex((head) => text(head) === label);
      const values = [...new Set(rows.map((row) => group(text(row.cells[column]))))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      return { column, select: menu(label, values) };
    });
    const apply = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        const said = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => said.includes(word)) ||
          menus.some(({ column, select }) => select.value && group(text(row.cells[column])) !== select.value);
      });
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    };
    const bar = element("div", { class: "table-bar", role: "group", "aria-label": "Filter the table" }, words, ...menus.map(({ select }) => select), count);
    (table.closest(".pst-scrollable-table-container") || table).before(bar);
    bar.addEventListener("input", apply);
    apply();
  }

  document.querySelectorAll("table.ledger, table.figures").forEach((table) => {
    const rows = [...table.tBodies[0].rows], heads = [...table.tHead.rows[0].cells];
    filterable(table, rows, heads, table.classList.contains("ledger") ? "ledger" : "figures");
    sortable(table, rows, heads);
  });
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
})();
