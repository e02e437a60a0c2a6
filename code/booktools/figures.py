"""Charts as numbered figures: Figure 7.3 is the third chart of chapter 7.

A figure has a title, a place where book-vega.js draws, a static SVG for browsers without scripts, its data as CSV and a
citation. What is written once here, number, anchor, table and citation, serves every builder; only `html_figure` is of the web.
"""
from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import NamedTuple

import yaml
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from .altair_renderer import alt_text, title_text

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
STATIC_WIDTH = 640  # pixels of a chart that fills its column, when drawn without a browser
VEGA_LITE = "6.4"
TEXT_LICENCE = "CC BY 4.0"


class chart(nodes.General, nodes.Element):
    """A Vega-Lite chart; attribute `spec`, and `number` ("7.3") and `name` ("07_mbu-3") once its page is read."""


class figure_list(nodes.General, nodes.Element):
    """Where the list of figures will stand."""


# --- number and data --------------------------------------------------------------------------------------------------

def number_of(docname: str, index: int) -> str:
    """ "7.3" for the third chart of chapters/07_mbu; "" on a page that is no chapter."""
    chapter = re.match(r"chapters/(\d+)_", docname)
    return f"{int(chapter[1])}.{index}" if chapter else ""


def label(number: str) -> str:
    return f"Figure {number}" if number else "Figure"


def anchor(name: str) -> str:
    return f"chart-{name}"


def number_charts(app, doctree) -> None:
    """Number the charts of a page, and note them where the list of figures finds them."""
    docname, noted = app.env.docname, []
    for index, node in enumerate(doctree.findall(chart), start=1):
        node["name"], node["number"] = f"{docname.rpartition('/')[2]}-{index}", number_of(docname, index)
        noted.append({"name": node["name"], "number": node["number"], "title": title_text(node["spec"]), "tables": table_files(node)})
    app.env.metadata[docname]["charts"] = noted  # Sphinx forgets and merges a page's metadata by itself


def tables(spec: dict) -> list[list[dict]]:
    """Return the rows of a chart's data sets; those of one row, such as a reference line, only if there is no other."""
    found = _datasets(spec)
    return [rows for rows in found if len(rows) > 1] or found


def _datasets(spec: dict) -> list[list[dict]]:
    found = list(spec.get("datasets", {}).values())
    if isinstance(spec.get("data"), dict) and "values" in spec["data"]:
        found.append(spec["data"]["values"])
    for key in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(key, []):
            found += _datasets(part)
    if isinstance(spec.get("spec"), dict):
        found += _datasets(spec["spec"])
    return [rows for rows in found if rows and isinstance(rows[0], dict)]


def table_files(node: chart) -> list[str]:
    """Where the CSV files of a chart stand in the site, one for each table."""
    count = len(tables(node["spec"]))
    return [f"_data/{node['name']}{f'-{number}' if count > 1 else ''}.csv" for number in range(1, count + 1)]


def csv_text(rows: list[dict]) -> str:
    fields = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def static_svg(spec: dict) -> str:
    """Draw the chart without a browser; a spec that Vega-Lite rejects raises ValueError."""
    import vl_convert

    untitled = {key: value for key, value in spec.items() if key != "title"}
    if untitled.get("width") == "container":
        untitled["width"] = STATIC_WIDTH
    return vl_convert.vegalite_to_svg(untitled, vl_version=VEGA_LITE)


# --- citation ---------------------------------------------------------------------------------------------------------

class Book(NamedTuple):
    """What CITATION.cff says about the book."""

    authors: str
    year: str
    title: str
    version: str

    @classmethod
    def read(cls, path: Path = ROOT / "CITATION.cff") -> Book:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        names = " and ".join(a.get("name") or f"{a['given-names']} {a['family-names']}" for a in told["authors"])
        return cls(names, str(told["date-released"])[:4], told["title"], told["version"])


def address(config, docname: str, fragment: str) -> str:
    """The public address of a place in the book: in the site if `html.baseurl` names one, else in the repository."""
    if config.html_baseurl:
        return f"{config.html_baseurl.rstrip('/')}/{docname}.html#{fragment}"
    theme = config.html_theme_options
    return f"{theme.get('repository_url', '')}/blob/{theme.get('repository_branch', 'main')}/{docname}.ipynb#{fragment}"


def citation(book: Book, number: str, title: str, url: str) -> str:
    """One line to paste under a reprinted figure."""
    return f"{book.authors} ({book.year}). {label(number)}: {title.rstrip('.')}. In {book.title}, version {book.version}. {url}. {TEXT_LICENCE}."


def bibtex(book: Book, number: str, title: str, url: str, name: str) -> str:
    fields = {
        "author": f"{{{book.authors}}}", "year": book.year, "title": _latex(f"{label(number)}: {title}"), "booktitle": _latex(book.title),
        "note": f"Version {book.version}, {TEXT_LICENCE}", "url": url,
    }
    lines = ",\n".join(f"  {field:<9} = {{{value}}}" for field, value in fields.items())
    return f"@incollection{{siliconomics:{name},\n{lines}\n}}"


def _latex(text: str) -> str:
    return re.sub(r"([$%&#_])", r"\\\1", text)


# --- a figure on a page -----------------------------------------------------------------------------------------------

def _write_tables(outdir: str, node: chart) -> None:
    for file, rows in zip(table_files(node), tables(node["spec"]), strict=True):
        path = Path(outdir, file)
        path.parent.mkdir(exist_ok=True)
        path.write_text(csv_text(rows), encoding="utf-8", newline="\n")


