/* Rows of the data tables that are too many for a page: a script with the table is loaded when a reader asks for it, then
   drawn in pages of 100, filtered and sorted. An address such as #gemm-aiconfigurator-h100-sxm-... opens the page of that row. */
(function () {
  "use strict";
  const { element, compare, menu } = window.bookTables;
  const PAGE = 100, MOST_MENUS = 8, MOST_WORDS = 40;
  const KINDS = { note: "data-long", locator: "data-long", source: "data-source", as_of: "data-tight" };
  const NO_MENU = ["source", "as_of", "note", "locator", "machine", "id"];

  const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "none";
  const hash = () => decodeURIComponent(location.hash.slice(1));

  function load(address) {
    return new Promise((done, failed) => {
      const script = element("script", { src: address });
      script.addEventListener("load", done);
      script.addEventListener("error", failed);
      document.head.append(script);
    });
  }

  /* A table as it was packed: any cell by column and number of its row. */
  function unpack(packed) {
    const cell = (column, row) => {
      const values = packed.columns[column];
      return Array.isArray(values) ? values[row] : values.texts[values.of[row]];
    };
    return { ...packed, cell, anchor: (prefix, row) => prefix + packed.key.map((column) => slug(cell(column, row))).join("-") };
  }

  function isOld(asOf, months) {
    const [then, today] = [new Date(asOf), new Date()];
    return (today.getFullYear() - then.getUTCFullYear()) * 12 + today.getMonth() - then.getUTCMonth() > months;
  }

  function sourceLinks(table, keys) {
    const links = keys.split(";").map((key) => element("a", { href: `bibliography.html#cite-${slug(key)}` }, table.sources[key]));
    return links.flatMap((link, number) => (number ? ["; ", link] : [link]));
  }

  function content(table, column, row) {
    const text = column === "range" ? ["low", "high"].map((end) => table.cell(end, row)).filter(Boolean).join(" to ") : table.cell(column, row);
    if (column === "source") return sourceLinks(table, text);
    if (column === "as_of" && isOld(text, table.age_months)) return [`${text} `, element("span", { class: "data-old" }, "old")];
    return [text];
  }

  class Browser {
    constructor(box, table) {
      Object.assign(this, { box, table, prefix: box.dataset.prefix, page: 0, order: null, down: false });
      this.all = Array.from({ length: table.rows }, (_, row) => row);
      this.rows = this.all;
      this.words = element("input", { type: "search", placeholder: "filter by words", "aria-label": "Filter by words" });
      this.count = element("output", { "aria-live": "polite" });
      this.menus = this.columnsForMenus().map((column) => ({ column, select: menu(table.headings[column] || column, this.distinct(column)) }));
      this.bar = element("div", { class: "table-bar", role: "group", "aria-label": "Filter the rows" }, this.words, ...this.menus.map(({ select }) => select), this.count);
      this.bar.addEventListener("input", () => this.filter());
      this.body = element("tbody", {});
      this.frame = element("div", { class: "pst-scrollable-table-container", tabindex: "0", role: "region", "aria-label": `Rows of ${box.dataset.table}` },
        element("table", { class: "table data rows" }, element("thead", {}, this.head()), this.body));
      this.steps = ["first", "previous", "next", "last"].map((step) => element("button", { type: "button", class: "data-step" }, step));
      this.steps.forEach((button, step) => button.addEventListener("click", () => this.turn(step)));
      box.replaceChildren(this.bar, this.frame, element("div", { class: "data-steps", role: "group", "aria-label": "Turn pages" }, ...this.steps));
      this.draw();
    }

    columnsForMenus() {
      const repeats = (column) => !Array.isArray(this.table.columns[column]) && this.table.columns[column].texts.length;
      return this.table.shown.filter((column) => this.table.columns[column] && !NO_MENU.includes(column) && repeats(column) > 1 && repeats(column) <= MOST_WORDS).slice(0, MOST_MENUS);
    }

    distinct(column) {
      return this.table.columns[column].texts.filter(Boolean).sort(compare);
    }

    head() {
      const cells = this.table.shown.map((column) => {
        const button = element("button", { type: "button", class: "sort" }, this.table.headings[column]);
        const cell = element("th", { scope: "col" }, button);
        button.addEventListener("click", () => this.sort(column, cell));
        return cell;
      });
      return element("tr", {}, ...cells);
    }

    said(row) {
      return this.table.shown.map((column) => (column === "range" ? "" : this.table.cell(column, row))).join(" ").toLowerCase();
    }

    filter() {
      const wanted = this.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = this.menus.filter(({ select }) => select.value);
      this.rows = this.all.filter((row) => chosen.every(({ column, select }) => this.table.cell(column, row) === select.value) &&
        (!wanted.length || wanted.every((word) => this.said(row).includes(word))));
      this.page = 0;
      this.draw();
    }

    sort(column, head) {
      this.down = head.getAttribute("aria-sort") === "ascending";
      this.frame.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      const value = (row) => (column === "range" ? this.table.cell("low", row) : this.table.cell(column, row));
      this.all.sort((a, b) => (this.down ? -1 : 1) * compare(value(a), value(b)));
      this.filter();
    }

    pages() {
      return Math.max(1, Math.ceil(this.rows.length / PAGE));
    }

    turn(step) {
      this.page = [0, this.page - 1, this.page + 1, this.pages() - 1][step];
      this.draw();
    }

    line(row) {
      const address = this.table.anchor(this.prefix, row);
      const [first, ...others] = this.table.shown;
      const head = element("td", {}, element("a", { href: `#${address}` }, this.table.cell(first, row) || "–"));
      return element("tr", { id: address }, head, ...others.map((column) => element("td", KINDS[column] ? { class: KINDS[column] } : {}, ...content(this.table, column, row))));
    }

    draw() {
      const from = this.page * PAGE, shown = this.rows.slice(from, from + PAGE);
      this.body.replaceChildren(...shown.map((row) => this.line(row)));
      this.frame.scrollTop = 0;
      this.count.textContent = `${this.rows.length.toLocaleString("en")} of ${this.table.rows.toLocaleString("en")} rows, page ${this.page + 1} of ${this.pages()}`;
      this.steps.forEach((button, step) => { button.disabled = step < 2 ? this.page === 0 : this.page === this.pages() - 1; });
    }

    show(address) {
      const find = () => this.rows.findIndex((row) => this.table.anchor(this.prefix, row) === address);
      if (find() < 0) { // it may be filtered away
        [this.words, ...this.menus.map(({ select }) => select)].forEach((control) => { control.value = ""; });
        this.filter();
      }
      const place = find();
      if (place < 0) return;
      this.page = Math.floor(place / PAGE);
      this.draw();
      this.body.querySelectorAll(".data-target").forEach((other) => other.classList.remove("data-target"));
      const line = document.getElementById(address);
      line.classList.add("data-target");
      line.scrollIntoView({ block: "center" });
    }
  }

  const browsers = new Map();

  function open(box) {
    if (!browsers.has(box)) {
      box.querySelector("button")?.setAttribute("disabled", "");
      browsers.set(box, load(box.dataset.script).then(
        () => new Browser(box, unpack(window.siliconomicsTables[box.dataset.table])),
        () => { box.textContent = "The rows could not be loaded; the CSV file has them."; }));
    }
    return browsers.get(box);
  }

  function follow() {
    const address = hash();
    const here = document.getElementById(address);
    if (here) {
      document.querySelectorAll("tr.data-target").forEach((other) => other.classList.remove("data-target"));
      if (here.matches("tr")) { here.classList.add("data-target"); here.scrollIntoView({ block: "center" }); }
      return;
    }
    const box = [...document.querySelectorAll(".data-browser")].find((one) => address.startsWith(one.dataset.prefix));
    if (box) open(box).then((browser) => browser?.show(address));
  }

  document.querySelectorAll(".data-browser").forEach((box) => {
    const button = element("button", { type: "button", class: "data-open" }, `Show the ${Number(box.dataset.rows).toLocaleString("en")} rows`);
    button.addEventListener("click", () => open(box));
    box.replaceChildren(button);
  });
  document.querySelectorAll(".pst-scrollable-table-container:has(> table.data)").forEach((frame) => frame.setAttribute("tabindex", "0"));
  window.addEventListener("hashchange", follow);
  follow();
})();
