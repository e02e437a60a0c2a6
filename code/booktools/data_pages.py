"""Sphinx extension: the data catalogue. Each table on a page, each row at an address of its own, each figure with source, date and age.

Directives: ``data-tables`` (all tables in one list) and ``data-rows NAME`` (the rows of one table, or for a long one a summary
beside a browser of its rows, which data.js draws). A page of ``book/`` that holds a ``data-rows`` is the home of that table.
Nodes are built by hand: parsing MyST in forty thousand cells would take longer than the rest of the book.
"""
from __future__ import annotations

import html
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from siliconomics import tables
from sphinx.util.docutils import SphinxDirective
from sphinxcontrib.bibtex.citation_target import CitationTarget
from sphinxcontrib.bibtex.roles import CitationRef

from . import data_rows as data

DOWNLOADS = Path("_data", "tables")
ZIP = Path("_data", "siliconomics-data.zip")
LONG = {"note", "locator", "claim", "outcome", "said", "correction", "said_where", "counts", "reading", "quantity"}  # columns of sentences


# --- pieces ---------------------------------------------------------------------------------------------------------

def link(text: str, address: str, title: str = "") -> nodes.reference:
    made = nodes.reference("", text, internal=True, refuri=address)
    if title:
        made["reftitle"] = title
    return made


def markup(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def entry(*content, kind: str = "") -> nodes.entry:
    """A cell of texts and nodes; links must stand in a text element. Kinds: data-long for sentences, data-tight for what must not break."""
    parts = [nodes.Text(c) if isinstance(c, str) else c for c in content if c != ""]
    linked = any(isinstance(part, nodes.Element) for part in parts)
    return nodes.entry("", *([nodes.inline("", "", *parts)] if linked else parts), classes=[kind] if kind else [])


def grid(header: list[str], rows: list[nodes.row], kind: str) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in header), cols=len(header))
    group += nodes.thead("", nodes.row("", *(entry(text) for text in header)))
    group += nodes.tbody("", *rows)
    return nodes.table("", group, classes=["data", kind])


def cite(keys) -> list:
    """Links to the sources of a row, as a text would cite them."""
    found = []
    for key in keys:
        found += [nodes.Text("; "), link(data.labels()[key], f"bibliography.html#{data.source_anchor(key)}", tables.source(key).title)]
    return found[1:]


def note_sources(env, keys: list[str]) -> None:
    """Tell the bibliography that this page cites the keys."""
    refs = env.get_domain("cite").citation_refs
    refs.append(CitationRef(f"data-{env.docname}-{len(refs)}", env.docname, 0, [CitationTarget(key, "", "") for key in keys]))


def downloads(env, name: str) -> list:
    """Where the table and the zip of all tables can be had."""
    up = "../" * env.docname.count("/")
    return [link(f"{name}.csv", f"{up}{(DOWNLOADS / name).as_posix()}.csv"), nodes.Text(" · "), link("all data, one zip", f"{up}{ZIP.as_posix()}")]


# --- rows of a table ------------------------------------------------------------------------------------------------

def as_of(name: str, row: dict) -> list:
    flag = [nodes.Text(" "), nodes.inline("", "old", classes=["data-old"])] if data.old(name, row) else []
    return [nodes.Text(row["as_of"]), *flag]


def shown(name: str, row: dict, column: str) -> list:
    if column == "source":
        return cite(row["source"].split(";"))
    if column == "outcome_source":
        return cite(data.source_keys([{"source": row[column]}]))
    if column == "as_of":
        return as_of(name, row)
    return [nodes.Text(data.span(name, row) if column == "range" else data.cell(name, row, column))]


def kind_of(name: str, row: dict, column: str) -> str:
    """Which kind of cell a row has in a column."""
    type_ = tables.schema(name)["columns"].get(column, "").rstrip("?")
    tight = type_ in ("int", "number", "date", "month") or (column == "value" and row["unit"])
    return "data-long" if column in LONG else "data-source" if type_ == "sources" else "data-tight" if tight else ""


def days(rows) -> list:
    """From when to when rows date, no date broken over two lines."""
    oldest, newest = data.dates(rows)
    ends = [nodes.inline("", day, classes=["data-tight"]) for day in dict.fromkeys((oldest, newest)) if day]
    return [ends[0], nodes.Text(" to "), ends[1]] if len(ends) == 2 else ends


def row_node(name: str, row: dict) -> nodes.row:
    """A row at its address; its first cell leads to that address, so that it can be copied, or to the ledger."""
    address = data.anchor(name, row)
    first, *others = data.columns(name)
    target = f"ledger.html#claim-{slug}" if name == "claims" and (slug := data.slug(row["id"])) else f"#{address}"
    head = entry(link(data.cell(name, row, first) or "–", target))
    return nodes.row("", head, *(entry(*shown(name, row, column), kind=kind_of(name, row, column)) for column in others), ids=[address])


def whole(name: str) -> nodes.table:
    return grid([data.heading(name, c) for c in data.columns(name)], [row_node(name, row) for row in data.raw(name)], "rows")