def _table_links(node: chart, docname: str) -> str:
    files, up = table_files(node), "../" * docname.count("/")
    names = _numbered("Table", len(files))
    return " ".join(f'<a href="{up}{file}" download>{name} (CSV)</a>' for file, name in zip(files, names, strict=True))


def _numbered(word: str, count: int) -> list[str]:
    return [word] if count == 1 else [f"{word} {number}" for number in range(1, count + 1)]


def _cite(node: chart, config, docname: str) -> str:
    """A disclosure with the citation as a line and as BibTeX; cite.js adds a button to each."""
    number, title = node["number"], title_text(node["spec"])
    book, url = Book.read(), address(config, docname, anchor(node["name"]))
    line, entry = citation(book, number, title, url), bibtex(book, number, title, url, node["name"])
    return (
        f'<details class="vl-cite"><summary>Cite<span class="visually-hidden"> {label(number)}</span></summary>'
        f'<p class="cite-text">{html.escape(line)}</p><pre class="cite-text" tabindex="0">{html.escape(entry)}</pre></details>'
    )


def html_figure(node: chart, config, docname: str) -> str:
    spec, number = node["spec"], node["number"]
    payload = json.dumps(spec, separators=(",", ":"), sort_keys=True).replace("</", "<\\/")
    said = html.escape(f"{label(number)}. {alt_text(spec)}" if number else alt_text(spec), quote=True)
    shown = f'<span class="vl-number">{label(number)}</span> ' if number else ""
    subtitle = title_text(spec, "subtitle")
    subtitle = f'<p class="vl-subtitle">{html.escape(subtitle)}</p>' if subtitle else ""
    return (
        f'<figure class="vl-chart" id="{anchor(node["name"])}" role="group" aria-label="{said}">'
        f'<p class="vl-title">{shown}{html.escape(title_text(spec))}</p>{subtitle}'
        f'<script type="application/json" class="vl-spec">{payload}</script>'
        f'<div class="vl-view"></div><noscript>{static_svg(spec)}</noscript>'
        f'<figcaption class="vl-links">{_table_links(node, docname)} {_cite(node, config, docname)}</figcaption></figure>'
    )


def visit_chart_html(self, node: chart) -> None:
    docname = self.builder.current_docname
    try:
        _write_tables(self.builder.outdir, node)
        if not tables(node["spec"]):
            log.warning("chart %s holds no data rows, so it has no table", node["name"], location=docname)
        self.body.append(html_figure(node, self.config, docname))
    except ValueError as error:
        log.warning("chart %s: %s", node["name"], error, location=docname)
    raise nodes.SkipNode


def visit_chart_text(self, node: chart) -> None:
    self.add_text(f"{label(node['number'])}. {alt_text(node['spec'])}")
    raise nodes.SkipNode


# --- list of figures --------------------------------------------------------------------------------------------------

class ListOfFigures(SphinxDirective):
    """Every figure of the book: number, finding, chapter and table."""

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["lists_figures"] = True
        return [figure_list()]


def noted_charts(env) -> list[tuple[str, dict]]:
    """(page, chart) for every chart of the chapters, in their order."""
    return [(docname, noted) for docname in sorted(env.metadata) for noted in env.metadata[docname].get("charts", ()) if noted["number"]]


def relist(app, env) -> list[str]:
    """Pages to write again when any page has changed: those that list the figures."""
    return [docname for docname, data in env.metadata.items() if data.get("lists_figures")]


def fill_lists(app, doctree, docname: str) -> None:
    for place in list(doctree.findall(figure_list)):
        rows = [_row(app, docname, page, noted) for page, noted in noted_charts(app.env)]
        head = nodes.row("", *(_entry(nodes.Text(text)) for text in ("figure", "what it shows", "chapter", "data")))
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (10, 60, 20, 10)), nodes.thead("", head), nodes.tbody("", *rows), cols=4)
        place.replace_self(nodes.table("", group, classes=["figure-list"]))


def _entry(*inline: nodes.Node) -> nodes.entry:
    return nodes.entry("", nodes.paragraph("", "", *inline))


def _row(app, docname: str, page: str, noted: dict) -> nodes.row:
    chapter = app.builder.get_relative_uri(docname, page)
    figure = nodes.reference("", noted["number"], internal=True, refuri=f"{chapter}#{anchor(noted['name'])}")
    title = nodes.reference("", app.env.titles[page].astext(), internal=True, refuri=chapter)
    up = "../" * docname.count("/")
    names = _numbered("CSV", len(noted["tables"]))
    data = [part for file, name in zip(noted["tables"], names, strict=True) for part in (nodes.reference("", name, internal=True, refuri=up + file), nodes.Text(" "))]
    return nodes.row("", _entry(figure), _entry(nodes.Text(noted["title"])), _entry(title), _entry(*data))


def page_scripts(app, pagename, templatename, context, doctree) -> None:
    if 'class="vl-cite"' in (context.get("body") or ""):
        app.add_js_file("cite.js", loading_method="defer")


def skip(self, node) -> None:
    raise nodes.SkipNode


def setup(app):
    app.add_node(chart, html=(visit_chart_html, None), text=(visit_chart_text, None))
    app.add_node(figure_list, html=(skip, None), text=(skip, None))
    app.add_directive("list-of-figures", ListOfFigures)
    app.connect("doctree-read", number_charts)
    app.connect("env-updated", relist)
    app.connect("doctree-resolved", fill_lists)
    app.connect("html-page-context", page_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
