"""Sphinx extension of the book: charts as accessible figures, and pages that load nothing from elsewhere.

A stored Vega-Lite output becomes a <figure>: title, a place where book-vega.js draws, a static SVG for browsers
without scripts, and the chart's data as CSV. Vega and MathJax are copied from installed Python packages into the site.
"""
from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
from importlib.metadata import distribution
from pathlib import Path

from docutils import nodes
from sphinx.util import logging

from .altair_renderer import MIME, alt_text, title_text

log = logging.getLogger(__name__)

STATIC_WIDTH = 640  # pixels of a chart that fills its column, when drawn without a browser
VEGA_LITE = "6.4"
CHART_SCRIPTS = ("vega.js", "book-vega.js")
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions", "a11y", "sre")


class chart(nodes.General, nodes.Element):
    """A Vega-Lite chart; attribute `spec`."""


class VegaLite:
    """Entry point `myst_nb.mime_renderers`."""

    mime_priority_overrides = [(builder, MIME, 1) for builder in ("html", "dirhtml", "singlehtml")]

    @staticmethod
    def handle_mime(renderer, data, inline):
        if inline or data.mime_type != MIME:
            return None
        spec = json.loads(data.content) if isinstance(data.content, str) else data.content
        return [chart(spec=spec, classes=["output"])]


# --- a chart on a page ----------------------------------------------------------------------------------------------

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


def _write_tables(builder, name: str, spec: dict) -> list[str]:
    """Write the chart's data under _data/ and return the addresses relative to the current page."""
    links, found = [], tables(spec)
    for number, rows in enumerate(found, start=1):
        target = Path("_data") / f"{name}{f'-{number}' if len(found) > 1 else ''}.csv"
        path = Path(builder.outdir) / target
        path.parent.mkdir(exist_ok=True)
        path.write_text(csv_text(rows), encoding="utf-8", newline="\n")
        links.append("../" * builder.current_docname.count("/") + target.as_posix())
    return links


def _figure(name: str, spec: dict, svg: str, links: list[str]) -> str:
    label = html.escape(alt_text(spec), quote=True)
    payload = json.dumps(spec, separators=(",", ":"), sort_keys=True).replace("</", "<\\/")
    table_links = " ".join(
        f'<a href="{link}" download>Table{f" {number}" if len(links) > 1 else ""} (CSV)</a>'
        for number, link in enumerate(links, start=1)
    )
    subtitle = title_text(spec, "subtitle")
    subtitle = f'<p class="vl-subtitle">{html.escape(subtitle)}</p>' if subtitle else ""
    return (
        f'<figure class="vl-chart" id="chart-{name}" role="group" aria-label="{label}">'
        f'<p class="vl-title">{html.escape(title_text(spec))}</p>{subtitle}'
        f'<script type="application/json" class="vl-spec">{payload}</script>'
        f'<div class="vl-view"></div><noscript>{svg}</noscript>'
        f'<figcaption class="vl-links">{table_links}</figcaption></figure>'
    )


def visit_chart_html(self, node: chart) -> None:
    docname = self.builder.current_docname
    number = list(node.document.findall(chart)).index(node) + 1
    name, spec = f"{docname.rpartition('/')[2]}-{number}", node["spec"]
    try:
        links = _write_tables(self.builder, name, spec)
        if not links:
            log.warning("chart %d holds no data rows, so it has no table", number, location=docname)
        self.body.append(_figure(name, spec, static_svg(spec), links))
    except ValueError as error:
        log.warning("chart %d: %s", number, error, location=docname)
    raise nodes.SkipNode


def visit_chart_text(self, node: chart) -> None:
    self.add_text(alt_text(node["spec"]))
    raise nodes.SkipNode


def name_solutions(app, doctree) -> None:
    """Say "solution" on the button of a folded solution, where myst-nb says "code cell content"."""
    for cell in doctree.findall(nodes.container):
        if "tag_solution" in cell["classes"] and "prompt_show" in cell:
            cell["prompt_show"], cell["prompt_hide"] = "Show the solution", "Hide the solution"


def name_cells(app, doctree) -> None:
    """Give each code cell an id, cell-17 for the notebook's eighteenth cell, so that the ledger can lead to it."""
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") == "cell_code":
            cell["ids"].append(f"cell-{cell['cell_index']}")


# --- pages without foreign addresses ---------------------------------------------------------------------------------

def copy_scripts(app) -> None:
    """Put Vega and MathJax into the site from the installed packages."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    static.mkdir(parents=True, exist_ok=True)
    if not (static / "vega.js").exists():
        import vl_convert

        bundle = f"(function () {{{vl_convert.javascript_bundle()}\n}})();\n"  # its short names must not meet the theme's
        (static / "vega.js").write_text(bundle, encoding="utf-8", newline="\n")
    source = Path(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax"))
    for part in MATHJAX_PARTS:
        _copy_missing(source / part, static / "mathjax" / part)


def _copy_missing(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def page_scripts(app, pagename, templatename, context, doctree) -> None:
    """Load the scripts of charts and of long tables where there are any; drop thebe, which names a script server, and doubled inline scripts."""
    seen: set[str] = set()
    scripts, kept = context.get("script_files", []), []
    for script in scripts:
        body = getattr(script, "attributes", {}).get("body") or ""
        if "thebe" in f"{getattr(script, 'filename', script)} {body}" or (body and body in seen):
            continue
        seen.add(body)
        kept.append(script)
    scripts[:] = kept  # in place: add_js_file below extends this list
    if 'class="vl-chart"' in (context.get("body") or ""):
        for name in CHART_SCRIPTS:
            app.add_js_file(name, loading_method="defer")
    if re.search(r'<table class="[^"]*\b(ledger|data)\b', context.get("body") or ""):
        app.add_js_file("tables.js", loading_method="defer")


def merge_handlers(app) -> None:
    """Give singlehtml and dirhtml the html visitors: sphinx-exercise registers its own there and hides all others."""
    handlers = app.registry.translation_handlers
    for builder in {"singlehtml", "dirhtml"} & handlers.keys():
        for name, visitors in handlers.get("html", {}).items():
            handlers[builder].setdefault(name, visitors)


def setup(app):
    app.add_node(chart, html=(visit_chart_html, None), text=(visit_chart_text, None))
    app.connect("builder-inited", merge_handlers)
    app.connect("builder-inited", copy_scripts)
    app.connect("doctree-read", name_solutions)
    app.connect("doctree-read", name_cells)
    app.connect("html-page-context", page_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