def summary_row(name: str, key: tuple, rows: list[dict]) -> nodes.row:
    words = ", ".join(data.confidences(rows))
    flagged = sum(data.old(name, row) for row in rows)
    return nodes.row("", *(entry(part or "–") for part in key), entry(f"{len(rows):,}"), entry(data.extent(name, rows), kind="data-long"),
                     entry(*cite(data.source_keys(rows)), kind="data-source"), entry(*days(rows), f" ({flagged:,} old)" if flagged else ""), entry(words))


def summary(name: str, env) -> list[nodes.Node]:
    """What a long table holds, group by group, and a place where data.js shows the rows themselves."""
    header = [*(c.replace("_", " ") for c in data.BULK[name]), "rows", "from … to", "source", "as of", "confidence"]
    up = "../" * env.docname.count("/")
    place = (f'<div class="data-browser" data-table="{name}" data-prefix="{data.slug(name)}-" data-script="{up}{(DOWNLOADS / name).as_posix()}.js" data-rows="{len(data.raw(name))}">'
             f'<noscript><p>Without scripts the rows can be read in the CSV file.</p></noscript></div>')
    return [grid(header, [summary_row(name, *group) for group in data.groups(name).items()], "summary"), markup(place)]


class DataRows(SphinxDirective):
    """One table: what a row is, its columns in a folded list, its rows."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(str(tables.DATA / f"{name}.csv"))
        note_sources(self.env, data.source_keys(data.raw(name)))
        rows, rules = data.raw(name), tables.schema(name)
        about = nodes.paragraph("", rules["about"], classes=["data-about"])
        facts = nodes.paragraph("", f"{len(rows):,} rows, one for each {', '.join(c.replace('_', ' ') for c in rules['key'])}. ",
                                *downloads(self.env, name), classes=["data-facts"])
        body = summary(name, self.env) if name in data.BULK else [whole(name)]
        return [nodes.container("", about, facts, *self._columns(name), *body, ids=[data.table_anchor(name)], classes=["data-table"])]

    @staticmethod
    def _columns(name: str) -> list[nodes.Node]:
        items = []
        for column in tables.schema(name)["columns"]:
            text, unit = tables.meaning(name, column)
            items.append(f"<dt><code>{column}</code>{f' ({html.escape(unit)})' if unit else ''}</dt><dd>{html.escape(text)}</dd>")
        return [markup(f'<details class="data-columns"><summary>What the columns of {name} mean</summary><dl>{"".join(items)}</dl></details>')]


class DataTables(SphinxDirective):
    """Every table with what a row is, how many there are, how old and how sure, and where they are shown."""

    option_spec = {"class": directives.unchanged}
    header = ["table", "what a row is", "rows", "as of", "old", "confidence", "file"]

    def run(self) -> list[nodes.Node]:
        return [grid(self.header, [self._row(name) for name in tables.names()], "catalogue")]

    def _row(self, name: str) -> nodes.row:
        rows, home = data.raw(name), data.pages().get(name)
        address = f"{home.rpartition('/')[2]}.html#{data.table_anchor(name)}" if home else "bibliography.html"
        flagged = sum(data.old(name, row) for row in rows)
        shares = ", ".join(f"{word} {100 * n / len(rows):.0f}\u00a0%" for word, n in data.confidences(rows).items())
        first = tables.schema(name)["about"].partition(". ")[0].rstrip(".") + "."
        file = link("CSV", downloads(self.env, name)[0]["refuri"], f"{name}.csv")
        return nodes.row("", entry(link(name, address)), entry(first, kind="data-long"), entry(f"{len(rows):,}"), entry(*days(rows)),
                         entry(f"{flagged:,}" if flagged else ""), entry(shares, kind="data-source"), entry(file), ids=[f"catalogue-{data.slug(name)}"])


class DataZip(SphinxDirective):
    """A line that leads to the zip."""

    def run(self) -> list[nodes.Node]:
        up = "../" * self.env.docname.count("/")
        return [nodes.paragraph("", "", link("siliconomics-data.zip", up + ZIP.as_posix()),
                                nodes.Text(": every table as CSV, the data dictionary, the notes on sources, the licence and the bibliography."))]


# --- files ----------------------------------------------------------------------------------------------------------

def write_downloads(app, exception) -> None:
    """Put the tables, the scripts of the long ones and the zip into the site."""
    if exception or app.builder.format != "html":
        return
    folder = Path(app.outdir, DOWNLOADS)
    folder.mkdir(parents=True, exist_ok=True)
    for name in tables.names():
        (folder / f"{name}.csv").write_bytes((tables.DATA / f"{name}.csv").read_bytes())
    for name in data.BULK:
        (folder / f"{name}.js").write_text(data.script(name), encoding="utf-8", newline="\n")
    data.write_zip(Path(app.outdir, ZIP))


def page_scripts(app, pagename, templatename, context, doctree) -> None:
    """Load data.js where a table of data stands."""
    if 'class="data ' in (context.get("body") or "") or "data-browser" in (context.get("body") or ""):
        app.add_js_file("data.js", loading_method="defer")


def setup(app):
    from . import data_behind

    app.add_directive("data-tables", DataTables)
    app.add_directive("data-rows", DataRows)
    app.add_directive("data-zip", DataZip)
    app.connect("doctree-read", data_behind.link_tables)
    app.connect("doctree-read", data_behind.add_figures)
    app.connect("html-page-context", page_scripts)
    app.connect("build-finished", write_downloads)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
